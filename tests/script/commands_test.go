package script

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"tend/client"
	"tend/internal/home"
	"tend/internal/testkit"
)

// commands are what scripts have beside testscript's own.
//
//	check TARGET COND...    the instances in `tend jlist` with this name or id
//	                        (all: every one) fulfil the conditions: FIELD=VALUE,
//	                        FIELD!=VALUE, FIELD>N, FIELD<N, with a field of
//	                        pm2_env or beside it (env.A: inside it), - for one
//	                        that is missing; count is how many instances there are
//	waitfor TARGET COND...  wait until they do
//	pid TARGET VAR          put their pids into VAR; `pid daemon VAR` and
//	                        `pid keeper VAR` the manager's
//	waitfile FILE RE [VAR]  wait until FILE matches, and put the first group
//	                        (the last match's) into VAR
//	alive PID...            these processes run
//	gone PID...             wait until they do not
//	signal SIG PID...       send them a signal
//	fails ARG...            tend ARG... ends with code 1, an error and a hint,
//	                        and prints no list
//	refuses ARG...          the same, where the error says itself what is wanted
//	snapshot                remember every instance, and the files of the home
//	untouched [apps]        nothing has changed since; apps: in these instances
//	at-once N ARG...        run tend ARG... N times at the same time
//	http-get URL            fetch into stdout
//	ask PATH                the same of the daemon
//	need PROGRAM            skip without it, but fail where CI=true
//	tmpfs DIR SIZE          mount a file system over DIR until the end
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"check":     positive(check),
	"waitfor":   positive(waitFor),
	"pid":       positive(pid),
	"waitfile":  positive(waitFile),
	"alive":     positive(alive),
	"gone":      positive(gone),
	"signal":    positive(sendSignal),
	"fails":     positive(fails),
	"refuses":   positive(refuses),
	"snapshot":  positive(snapshot),
	"untouched": positive(untouched),
	"at-once":   positive(atOnce),
	"http-get":  positive(httpGet),
	"ask":       positive(askDaemon),
	"need":      positive(need),
	"tmpfs":     positive(tmpfs),
}

// limit bounds every wait. It is far above what anything takes.
const limit = 30 * time.Second

// world is what belongs to one script.
type world struct {
	t    testing.TB
	tend string
	home home.Dir
	seen []element
	file map[string]string
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// positive is a command that "!" cannot stand before.
func positive(run func(ts *testscript.TestScript, args []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("this command cannot be negated")
		}
		run(ts, args)
	}
}

func atLeast(ts *testscript.TestScript, n int, args []string) {
	if len(args) < n {
		ts.Fatalf("want %d arguments, got %q", n, args)
	}
}

// element is one of jlist's.
type element map[string]any

// field is a member of pm2_env, else one beside it; a.b is b inside a.
func (e element) field(path string) any {
	env, _ := e["pm2_env"].(map[string]any)
	for _, m := range []map[string]any{env, e} {
		var at any = m
		for name := range strings.SplitSeq(path, ".") {
			inside, _ := at.(map[string]any)
			at = inside[name]
		}
		if at != nil {
			return at
		}
	}
	return nil
}

func text(v any) string {
	if v == nil {
		return "-"
	}
	if s, ok := v.(string); ok {
		return s
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// jlist is `tend jlist` of the script's own home.
func (w *world) jlist() ([]element, error) {
	cmd := exec.CommandContext(w.t.Context(), w.tend, "jlist")
	cmd.Env = append(os.Environ(), "TEND_HOME="+string(w.home))
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("tend jlist: %w", err)
	}
	var list []element
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("tend jlist printed no JSON: %w\n%s", err, out)
	}
	return list, nil
}

// named are the instances that target means.
func (w *world) named(target string) ([]element, error) {
	list, err := w.jlist()
	return slices.DeleteFunc(list, func(e element) bool {
		return target != "all" && e["name"] != target && text(e["pm_id"]) != target
	}), err
}

// unmet is the first condition that does not hold, "" when all do.
func (w *world) unmet(target string, conds []string) string {
	list, err := w.named(target)
	if err != nil {
		return err.Error()
	}
	for _, c := range conds {
		at := strings.IndexAny(c, "=<>!")
		if at < 0 {
			return "the condition " + c + " has no operator"
		}
		name, op, want := c[:at], c[at:at+1], c[at+1:]
		if op == "!" {
			op, want = "!=", want[1:]
		}
		if name == "count" {
			if got := strconv.Itoa(len(list)); !holds(got, op, want) {
				return fmt.Sprintf("want %s, got %s", c, got)
			}
			continue
		}
		if len(list) == 0 {
			return "there is no " + target
		}
		for _, e := range list {
			if got := text(e.field(name)); !holds(got, op, want) {
				return fmt.Sprintf("instance %s: want %s, got %s", text(e["pm_id"]), c, got)
			}
		}
	}
	return ""
}

