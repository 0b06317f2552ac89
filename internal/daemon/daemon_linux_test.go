package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/fdpass"
	"tend/internal/home"
	"tend/internal/keeper/remote"
	"tend/internal/keeper/wire"
	"tend/internal/logs/tidy"
	"tend/internal/testkit"
)

// mainVar makes this binary the daemon.
const mainVar = "TEND_TEST_DAEMON"

func TestMain(m *testing.M) {
	// A daemon among these tests calls this binary for its child.
	child := len(os.Args) > 1 && os.Args[1] == tidy.CompressCommand
	if os.Getenv(mainVar) != "" || child {
		if err := Main(context.Background(), os.Args, os.Getenv, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err, "of kind", errs.KindOf(err))
			os.Exit(1)
		}
		os.Exit(0)
	}
	testkit.Main(m, func() error { return goleak.Find() })
}

// soon bounds the wait for what happens at once.
const soon = 20 * time.Second

func TestMainReadsItsFlags(t *testing.T) {
	for name, test := range map[string]struct {
		args           []string
		ok             bool
		stdout, stderr string
	}{
		"the version":                    {[]string{"--version"}, true, "tend-daemon ", ""},
		"started by a person":            {nil, false, "", "run the daemon: it is started by tend-keeper of kind invalid"},
		"a flag that is not":             {[]string{"--fly"}, false, "", "flag provided but not defined: -fly"},
		"a descriptor that is no number": {[]string{"--keeper-fd=x"}, false, "", `invalid value "x"`},
		"a descriptor that is not open":  {[]string{"--keeper-fd=99"}, false, "", "connect to the keeper"},
		"compress by itself":             {[]string{"compress"}, false, "", "compress a log: want a method and a file of kind invalid"},
		"a log to compress that is not":  {[]string{"compress", "gzip", "/missing/log"}, false, "", "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(testkit.Home(t), "new")
			cmd := exec.CommandContext(t.Context(), testkit.Self(t), test.args...)
			cmd.Env = []string{mainVar + "=1", "TEND_HOME=" + dir}
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if (err == nil) != test.ok || !strings.HasPrefix(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("%v\nstdout: %sstderr: %s", err, stdout.String(), stderr.String())
			}
			if _, err := os.Stat(filepath.Join(dir, "tend.sock")); err == nil {
				t.Error("it opened a socket")
			}
		})
	}
}

// keeper is the other end of a daemon's connection. It holds descriptors and
// does nothing else.
type keeper struct {
	conn *wire.Conn

	mu      sync.Mutex
	shelf   map[string]int
	upgrade []wire.Upgrade
	ended   chan struct{}
}

// connect puts a daemon on top of a keeper that holds these descriptors.
func connect(t *testing.T, h home.Dir, shelf map[string]int) (*daemon, *keeper) {
	t.Helper()
	ours, theirs, err := fdpass.Pair()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := wire.NewConn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{conn: conn, shelf: shelf, ended: make(chan struct{})}
	go k.serve()
	log := slog.New(slog.DiscardHandler)
	r, _, err := remote.New(ours, remote.Options{Home: string(h), Log: log, OnExit: func(wire.Exit) {}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		<-k.ended
		_ = conn.Close()
	})
	return &daemon{opts: Options{Home: h}, log: log, keeper: r}, k
}

func (k *keeper) serve() {
	defer close(k.ended)
	for {
		f, err := k.conn.Read()
		if err != nil {
			return
		}
		k.mu.Lock()
		switch f.Kind { //nolint:exhaustive // no daemon here asks for more
		case wire.KindHello:
			_ = k.conn.Write(wire.Frame{Kind: wire.KindHello, Body: wire.Hello{PID: 1}.Append(nil)})
		case wire.KindList:
			for name, fd := range k.shelf {
				_ = k.conn.Write(wire.Frame{Kind: wire.KindHold, Body: wire.Held{Name: name}.Append(nil), FDs: []int{fd}})
			}
			_ = k.conn.Write(wire.Frame{Kind: wire.KindEnd})
		case wire.KindHold:
			m, _ := wire.ParseHeld(f.Body)
			k.shelf[m.Name] = f.FDs[0]
		case wire.KindUpgrade:
			m, _ := wire.ParseUpgrade(f.Body)
			k.upgrade = append(k.upgrade, m)
			_ = k.conn.Write(wire.Frame{Kind: wire.KindFailed, ID: f.ID, Body: wire.Failed{Text: "no, not today"}.Append(nil)})
		}
		k.mu.Unlock()
	}
}

