package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
	"tend/internal/fanout"
	"tend/internal/home"
	"tend/internal/keeper/remote"
	"tend/internal/keeper/wire"
	"tend/internal/logs/collect"
	"tend/internal/settings"
	"tend/internal/store"
	"tend/internal/supervisor"
	"tend/internal/sysinfo"
	"tend/internal/testkit"
)

// soon bounds the wait for what happens at once.
const soon = 20 * time.Second

// keeper starts nothing: its processes are numbers that no pid ever has, and
// end of every signal when they may.
type keeper struct {
	s *supervisor.Supervisor

	mu   sync.Mutex
	pid  int
	seq  uint64
	live map[string]int
	hold chan struct{} // closed: processes may end
}

const firstPid = 5_000_000 // above PID_MAX_LIMIT, proc_sys_kernel(5)

func (k *keeper) Spawn(m wire.Spawn, done func(wire.Child, error)) {
	k.mu.Lock()
	k.pid++
	k.live[m.Key] = k.pid
	c := wire.Child{Key: m.Key, PID: k.pid, Start: uint64(k.pid)}
	k.mu.Unlock()
	done(c, nil)
}

func (k *keeper) Signal(key string, sig syscall.Signal, _ bool) error {
	<-k.hold // it is asked aside
	k.mu.Lock()
	defer k.mu.Unlock()
	pid, ok := k.live[key]
	if !ok {
		return os.ErrProcessDone
	}
	delete(k.live, key)
	k.seq++
	k.s.Exited(wire.Exit{Seq: k.seq, Key: key, PID: pid, Known: true, Status: uint32(sig)})
	return nil
}

func (k *keeper) Ack(uint64)                      {}
func (k *keeper) Held(string) (int, bool)         { return 0, false }
func (k *keeper) Drop(string)                     {}
func (k *keeper) Adopt(string, int, uint64) error { return os.ErrProcessDone }
func (k *keeper) PID() (int, string)              { return firstPid, "" }

type collector struct{}

func (collector) Add(collect.Stream) error { return nil }
func (collector) Discard(string)           {}

// daemon is a server and all that it stands before.
type daemon struct {
	*http.Client

	t      *testing.T
	home   home.Dir
	socket string
	s      *supervisor.Supervisor
	k      *keeper
	logs   *collect.Collector

	notices *fanout.Ring
	stop    func()

	mu       sync.Mutex
	left     []bool              // what Leave was called with
	tellings []string            // what the init system was told
	updates  []api.UpdateRequest // and Update
	refuse   error               // the answer of Update

	log      testkit.Buffer
	rotation api.Rotation // as last applied
}

func over(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
}

// serve runs a daemon with n stopped instances of an app called web.
func serve(t *testing.T, n int) *daemon {
	t.Helper()
	h := home.Dir(testkit.Home(t))
	if err := h.Make(); err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, home: h, socket: h.Socket(), Client: over(h.Socket())}
	log := slog.New(slog.NewTextHandler(&d.log, nil))
	st, records, err := store.Open(h.Journal(), log)
	if err != nil {
		t.Fatal(err)
	}
	d.k = &keeper{pid: firstPid, live: map[string]int{}, hold: make(chan struct{})}
	close(d.k.hold)
	d.notices = ring(t, log)
	d.logs = collect.New(log, testkit.NewShelf(t), func(string) {})
	scan := sysinfo.NewScanner()
	d.s, err = supervisor.New(supervisor.Options{
		Home: h, Keeper: d.k, Logs: collector{}, Store: st, Scan: scan, Log: log,
	}, records, remote.Inventory{})
	if err != nil {
		t.Fatal(err)
	}
	d.k.s = d.s
	server := New(Options{
		Supervisor: d.s, Notices: d.notices, Log: log, Fresh: func(context.Context) {},
		Settings:   settings.New(h, log, func(r api.Rotation) { d.rotation = r }),
		Ping:       func() api.Pong { return api.Pong{Version: "v9", PID: 42} },
		Host:       func(context.Context) api.Host { return api.Host{At: 7} },
		ReopenLogs: d.logs.Reopen, TruncateLog: d.logs.Truncate,
		Restored: func() { d.told("restored") },
		Stopping: func() { d.told("stopping") },
		Leave: func(quit bool) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.left = append(d.left, quit)
		},
		Update: func(_ context.Context, req api.UpdateRequest) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.updates = append(d.updates, req)
			return d.refuse
		},
	})
	server.writeWait = time.Hour // who is kept waiting by another client is so for good
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{
		d.s.Run, scan.Run, d.logs.Run, func(ctx context.Context) error { return server.Run(ctx, l) },
	} {
		running.Go(func() {
			if err := run(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("Run ended with %v", err)
			}
		})
	}
	d.stop = func() { cancel(); running.Wait() }
	t.Cleanup(func() {
		d.stop()
		d.CloseIdleConnections()
		st.Close()
	})
	<-d.s.Whole()
	if n > 0 {
		s := web()
		s.Instances, s.Autostart = n, false
		if err := d.s.Start(ctx, api.StartRequest{Apps: []api.Spec{s}}, func(api.Event) {}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func web() api.Spec {
	s := app.Default()
	s.Name, s.Script, s.Cwd, s.Namespace = "web", "/opt/web", "/", "front"
	s.KillTimeout = 60_000
	return s
}

// call sends a request; body is a string, a reader, or what becomes JSON.
func (d *daemon) call(method, path string, body any) (status int, text string) {
	d.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case io.Reader:
		r = b
	default:
		j, err := json.Marshal(b)
		if err != nil {
			d.t.Fatal(err)
		}
		r = strings.NewReader(string(j))
	}
	req, err := http.NewRequestWithContext(d.t.Context(), method, "http://tend"+path, r)
	if err != nil {
		d.t.Fatal(err)
	}
	res, err := d.Do(req)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res.StatusCode, string(b)
}

// events are the lines of a stream, of which the last is EventDone.
func (d *daemon) events(path string, body any) []api.Event {
	d.t.Helper()
	status, text := d.call("POST", path, body)
	if status != http.StatusOK {
		d.t.Fatalf("%s: status %d: %s", path, status, text)
	}
	var all []api.Event
	for line := range strings.Lines(text) {
		var ev api.Event
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			d.t.Fatalf("%s: %q: %v", path, line, err)
		}
		all = append(all, ev)
	}
	if len(all) == 0 || all[len(all)-1].Kind != api.EventDone {
		d.t.Fatalf("%s: the last event is not done: %s", path, text)
	}
	return all
}

func (d *daemon) list(query string) []api.Instance {
	d.t.Helper()
	status, text := d.call("GET", "/v1/instances"+query, nil)
	var list api.List
	if err := json.Unmarshal([]byte(text), &list); status != http.StatusOK || err != nil {
		d.t.Fatalf("list: status %d, %v: %s", status, err, text)
	}
	return list.Instances
}

func (d *daemon) refused(status int, kind errs.Kind, method, path string, body any) {
	d.t.Helper()
	got, text := d.call(method, path, body)
	var e api.Error
	if err := json.Unmarshal([]byte(text), &e); got != status || err != nil || e.Kind != string(kind) {
		d.t.Errorf("%s %s: status %d, %.300s; want %d and kind %s", method, path, got, text, status, kind)
	}
}

// told notes what the init system is told, and how many instances there were.
func (d *daemon) told(what string) {
	n := len(d.s.View().Rows)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tellings = append(d.tellings, fmt.Sprintf("%s with %d", what, n))
}
