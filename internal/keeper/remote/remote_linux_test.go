package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tend/internal/fdpass"
	"tend/internal/keeper/wire"
	"tend/internal/testkit"
)

// The real keeper is tested with this package in the package keeper: here a
// keeper is what the test says it is.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const soon = 10 * time.Second

// fake is the other end of a Keeper.
type fake struct {
	*Keeper

	t     *testing.T
	conn  *wire.Conn
	exits chan wire.Exit
	end   func() error // ends Run
	log   *testkit.Buffer
}

// connect makes a Keeper whose keeper first sends what is listed.
func connect(t *testing.T, list ...wire.Frame) (*fake, Inventory, error) {
	t.Helper()
	ours, theirs, err := fdpass.Pair()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := wire.NewConn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, conn: conn, exits: make(chan wire.Exit, 16), log: &testkit.Buffer{}}
	t.Cleanup(func() { conn.Close() }) // some tests close it themselves
	for _, frame := range list {
		if err := conn.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	var inv Inventory
	f.Keeper, inv, err = New(ours, Options{
		Home: "/home", Daemon: "/daemon", Log: slog.New(slog.NewTextHandler(f.log, nil)),
		OnExit: func(e wire.Exit) { f.exits <- e },
	})
	return f, inv, err
}

// running is a Keeper that runs, with a keeper that held nothing.
func running(t *testing.T) *fake {
	t.Helper()
	f, _, err := connect(t,
		wire.Frame{Kind: wire.KindHello, Body: wire.Hello{PID: 77, Keeper: "/missing/keeper", Seq: 5}.Append(nil)},
		wire.Frame{Kind: wire.KindEnd},
	)
	if err != nil {
		t.Fatal(err)
	}
	f.want(wire.KindHello)
	f.want(wire.KindList)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	f.end = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(soon):
			return errors.New("Run does not end")
		}
	})
	t.Cleanup(func() {
		if err := f.end(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v, want %v", err, context.Canceled)
		}
	})
	return f
}

// want reads the next frame, which is to be of that kind.
func (f *fake) want(kind wire.Kind) wire.Frame {
	f.t.Helper()
	got, err := f.conn.Read()
	if err != nil || got.Kind != kind {
		f.t.Fatalf("a frame of kind %d, %v; want kind %d", got.Kind, err, kind)
	}
	return got
}

func (f *fake) say(frame wire.Frame) {
	f.t.Helper()
	if err := f.conn.Write(frame); err != nil {
		f.t.Fatal(err)
	}
}

// child is a real process, killed at the end of the test, and its pidfd.
func process(t *testing.T) (pid, pidfd int) {
	t.Helper()
	cmd := exec.Command("sleep", "100")
	cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: &pidfd}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		unix.Close(pidfd)
	})
	return cmd.Process.Pid, pidfd
}

func TestInventory(t *testing.T) {
	_, pidfd := process(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	a, b := wire.Child{Key: "a", PID: 11, Start: 12, Tag: []byte("tag")}, wire.Child{Key: "b", PID: 13}
	e1, e2 := wire.Exit{Seq: 8, Key: "x", Known: true, Status: 9}, wire.Exit{Seq: 9, Key: "y"}
	f, inv, err := connect(t,
		wire.Frame{Kind: wire.KindHello, Body: wire.Hello{PID: 77, Keeper: "/keeper", Seq: 9}.Append(nil)},
		wire.Frame{Kind: wire.KindChild, Body: a.Append(nil), FDs: []int{pidfd}},
		wire.Frame{Kind: 200, Body: []byte("of a newer keeper")},
		wire.Frame{Kind: wire.KindChild, Body: b.Append(nil), FDs: []int{pidfd}},
		wire.Frame{Kind: wire.KindHold, Body: wire.Held{Name: "a/1"}.Append(nil), FDs: []int{int(w.Fd())}},
		wire.Frame{Kind: wire.KindExit, Body: e1.Append(nil)},
		wire.Frame{Kind: wire.KindExit, Body: e2.Append(nil)},
		wire.Frame{Kind: wire.KindEnd},
	)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	want := Inventory{Children: []wire.Child{a, b}, Exits: []wire.Exit{e1, e2}, Held: []string{"a/1"}}
	if diff := cmp.Diff(want, inv); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	hello, err := wire.ParseHello(f.want(wire.KindHello).Body)
	if err != nil || hello.PID != os.Getpid() {
		t.Errorf("we said hello as %+v, %v", hello, err)
	}
	if pid, exe := f.PID(); pid != 77 || exe != "/keeper" || !f.Settled() {
		t.Errorf("keeper %d %s, settled %v", pid, exe, f.Settled())
	}
	fd, ok := f.Held("a/1")
	if !ok {
		t.Fatal("what it held is lost")
	}
	if _, err := unix.Write(fd, []byte("x")); err != nil {
		t.Errorf("what it held is another: %v", err)
	}
	if err := f.Signal("a", 0, false); err != nil {
		t.Errorf("signal: %v", err)
	}
	if err := f.Signal("nobody", 0, false); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to nobody: %v", err)
	}
	f.Drop("a/1")
	f.current().Close()
}

