package keeper

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/internal/testkit"
)

// descriptors is how many the keeper has, once all that it was told is done:
// an upgrade to nothing is refused, and changes nothing.
func (p *handle) descriptors(k *program) int {
	p.t.Helper()
	p.try(note{Do: "upgrade"})
	return descriptors(p.t, k.pid)
}

// copyOf is another file with the same program.
func copyOf(t *testing.T, path, name string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestUpgrade(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	app := p.spawn("app", "read x < "+fifo(t, s.home)+"; echo after; exit 6")
	p.spawn("before", "exit 3")
	p.exit("before")
	p.ask(note{Do: "hold", Name: "socket", Text: "held"})
	testkit.WaitFor(t, soon, "the app reads", func() bool { return field(app, 3) == "S" })
	held := p.descriptors(k)

	// The daemon's name is the test binary's own, so that it acts as one.
	keeper2, daemon2 := copyOf(t, testkit.Keeper(t), filepath.Join(s.home, "keeper2")), copyOf(t, testkit.Self(t), filepath.Join(s.home, "daemon2"))
	p.ask(note{Do: "upgrade", Path: keeper2, Name: daemon2})
	if link, err := os.Readlink("/proc/" + strconv.Itoa(k.pid) + "/exe"); err != nil || link != keeper2 {
		t.Errorf("the keeper runs %s, %v; want %s", link, err, keeper2)
	}
	if !there(app) || parent(app) != k.pid || !there(p.PID) || parent(p.PID) != k.pid {
		t.Errorf("app with parent %d, daemon with parent %d; want both there, with parent %d", parent(app), parent(p.PID), k.pid)
	}
	// The old daemon is served on.
	p.spawn("during", "exit 4")
	if e := p.exit("during"); e.Seq != 2 || code(e) != 4 {
		t.Errorf("exit %+v, want number 2, with code 4", e)
	}
	// What was kept over exec is closed on exec again.
	pid := p.spawn("clean", "exec sleep 100")
	testkit.WaitFor(t, soon, "an app has its own three only", func() bool { return descriptors(t, pid) == 3 })
	kill(t, pid, syscall.SIGKILL)
	p.exit("clean")
	for _, name := range []string{"clean/1", "clean/2"} {
		p.ask(note{Do: "drop", Name: name})
	}
	p.tell(note{Do: "end"})
	next := s.puppet()
	if next.Exe != daemon2 || next.Number != k.pid {
		t.Errorf("the next daemon runs %s with keeper %d; want %s, %d", next.Exe, next.Number, daemon2, k.pid)
	}
	want := map[string]int{
		"child app": app, "exit before": 1, "exit during": 2, "exit clean": 3, "app/1": 0, "app/2": 0, "before/1": 0, "before/2": 0,
		"during/1": 0, "during/2": 0, "socket": 0, LockName: 0,
	}
	if diff := cmp.Diff(want, next.keys()); diff != "" {
		t.Errorf("what it finds (-want +got):\n%s", diff)
	}
	if got := next.ask(note{Do: "read", Name: "socket"}).Text; got != "held" {
		t.Errorf("what was held: %q", got)
	}
	feed(t, s.home)
	if e := next.exit("app"); e.Seq != 4 || !e.Known || code(e) != 6 {
		t.Errorf("exit %+v, want number 4, with code 6", e)
	}
	if got := next.ask(note{Do: "read", Name: "app/1"}).Text; got != "after\n" {
		t.Errorf("its output: %q", got)
	}
	for _, name := range []string{"during/1", "during/2"} {
		next.ask(note{Do: "drop", Name: name})
	}
	// The app's pidfd is gone, and its exit needs none.
	if now := next.descriptors(k); now != held-1 {
		t.Errorf("%d descriptors are open, want %d", now, held-1)
	}
	if z := zombies(t, k.pid); len(z) > 0 {
		t.Errorf("zombies %v", z)
	}
}

// TestAppsThatEndDuringUpgrades ends one process after the other at all
// moments of the keeper's becoming another binary: no exit may be lost.
func TestAppsThatEndDuringUpgrades(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	const rounds, step = 25, 200 * time.Microsecond
	for round := range rounds {
		key := "app" + strconv.Itoa(round)
		pid := p.spawn(key, "exec sleep 100")
		p.tell(note{Do: "upgrade", Path: testkit.Keeper(t), Name: testkit.Self(t)})
		<-time.After(time.Duration(round) * step)
		kill(t, pid, syscall.SIGKILL)
		p.news = nil
		if n := p.tells("answer", func(n note) bool { return n.Do == "" }); n.Err != "" {
			t.Fatal(n.Err)
		}
		e := p.exit(key)
		if !e.Known || syscall.WaitStatus(e.Status).Signal() != syscall.SIGKILL || e.Seq != uint64(round+1) {
			t.Errorf("exit %+v, want number %d and SIGKILL", e, round+1)
		}
	}
	if parent(p.PID) != k.pid {
		t.Errorf("the daemon's parent is %d, the keeper %d", parent(p.PID), k.pid)
	}
}

func TestUpgradeRefused(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	app := p.spawn("app", "exec sleep 100")
	garbage := filepath.Join(s.home, "garbage")
	if err := os.WriteFile(garbage, []byte("no program\x00"), 0o700); err != nil {
		t.Fatal(err)
	}
	held := p.descriptors(k)
	for name, test := range map[string]struct {
		keeper, daemon string
		errno          syscall.Errno
	}{
		"no such keeper":     {"/missing/keeper", testkit.Self(t), syscall.ENOENT},
		"no program":         {garbage, testkit.Self(t), syscall.ENOEXEC},
		"a relative path":    {"keeper", testkit.Self(t), 0},
		"a relative daemon":  {testkit.Keeper(t), "daemon", 0},
		"no keeper":          {"", testkit.Self(t), 0},
		"not to be executed": {"/etc/passwd", testkit.Self(t), syscall.EACCES},
	} {
		t.Run(name, func(t *testing.T) {
			answer := p.try(note{Do: "upgrade", Path: test.keeper, Name: test.daemon})
			if answer.Err == "" || answer.Errno != int(test.errno) {
				t.Errorf("errno %d, %q; want a refusal with errno %d", answer.Errno, answer.Err, int(test.errno))
			}
		})
	}
	if now := p.descriptors(k); now != held {
		t.Errorf("%d descriptors are open, %d before", now, held)
	}
	// What was kept over exec must be closed on exec again.
	pid := p.spawn("after", "exec sleep 100")
	testkit.WaitFor(t, soon, "an app has its own three only", func() bool { return descriptors(t, pid) == 3 })
	kill(t, p.PID, syscall.SIGKILL)
	next := s.puppet()
	if next.Exe != testkit.Self(t) || next.keys()["child app"] != app {
		t.Errorf("the next daemon is %s and finds %v", next.Exe, next.keys())
	}
}

func TestTheLimitOfDescriptorsOverAnUpgrade(t *testing.T) {
	s := newStage(t)
	_, p := s.begin()
	limit := func(key string) string {
		p.spawn(key, "ulimit -Sn")
		p.exit(key)
		return p.ask(note{Do: "read", Name: key + "/1"}).Text
	}
	before := limit("before")
	p.ask(note{Do: "upgrade", Path: testkit.Keeper(t), Name: testkit.Self(t)})
	if after := limit("after"); after != before {
		t.Errorf("an app may open %q after an upgrade, %q before", after, before)
	}
}
