package testkit

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) { Main(m) }

const soon = 10 * time.Second

func TestScripts(t *testing.T) {
	for name, test := range map[string]struct {
		script         string
		stdout, stderr string
		code           int
		signal         syscall.Signal
	}{
		"an empty script does nothing": {"", "", "", 0, 0},
		"words and a code":             {"print:hello; eprint:a: b;exit:3;print:never", "hello\n", "a: b\n", 3, 0},
		"numbered lines":               {"lines:3", "1\n2\n3\n", "", 0, 0},
		"a variable":                   {"print:<$FRUIT>", "<plum>\n", "", 0, 0},
		"death by a signal":            {"kill:KILL;print:never", "", "", 0, syscall.SIGKILL},
		"a short sleep":                {"sleep:1ms;print:awake", "awake\n", "", 0, 0},
		"an unknown verb":              {"print:a;dance", "a\n", "testkit: step \"dance\": no such verb\n", badScript, 0},
		"a bad number":                 {"exit:x", "", "testkit: step \"exit:x\": strconv.Atoi: parsing \"x\": invalid syntax\n", badScript, 0},
		"an unknown signal":            {"trap:LUNCH", "", "testkit: step \"trap:LUNCH\": unknown signal \"LUNCH\"\n", badScript, 0},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := Command(t, test.script)
			cmd.Env = append(cmd.Env, "FRUIT=plum")
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			cmd.Run() // the state tells more
			if stdout.String() != test.stdout || stderr.String() != test.stderr {
				t.Errorf("wrote %q and %q, want %q and %q", stdout.String(), stderr.String(), test.stdout, test.stderr)
			}
			end := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if test.signal != 0 && (!end.Signaled() || end.Signal() != test.signal) {
				t.Errorf("ended by %v, want signal %v", cmd.ProcessState, test.signal)
			}
			if test.signal == 0 && end.ExitStatus() != test.code {
				t.Errorf("ended by %v, want code %d", cmd.ProcessState, test.code)
			}
		})
	}
}

func TestTrappedSignalsAreIgnored(t *testing.T) {
	cmd, out := started(t, "trap:HUP,SIGINT;print:ready;sleep")
	said(t, out, "ready")
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Wait() // the state tells more
	if got := cmd.ProcessState.Sys().(syscall.WaitStatus); got.Signal() != syscall.SIGTERM {
		t.Errorf("ended by %v, want %v", cmd.ProcessState, syscall.SIGTERM)
	}
}

// started is a running script and what it prints.
func started(t *testing.T, script string, env ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := Command(t, script)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

// said reads one line and gives what stands behind word.
func said(t *testing.T, r *bufio.Reader, word string) string {
	t.Helper()
	line, err := r.ReadString('\n')
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), word)
	if err != nil || !ok {
		t.Fatalf("read %q, %v, want %q and more", line, err, word)
	}
	return strings.TrimSpace(rest)
}

