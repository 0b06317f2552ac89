// Package testkit is for tests that work with real programs: it builds tend,
// makes homes, waits for what other processes do, and turns the test binary
// into a child that acts out a script. It imports nothing of tend's, so that
// the tests of any package may use it; nothing but tests may.
//
// A package that uses it says so in one place:
//
//	func TestMain(m *testing.M) { testkit.Main(m) }
package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// scratch is a directory for the whole test process, made on first use and
// removed by Main: what Build makes belongs to no single test.
var scratch struct { //nolint:gochecknoglobals // a test process has one
	sync.Mutex

	ready bool // Main runs, and will remove dir
	dir   string
}

// Main runs the tests of a package, and then, where they passed, each check
// (as in testkit.Main(m, func() error { return goleak.Find() })). Where the
// environment holds a script it acts that out instead: see Command. It never
// returns.
func Main(m *testing.M, checks ...func() error) {
	if script, ok := os.LookupEnv(ScriptVar); ok {
		os.Exit(act(script))
	}
	os.Exit(runTests(m, checks))
}

func runTests(m *testing.M, checks []func() error) int {
	scratch.Lock()
	scratch.ready = true
	scratch.Unlock()
	defer func() {
		if scratch.dir != "" {
			os.RemoveAll(scratch.dir) //nolint:errcheck // nobody is left to be told
		}
	}()
	if code := m.Run(); code != 0 {
		return code
	}
	for _, check := range checks {
		if err := check(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

// build makes all programs once in a test process, and buildKeeper the keeper
// alone: that is faster by far.
//
//nolint:gochecknoglobals // they only remember
var (
	build       = sync.OnceValues(func() (string, error) { return made("all", "tend/cmd/...") })
	buildKeeper = sync.OnceValues(func() (string, error) { return made("keeper", "tend/cmd/tend-keeper") })
)

// made builds packages into a directory of that name, and tells its path.
func made(name, packages string) (string, error) {
	scratch.Lock()
	defer scratch.Unlock()
	if !scratch.ready {
		return "", fmt.Errorf("this package needs func TestMain(m *testing.M) { testkit.Main(m) }")
	}
	if scratch.dir == "" {
		dir, err := os.MkdirTemp("", "tendbin")
		if err != nil {
			return "", err
		}
		scratch.dir = dir
	}
	dir := filepath.Join(scratch.dir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", dir+"/", packages)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as they are shipped
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build tend: %w\n%s", err, out)
	}
	return dir, nil
}

// Build builds the programs, once in a test process and beside each other in
// one directory, and tells the paths of tend and tend-keeper.
func Build(t testing.TB) (tend, keeper string) {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "tend"), filepath.Join(dir, "tend-keeper")
}

// Keeper builds tend-keeper alone, once in a test process, and tells its path.
func Keeper(t testing.TB) string {
	t.Helper()
	dir, err := buildKeeper()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "tend-keeper")
}

// Home is a new empty directory that is removed at the end of the test. Its
// path is short, unlike that of t.TempDir: sockets are made below it. A test
// whose processes still write to it then fails.
func Home(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tend") //nolint:usetesting // its path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove home: %v", err)
		}
	})
	return dir
}

// NeedNode is the path of node. Without it the test is skipped, or fails where
// CI=true.
func NeedNode(t testing.TB) string {
	t.Helper()
	return need(t, "node")
}

// NeedPython is the path of python3. Without it the test is skipped, or fails
// where CI=true.
func NeedPython(t testing.TB) string {
	t.Helper()
	return need(t, "python3")
}

func need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: %v", program, err)
	}
	t.Skipf("%s is missing: %v", program, err)
	return ""
}

// WaitFor returns as soon as cond holds, and fails the test where it does not
// within timeout. It looks every 5 ms: it is for what other processes do and
// tell nobody of. What sends an event is to be waited for by that event.
func WaitFor(t testing.TB, timeout time.Duration, what string, cond func() bool) {
	t.Helper()
	const period = 5 * time.Millisecond
	tick := time.NewTicker(period)
	defer tick.Stop()
	for deadline := time.Now().Add(timeout); !cond(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", timeout, what)
		}
	}
}

// KillAtEnd kills the process pid at the end of the test. It is for children
// of children; what Command made ends by itself.
func KillAtEnd(t testing.TB, pid int) {
	t.Helper()
	if pid <= 1 {
		t.Fatalf("pid %d is not one to kill", pid) // 0 and -1 are many processes (kill(2))
	}
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) }) //nolint:errcheck // it may be gone
}