func holds(got, op, want string) bool {
	switch op {
	case "=":
		return got == want
	case "!=":
		return got != want
	}
	a, errA := strconv.ParseFloat(got, 64)
	b, errB := strconv.ParseFloat(want, 64)
	return errA == nil && errB == nil && (op == "<" && a < b || op == ">" && a > b)
}

func check(ts *testscript.TestScript, args []string) {
	atLeast(ts, 2, args)
	if why := worldOf(ts).unmet(args[0], args[1:]); why != "" {
		ts.Fatalf("%s: %s", args[0], why)
	}
}

func waitFor(ts *testscript.TestScript, args []string) {
	atLeast(ts, 2, args)
	poll(ts, func() string { return worldOf(ts).unmet(args[0], args[1:]) })
}

// poll waits until why says nothing.
func poll(ts *testscript.TestScript, why func() string) {
	const period = 20 * time.Millisecond
	tick := time.NewTicker(period)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); ; <-tick.C {
		last := why()
		if last == "" {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("still after %v: %s", limit, last)
		}
	}
}

func pid(ts *testscript.TestScript, args []string) {
	atLeast(ts, 2, args)
	w := worldOf(ts)
	var pids []string
	switch args[0] {
	case "daemon", "keeper":
		pids = []string{manager(ts, args[0])}
	default:
		list, err := w.named(args[0])
		ts.Check(err)
		for _, e := range list {
			if p := text(e["pid"]); p != "0" {
				pids = append(pids, p)
			}
		}
	}
	if len(pids) == 0 {
		ts.Fatalf("there is no %s", args[0])
	}
	ts.Setenv(args[1], strings.Join(pids, " "))
}

// manager is the pid of the daemon or the keeper of the script's home.
func manager(ts *testscript.TestScript, which string) string {
	w := worldOf(ts)
	c := client.New(w.home.Socket())
	defer c.Close()
	pong, err := c.Ping(w.t.Context())
	ts.Check(err)
	if which == "daemon" {
		return strconv.Itoa(pong.PID)
	}
	return strconv.Itoa(pong.Keeper)
}

func waitFile(ts *testscript.TestScript, args []string) {
	atLeast(ts, 2, args)
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	path := ts.MkAbs(args[0])
	poll(ts, func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			return err.Error()
		}
		all := re.FindAllSubmatch(b, -1)
		if len(all) == 0 {
			return fmt.Sprintf("%s does not match %s:\n%s", args[0], args[1], b)
		}
		if m := all[len(all)-1]; len(args) > 2 && len(m) > 1 {
			ts.Setenv(args[2], string(m[1]))
		}
		return ""
	})
}

// running tells whether a process is there, and no zombie.
func running(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))[0] != "Z"
}

// words are the words in args: a variable may hold several pids.
func words(args []string) []string { return strings.Fields(strings.Join(args, " ")) }

func alive(ts *testscript.TestScript, args []string) {
	atLeast(ts, 1, words(args))
	for _, pid := range words(args) {
		if !running(pid) {
			ts.Fatalf("process %s is gone", pid)
		}
	}
}

func gone(ts *testscript.TestScript, args []string) {
	atLeast(ts, 1, words(args))
	poll(ts, func() string {
		for _, pid := range words(args) {
			if running(pid) {
				return "process " + pid + " runs"
			}
		}
		return ""
	})
}

func sendSignal(ts *testscript.TestScript, args []string) {
	atLeast(ts, 2, words(args))
	sig, ok := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM, "STOP": syscall.SIGSTOP, "USR2": syscall.SIGUSR2}[args[0]]
	if !ok {
		ts.Fatalf("unknown signal %s", args[0])
	}
	for _, word := range words(args[1:]) {
		pid, err := strconv.Atoi(word)
		if err != nil || pid <= 1 { // 0 and -1 are many processes (kill(2))
			ts.Fatalf("%s is no pid to signal", word)
		}
		ts.Check(syscall.Kill(pid, sig))
	}
}

