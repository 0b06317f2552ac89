// Package node holds tend's cluster mode and IPC channel against Node itself:
// each app of testdata/apps is run by real versions of Node, and has to find
// under tend what it finds under Node's own cluster module. With
// TEND_NODE_REFERENCE=1 that module is the manager, so that what the tests
// expect can be checked where it comes from.
package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tend/api"
	"tend/client"
	"tend/internal/home"
	"tend/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// patience is how long anything may take that is to happen.
const patience = 20 * time.Second

// version is a node to run apps with.
type version struct {
	path  string
	major int
}

func (v version) String() string { return "v" + strconv.Itoa(v.major) }

// versions are the installed node and those that TEND_NODES names: binaries,
// or the directories they are in, separated as in PATH.
func versions(t *testing.T) []version {
	t.Helper()
	paths := []string{testkit.NeedNode(t)}
	for _, path := range filepath.SplitList(os.Getenv("TEND_NODES")) {
		if fi, err := os.Stat(path); err == nil && fi.IsDir() {
			path = filepath.Join(path, "node")
		}
		paths = append(paths, path)
	}
	var all []version
	for _, path := range paths {
		major, err := majorOf(path)
		if err != nil {
			t.Fatalf("ask %s for its version: %v", path, err)
		}
		all = append(all, version{path, major})
	}
	return all
}

func majorOf(path string) (int, error) {
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return 0, err
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(string(out), "v"), ".")
	return strconv.Atoi(major)
}

// reference tells that Node's own cluster is the manager.
func reference() bool { return os.Getenv("TEND_NODE_REFERENCE") == "1" }

// onlyTend is for what Node's cluster module does not have.
func onlyTend(t *testing.T) {
	t.Helper()
	if reference() {
		t.Skip("Node's cluster module has no such thing")
	}
}

// nodeCannot is for what is right and known to go wrong in Node's cluster
// module.
func nodeCannot(t *testing.T, when bool, why string) {
	t.Helper()
	if reference() && when {
		t.Skipf("Node's cluster module cannot do this: %s", why)
	}
}

// eachVersion runs a test with each node.
func eachVersion(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for _, v := range versions(t) {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, v, ""))
		})
	}
}

// eachBalance runs a test with each node and each balance.
func eachBalance(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for _, v := range versions(t) {
		for _, b := range []api.Balance{api.RoundRobin, api.Shared, api.Reuseport} {
			t.Run(v.String()+"/"+string(b), func(t *testing.T) {
				if b == api.Reuseport {
					onlyTend(t)
				}
				t.Parallel()
				test(t, newWorld(t, v, b))
			})
		}
	}
}

// world is an app under a manager in a home of its own.
type world struct {
	t       *testing.T
	node    version
	balance api.Balance
	dir     string // with a copy of testdata/apps
	home    home.Dir
	env     []string // of the app, over that of the test

	tend   string
	c      *client.Client
	told   *notices
	others io.WriteCloser // the commands of the reference
}

func newWorld(t *testing.T, v version, b api.Balance) *world {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the keeper is Linux's so far")
	}
	if raced {
		t.Skip("what is tested runs in other processes, which are built without the race detector")
	}
	w := &world{t: t, node: v, balance: b, dir: testkit.Home(t), home: home.Dir(testkit.Home(t))}
	if err := os.CopyFS(w.dir, os.DirFS("testdata/apps")); err != nil {
		t.Fatal(err)
	}
	if reference() {
		if err := os.Mkdir(w.home.Logs(), 0o700); err != nil {
			t.Fatal(err)
		}
	} else {
		w.tend, _ = testkit.Build(t)
		w.c = client.New(w.home.Socket())
		t.Cleanup(w.end)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the app said:\n%s", w.output())
		}
	})
	return w
}

