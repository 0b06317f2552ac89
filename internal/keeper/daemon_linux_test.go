package keeper

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

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
