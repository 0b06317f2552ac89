package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tend/internal/errs"
	"tend/internal/home"
	"tend/internal/keeper/wire"
	"tend/internal/testkit"
)

const (
	// daemonVar makes this test binary a daemon for a keeper, of the kind
	// that its value says.
	daemonVar = "TEND_TEST_LAUNCH_DAEMON"
	serves    = "serves"  // on the home's socket, until somebody says quit
	crashes   = "crashes" // with many last lines
	hangs     = "hangs"   // and never serves

	soon = 10 * time.Second
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(daemonVar); kind != "" {
		if err := daemon(kind, home.Dir(os.Getenv("TEND_HOME"))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if err := testkit.TakeOrphans(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	testkit.Main(m, func() error { return goleak.Find() })
}

func daemon(kind string, h home.Dir) error {
	pids := fmt.Sprintf("%d %d\n", os.Getpid(), os.Getppid())
	// Whole or not at all: the test looks for it all the time.
	path := filepath.Join(string(h), "pids.txt")
	if err := errors.Join(os.WriteFile(path+".new", []byte(pids), 0o600), os.Rename(path+".new", path)); err != nil {
		return err
	}
	switch kind {
	case crashes:
		for i := range 2 * maxLogLines {
			fmt.Fprintf(os.Stderr, "last line %d\n", i)
		}
		return errors.New("it crashes as told")
	case hangs:
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		<-c
		return nil
	}
	conn, err := wire.NewConn(3)
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", h.Socket())
	if err != nil {
		return err
	}
	if err := conn.Write(wire.Frame{Kind: wire.KindReady}); err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		b, _ := io.ReadAll(c) // most just look whether we are here
		c.Close()
		if string(b) == "quit" {
			if err := conn.Write(wire.Frame{Kind: wire.KindQuit, ID: 1}); err != nil {
				return err
			}
			if _, err := conn.Read(); err != nil { // it has heard
				return err
			}
			return os.Remove(h.Socket())
		}
	}
}

// stage is a home, whose keeper and daemon end with the test.
func stage(t *testing.T, kind string) (home.Dir, Binaries) {
	t.Helper()
	t.Setenv(daemonVar, kind)
	h := home.Dir(filepath.Join(testkit.Home(t), "home"))
	t.Cleanup(func() { end(t, h) })
	return h, Binaries{Daemon: testkit.Self(t), Keeper: testkit.Keeper(t)}
}

// end ends what runs at a home: who serves is asked to, who does not is
// killed. A client that gave up may have left a keeper that is just starting.
func end(t *testing.T, h home.Dir) {
	t.Helper()
	c, err := net.Dial("unix", h.Socket())
	if err == nil {
		io.WriteString(c, "quit")
		c.Close()
	}
	testkit.WaitFor(t, soon, "everything at the home has ended", func() bool {
		left := living(t, h)
		for _, pid := range left {
			if err != nil {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		return len(left) == 0
	})
}

// living are the processes that were told of this home.
func living(t *testing.T, h home.Dir) (found []int) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		// That of a process that has ended is empty.
		if environ, err := os.ReadFile(path); err == nil && strings.Contains(string(environ), "TEND_HOME="+string(h)+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			found = append(found, pid)
		}
	}
	return found
}

// pids are those of the daemon that was started last, and of its keeper.
func pids(t *testing.T, h home.Dir) []int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(string(h), "pids.txt"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var daemon, keeper int
	if _, scanErr := fmt.Sscan(string(b), &daemon, &keeper); err != nil || scanErr != nil {
		t.Fatal(err, scanErr)
	}
	return []int{daemon, keeper}
}

func TestRunning(t *testing.T) {
	h := home.Dir(testkit.Home(t))
	look := func(what string, want bool) {
		t.Helper()
		if got, err := Running(t.Context(), h); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", what, got, err, want)
		}
	}
	look("nothing was there ever", false)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: h.Socket(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	look("somebody listens", true)
	l.SetUnlinkOnClose(false)
	l.Close()
	look("a killed daemon left its socket", false)

	if _, err := Running(t.Context(), home.Dir("/"+strings.Repeat("x", 200))); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("a path too long: %v", err)
	}
}

func TestEnsure(t *testing.T) {
	h, b := stage(t, serves)
	for i, want := range []bool{true, false, false} {
		started, err := Ensure(t.Context(), h, b)
		if started != want || err != nil {
			t.Fatalf("time %d: started %v, %v; want %v", i+1, started, err, want)
		}
	}
	both := pids(t, h)
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(both[0]) + "/environ")
	if err != nil || !strings.Contains(string(environ), "\x00TEND_HOME="+string(h)+"\x00") {
		t.Errorf("the daemon does not know its home: %v\n%q", err, environ)
	}
	for _, pid := range both {
		if session, err := unix.Getsid(pid); err != nil || session != pid {
			t.Errorf("process %d is in session %d, %v; want one of its own", pid, session, err)
		}
	}
	end(t, h)
	if started, err := Ensure(t.Context(), h, b); !started || err != nil {
		t.Errorf("after its end: started %v, %v", started, err)
	}
}

