// Package chaos kills the manager while apps run, and sees that no app
// notices.
package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tend/api"
	"tend/bench/lines"
	"tend/client"
	"tend/internal/home"
	"tend/internal/testkit"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == lines.Word {
		os.Exit(lines.Main(os.Args[2:])) // an app of these tests
	}
	testkit.Main(m)
}

// world is a home with a manager.
type world struct {
	t    *testing.T
	tend string
	home home.Dir
	c    *client.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	tend, _ := testkit.Build(t)
	w := &world{t: t, tend: tend, home: home.Dir(testkit.Home(t))}
	w.c = client.New(w.home.Socket())
	t.Cleanup(func() {
		w.run("kill")
		w.c.Close()
		if t.Failed() {
			log, _ := os.ReadFile(w.home.Log())
			lines := strings.Split(string(log), "\n")
			t.Logf("the end of the daemon's log:\n%s", strings.Join(lines[max(0, len(lines)-600):], "\n"))
		}
	})
	return w
}

// run runs a command of tend, which must succeed.
func (w *world) run(args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.tend, args...)
	cmd.Env = append(os.Environ(), "TEND_HOME="+string(w.home))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("tend %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// start starts the apps of an ecosystem.
func (w *world) start(apps ...map[string]any) {
	w.t.Helper()
	text, err := json.Marshal(map[string]any{"apps": apps})
	if err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(string(w.home), "eco.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.run("start", path)
}

// shell is an app that is a line of sh.
func shell(name, line string, more map[string]any) map[string]any {
	app := map[string]any{"name": name, "script": "/bin/sh", "interpreter": "none", "args": []string{"-c", line}}
	maps.Copy(app, more)
	return app
}

func (w *world) ping() api.Pong {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	p, err := w.c.Ping(ctx)
	if err != nil {
		w.t.Fatalf("ping: %v", err)
	}
	return p
}

func (w *world) list() map[string]api.Instance {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	list, err := w.c.Instances(ctx, client.Query{})
	if err != nil {
		w.t.Fatalf("list: %v", err)
	}
	byName := map[string]api.Instance{}
	for _, in := range list {
		byName[in.Name+"/"+strconv.Itoa(in.Index)] = in
	}
	return byName
}

// kill ends a process of the manager and waits until another has taken over
// everything.
func (w *world) kill(which string) {
	w.t.Helper()
	before := w.ping()
	pid := before.PID
	if which == "keeper" {
		pid = before.Keeper
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		w.t.Fatalf("kill the %s %d: %v", which, pid, err)
	}
	testkit.WaitFor(w.t, 20*time.Second, "another "+which, func() bool {
		now, err := w.c.Ping(context.Background())
		if err != nil || now.Keeper == 0 {
			return false
		}
		return which == "daemon" && now.PID != pid || which == "keeper" && now.Keeper != pid
	})
}

func fds(t *testing.T, pid int) int {
	t.Helper()
	list, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// zombies counts the ended children of pid that it has not reaped.
func zombies(t *testing.T, pid int) int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if f[0] == "Z" && f[1] == strconv.Itoa(pid) {
			n++
		}
	}
	return n
}

// rounds is how often the manager is killed: TEND_CHAOS, or few.
func rounds(few int) int {
	if n, err := strconv.Atoi(os.Getenv("TEND_CHAOS")); err == nil && n > 0 {
		return n
	}
	return few
}

// Daemon and keeper are killed in turn while twenty apps write, and one
// crashes each time.
func TestChaosOfDaemonAndKeeper(t *testing.T) {
	w := newWorld(t)
	starts, end := filepath.Join(string(w.home), "starts"), filepath.Join(string(w.home), "end")
	const steady = 20
	apps := []map[string]any{shell("crasher", "echo x >> "+starts+"; until test -e "+end+".$$; do sleep 0.02; done; exit 7",
		map[string]any{"max_restarts": 1_000_000, "min_uptime": 100})}
	for n := range steady {
		apps = append(apps, shell("steady"+strconv.Itoa(n), "trap 'echo closed; exit 9' PIPE; while echo tick; do sleep 0.05; done; exit 8", nil))
	}
	w.start(apps...)
	// Only a life that is known ends: of one that began and ended while nobody
	// was there, nobody can know.
	crash := func() {
		if in := w.list()["crasher/0"]; in.State == api.Online {
			if err := os.WriteFile(end+"."+strconv.Itoa(in.PID), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := w.list()
	first := w.ping()
	daemonFDs, keeperFDs := fds(t, first.PID), fds(t, first.Keeper)

	for n := range rounds(16) {
		crash()
		w.kill([]string{"daemon", "keeper"}[n%2])
	}

	after := w.list()
	for name, was := range before {
		if name == "crasher/0" {
			continue
		}
		if now := after[name]; now.PID != was.PID || now.Restarts != 0 || now.State != api.Online || now.StartedAt != was.StartedAt {
			t.Errorf("%s is %s with pid %d, %d restarts; it was pid %d and should not have noticed", name, now.State, now.PID, now.Restarts, was.PID)
		}
	}
	// Every start of the crasher but the first followed an exit, and every
	// exit was answered by one restart.
	count := func() int {
		b, err := os.ReadFile(starts)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(b, []byte("x"))
	}
	agreed := func() bool {
		in := w.list()["crasher/0"]
		t.Logf("%d restarts, %d starts, %s, live %d", in.Restarts, count(), in.State, in.PID)
		return in.Restarts > 0 && in.Restarts == count()-1 && in.State == api.Online
	}
	testkit.WaitFor(t, 20*time.Second, "a restart counter that agrees with the starts", agreed)
	lives := count()
	crash() // and this end is not missed, as one may be that nobody waits for
	testkit.WaitFor(t, 20*time.Second, "one start more", func() bool { return count() == lives+1 && agreed() })
	if in := w.list()["crasher/0"]; in.ExitCode != 7 || in.ExitUnknown {
		t.Errorf("the crasher's last exit code is %d (unknown: %v), want 7", in.ExitCode, in.ExitUnknown)
	}
	last := w.ping()
	testkit.WaitFor(t, 10*time.Second, "no zombies", func() bool { return zombies(t, last.PID)+zombies(t, last.Keeper) == 0 })
	const slack = 8 // connections of this test, timers of the runtime, a crasher between two lives
	if d, k := fds(t, last.PID), fds(t, last.Keeper); d > daemonFDs+slack || k > keeperFDs+slack {
		t.Errorf("descriptors: daemon %d, keeper %d; they were %d and %d", d, k, daemonFDs, keeperFDs)
	}
}

// Exits while there is no daemon are known afterwards, with their codes.
func TestExitsWhileTheDaemonIsDead(t *testing.T) {
	for _, victim := range []string{"daemon", "keeper"} {
		t.Run(victim, func(t *testing.T) {
			w := newWorld(t)
			gate := filepath.Join(string(w.home), "gate")
			if err := syscall.Mkfifo(gate, 0o600); err != nil {
				t.Fatal(err)
			}
			once := map[string]any{"autorestart": false}
			w.start(
				shell("code", "read x < "+gate+"; exit 42", once),
				shell("signal", "exec sleep 1000", once),
			)
			was := w.list()
			if victim == "keeper" {
				w.kill("keeper") // from now on the processes are nobody's children
			}
			// The daemon is stopped before it dies, so that it cannot hear.
			pid := w.ping().PID
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(gate, []byte("go\n"), 0o600); err != nil { // the fifo waits for its reader
				t.Fatal(err)
			}
			if err := syscall.Kill(was["signal/0"].PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"code/0", "signal/0"} {
				testkit.WaitFor(t, 10*time.Second, name+" to end", func() bool { return ended(was[name].PID) })
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			testkit.WaitFor(t, 10*time.Second, "both exits to be known", func() bool {
				now := w.list()
				return now["code/0"].State == api.Stopped && now["signal/0"].State == api.Stopped
			})
			now := w.list()
			if in := now["code/0"]; in.ExitCode != 42 || in.ExitUnknown {
				t.Errorf("exit code %d (unknown: %v), want 42", in.ExitCode, in.ExitUnknown)
			}
			if in := now["signal/0"]; in.ExitSignal != "SIGKILL" {
				t.Errorf("signal %q, want SIGKILL", in.ExitSignal)
			}
		})
	}
}

// ended tells whether a process is gone or a zombie.
func ended(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))[0] == "Z"
}

// An update keeps every process and every line.
func TestUpdateKeepsProcessesAndOutput(t *testing.T) {
	w := newWorld(t)
	const lines = 2000
	w.start(shell("counter", "n=0; while [ $n -lt "+strconv.Itoa(lines)+" ]; do n=$((n+1)); echo line $n; sleep 0.001; done; sleep 1000", nil))
	was, before := w.list()["counter/0"], w.ping()
	for range 3 {
		w.run("update")
	}
	now, after := w.list()["counter/0"], w.ping()
	if now.PID != was.PID || now.Restarts != 0 {
		t.Errorf("pid %d, %d restarts; it was pid %d", now.PID, now.Restarts, was.PID)
	}
	if after.PID == before.PID || after.Keeper != before.Keeper {
		t.Errorf("daemon %d, keeper %d; they were %d and %d: want another daemon and the same keeper", after.PID, after.Keeper, before.PID, before.Keeper)
	}
	var want strings.Builder
	for n := range lines {
		want.WriteString("line " + strconv.Itoa(n+1) + "\n")
	}
	testkit.WaitFor(t, 60*time.Second, "all lines", func() bool {
		got, err := os.ReadFile(now.OutFile)
		return err == nil && strings.HasSuffix(string(got), "line "+strconv.Itoa(lines)+"\n")
	})
	if got, err := os.ReadFile(now.OutFile); err != nil || string(got) != want.String() {
		t.Errorf("the log has %d bytes (%v), want %d: every line once", len(got), err, want.Len())
	}
}

// When both die at once, nobody is left who held the pipes; but nothing is
// started twice, and what died is started again.
func TestBothDie(t *testing.T) {
	w := newWorld(t)
	w.start(shell("quiet", "exec sleep 1000", nil), shell("mortal", "exec sleep 1000", nil))
	was, p := w.list(), w.ping()
	for _, pid := range []int{p.Keeper, p.PID} { // the keeper first: it would start another daemon
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	for _, pid := range []int{p.Keeper, p.PID, was["mortal/0"].PID} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	testkit.WaitFor(t, 10*time.Second, "all to die", func() bool {
		return ended(p.Keeper) && ended(p.PID) && ended(was["mortal/0"].PID)
	})
	w.run("ls")
	testkit.WaitFor(t, 20*time.Second, "what died to be started again", func() bool { return w.list()["mortal/0"].State == api.Online })
	now := w.list()
	if in := now["quiet/0"]; in.PID != was["quiet/0"].PID || in.State != api.Online {
		t.Errorf("quiet is %s with pid %d, it was %d", in.State, in.PID, was["quiet/0"].PID)
	}
	if in := now["mortal/0"]; in.PID == was["mortal/0"].PID || in.State != api.Online {
		t.Errorf("mortal is %s with pid %d, want a new process", in.State, in.PID)
	}
	w.run("restart", "quiet")
	if in := w.list()["quiet/0"]; in.PID == was["quiet/0"].PID || in.State != api.Online || !ended(was["quiet/0"].PID) {
		t.Errorf("after a restart quiet is %s with pid %d", in.State, in.PID)
	}
}