func TestABrokenInventory(t *testing.T) {
	for name, list := range map[string][]wire.Frame{
		"a child without its pidfd":    {{Kind: wire.KindChild, Body: wire.Child{Key: "a"}.Append(nil)}},
		"a held one that did not come": {{Kind: wire.KindHold, Body: wire.Held{Name: "a"}.Append(nil)}},
		"an exit cut short":            {{Kind: wire.KindExit, Body: []byte{1}}},
		"a hello cut short":            {{Kind: wire.KindHello, Body: []byte{1}}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, inv, err := connect(t, list...); err == nil || !strings.Contains(err.Error(), "ask the keeper what it holds") {
				t.Errorf("%+v, %v; want an error", inv, err)
			}
		})
	}
	t.Run("an end in the middle", func(t *testing.T) {
		ours, theirs, err := fdpass.Pair()
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(theirs)
		if _, _, err := New(ours, Options{}); err == nil {
			t.Error("it was taken for an inventory")
		}
	})
}

type answer struct {
	child wire.Child
	err   error
}

// spawn asks for a process, and gives the frame that came of it.
func (f *fake) spawn(m wire.Spawn) (wire.Frame, <-chan answer) {
	f.t.Helper()
	got := make(chan answer, 1)
	f.Spawn(m, func(c wire.Child, err error) { got <- answer{c, err} })
	frame := f.want(wire.KindSpawn)
	f.t.Cleanup(func() { fdpass.CloseAll(frame.FDs) })
	return frame, got
}

func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(soon):
		t.Fatal("nothing came")
	}
	return v
}

func TestSpawn(t *testing.T) {
	f := running(t)
	pid, pidfd := process(t)
	m := wire.Spawn{
		Key: "k", Path: "/bin/x", Argv: []string{"x"}, Env: []string{"A=b"}, Dir: "/",
		Slots: []wire.Slot{wire.SlotNull, wire.SlotPipe, wire.SlotPipe}, Tag: []byte("tag"),
	}
	frame, got := f.spawn(m)
	sent, err := wire.ParseSpawn(frame.Body)
	if diff := cmp.Diff(m, sent); diff != "" || err != nil || len(frame.FDs) != 4 {
		t.Fatalf("%d descriptors, %v (-want +sent):\n%s", len(frame.FDs), err, diff)
	}
	// What is written into the ends of the process is read here.
	for n, at := range map[int]int{1: 0, 2: 2} {
		text := []byte{byte('0' + n)}
		if _, err := unix.Write(frame.FDs[at], text); err != nil {
			t.Fatal(err)
		}
		fd, ok := f.Held(wire.PipeName("k", n))
		buf := make([]byte, 8)
		if c, err := unix.Read(fd, buf); !ok || err != nil || !bytes.Equal(buf[:c], text) {
			t.Errorf("pipe %d: held %v, %q, %v", n, ok, buf[:max(c, 0)], err)
		}
		// It never blocks, and the end of the process always does.
		if _, err := unix.Read(fd, buf); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("an empty pipe: %v, want EAGAIN", err)
		}
		if flags, err := unix.FcntlInt(uintptr(frame.FDs[at]), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("the end of the process has flags %x, %v", flags, err)
		}
	}
	child := wire.Child{Key: "k", PID: pid, Start: 3}
	f.say(wire.Frame{Kind: wire.KindSpawned, ID: frame.ID, Body: child.Append(nil), FDs: []int{pidfd}})
	if a := receive(t, got); a.err != nil || a.child.PID != pid {
		t.Errorf("%+v", a)
	}
	if err := f.Signal("k", syscall.SIGKILL, false); err != nil {
		t.Errorf("signal: %v", err)
	}
	e := wire.Exit{Seq: 6, Key: "k", PID: pid, Known: true, Status: 9}
	f.say(wire.Frame{Kind: wire.KindExit, Body: e.Append(nil)})
	if got := receive(t, f.exits); got != e {
		t.Errorf("exit %+v, want %+v", got, e)
	}
	if err := f.Signal("k", syscall.SIGKILL, false); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a signal after the exit: %v", err)
	}
}

