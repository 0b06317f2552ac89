package keeper

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"tend/internal/keeper/remote"
	"tend/internal/keeper/wire"
	"tend/internal/testkit"
)

func code(e wire.Exit) int { return syscall.WaitStatus(e.Status).ExitStatus() }

// keys are what a daemon finds, by name.
func (n *note) keys() map[string]int {
	m := map[string]int{}
	for _, c := range n.Children {
		m["child "+c.Key] = c.PID
	}
	for _, e := range n.Exits {
		m["exit "+e.Key] = int(e.Seq)
	}
	for _, name := range n.Held {
		m[name] = 0
	}
	return m
}

func TestADaemonIsStarted(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	if p.Text != "[tend-daemon --keeper-fd=3]" || p.Exe != testkit.Self(t) || p.Number != k.pid || parent(p.PID) != k.pid {
		t.Errorf("%s %s, keeper %d, parent %d; the keeper is %d", p.Exe, p.Text, p.Number, parent(p.PID), k.pid)
	}
	if diff := cmp.Diff(map[string]int{LockName: 0}, p.keys()); diff != "" {
		t.Errorf("what it finds (-want +got):\n%s", diff)
	}
	if session := field(p.PID, 6); session == field(k.pid, 6) {
		t.Error("the daemon is in its keeper's session: a terminal's signals would reach both")
	}
}

func TestOneKeeperPerHome(t *testing.T) {
	s := newStage(t)
	s.begin()
	k, ready := s.keep(testkit.Self(t), s.ctl.Addr().String())
	if got := output(t, ready); got != "busy\n" {
		t.Errorf("the second keeper said %q, want busy", got)
	}
	if ws := k.wait(t); ws.ExitStatus() != ExitBusy {
		t.Errorf("it ended with %d, want %d", ws.ExitStatus(), ExitBusy)
	}
}

func TestAFirstDaemonThatDoesNotComeUp(t *testing.T) {
	for name, test := range map[string]struct {
		daemon, ctl string
		log         string
	}{
		"it crashes":                {testkit.Self(t), crash, "it crashes as told"},
		"it is gone":                {"/missing/daemon", crash, "no such file or directory"},
		"it is no more than a file": {"/etc/passwd", crash, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			k, ready := s.keep(test.daemon, test.ctl)
			if got := output(t, ready); got != "failed\n" {
				t.Errorf("the keeper said %q, want failed", got)
			}
			k.wait(t)
			if log, err := os.ReadFile(filepath.Join(s.home, "tend.log")); name == "it crashes" && (err != nil || !strings.Contains(string(log), test.log)) {
				t.Errorf("the daemon's log: %q, %v; want %q", log, err, test.log)
			}
			s.begin() // and the home is free again
		})
	}
}