func (w *world) end() {
	w.run("kill")
	if w.told != nil {
		w.told.stop()
	}
	w.c.Close()
	if w.t.Failed() {
		log, _ := os.ReadFile(w.home.Log())
		lines := strings.Split(string(log), "\n")
		w.t.Logf("the end of the daemon's log:\n%s", strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
}

// flags are further options of tend start.
type flags []string

// start starts count workers of an app in cluster mode, or one process in fork
// mode where count is 0, with arguments.
func (w *world) start(app string, count int, f flags, args ...string) {
	w.t.Helper()
	if reference() {
		w.startReference(app, count, args)
		return
	}
	line := append([]string{"start", app, "--name", "web", "--interpreter", w.node.path}, f...)
	if count > 0 {
		line = append(line, "-i", strconv.Itoa(count))
	}
	if w.balance != "" {
		line = append(line, "--balance", string(w.balance))
	}
	w.run(append(append(line, "--"), args...)...)
}

func (w *world) startReference(app string, count int, args []string) {
	w.t.Helper()
	primary, err := filepath.Abs("testdata/primary.js")
	if err != nil {
		w.t.Fatal(err)
	}
	line := append([]string{primary, filepath.Join(w.dir, app), strconv.Itoa(count), string(w.balance)}, args...)
	cmd := exec.Command(w.node.path, line...)
	cmd.Dir, cmd.Env = w.dir, append(os.Environ(), w.env...)
	log, err := os.OpenFile(filepath.Join(w.home.Logs(), "reference-out.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if w.others, err = cmd.StdinPipe(); err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		w.others.Close() // it then ends its workers, and itself
		cmd.Wait()
		log.Close()
	})
}

// run runs a command of tend, which must succeed.
func (w *world) run(args ...string) string {
	w.t.Helper()
	out, err := w.try(args...)
	if err != nil {
		w.t.Fatalf("tend %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// try runs a command of tend and returns all it printed.
func (w *world) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.tend, args...)
	cmd.Dir, cmd.Env = w.dir, append(append(os.Environ(), "TEND_HOME="+string(w.home), "NO_COLOR=1"), w.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// scale goes over to another number of workers.
func (w *world) scale(count int) {
	w.t.Helper()
	if reference() {
		w.command(map[string]any{"scale": count})
		return
	}
	w.run("scale", "web", strconv.Itoa(count))
}

// send sends a message to every worker.
func (w *world) send(message any) {
	w.t.Helper()
	if reference() {
		w.command(map[string]any{"message": message})
		return
	}
	text, err := json.Marshal(map[string]any{"targets": []string{"web"}, "message": message})
	if err != nil {
		w.t.Fatal(err)
	}
	out, status, err := w.post("message", text)
	if err != nil || status != 200 || bytes.Contains(out, []byte(`"error"`)) {
		w.t.Fatalf("send %.100s: %d %v\n%s", text, status, err, out)
	}
}

// command tells the reference to do something.
func (w *world) command(c map[string]any) {
	w.t.Helper()
	text, err := json.Marshal(c)
	if err == nil {
		_, err = w.others.Write(append(text, '\n'))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) list() []api.Instance {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	list, err := w.c.Instances(ctx, client.Query{})
	if err != nil {
		w.t.Fatalf("list: %v", err)
	}
	return list
}

// killDaemon ends the daemon and waits until another has taken over.
func (w *world) killDaemon() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	was, err := w.c.Ping(ctx)
	if err != nil {
		w.t.Fatalf("ping: %v", err)
	}
	if err := syscall.Kill(was.PID, syscall.SIGKILL); err != nil {
		w.t.Fatal(err)
	}
	testkit.WaitFor(w.t, patience, "another daemon", func() bool {
		now, err := w.c.Ping(ctx)
		return err == nil && now.PID != was.PID
	})
}

// line is what an app said: see testdata/apps/say.js.
type line struct {
	Say      string          `json:"say"`
	PID      int             `json:"pid"`
	Instance string          `json:"instance"`
	Data     json.RawMessage `json:"data"`
}

// into reads what came with the line.
func into[T any](t *testing.T, l line) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(l.Data, &v); err != nil {
		t.Fatalf("%s: %v\n%.300s", l.Say, err, l.Data)
	}
	return v
}

// said is all that the apps said so far, each in its order.
func (w *world) said(what string) []line {
	var all []line
	for l := range strings.SplitSeq(w.output(), "\n") {
		var one line
		if json.Unmarshal([]byte(l), &one) == nil && one.Say == what {
			all = append(all, one)
		}
	}
	return all
}

// output is the content of all log files of apps.
func (w *world) output() string {
	paths, _ := filepath.Glob(filepath.Join(w.home.Logs(), "*.log"))
	var all strings.Builder
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		all.Write(text)
	}
	return all.String()
}

// hear waits until the apps have said something count times, and returns that.
func (w *world) hear(what string, count int) []line {
	w.t.Helper()
	var lines []line
	testkit.WaitFor(w.t, patience, fmt.Sprintf("%q, %d times", what, count), func() bool {
		lines = w.said(what)
		return len(lines) >= count
	})
	return lines
}

// address is what a listening server says of itself.
type address struct {
	Address string `json:"address"`
	Family  string `json:"family"`
	Port    int    `json:"port"`
	Path    string `json:"path"`
	Real    bool   `json:"real"` // the worker itself accepts
}

func (a address) String() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(a.Port))
}

// listening waits until count servers listen, and returns where.
func (w *world) listening(count int) []address {
	w.t.Helper()
	var all []address
	for _, l := range w.hear("listening", count) {
		all = append(all, into[address](w.t, l))
	}
	return all
}

// failure is an error that an app was told.
type failure struct {
	Code    string `json:"code"`
	Errno   int    `json:"errno"`
	Syscall string `json:"syscall"`
	Address string `json:"address"`
	Port    int    `json:"port"`
	Message string `json:"message"`
}

// pids are those of lines, each once.
func pids(lines []line) []int {
	var all []int
	for _, l := range lines {
		if !slices.Contains(all, l.PID) {
			all = append(all, l.PID)
		}
	}
	return all
}

// nextPort is the first port that nobody was given yet. The kernel gives
// clients none below 32768.
var nextPort atomic.Int32

// freePort is a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	const first, span = 20_000, 12_000
	for range 100 {
		port := first + (os.Getpid()*61+int(nextPort.Add(1)))%span
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		l.Close()
		return port
	}
	t.Fatal("no port is free")
	return 0
}