func saidPID(t *testing.T, r *bufio.Reader, word string) int {
	t.Helper()
	pid, err := strconv.Atoi(said(t, r, word))
	if err != nil {
		t.Fatal(err)
	}
	KillAtEnd(t, pid)
	return pid
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestSpawnedChildrenActOutTheirScript(t *testing.T) {
	cmd, out := started(t, "spawn:2;print:ready;sleep", ChildVar+"=sleep")
	one, two := saidPID(t, out, "child"), saidPID(t, out, "child")
	said(t, out, "ready")
	if one == two || !alive(one) || !alive(two) {
		t.Fatalf("children %d and %d are not two that live", one, two)
	}
	syscall.Kill(one, syscall.SIGKILL)
	WaitFor(t, soon, "the killed child is reaped", func() bool { return !alive(one) })
	if !alive(two) {
		t.Error("the other child is gone")
	}
	cmd.Process.Kill()
	cmd.Wait() // it was killed
	if !alive(two) {
		t.Error("the child died with its parent")
	}
}

func TestDaemonHasNoParentAndASessionOfItsOwn(t *testing.T) {
	cmd, out := started(t, "daemon;print:ready")
	pid := saidPID(t, out, "daemon")
	said(t, out, "ready")
	if _, err := out.ReadByte(); err != io.EOF {
		t.Errorf("after the script: %v, want %v: the daemon holds its output open", err, io.EOF)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if !alive(pid) {
		t.Fatal("the daemon did not outlive its parents")
	}
	// The session is that of the process between, which is gone.
	pgid, err := syscall.Getpgid(pid)
	if own, _ := syscall.Getpgid(0); err != nil || pgid == own || pgid == pid {
		t.Errorf("the daemon's group is %d, %v; ours is %d", pgid, err, own)
	}
}

func TestListenAnswersWithThePID(t *testing.T) {
	cmd, out := started(t, "listen:0;sleep")
	c, err := net.Dial("tcp", said(t, out, "listening"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if want := strconv.Itoa(cmd.Process.Pid) + "\n"; err != nil || string(answer) != want {
		t.Errorf("answer %q, %v, want %q", answer, err, want)
	}
	cmd.Process.Kill()
	cmd.Wait() // it was killed
}

func TestBuild(t *testing.T) {
	tend, keeper := Build(t)
	for _, path := range []string{tend, keeper} {
		if fi, err := os.Stat(path); err != nil || fi.Mode()&0o111 == 0 {
			t.Errorf("%s is no program: %v", path, err)
		}
	}
	if again, _ := Build(t); again != tend {
		t.Errorf("built again, as %s", again)
	}
}

func TestHomeIsShortAndGoesAway(t *testing.T) {
	var home string
	t.Run("inside", func(t *testing.T) {
		home = Home(t)
		if err := os.WriteFile(filepath.Join(home, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if len(home)-len(os.TempDir()) > 20 {
		t.Errorf("%s is not short", home)
	}
	if _, err := os.Stat(home); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the home is still there: %v", err)
	}
}

// record is a testing.TB that remembers how a test ended.
type record struct {
	testing.TB

	end string
}

func (r *record) Helper()               {}
func (r *record) Fatalf(string, ...any) { r.end = "failed"; panic(r) }
func (r *record) Skipf(string, ...any)  { r.end = "skipped"; panic(r) }

// ending is how a test f ends.
func ending(f func(testing.TB)) string {
	r := &record{end: "passed"}
	func() {
		defer func() {
			if p := recover(); p != nil && p != any(r) {
				panic(p)
			}
		}()
		f(r)
	}()
	return r.end
}

func TestNeed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "node"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, ci := range []string{"true", ""} {
		for _, path := range []string{dir, t.TempDir()} {
			t.Setenv("CI", ci)
			t.Setenv("PATH", path)
			there := strconv.FormatBool(path == dir)
			got["CI="+ci+" there="+there] = ending(func(t testing.TB) { NeedNode(t) })
		}
	}
	want := map[string]string{
		"CI=true there=true": "passed", "CI=true there=false": "failed",
		"CI= there=true": "passed", "CI= there=false": "skipped",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("endings (-want +got):\n%s", diff)
	}
}

func TestWaitFor(t *testing.T) {
	calls := 0
	WaitFor(t, soon, "three calls", func() bool { calls++; return calls == 3 })
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}
	if got := ending(func(t testing.TB) {
		WaitFor(t, time.Millisecond, "never", func() bool { return false })
	}); got != "failed" {
		t.Errorf("what never happens %s, want failed", got)
	}
}

func TestKillAtEndRefusesGroups(t *testing.T) {
	for _, pid := range []int{0, -1, 1} {
		if got := ending(func(t testing.TB) { KillAtEnd(t, pid) }); got != "failed" {
			t.Errorf("pid %d %s, want failed", pid, got)
		}
	}
}
