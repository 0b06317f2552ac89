// Package foreground runs tend run as people do, in a terminal's place and as
// the first process of a PID namespace.
package foreground

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tend/api"
	"tend/client"
	"tend/internal/home"
	"tend/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const soon = 20 * time.Second

// run is a tend that runs in the foreground.
type run struct {
	t      *testing.T
	home   home.Dir
	dir    string
	c      *client.Client
	cmd    *exec.Cmd
	to     *os.File // has the output in place of stdout
	stdout testkit.Buffer
	stderr testkit.Buffer
	ended  chan struct{}
}

// newRun is a run with a home of its own, whose processes end with the test.
func newRun(t *testing.T) *run {
	t.Helper()
	r := &run{t: t, home: home.Dir(testkit.Home(t)), dir: t.TempDir(), ended: make(chan struct{})}
	r.c = client.New(r.home.Socket())
	t.Cleanup(func() {
		r.c.Close()
		if log, err := os.ReadFile(r.home.Log()); t.Failed() && err == nil {
			t.Logf("stderr:\n%s\nthe end of the daemon's log:\n%s", tail(r.stderr.String()), tail(string(log)))
		}
	})
	return r
}

// start runs tend with these arguments, behind the words of prefix.
func (r *run) start(prefix []string, args ...string) *run {
	r.t.Helper()
	tend, _ := testkit.Build(r.t)
	argv := slices.Concat(prefix, []string{tend}, args)
	r.cmd = exec.Command(argv[0], argv[1:]...)
	r.cmd.Dir = r.dir
	r.cmd.Env = append(os.Environ(), "TEND_HOME="+string(r.home), "NO_COLOR=1", "HOME="+r.dir)
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	if r.to != nil {
		r.cmd.Stdout = r.to
	}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	testkit.KillAtEnd(r.t, r.cmd.Process.Pid)
	go func() {
		_ = r.cmd.Wait()
		close(r.ended)
	}()
	return r
}

// code waits for the end and gives the exit code.
func (r *run) code() int {
	r.t.Helper()
	select {
	case <-r.ended:
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(soon):
		log, _ := os.ReadFile(r.home.Log())
		r.t.Fatalf("it does not end\nstdout:\n%s\nstderr:\n%s\nlog:\n%s", tail(r.stdout.String()), tail(r.stderr.String()), tail(string(log)))
		return -1
	}
}

func tail(text string) string { return text[max(0, len(text)-4000):] }