// notices follows what the apps send over their channels.
type notices struct {
	stop func()

	mu  sync.Mutex
	all []line
}

// follow begins to collect the messages of apps. The daemon has to run.
func (w *world) follow() {
	w.t.Helper()
	if reference() {
		return // primary.js tells them on its output
	}
	ctx, cancel := context.WithCancel(context.Background())
	res, err := w.request(ctx, "GET", "events?topic="+api.TopicMessage, nil)
	if err != nil {
		cancel()
		w.t.Fatal(err)
	}
	w.told = &notices{}
	var reader sync.WaitGroup
	reader.Go(func() {
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			var n api.Notice
			if json.Unmarshal(lines.Bytes(), &n) != nil || n.Topic != api.TopicMessage {
				continue
			}
			w.told.mu.Lock()
			w.told.all = append(w.told.all, line{Say: "told", Data: n.Data})
			w.told.mu.Unlock()
		}
	})
	w.told.stop = func() { cancel(); reader.Wait() }
}

// messages waits for count messages of apps.
func (w *world) messages(count int) []json.RawMessage {
	w.t.Helper()
	var lines []line
	testkit.WaitFor(w.t, patience, fmt.Sprintf("%d messages", count), func() bool {
		if reference() {
			lines = w.said("told")
		} else {
			w.told.mu.Lock()
			lines = slices.Clone(w.told.all)
			w.told.mu.Unlock()
		}
		return len(lines) >= count
	})
	var all []json.RawMessage
	for _, l := range lines {
		all = append(all, l.Data)
	}
	return all
}