func TestADaemonThatIsKilled(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	app := p.spawn("app", "echo before; read x < "+fifo(t, s.home)+"; echo after; exec sleep 100")
	p.spawn("short", "exit 5")
	if e := p.exit("short"); e.Seq != 1 || !e.Known || code(e) != 5 {
		t.Fatalf("exit %+v", e)
	}
	p.ask(note{Do: "hold", Name: "socket", Text: "held"})
	tags := p.Children

	kill(t, p.PID, syscall.SIGKILL)
	next := s.puppet()
	want := map[string]int{"child app": app, "exit short": 1, "app/1": 0, "app/2": 0, "short/1": 0, "short/2": 0, "socket": 0, LockName: 0}
	if diff := cmp.Diff(want, next.keys()); diff != "" {
		t.Fatalf("what the next finds (-want +got):\n%s", diff)
	}
	if len(tags) != 0 || string(next.Children[0].Tag) != "tag of app" {
		t.Errorf("the tag of app is %q", next.Children[0].Tag)
	}
	if got := next.ask(note{Do: "read", Name: "app/1"}).Text; got != "before\n" {
		t.Errorf("its output before: %q", got)
	}
	feed(t, s.home)
	testkit.WaitFor(t, soon, "its output after", func() bool {
		return next.try(note{Do: "read", Name: "app/1"}).Text == "after\n"
	})
	if got := next.ask(note{Do: "read", Name: "socket"}).Text; got != "held" {
		t.Errorf("what was held: %q", got)
	}

	next.ask(note{Do: "ready"})
	next.ask(note{Do: "ack", Number: 1})
	for _, name := range []string{"short/1", "short/2", "socket"} {
		next.ask(note{Do: "drop", Name: name})
	}
	next.ask(note{Do: "hold", Name: "last words", Text: "heard"})
	kill(t, next.PID, syscall.SIGKILL)
	third := s.puppet()
	want = map[string]int{"child app": app, "app/1": 0, "app/2": 0, "last words": 0, LockName: 0}
	if diff := cmp.Diff(want, third.keys()); diff != "" {
		t.Errorf("what the third finds (-want +got):\n%s", diff)
	}
	third.ask(note{Do: "signal", Key: "app", Number: int(syscall.SIGKILL)})
	if e := third.exit("app"); e.Seq != 2 || syscall.WaitStatus(e.Status).Signal() != syscall.SIGKILL {
		t.Errorf("exit %+v, want number 2 and SIGKILL", e)
	}
	if z := zombies(t, k.pid); len(z) > 0 {
		t.Errorf("zombies %v", z)
	}
}

// TestInputAndChannelOutliveTheDaemon: a process whose daemon is killed sees
// the end of neither, and the next daemon goes on at both.
func TestInputAndChannelOutliveTheDaemon(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	m := shell("app", `while read -r l <&3; do echo "heard $l" >&3; done & while read -r l; do echo "read $l"; done; echo over; wait; echo alone`)
	m.Slots = []wire.Slot{wire.SlotInput, wire.SlotPipe, wire.SlotPipe, wire.SlotChannel}
	testkit.KillAtEnd(t, p.ask(note{Do: "spawn", Key: m.Key, Path: m.Path, Argv: m.Argv, Env: m.Env, Dir: m.Dir, Slots: m.Slots}).PID)
	says := func(p *handle, name, want string) {
		t.Helper()
		testkit.WaitFor(t, soon, "it says "+want+" on "+name, func() bool { return p.try(note{Do: "read", Name: name}).Text == want })
	}
	speak := func(p *handle, word string) {
		t.Helper()
		p.ask(note{Do: "write", Name: "app/0", Text: word + "\n"})
		says(p, "app/1", "read "+word+"\n")
		p.ask(note{Do: "write", Name: "app/3", Text: word + "\n"})
		says(p, "app/3", "heard "+word+"\n")
	}
	speak(p, "one")
	kill(t, p.PID, syscall.SIGKILL)
	p = s.puppet()
	p.ask(note{Do: "ready"})
	speak(p, "two")
	kill(t, k.pid, syscall.SIGKILL)
	testkit.WaitFor(t, soon, "another keeper holds everything", func() bool {
		n := p.ask(note{Do: "keeper"})
		return n.PID != k.pid && n.Settled
	})
	s.pids = append(s.pids, p.ask(note{Do: "keeper"}).PID)
	kill(t, p.PID, syscall.SIGKILL)
	p = s.puppet()
	p.ask(note{Do: "ready"})
	speak(p, "three")
	// And what is dropped ends: nobody else holds it.
	p.ask(note{Do: "drop", Name: "app/0"})
	says(p, "app/1", "over\n")
	p.ask(note{Do: "drop", Name: "app/3"})
	says(p, "app/1", "alone\n")
}