// file writes an ecosystem.
func (r *run) file(apps ...map[string]any) string {
	r.t.Helper()
	text, err := json.Marshal(map[string]any{"apps": apps})
	if err != nil {
		r.t.Fatal(err)
	}
	path := filepath.Join(r.dir, "apps.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// sh is an app that is a line of sh.
func sh(name, line string, more ...any) map[string]any {
	app := map[string]any{"name": name, "script": "/bin/sh", "interpreter": "none", "args": []string{"-c", line}}
	for i := 0; i < len(more); i += 2 {
		app[more[i].(string)] = more[i+1]
	}
	return app
}

func (r *run) waitFor(text string) {
	r.t.Helper()
	testkit.WaitFor(r.t, soon, fmt.Sprintf("%q in the output", text), func() bool { return strings.Contains(r.stdout.String(), text) })
}

// online is the only app, which may have said something before the daemon knows
// that it runs.
func (r *run) online() api.Instance {
	r.t.Helper()
	var list []api.Instance
	testkit.WaitFor(r.t, soon, "the app is online", func() (ok bool) {
		var err error
		list, err = r.c.Instances(r.t.Context(), client.Query{})
		return err == nil && len(list) == 1 && list[0].State == api.Online
	})
	return list[0]
}

// goesOn waits for more output than there is now.
func (r *run) goesOn() {
	r.t.Helper()
	length := len(r.stdout.String())
	testkit.WaitFor(r.t, soon, "lines go on", func() bool { return len(r.stdout.String()) > length })
}

func (r *run) signal(sig syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		r.t.Fatal(err)
	}
}

func (r *run) ping() api.Pong {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	p, err := r.c.Ping(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// living are the processes that have this in their environment.
func living(t *testing.T, variable string) (found []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		environ, err := os.ReadFile(path) // that of a process that has ended is empty
		if err == nil && strings.Contains(string(environ), variable) {
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			found = append(found, filepath.Base(filepath.Dir(path))+" "+strings.ReplaceAll(string(name), "\x00", " "))
		}
	}
	return found
}

// nobody waits until nothing of a run is there any more.
func (r *run) nobody() {
	r.t.Helper()
	testkit.WaitFor(r.t, soon, "nothing is left", func() bool { return len(living(r.t, "TEND_HOME="+string(r.home))) == 0 })
}

func TestExitCodes(t *testing.T) {
	tests := map[string]struct {
		args []string
		apps []map[string]any
		code int
	}{
		"that of the app":                      {apps: []map[string]any{sh("a", "exit 7", "autorestart", false)}, code: 7},
		"0 when it is content":                 {apps: []map[string]any{sh("a", "exit 0", "autorestart", false)}},
		"a signal, as a shell has it":          {apps: []map[string]any{sh("a", "kill -9 $$", "autorestart", false)}, code: 137},
		"the first that failed":                {apps: []map[string]any{sh("a", "exit 0", "autorestart", false), sh("b", "exit 5", "autorestart", false)}, code: 5},
		"what is given up":                     {apps: []map[string]any{sh("a", "exit 4", "max_restarts", 2)}, code: 4},
		"what is given up although it smiles":  {apps: []map[string]any{sh("a", "exit 0", "max_restarts", 2)}, code: 2},
		"without restarts":                     {args: []string{"--no-autorestart"}, apps: []map[string]any{sh("a", "exit 3")}, code: 3},
		"a program that is none":               {apps: []map[string]any{{"name": "a", "script": "/etc/passwd", "interpreter": "none"}}, code: 1},
		"a script that is missing":             {apps: []map[string]any{{"name": "a", "script": "nosuch.sh"}}, code: 1},
		"no daemon is left to ask for the web": {args: []string{"--web"}, apps: []map[string]any{sh("a", "exit 0")}, code: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRun(t)
			r.start(nil, slices.Concat([]string{"run", "start", r.file(tt.apps...)}, tt.args)...)
			if got := r.code(); got != tt.code {
				t.Errorf("got code %d, want %d\n%s", got, tt.code, r.stderr.String())
			}
			r.nobody()
		})
	}
}

// TestTheOwnerIsKilled: nothing of it is left for ever.
func TestTheOwnerIsKilled(t *testing.T) {
	r := newRun(t)
	r.start(nil, "run", r.file(sh("a", "echo up; exec sleep 1000"), sh("b", "echo up too; exec sleep 1000")))
	r.waitFor("up\n")
	r.waitFor("up too\n")
	r.signal(syscall.SIGKILL)
	r.code()
	r.nobody()
	// And the home is good for another.
	r2 := newRun(t)
	r2.home = r.home
	r2.start(nil, "run", "--no-autorestart", r2.file(sh("c", "echo again")))
	if code := r2.code(); code != 0 || r2.stdout.String() != "again\n" {
		t.Errorf("code %d, %q %q", code, r2.stdout.String(), r2.stderr.String())
	}
}

// TestAHomeInUse: what runs there is let be.
func TestAHomeInUse(t *testing.T) {
	r := newRun(t)
	r.start(nil, "run", r.file(sh("a", "echo up; exec sleep 1000")))
	r.waitFor("up\n")
	r.online()
	was := r.ping()
	second := newRun(t)
	second.home = r.home
	second.start(nil, "run", second.file(sh("b", "echo no")))
	if code := second.code(); code != 1 || !strings.Contains(second.stderr.String(), "TEND_HOME names another home") {
		t.Errorf("code %d, %q", code, second.stderr.String())
	}
	list, err := r.c.Instances(t.Context(), client.Query{})
	if err != nil || len(list) != 1 || list[0].State != api.Online || r.ping().PID != was.PID {
		t.Errorf("%v, %+v", err, list)
	}
	// Other commands work as ever, and one of them may end it.
	r3 := newRun(t)
	r3.home = r.home
	r3.start(nil, "kill")
	if code := r3.code(); code != 0 {
		t.Errorf("kill: code %d, %s", code, r3.stderr.String())
	}
	if code := r.code(); code != 0 {
		t.Errorf("after kill: code %d, %s", code, r.stderr.String())
	}
	r.nobody()
}

// TestAnUpdate: apps run on, and lines too.
func TestAnUpdate(t *testing.T) {
	r := newRun(t)
	r.start(nil, "run", r.file(sh("a", "trap 'exit 0' INT; i=0; while :; do i=$((i+1)); echo $i; done")))
	r.waitFor("\n100\n")
	was := r.ping()
	u := newRun(t)
	u.home = r.home
	u.start(nil, "update")
	if code := u.code(); code != 0 || r.ping().PID == was.PID {
		t.Fatalf("update: code %d, %s", code, u.stderr.String())
	}
	r.goesOn()
	r.signal(syscall.SIGINT)
	if code := r.code(); code != 0 {
		t.Errorf("code %d, %s", code, r.stderr.String())
	}
	inOrder(t, r.stdout.String(), 0)
	r.nobody()
}

// TestTwoSignals: the second does not wait for a kill_timeout.
func TestTwoSignals(t *testing.T) {
	r := newRun(t)
	r.start(nil, "run", r.file(sh("a", "trap 'echo no' TERM INT; echo up; while :; do sleep 1 & wait $!; done", "kill_timeout", 60_000)))
	r.waitFor("up\n")
	r.signal(syscall.SIGTERM)
	r.waitFor("no\n")
	began := time.Now()
	r.signal(syscall.SIGTERM)
	if code := r.code(); code != 128+15 {
		t.Errorf("code %d, %s", code, r.stderr.String())
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	r.nobody()
}

// TestSignalsForTheApps are passed on.
func TestSignalsForTheApps(t *testing.T) {
	r := newRun(t)
	r.start(nil, "run", r.file(sh("a", "trap 'echo usr1' USR1; trap 'echo usr2' USR2; trap 'exit 0' INT; echo up; while :; do sleep 0.1; done")))
	r.waitFor("up\n")
	r.signal(syscall.SIGUSR1)
	r.waitFor("usr1\n")
	r.signal(syscall.SIGUSR2)
	r.waitFor("usr2\n")
	r.signal(syscall.SIGINT)
	if code := r.code(); code != 0 {
		t.Errorf("code %d, %s", code, r.stderr.String())
	}
}

// TestNoDaemon is --no-daemon with an ordinary command: its output, and then
// that of the apps.
func TestNoDaemon(t *testing.T) {
	r := newRun(t)
	r.start(nil, "start", r.file(sh("a", "trap 'exit 0' INT; echo up; while :; do echo line; sleep 0.05; done")), "--no-daemon")
	r.waitFor("0|a | line\n")
	if text := r.stdout.String(); strings.Index(text, "online") > strings.Index(text, "0|a | up\n") || !strings.Contains(text, "│ a ") {
		t.Errorf("got %q, want the list and then the lines", text)
	}
	// The files are where they always are.
	if log, err := os.ReadFile(filepath.Join(r.home.Logs(), "a-out.log")); err != nil || !strings.HasPrefix(string(log), "up\n") {
		t.Errorf("the log: %v, %q", err, log)
	}
	r.signal(syscall.SIGINT)
	if code := r.code(); code != 0 {
		t.Errorf("code %d, %s", code, r.stderr.String())
	}
	r.nobody()
	failed := newRun(t)
	failed.start(nil, "start", "nosuch.sh", "--no-daemon")
	if code := failed.code(); code != 1 {
		t.Errorf("code %d, want 1", code)
	}
	failed.nobody()
}

// TestDev has a home of its own, of which nothing is left.
func TestDev(t *testing.T) {
	r := newRun(t)
	r.start(nil, "dev", r.file(sh("a", "echo up; exec sleep 1000")), "--post-exec", "echo after", "--ignore", "x,y")
	r.waitFor("a-0 | up\n")
	r.waitFor("x, y, node_modules\n")
	c := client.New(home.Dir(filepath.Join(r.dir, ".tend-dev")).Socket())
	defer c.Close()
	list, err := c.Instances(t.Context(), client.Query{Detail: true})
	if err != nil || len(list) != 1 {
		t.Fatal(err, list)
	}
	spec := list[0].Detail.Spec
	if spec.Watch == nil || !slices.Contains(spec.Watch.Ignore, "node_modules") || spec.RestartDelay != 1000 || spec.Log.Out != os.DevNull {
		t.Errorf("got %+v, watch %+v", spec, spec.Watch)
	}
	if err := c.Act(t.Context(), api.ActRequest{Act: api.ActRestart, Targets: []string{"a"}}, nil); err != nil {
		t.Error(err)
	}
	r.waitFor("[rundev] App a restarted\n")
	r.waitFor("after\n")
	r.signal(syscall.SIGINT)
	if code := r.code(); code != 0 {
		t.Errorf("code %d, %s", code, r.stderr.String())
	}
	if _, err := os.Stat(filepath.Join(r.dir, ".tend-dev")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its home is left: %v", err)
	}
}

// TestTheReaderLeaves ends everything, as for any program in a pipe.
func TestTheReaderLeaves(t *testing.T) {
	r := newRun(t)
	r.start([]string{"sh", "-c", `"$0" "$@" | head -n 1`}, "run", r.file(sh("a", "while :; do echo line; sleep 0.01; done")))
	r.waitFor("line\n")
	if code := r.code(); code != 0 {
		t.Errorf("code %d", code)
	}
	r.nobody()
}

// TestEverybodyIsTold: a service manager that signals the whole control group
// gets what it wants, and exit code 0.
func TestEverybodyIsTold(t *testing.T) {
	r := newRun(t)
	r.start(nil, "run", r.file(sh("a", "trap 'sleep 0.3; echo bye; exit 0' TERM INT; echo up; while :; do sleep 0.05; done", "kill_timeout", 60_000)))
	r.waitFor("up\n")
	p := r.ping()
	for _, pid := range []int{p.Keeper, p.PID, r.cmd.Process.Pid} {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	if code := r.code(); code != 0 {
		t.Errorf("code %d, %s", code, r.stderr.String())
	}
	if !strings.HasSuffix(r.stdout.String(), "bye\n") {
		t.Errorf("got %q, want that the app could end in order", r.stdout.String())
	}
	r.nobody()
}

// TestAnotherDaemonInOurPlace is let be: it is not ours to end.
func TestAnotherDaemonInOurPlace(t *testing.T) {
	r := newRun(t)
	r.start(nil, "run", r.file(sh("a", "echo up; exec sleep 1000")))
	r.waitFor("up\n")
	p := r.ping()
	testkit.KillAtEnd(t, r.online().PID) // nobody else will
	r.signal(syscall.SIGSTOP)
	for _, pid := range []int{p.Keeper, p.PID} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	other := newRun(t)
	other.home = r.home
	other.start(nil, "start", other.file(sh("b", "exec sleep 1000")))
	if code := other.code(); code != 0 {
		t.Fatalf("start: code %d, %s", code, other.stderr.String())
	}
	r.signal(syscall.SIGCONT)
	if code := r.code(); code != 1 {
		t.Errorf("code %d, %s", code, r.stderr.String())
	}
	if b := r.online(); b.Name != "b" {
		t.Errorf("got %+v", b)
	}
	end := newRun(t)
	end.home = r.home
	end.start(nil, "kill").code()
}