func TestSpawnRefused(t *testing.T) {
	for name, test := range map[string]struct {
		failed wire.Failed
		is     error
	}{
		"no such file":     {wire.Failed{Errno: int(syscall.ENOENT), Text: "fork/exec: no such file"}, fs.ErrNotExist},
		"no permission":    {wire.Failed{Errno: int(syscall.EACCES), Text: "permission denied"}, fs.ErrPermission},
		"not the kernel's": {wire.Failed{Text: "no path of the program"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := running(t)
			frame, got := f.spawn(wire.Spawn{Key: "k"})
			f.say(wire.Frame{Kind: wire.KindFailed, ID: frame.ID, Body: test.failed.Append(nil)})
			a := receive(t, got)
			var refused *RefusedError
			if !errors.As(a.err, &refused) || a.err.Error() != test.failed.Text || test.is != nil && !errors.Is(a.err, test.is) {
				t.Errorf("%v, want a refusal that says %q and is %v", a.err, test.failed.Text, test.is)
			}
		})
	}
}

// TestAnOldKeeperIsNotAsked: it would start the process without what it does not
// understand, and say nothing.
func TestAnOldKeeperIsNotAsked(t *testing.T) {
	f := running(t)
	answered := make(chan error, 2)
	done := func(_ wire.Child, err error) { answered <- err }
	f.Spawn(wire.Spawn{Key: "masked", SetUmask: true}, done)
	f.Spawn(wire.Spawn{Key: "limited", Limits: []wire.Limit{{Name: "core"}}}, done)
	for range 2 {
		if err := receive(t, answered); !errors.Is(err, ErrOld) {
			t.Errorf("%v, want %v", err, ErrOld)
		}
	}
	f.spawn(wire.Spawn{Key: "plain"}) // the next that it hears of
}

func TestAnswersInAnyOrder(t *testing.T) {
	f := running(t)
	_, pidfd := process(t)
	frames, answers := map[string]wire.Frame{}, map[string]<-chan answer{}
	for _, key := range []string{"a", "b", "c"} {
		frames[key], answers[key] = f.spawn(wire.Spawn{Key: key})
	}
	f.say(wire.Frame{Kind: wire.KindOK, ID: 9999}) // to nobody
	for _, key := range []string{"c", "a", "b"} {
		body := wire.Child{Key: key, PID: int(key[0])}.Append(nil)
		f.say(wire.Frame{Kind: wire.KindSpawned, ID: frames[key].ID, Body: body, FDs: []int{pidfd}})
	}
	for key, got := range answers {
		if a := receive(t, got); a.child.Key != key || a.child.PID != int(key[0]) || a.err != nil {
			t.Errorf("%s was answered with %+v", key, a)
		}
	}
}

func TestWhatIsTold(t *testing.T) {
	f := running(t)
	f.Ack(7)
	if m, err := wire.ParseSeq(f.want(wire.KindAck).Body); m.Seq != 7 || err != nil {
		t.Errorf("%+v, %v", m, err)
	}
	f.Ready()
	f.want(wire.KindReady)

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := f.Hold("name", int(w.Fd())); err != nil {
		t.Fatal(err)
	}
	w.Close() // it has copies
	held := f.want(wire.KindHold)
	if m, err := wire.ParseHeld(held.Body); m.Name != "name" || err != nil || len(held.FDs) != 1 {
		t.Errorf("%+v, %v, descriptors %v", m, err, held.FDs)
	}
	fdpass.CloseAll(held.FDs)
	if fd, ok := f.Held("name"); !ok {
		t.Error("it is not held")
	} else if _, err := unix.Write(fd, []byte("x")); err != nil {
		t.Error(err)
	}
	f.Drop("name")
	if m, err := wire.ParseHeld(f.want(wire.KindDrop).Body); m.Name != "name" || err != nil {
		t.Errorf("%+v, %v", m, err)
	}
	if _, ok := f.Held("name"); ok {
		t.Error("it is held still")
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "x" {
		t.Errorf("%q, %v; want every copy closed", b, err)
	}
	f.Drop("name") // tells nobody
	if err := f.Hold("name", 1<<20); !errors.Is(err, syscall.EBADF) {
		t.Errorf("hold nothing: %v", err)
	}

	pid, _ := process(t)
	if err := f.Adopt("k", pid, 4); err != nil {
		t.Fatal(err)
	}
	child := f.want(wire.KindChild)
	if m, err := wire.ParseChild(child.Body); m.Key != "k" || m.PID != pid || m.Start != 4 || err != nil || len(child.FDs) != 1 {
		t.Errorf("%+v, %v, descriptors %v", m, err, child.FDs)
	}
	fdpass.CloseAll(child.FDs)
	if err := f.Signal("k", 0, false); err != nil {
		t.Error(err)
	}
}

func TestQuitAndUpgrade(t *testing.T) {
	f := running(t)
	for name, test := range map[string]struct {
		ask  func(context.Context) error
		kind wire.Kind
	}{
		"quit":    {f.Quit, wire.KindQuit},
		"upgrade": {func(ctx context.Context) error { return f.Upgrade(ctx, "/k", "/d") }, wire.KindUpgrade},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan error, 1)
			go func() { got <- test.ask(t.Context()) }()
			frame := f.want(test.kind)
			if m, err := wire.ParseUpgrade(frame.Body); test.kind == wire.KindUpgrade && (m != wire.Upgrade{Keeper: "/k", Daemon: "/d"} || err != nil) {
				t.Errorf("%+v, %v", m, err)
			}
			f.say(wire.Frame{Kind: wire.KindOK, ID: frame.ID})
			if err := receive(t, got); err != nil {
				t.Error(err)
			}

			go func() { got <- test.ask(t.Context()) }()
			frame = f.want(test.kind)
			f.say(wire.Frame{Kind: wire.KindFailed, ID: frame.ID, Body: wire.Failed{Errno: int(syscall.ENOENT), Text: "no"}.Append(nil)})
			if err := receive(t, got); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("refused: %v", err)
			}

			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := test.ask(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("given up: %v", err)
			}
			f.want(test.kind)
		})
	}
}

