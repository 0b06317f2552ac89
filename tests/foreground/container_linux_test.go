package foreground

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"tend/internal/testkit"
)

var container = []string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child"}

// mayUnshare tells whether we may make a PID namespace.
func mayUnshare() bool {
	return exec.Command("unshare", "--pid", "--fork", "--mount-proc", "true").Run() == nil
}

// first is the pid, as we see it, of the first process of the namespace.
func (r *run) first() int {
	r.t.Helper()
	pid := 0
	testkit.WaitFor(r.t, soon, "the namespace has its first process", func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", r.cmd.Process.Pid))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid != 0
	})
	return pid
}

// inside are the processes of a namespace: their states, by what they run.
func inside(t *testing.T, namespace string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, path := range paths {
		if link, err := os.Readlink(path); err != nil || link != namespace {
			continue
		}
		pid := filepath.Base(filepath.Dir(filepath.Dir(path)))
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil { // it has ended: the file is not there, or is that of no process
			continue
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		found[pid+" "+string(stat[:strings.IndexByte(string(stat), ')')])] = after[:min(1, len(after))]
	}
	return found
}

func zombies(list map[string]string) (found []string) {
	for what, state := range list {
		if state == "Z" {
			found = append(found, what)
		}
	}
	return found
}

// TestContainer is tend run as process 1: what loses its parent is reaped, also
// when the keeper has died; SIGTERM stops one app after the other, the last
// first and the lowest priority last, each within its kill_timeout; and nothing is left.
func TestContainer(t *testing.T) {
	if !mayUnshare() {
		t.Skip("we may not make a PID namespace")
	}
	r := newRun(t)
	told := filepath.Join(r.dir, "told")
	polite := func(name string, more ...any) map[string]any {
		return sh(name, fmt.Sprintf("trap 'echo %s begins >> %[2]s; sleep 0.2; echo %[1]s ends >> %[2]s; exit 0' TERM INT; echo %[1]s up; while :; do sleep 0.05; done", name, told), append(more, "kill_timeout", 60_000)...)
	}
	r.start(container, "run", r.file(
		polite("first"),
		sh("litter", "for i in 1 2 3 4 5; do (sleep 0.05 &); done; echo littered; exec sleep 1000"),
		sh("stubborn", "trap '' TERM INT; echo stubborn up; while :; do sleep 0.05; done", "kill_timeout", 400),
		polite("base", "priority", 1),
		polite("last"),
	))
	for _, text := range []string{"first up\n", "littered\n", "stubborn up\n", "base up\n", "last up\n"} {
		r.waitFor(text)
	}
	pid := r.first()
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	if err != nil {
		t.Fatal(err)
	}
	testkit.WaitFor(t, soon, "no zombie is left", func() bool { return len(zombies(inside(t, namespace))) == 0 })

	// The pids of the daemon's answers are those inside.
	keeper := 0
	for what := range inside(t, namespace) {
		if strings.Contains(what, "tend-keeper") {
			_, _ = fmt.Sscan(what, &keeper)
		}
	}
	if err := syscall.Kill(keeper, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testkit.WaitFor(t, soon, "another keeper is there, and no zombie", func() bool {
		list := inside(t, namespace)
		found := false
		for what := range list {
			found = found || strings.Contains(what, "tend-keeper") && !strings.HasPrefix(what, strconv.Itoa(keeper)+" ")
		}
		return found && len(zombies(list)) == 0
	})

	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := r.code(); code != 0 { // long before the kill_timeout of those that say when they end
		t.Errorf("code %d\n%s", code, r.stderr.String())
	}
	text, _ := os.ReadFile(told)
	if want := "last begins\nlast ends\nfirst begins\nfirst ends\nbase begins\nbase ends\n"; string(text) != want {
		t.Errorf("it ended as %q, want %q", text, want)
	}
	if left := inside(t, namespace); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestContainerExitCode: the code of the app is that of the container.
func TestContainerExitCode(t *testing.T) {
	if !mayUnshare() {
		t.Skip("we may not make a PID namespace")
	}
	r := newRun(t)
	r.start(container, "run", r.file(sh("a", "echo $$; (sleep 1000 &); exit 9", "autorestart", false)))
	if code := r.code(); code != 9 {
		t.Errorf("code %d\n%s", code, r.stderr.String())
	}
}

// TestContainerGoesOnUnread: process 1 is there for the apps, and not for who reads
// them. What can be written is.
func TestContainerGoesOnUnread(t *testing.T) {
	if !mayUnshare() {
		t.Skip("we may not make a PID namespace")
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	reader, left, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = reader.Close()
	defer left.Close()
	for name, to := range map[string]*os.File{"the reader has left": left, "the disk is full": full} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t)
			r.to = to
			r.start(container, "run", r.file(sh("a", "n=0; while :; do n=$((n+1)); echo line; echo error $n >&2; sleep 0.01; done")))
			testkit.WaitFor(t, soon, "errors, when nobody has the lines", func() bool {
				return strings.Contains(r.stderr.String(), "error 50\n")
			})
			if strings.Contains(r.stderr.String(), "no space left") != (to == full) {
				t.Errorf("it says\n%s", tail(r.stderr.String()))
			}
			if err := syscall.Kill(r.first(), syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if code := r.code(); code != 0 {
				t.Errorf("code %d\n%s", code, tail(r.stderr.String()))
			}
			r.nobody()
		})
	}
}