// upgrades are what the keeper was asked to become.
func (k *keeper) upgrades() []wire.Upgrade {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.upgrade)
}

// held waits until the keeper holds what has this name, and tells its
// descriptor.
func (k *keeper) held(t *testing.T, name string) int {
	t.Helper()
	fd := -1
	testkit.WaitFor(t, soon, "the keeper holds "+name, func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		var ok bool
		fd, ok = k.shelf[name]
		return ok
	})
	return fd
}

func newHome(t *testing.T) home.Dir {
	t.Helper()
	h := home.Dir(testkit.Home(t))
	if err := h.Make(); err != nil {
		t.Fatal(err)
	}
	return h
}

func listen(t *testing.T, d *daemon) net.Listener {
	t.Helper()
	l, err := d.listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// reach connects to the home's socket, and tells whether l accepts that.
func reach(t *testing.T, h home.Dir, l net.Listener) {
	t.Helper()
	c, err := net.Dial("unix", h.Socket())
	if err != nil {
		t.Fatalf("nobody can reach the daemon: %v", err)
	}
	defer c.Close()
	_ = l.(*net.UnixListener).SetDeadline(time.Now().Add(soon))
	s, err := l.Accept()
	if err != nil {
		t.Fatalf("the daemon does not hear who comes: %v", err)
	}
	s.Close()
}

// TestLeavingIsNoFault: who ends an app while the daemon does so too, as tend run
// may, has nothing to report.
func TestLeavingIsNoFault(t *testing.T) {
	if got := errs.KindOf(errs.Wire(errLeave)); got != errs.Unavailable || errs.Wire(errLeave).Error() != "the daemon leaves" {
		t.Errorf("who waits gets %q of kind %s", errs.Wire(errLeave), got)
	}
}

func TestListenOpensASocketForItsUserOnly(t *testing.T) {
	h := newHome(t)
	// Something stands there, of a daemon that is gone.
	if err := os.WriteFile(h.Socket(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d, k := connect(t, h, map[string]int{})
	l := listen(t, d)
	reach(t, h, l)
	fi, err := os.Stat(h.Socket())
	if err != nil || fi.Mode().Perm() != 0o600 || fi.Mode().Type() != os.ModeSocket {
		t.Errorf("%v, %v; want a socket with mode 0600", fi.Mode(), err)
	}
	unix.Close(k.held(t, heldSocket))
	l.Close()
	if _, err := os.Stat(h.Socket()); err != nil {
		t.Errorf("the socket's path does not outlive the daemon: %v", err)
	}
}

func TestListenGoesOnWithTheSocketOfTheLastDaemon(t *testing.T) {
	h := newHome(t)
	d, k := connect(t, h, map[string]int{})
	listen(t, d).Close()
	fd := k.held(t, heldSocket)
	c, err := net.Dial("unix", h.Socket()) // while there is no daemon
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	next, _ := connect(t, h, map[string]int{heldSocket: fd})
	l := listen(t, next)
	_ = l.(*net.UnixListener).SetDeadline(time.Now().Add(soon))
	s, err := l.Accept()
	if err != nil {
		t.Fatalf("who came in between is not heard: %v", err)
	}
	s.Close()
	reach(t, h, l)
	unix.Close(fd)
}

func TestListenOpensAnotherSocketWhereThePathIsGone(t *testing.T) {
	h := newHome(t)
	d, k := connect(t, h, map[string]int{})
	listen(t, d).Close()
	fd := k.held(t, heldSocket)
	if err := os.Remove(h.Socket()); err != nil {
		t.Fatal(err)
	}
	next, _ := connect(t, h, map[string]int{heldSocket: fd})
	reach(t, h, listen(t, next))
	if held, ok := next.keeper.Held(heldSocket); !ok || sameSocket(t, held, fd) {
		t.Error("the keeper still holds the socket that nobody can reach")
	}
	unix.Close(fd)
}

func sameSocket(t *testing.T, a, b int) bool {
	t.Helper()
	var one, other unix.Stat_t
	if err := errors.Join(unix.Fstat(a, &one), unix.Fstat(b, &other)); err != nil {
		t.Fatal(err)
	}
	return one.Ino == other.Ino
}

func TestNoticesOutliveTheDaemon(t *testing.T) {
	d, k := connect(t, newHome(t), map[string]int{})
	first, err := d.openNotices()
	if err != nil {
		t.Fatal(err)
	}
	place := first.Reader(nil)
	for range 2 {
		first.Publish(api.Notice{Topic: "t"})
	}
	seen, err := place.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	fd := k.held(t, heldNotices)
	next, _ := connect(t, newHome(t), map[string]int{heldNotices: fd})
	second, err := next.openNotices()
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if n, err := second.Reader(&seen.Seq).Next(t.Context()); err != nil || n.Seq != seen.Seq+1 {
		t.Errorf("behind %d comes %+v, %v", seen.Seq, n, err)
	}
	unix.Close(fd)
}

func TestNoticesThatCannotBeTakenOverAreBegunAnew(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	d, k := connect(t, newHome(t), map[string]int{heldNotices: int(null.Fd())})
	r, err := d.openNotices()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	testkit.WaitFor(t, soon, "the keeper holds the new ones", func() bool {
		fd := k.held(t, heldNotices)
		if fd == int(null.Fd()) {
			return false
		}
		unix.Close(fd)
		return true
	})
}

// program is a shell script.
func program(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUpdateTriesBothAndChangesNothing(t *testing.T) {
	good := program(t, "echo fine")
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		daemon, keeper string
		want           string
	}{
		"a daemon that is not there":        {"/no/such", good, "/no/such"},
		"a keeper that is not there":        {good, "/no/such", "/no/such"},
		"a daemon without a whole path":     {"tend-daemon", good, "not absolute"},
		"no keeper":                         {good, "", "not absolute"},
		"a file that is no program":         {plain, good, "permission denied"},
		"a daemon that ends with a failure": {program(t, "echo no such luck >&2; exit 3"), good, "exit status 3 no such luck"},
		"a keeper that ends with a failure": {good, program(t, "exit 3"), "exit status 3"},
		"a daemon that is asked otherwise":  {program(t, `test "$*" != --version`), good, "exit status 1"},
		"a keeper that is asked otherwise":  {good, program(t, `test "$*" != version`), "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			d, k := connect(t, newHome(t), map[string]int{})
			err := d.update(t.Context(), api.UpdateRequest{Daemon: test.daemon, Keeper: test.keeper})
			if errs.KindOf(err) != errs.Invalid || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v of kind %s, want %q of kind invalid", err, errs.KindOf(err), test.want)
			}
			if got := k.upgrades(); len(got) != 0 {
				t.Errorf("the keeper was asked to become %v", got)
			}
		})
	}
}

func TestUpdateTellsThatTheKeeperRefused(t *testing.T) {
	good := program(t, "echo fine")
	d, k := connect(t, newHome(t), map[string]int{})
	err := d.update(t.Context(), api.UpdateRequest{Daemon: good, Keeper: good})
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || e.Kind != errs.Internal || !strings.Contains(err.Error(), "no, not today") || !strings.Contains(e.Hint, "nothing has changed") {
		t.Errorf("got %v, want the keeper's words and a hint", err)
	}
	if got := k.upgrades(); len(got) != 1 || got[0] != (wire.Upgrade{Keeper: good, Daemon: good}) {
		t.Errorf("the keeper was asked to become %v", got)
	}
}

func TestTryDoesNotWaitForWhatHangs(t *testing.T) {
	hangs := program(t, "sleep 60 & echo $! >\"$0.pid\"; wait") // its child has our pipe, too
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := try(ctx, hangs, nil)
	took := time.Since(began)
	if text, err := os.ReadFile(hangs + ".pid"); err == nil {
		var pid int
		if _, err := fmt.Sscan(string(text), &pid); err == nil {
			testkit.KillAtEnd(t, pid)
		}
	}
	if err == nil || took > 2*tryLimit {
		t.Errorf("after %v: %v", took, err)
	}
}
