package script

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tend/client"
	"tend/internal/home"
	"tend/internal/testkit"
)

// initSystem is what a daemon that systemd started tells of itself: a real
// socket in the place of systemd's.
type initSystem struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newInitSystem(t *testing.T) *initSystem {
	t.Helper()
	path := filepath.Join(testkit.Home(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &initSystem{t, conn, path}
}

// told is the next thing it is told, within limit.
func (s *initSystem) told(limit time.Duration) string {
	s.t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		s.t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := s.conn.Read(b)
	if err != nil {
		s.t.Fatalf("the init system was told nothing: %v", err)
	}
	return string(b[:n])
}

// silent wants that nothing more was said.
func (s *initSystem) silent() {
	s.t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		s.t.Fatal(err)
	}
	b := make([]byte, 4096)
	if n, err := s.conn.Read(b); err == nil {
		s.t.Errorf("the init system was told %q too", b[:n])
	}
}

func TestBoot(t *testing.T) {
	tend, _ := testkit.Build(t)
	dir := home.Dir(testkit.Home(t))
	defer end(t, tend, dir)
	system := newInitSystem(t)
	run := func(extra []string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), tend, args...)
		cmd.Dir = t.TempDir()
		cmd.Env = slices.Concat([]string{"PATH=" + os.Getenv("PATH"), "HOME=/", "TEND_HOME=" + string(dir)}, extra)
		cmd.WaitDelay = time.Second
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("tend %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	booted := []string{"NOTIFY_SOCKET=" + system.path}

	// Before the boot: an app is saved.
	run(nil, "start", "sleep 1000", "--name", "web")
	run(nil, "save")
	run(nil, "kill")

	// As the unit does it. When the command is over, the init system knows
	// that all runs, and whom to watch.
	run(booted, "resurrect")
	c := client.New(dir.Socket())
	defer c.Close()
	pong, err := c.Ping(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := system.told(time.Millisecond), fmt.Sprintf("MAINPID=%d\nREADY=1", pong.Keeper); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	list, err := c.Instances(t.Context(), client.Query{})
	if err != nil || len(list) != 1 || list[0].State != "online" {
		t.Fatalf("got %+v, %v; want web online", list, err)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", list[0].PID))
	if err != nil || strings.Contains(string(environ), "NOTIFY_SOCKET") {
		t.Errorf("the app has the init system's socket, or: %v", err)
	}

	// The keeper dies, and systemd starts the unit once more: the same apps, and
	// another to watch.
	if err := syscall.Kill(pong.Keeper, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	old := pong.Keeper
	testkit.WaitFor(t, limit, "another keeper", func() bool {
		pong, err = c.Ping(t.Context())
		return err == nil && pong.Keeper != old && pong.Keeper != 0
	})
	run(booted, "resurrect")
	if got, want := system.told(time.Millisecond), fmt.Sprintf("MAINPID=%d\nREADY=1", pong.Keeper); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if now, err := c.Instances(t.Context(), client.Query{}); err != nil || len(now) != 1 || now[0].PID != list[0].PID {
		t.Errorf("got %+v, %v; want the same process, %d", now, err, list[0].PID)
	}

	// A daemon that dies is nothing that the init system hears of.
	if err := syscall.Kill(pong.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	run(nil, "ping")
	system.silent()

	// A stop of the unit is a SIGTERM to the one that it watches.
	if err := syscall.Kill(pong.Keeper, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got, want := system.told(limit), "STOPPING=1"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	for _, pid := range []int{list[0].PID, pong.Keeper} {
		testkit.WaitFor(t, limit, fmt.Sprintf("process %d is gone", pid), func() bool { return !running(strconv.Itoa(pid)) })
	}

	// So is a kill by hand.
	run(booted, "resurrect")
	system.told(time.Millisecond)
	run(nil, "kill")
	if got, want := system.told(time.Millisecond), "STOPPING=1"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}

	// With nothing saved there is nothing to wait for.
	for _, path := range []string{dir.Dump(), dir.DumpBackup(), dir.LastList()} {
		_ = os.Remove(path) // one of them is enough to be found
	}
	run(booted, "resurrect")
	if got := system.told(time.Millisecond); !strings.HasSuffix(got, "READY=1") {
		t.Errorf("told %q, want that it is ready", got)
	}
}