// TestLastWords kills daemons that have just said something: what they gave
// is held by nobody else.
func TestLastWords(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	want := map[string]int{LockName: 0}
	const rounds = 8
	for i := range rounds {
		name := "words " + strconv.Itoa(i)
		want[name] = 0
		kill(t, k.pid, syscall.SIGSTOP)
		p.ask(note{Do: "hold", Name: name})
		kill(t, p.PID, syscall.SIGKILL)
		kill(t, k.pid, syscall.SIGCONT)
		p = s.puppet()
		p.ask(note{Do: "ready"})
		if diff := cmp.Diff(want, p.keys()); diff != "" {
			t.Fatalf("what the next finds (-want +got):\n%s", diff)
		}
	}
}

func fifo(t *testing.T, home string) string {
	t.Helper()
	path := filepath.Join(home, "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// feed lets whoever reads the fifo go on.
func feed(t *testing.T, home string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(home, "fifo"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, "go\n"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() }) // not sooner: what nobody has read would be lost
}

func TestCrashesAreAnsweredWithGrowingWaits(t *testing.T) {
	s := newStage(t)
	_, p := s.begin()
	app := p.spawn("app", "exec sleep 100")
	for i, wait := range []time.Duration{0, firstDelay, 2 * firstDelay, 4 * firstDelay} {
		crashed := time.Now()
		p.tell(note{Do: "end", Number: 1})
		if i == 3 { // while no daemon is there
			testkit.WaitFor(t, soon, "the daemon ended", gone(p.PID))
			kill(t, app, syscall.SIGKILL)
		}
		p = s.puppet()
		if took := time.Since(crashed); took < wait {
			t.Errorf("crash %d was answered after %v, want %v at least", i+1, took, wait)
		}
	}
	if p.keys()["exit app"] != 1 {
		t.Errorf("an exit while no daemon was there is lost: %v", p.keys())
	}
}

func TestQuit(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	p.ask(note{Do: "quit"})
	if !there(k.pid) || !there(p.PID) {
		t.Fatal("it ended before its daemon")
	}
	p.tell(note{Do: "end", Number: 1})
	if ws := k.wait(t); ws.ExitStatus() != 0 {
		t.Errorf("the keeper ended with %v, want 0", ws)
	}
	s.begin() // and the home is free
}

func TestSignalsToTheKeeperAreForTheDaemon(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		kill(t, k.pid, sig)
		p.tells(sig.String(), func(n note) bool { return n.Do == "signal" && n.Number == int(sig) })
	}
	if got := p.ask(note{Do: "keeper"}); got.PID != k.pid || !there(k.pid) {
		t.Error("the keeper has ended")
	}
}

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

// replaced waits until the daemon has a keeper that is not the one of pid old.
func (p *handle) replaced(s *stage, old int) (pid int) {
	p.t.Helper()
	testkit.WaitFor(p.t, soon, "another keeper holds everything", func() bool {
		k := p.ask(note{Do: "keeper"})
		pid = k.PID
		return k.PID != old && k.Settled
	})
	s.pids = append(s.pids, pid)
	return pid
}

// tellsExit is whether this kernel tells how a process ended that is reaped
// already (Linux 6.15: PIDFD_GET_INFO).
func tellsExit(t *testing.T) bool {
	t.Helper()
	var pidfd int
	pid, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{PidFD: &pidfd}})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	reap(t, pid)
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	return unix.IoctlPidfdInfo(pidfd, &info) == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0
}

// reap waits for a child of ours.
func reap(t *testing.T, pid int) {
	t.Helper()
	for {
		got, err := unix.Wait4(pid, nil, 0, nil)
		if got == pid {
			return
		}
		if err != unix.EINTR {
			t.Fatalf("wait for %d: %v", pid, err)
		}
	}
}