// TestRunEndsWhileNoKeeperCanBeStarted: the keeper's binary is gone.
func TestRunEndsWhileNoKeeperCanBeStarted(t *testing.T) {
	f := running(t)
	f.conn.Close()
	deadline := time.After(soon)
	for tick := time.NewTicker(time.Millisecond); !strings.Contains(f.log.String(), "start a keeper"); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it does not try:\n%s", f.log)
		}
	}
	if f.Settled() {
		t.Error("it says that a keeper holds everything")
	}
	// What is asked meanwhile waits for a keeper, and blocks nobody.
	f.Spawn(wire.Spawn{Key: "k"}, func(wire.Child, error) { t.Error("a spawn without a keeper was answered") })
	f.Ack(1)
	if err := f.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

// TestNoKeeperAfterTheEnd: a keeper that dies while the daemon leaves is not
// replaced, whether it had answered or not: another would hold the lock of the
// home for ever.
func TestNoKeeperAfterTheEnd(t *testing.T) {
	for name, answered := range map[string]bool{"it had answered": true, "it had not": false} {
		t.Run(name, func(t *testing.T) {
			f := running(t)
			got := make(chan error, 1)
			go func() { got <- f.Quit(t.Context()) }()
			frame := f.want(wire.KindQuit)
			var want error
			if answered {
				f.say(wire.Frame{Kind: wire.KindOK, ID: frame.ID})
			} else {
				want = ErrLost
				f.conn.Close()
			}
			if err := receive(t, got); !errors.Is(err, want) {
				t.Errorf("quit: %v, want %v", err, want)
			}
			f.conn.Close()
			testkit.WaitFor(t, soon, "the daemon sees it", func() bool { return !f.Settled() })
			if err := f.end(); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want %v", err, context.Canceled)
			}
			if strings.Contains(f.log.String(), "starting another") {
				t.Errorf("it starts another:\n%s", f.log)
			}
		})
	}
}

func TestNoDescriptorLeaks(t *testing.T) {
	f := running(t)
	_, pidfd := process(t)
	round := func(key string) {
		got := make(chan answer, 1)
		f.Spawn(wire.Spawn{Key: key, Slots: []wire.Slot{wire.SlotInput, wire.SlotPipe, wire.SlotNull, wire.SlotChannel}}, func(c wire.Child, err error) { got <- answer{c, err} })
		frame := f.want(wire.KindSpawn)
		fdpass.CloseAll(frame.FDs)
		f.say(wire.Frame{Kind: wire.KindSpawned, ID: frame.ID, Body: wire.Child{Key: key}.Append(nil), FDs: []int{pidfd, pidfd}})
		receive(t, got)
		f.say(wire.Frame{Kind: wire.KindExit, Body: wire.Exit{Key: key}.Append(nil), FDs: nil})
		receive(t, f.exits)
		for _, n := range []int{0, 1, 3} {
			f.Drop(wire.PipeName(key, n))
			f.want(wire.KindDrop)
		}
	}
	round("first")
	before := testkit.Descriptors(t)
	for range 50 {
		round("next")
	}
	if now := testkit.Descriptors(t); now != before {
		t.Errorf("%d descriptors are open, %d before", now, before)
	}
}
