package nodeipc

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m, func() error { return goleak.Find() }) }

// world is a hub, real processes of node, and what came over their channels.
type world struct {
	*Hub

	t     *testing.T
	node  string
	shelf *testkit.Shelf
	stop  func()
	open  []Channel // of processes that live

	mu      sync.Mutex
	heard   map[string]map[News]int
	actions []string
	notices []api.Notice
	marks   map[string]uint64
	changed chan struct{}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, node: testkit.NeedNode(t), shelf: testkit.NewShelf(t),
		heard: map[string]map[News]int{}, marks: map[string]uint64{}, changed: make(chan struct{}, 1),
	}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// start is the birth of a daemon.
func (w *world) start() {
	w.t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	w.Hub = New(Options{
		Shelf: w.shelf, Held: w.shelf.Names(), Log: log,
		Heard: func(key string, n News) {
			w.note(func() {
				if w.heard[key] == nil {
					w.heard[key] = map[News]int{}
				}
				w.heard[key][n]++
			})
		},
		Action: func(_ string, a api.Action) { w.note(func() { w.actions = append(w.actions, a.Name) }) },
		Publish: func(n api.Notice, line uint64) {
			n.Data = append([]byte(nil), n.Data...)
			w.note(func() { w.notices = append(w.notices, n); w.marks[n.UniqueID] = line })
		},
		Published: func(string) (uint64, bool) { return 0, false },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	hub := w.Hub
	go func() { defer close(done); _ = hub.Run(ctx) }()
	w.stop = func() { cancel(); <-done }
	for _, c := range w.open {
		if err := w.Open(c); err != nil {
			w.t.Error(err)
		}
	}
}

// replace is the end of a daemon and the birth of the next.
func (w *world) replace() {
	w.t.Helper()
	w.stop()
	w.start()
}

func (w *world) note(f func()) {
	w.mu.Lock()
	f()
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

const patience = 20 * time.Second

// wait waits until what came makes cond true.
func (w *world) wait(what string, cond func() bool) {
	w.t.Helper()
	end := time.After(patience)
	for {
		w.mu.Lock()
		ok := cond()
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-w.changed:
		case <-end:
			w.mu.Lock()
			defer w.mu.Unlock()
			w.t.Fatalf("%s did not come; heard %v, notices %v", what, w.heard, w.notices)
		}
	}
}

func (w *world) waitNews(key string, n News) {
	w.t.Helper()
	w.wait(fmt.Sprintf("news %d of %s", n, key), func() bool { return w.heard[key][n] > 0 })
}

func (w *world) messages() (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.notices {
		list = append(list, string(n.Data))
	}
	return list
}

// waitMessage waits for a message of an app and tells whether it came.
func (w *world) waitMessage(text string) {
	w.t.Helper()
	w.wait(text, func() bool {
		for _, n := range w.notices {
			if string(n.Data) == text {
				return true
			}
		}
		return false
	})
}

// app is a process of node.
type app struct {
	Channel

	cmd  *exec.Cmd
	once sync.Once
}

// spawn starts node with a script, as c says. The script is CommonJS.
func (w *world) spawn(c Channel, script string, args ...string) *app {
	w.t.Helper()
	dir := w.t.TempDir()
	file := filepath.Join(dir, "app.cjs")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		w.t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil {
		w.t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "channel")
	a := &app{cmd: exec.Command(w.node, append(args, file)...)}
	a.cmd.Env = append(os.Environ(), "NODE_CHANNEL_FD=3", "NODE_CHANNEL_SERIALIZATION_MODE=json")
	if c.Group != "" {
		a.cmd.Env = append(a.cmd.Env, "NODE_UNIQUE_ID="+strconv.Itoa(c.Slot+1), "SLOT="+strconv.Itoa(c.Slot))
	}
	a.cmd.ExtraFiles = []*os.File{theirs}
	a.cmd.Stdout, a.cmd.Stderr = os.Stderr, os.Stderr
	if err := a.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	theirs.Close()
	w.t.Cleanup(a.end)
	name := c.Key + "/3"
	if err := w.shelf.Hold(name, pair[0]); err != nil {
		w.t.Fatal(err)
	}
	_ = unix.Close(pair[0])
	c.FD, _ = w.shelf.Held(name)
	a.Channel = c
	w.open = append(w.open, c)
	if err := w.Open(c); err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (a *app) end() {
	a.once.Do(func() {
		_ = a.cmd.Process.Kill()
		_ = a.cmd.Wait()
	})
}

// worker is the channel of a worker of the group "g".
func worker(slot int, balance api.Balance) Channel {
	return Channel{Key: fmt.Sprintf("w%d", slot), Group: "g", Slot: slot, Balance: balance}
}

// ask makes a connection and reads what the app writes to it until its end.
func ask(network, address string) (string, error) {
	conn, err := net.DialTimeout(network, address, patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	text, err := io.ReadAll(bufio.NewReader(conn))
	return string(text), err
}

// freePort is a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