func TestAKeeperThatIsKilled(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	pids := map[string]int{}
	for _, key := range []string{"zombie", "reaped", "later"} {
		pids[key] = p.spawn(key, "until [ -e "+filepath.Join(s.home, key)+" ]; do sleep 0.01; done; echo last; exit 9")
	}
	end := func(key string) {
		if err := os.WriteFile(filepath.Join(s.home, key), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.spawn("before", "exit 2")
	p.exit("before")
	p.ask(note{Do: "hold", Name: "socket", Text: "held"})

	kill(t, k.pid, syscall.SIGKILL)
	k.wait(t)
	second := p.replaced(s, k.pid)
	for key, pid := range pids {
		if !there(pid) {
			t.Errorf("%s has ended", key)
		}
	}
	third, ready := s.keep(testkit.Self(t), s.ctl.Addr().String())
	if got := output(t, ready); got != "busy\n" {
		t.Errorf("another keeper said %q: the home's lock was lost", got)
	}
	third.wait(t)

	t.Run("an exit before its parent reaps it", func(t *testing.T) {
		end("zombie")
		if e := p.exit("zombie"); e.Seq != 2 || !e.Known || code(e) != 9 || e.PID != pids["zombie"] {
			t.Errorf("exit %+v, want number 2 with code 9", e)
		}
		reap(t, pids["zombie"])
		if got := p.ask(note{Do: "read", Name: "zombie/1"}).Text; got != "last\n" {
			t.Errorf("its output: %q", got)
		}
	})
	t.Run("an exit after its parent reaped it", func(t *testing.T) {
		kill(t, second, syscall.SIGSTOP)
		end("reaped")
		reap(t, pids["reaped"])
		kill(t, second, syscall.SIGCONT)
		e := p.exit("reaped")
		if tells := tellsExit(t); e.Known != tells || tells && code(e) != 9 {
			t.Errorf("exit %+v, and it can be known: %v", e, tells)
		}
	})
	t.Run("a key is still started once", func(t *testing.T) {
		if pid := p.spawn("later", "echo never"); pid != pids["later"] {
			t.Errorf("pid %d, want %d", pid, pids["later"])
		}
	})
	t.Run("the new keeper has children of its own", func(t *testing.T) {
		pid := p.spawn("own", "exit 8")
		if e := p.exit("own"); !e.Known || code(e) != 8 || e.PID != pid {
			t.Errorf("exit %+v, want code 8", e)
		}
	})
	t.Run("the daemon is started again", func(t *testing.T) {
		kill(t, p.PID, syscall.SIGKILL)
		next := s.puppet()
		if next.Number != second {
			t.Errorf("its keeper is %d, want %d", next.Number, second)
		}
		found := next.keys()
		for _, name := range slices.Collect(maps.Keys(found)) {
			if strings.HasSuffix(name, "/1") || strings.HasSuffix(name, "/2") {
				delete(found, name)
			}
		}
		// Exit 1 was told to a daemon that lives on: it is that daemon's to
		// remember. The others the new keeper has told itself.
		want := map[string]int{"child later": pids["later"], "exit zombie": 2, "exit reaped": 3, "exit own": 4, "socket": 0, LockName: 0}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("what it finds (-want +got):\n%s", diff)
		}
		next.ask(note{Do: "ready"})
		end("later")
		if e := next.exit("later"); e.Seq != 5 || !e.Known || code(e) != 9 {
			t.Errorf("exit %+v, want number 5 with code 9", e)
		}
		reap(t, pids["later"])
	})
}

// TestASpawnThatNobodyAnswered: the asker is told that it is lost, and not
// that it failed.
func TestASpawnThatNobodyAnswered(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	kill(t, k.pid, syscall.SIGSTOP)
	m := shell("lost", "exec sleep 100")
	p.tell(note{Do: "spawn", Key: m.Key, Path: m.Path, Argv: m.Argv, Env: m.Env, Dir: m.Dir, Slots: m.Slots})
	kill(t, k.pid, syscall.SIGKILL)
	if n := p.hear(); n.Err != remote.ErrLost.Error() {
		t.Errorf("%+v, want %v", n, remote.ErrLost)
	}
	p.replaced(s, k.pid)
	p.spawn("lost", "exec sleep 100") // and may be asked again
}

// TestAppsThatEndWithTheirKeeper ends both in one moment, in both orders.
func TestAppsThatEndWithTheirKeeper(t *testing.T) {
	tells := tellsExit(t)
	s := newStage(t)
	k, p := s.begin()
	keeper, held, known := k.pid, 0, true
	for round := range 6 {
		key := "app" + strconv.Itoa(round)
		app := p.spawn(key, "exec sleep 100")
		both := []int{app, keeper}
		if round%2 == 1 {
			slices.Reverse(both)
		}
		for _, pid := range both {
			kill(t, pid, syscall.SIGKILL)
		}
		keeper = p.replaced(s, keeper)
		e := p.exit(key)
		known = known && e.Known
		if e.PID != app || e.Seq != uint64(round+1) || e.Known && syscall.WaitStatus(e.Status).Signal() != syscall.SIGKILL {
			t.Errorf("exit %+v, want number %d and SIGKILL", e, round+1)
		}
		for _, name := range []string{key + "/1", key + "/2"} {
			p.ask(note{Do: "drop", Name: name})
		}
		// The keeper before the last is reaped when the next is started.
		switch now := descriptors(t, p.PID); {
		case round == 1:
			held = now
		case round > 1 && now != held:
			t.Errorf("the daemon has %d descriptors open, %d before", now, held)
		}
	}
	if tells && !known {
		t.Error("a status is lost that the kernel can tell")
	}
	if z := zombies(t, p.PID); len(z) > 1 {
		t.Errorf("keepers %v were not reaped by the daemon that started them", z)
	}
}

// TestKeeperAndDaemonDieInTurn kills one after the other, many times.
func TestKeeperAndDaemonDieInTurn(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	app := p.spawn("app", "exec sleep 100")
	keeper := k.pid
	const rounds = 4
	for range rounds {
		kill(t, keeper, syscall.SIGKILL)
		keeper = p.replaced(s, keeper)
		kill(t, p.PID, syscall.SIGKILL)
		p = s.puppet()
		p.ask(note{Do: "ready"})
	}
	want := map[string]int{"child app": app, "app/1": 0, "app/2": 0, LockName: 0}
	if diff := cmp.Diff(want, p.keys()); diff != "" || !there(app) {
		t.Fatalf("what the last daemon finds (-want +got):\n%s", diff)
	}
	p.ask(note{Do: "signal", Key: "app", Number: int(syscall.SIGKILL)})
	if e := p.exit("app"); e.PID != app || e.Known && syscall.WaitStatus(e.Status).Signal() != syscall.SIGKILL {
		t.Errorf("exit %+v", e)
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

func TestSignals(t *testing.T) {
	s := newStage(t)
	_, p := s.begin()
	// The shell starts a second process, in the same group.
	script := "sleep 100 & echo $!; wait"
	for key, group := range map[string]string{"one": "", "all": "group"} {
		p.spawn(key, script)
		var other int
		testkit.WaitFor(t, soon, "the second process", func() bool {
			other, _ = strconv.Atoi(strings.TrimSpace(p.try(note{Do: "read", Name: key + "/1"}).Text))
			return other != 0
		})
		testkit.KillAtEnd(t, other)
		p.ask(note{Do: "signal", Key: key, Number: int(syscall.SIGTERM), Text: group})
		if e := p.exit(key); syscall.WaitStatus(e.Status).Signal() != syscall.SIGTERM {
			t.Errorf("exit %+v, want SIGTERM", e)
		}
		if group != "" {
			testkit.WaitFor(t, soon, "the second process ended too", gone(other))
		} else if !there(other) {
			t.Error("the second process was signalled too")
		}
		if n := p.try(note{Do: "signal", Key: key, Number: int(syscall.SIGTERM), Text: group}); n.Err != os.ErrProcessDone.Error() {
			t.Errorf("a signal to what has ended: %q", n.Err)
		}
	}
}