// An error begins so, and what helps with it stands below in a margin.
var (
	fault = regexp.MustCompile(`(?m)^(tend:|\[tend\]\[ERROR\]) \S`)
	hint  = regexp.MustCompile(`(?m)^(tend:|\[tend\]\[ERROR\]) \S.*\n {6}\S`)
)

func fails(ts *testscript.TestScript, args []string) {
	refuses(ts, args)
	if !hint.MatchString(ts.ReadFile("stderr")) {
		ts.Fatalf("want an error with a hint")
	}
}

func refuses(ts *testscript.TestScript, args []string) {
	err := ts.Exec("tend", args...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 1 {
		ts.Fatalf("want exit code 1, got %v", err)
	}
	if !fault.MatchString(ts.ReadFile("stderr")) {
		ts.Fatalf("want an error")
	}
	if strings.Contains(ts.ReadFile("stdout"), "┌") {
		ts.Fatalf("the list is printed as if all were well")
	}
}

// files are the files of the home that only a success may change.
func (w *world) files() map[string]string {
	all := map[string]string{}
	for _, path := range []string{w.home.Journal(), w.home.Dump(), w.home.DumpBackup(), w.home.LastList(), w.home.Settings()} {
		if b, err := os.ReadFile(path); err == nil {
			all[filepath.Base(path)] = string(b)
		}
	}
	return all
}

// identity is what of an instance does not change by itself.
func identity(list []element) []element {
	out := []element{}
	for _, e := range list {
		env, _ := e["pm2_env"].(map[string]any)
		out = append(out, element{
			"name": e["name"], "pm_id": e["pm_id"], "pid": e["pid"], "status": env["status"],
			"restarts": env["restart_time"], "created_at": env["created_at"], "started": env["pm_uptime"],
		})
	}
	return out
}

func snapshot(ts *testscript.TestScript, _ []string) {
	w := worldOf(ts)
	list, err := w.jlist()
	ts.Check(err)
	w.seen, w.file = identity(list), w.files()
}

func untouched(ts *testscript.TestScript, args []string) {
	w := worldOf(ts)
	list, err := w.jlist()
	ts.Check(err)
	now := identity(list)
	if slices.Equal(args, []string{"apps"}) {
		now = slices.DeleteFunc(now, func(e element) bool {
			return !slices.ContainsFunc(w.seen, func(was element) bool { return was["pm_id"] == e["pm_id"] })
		})
	} else if was := w.files(); !maps.Equal(was, w.file) {
		ts.Fatalf("files changed:\n%s", cmp.Diff(w.file, was))
	}
	if diff := cmp.Diff(w.seen, now); diff != "" {
		ts.Fatalf("instances changed:\n%s", diff)
	}
}

func atOnce(ts *testscript.TestScript, args []string) {
	atLeast(ts, 2, args)
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	w := worldOf(ts)
	var all sync.WaitGroup
	failed := make([]error, n)
	for i := range failed {
		all.Go(func() {
			cmd := exec.CommandContext(w.t.Context(), w.tend, args[1:]...)
			cmd.Env = append(os.Environ(), "TEND_HOME="+string(w.home))
			if out, err := cmd.CombinedOutput(); err != nil {
				failed[i] = fmt.Errorf("%w\n%s", err, out)
			}
		})
	}
	all.Wait()
	ts.Check(errors.Join(failed...))
}

func httpGet(ts *testscript.TestScript, args []string) {
	atLeast(ts, 1, args)
	fetch(ts, &http.Client{Timeout: limit}, args[0])
}

func askDaemon(ts *testscript.TestScript, args []string) {
	atLeast(ts, 1, args)
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", worldOf(ts).home.Socket())
	}}
	defer t.CloseIdleConnections()
	fetch(ts, &http.Client{Timeout: limit, Transport: t}, "http://tend"+args[0])
}

func fetch(ts *testscript.TestScript, c *http.Client, url string) {
	resp, err := c.Get(url)
	ts.Check(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	ts.Check(err)
	_, err = ts.Stdout().Write(b)
	ts.Check(err)
}

func need(ts *testscript.TestScript, args []string) {
	atLeast(ts, 1, args)
	switch args[0] {
	case "node":
		testkit.NeedNode(worldOf(ts).t)
	case "python3":
		testkit.NeedPython(worldOf(ts).t)
	default:
		ts.Fatalf("need: %s is not known", args[0])
	}
}