func TestEnsureAfterAKill(t *testing.T) {
	h, b := stage(t, serves)
	if _, err := Ensure(t.Context(), h, b); err != nil {
		t.Fatal(err)
	}
	// Both at once: the socket is still there, and nobody listens. The keeper
	// first, or it would start another daemon.
	both := pids(t, h)
	for _, pid := range []int{both[1], both[0]} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		unix.Wait4(pid, nil, 0, nil)
	}
	if err := os.Remove(h.Socket()); err != nil { // as the real daemon does before it listens
		t.Fatal(err)
	}
	if started, err := Ensure(t.Context(), h, b); !started || err != nil {
		t.Errorf("started %v, %v", started, err)
	}
	if now := pids(t, h); now[0] == both[0] || now[1] == both[1] {
		t.Errorf("processes %v, and %v were killed", now, both)
	}
}

func TestManyClientsStartOneDaemon(t *testing.T) {
	h, b := stage(t, serves)
	const clients = 8
	var mu sync.Mutex
	starters := 0
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			started, err := Ensure(t.Context(), h, b)
			if err != nil {
				t.Error(err)
			}
			if started {
				mu.Lock()
				starters++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if starters != 1 {
		t.Errorf("%d clients of %d say that they started the daemon, want 1", starters, clients)
	}
}

func TestADaemonThatCrashes(t *testing.T) {
	h, b := stage(t, crashes)
	if err := h.Make(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.Log(), []byte("a line of yesterday\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Ensure(t.Context(), h, b)
	var e *errs.Error
	if !errors.As(err, &e) || e.Kind != errs.Unavailable || !strings.Contains(e.Hint, h.Log()) {
		t.Fatalf("%v, want an unavailable daemon, and where its log is", err)
	}
	text := strings.Join(e.Lines, "\n")
	if len(e.Lines) != maxLogLines || !strings.Contains(text, "it crashes as told") || !strings.Contains(text, "last line 29") || strings.Contains(text, "yesterday") {
		t.Errorf("its last lines are %q", e.Lines)
	}
}

func TestADaemonThatNeverServes(t *testing.T) {
	h, b := stage(t, hangs)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := Ensure(ctx, h, b)
		got <- err
	}()
	testkit.WaitFor(t, soon, "the daemon hangs", func() bool { return len(pids(t, h)) == 2 })
	cancel()
	select {
	case err := <-got:
		if errs.KindOf(err) != errs.Unavailable {
			t.Errorf("%v, want an unavailable daemon", err)
		}
	case <-time.After(soon):
		t.Error("it waits for ever")
	}
	// Another client finds the home busy, and waits no longer than it may.
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Ensure(short, h, b); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("the next client: %v", err)
	}
}

func TestWhatIsMissing(t *testing.T) {
	h, b := stage(t, serves)
	for name, test := range map[string]struct {
		binaries Binaries
		kind     errs.Kind
	}{
		"the keeper": {Binaries{Daemon: b.Daemon, Keeper: "/missing/tend-keeper"}, errs.NotFound},
		"the daemon": {Binaries{Daemon: "/missing/tend-daemon", Keeper: b.Keeper}, errs.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			var e *errs.Error
			if _, err := Ensure(t.Context(), h, test.binaries); !errors.As(err, &e) || e.Kind != test.kind || e.Hint == "" {
				t.Errorf("%v, want kind %s and a hint", err, test.kind)
			}
		})
	}
}

func TestEnvironOfTheKeeper(t *testing.T) {
	for name, value := range map[string]string{"TEND_HOME": "/other", "unique_id": "of an app", "KEPT": "a=b"} {
		t.Setenv(name, value)
	}
	count := map[string]int{}
	for _, e := range environ("/h") {
		name, _, _ := strings.Cut(e, "=")
		count[e]++
		count[name]++
	}
	if count["TEND_HOME=/h"] != 1 || count["TEND_HOME"] != 1 || count["unique_id"] != 0 || count["KEPT=a=b"] != 1 || count["PATH"] != 1 {
		t.Errorf("%q", environ("/h"))
	}
}

func TestFindLooksBesideTheProgram(t *testing.T) {
	// Beside the test's binary there are none.
	if _, err := Find(); errs.KindOf(err) != errs.NotFound {
		t.Errorf("%v, want that they are missing", err)
	}
}
