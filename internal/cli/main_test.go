package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
	"tend/internal/home"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// golden compares got with the file of that name in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, string(want)); diff != "" {
		t.Errorf("%s differs (-got +want); run with -update if it is right:\n%s", path, diff)
	}
}

// fakeDaemon speaks the daemon's API from memory.
type fakeDaemon struct {
	instances []api.Instance
	events    []api.Event // of every stream, before its end
	failure   *api.Error  // of every stream
	saved     int
	cut       bool // streams end without an end
	pong      api.Pong
	lingers   int                   // how many pings the old daemon still answers after an update
	refuse    map[string]*api.Error // by path
	settings  api.Settings
	host      *api.Host // nil: it knows nothing of it

	notices   []api.Notice  // of the stream of events, once something was triggered
	quiet     bool          // that stream goes on after them, in silence
	triggered chan struct{} // closed by the first trigger

	mu       sync.Mutex
	updated  bool
	requests []string // POSTs: path and body
}

// chosen are the instances that the targets of a query name.
func (d *fakeDaemon) chosen(q url.Values) ([]api.Instance, error) {
	if len(q["target"]) == 0 {
		return d.instances, nil
	}
	var places []app.Place
	for _, in := range d.instances {
		places = append(places, app.Place{ID: in.ID, Name: in.Name, Namespace: in.Namespace, Script: in.Script})
	}
	var out []api.Instance
	for _, t := range q["target"] {
		ids, err := app.Select(t, q.Get("cwd"), places)
		if err != nil {
			return nil, err
		}
		for _, in := range d.instances {
			if slices.Contains(ids, in.ID) {
				out = append(out, in)
			}
		}
	}
	return out, nil
}

func (d *fakeDaemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/events" {
		d.notify(w, r)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	if r.Method == http.MethodPost {
		d.requests = append(d.requests, path+" "+string(body))
	}
	enc := json.NewEncoder(w)
	if e := d.refuse[path]; e != nil {
		w.WriteHeader(http.StatusBadRequest)
		_ = enc.Encode(e)
		return
	}
	switch path {
	case "ping":
		pong := d.pong
		if d.updated && d.lingers > 0 {
			d.lingers--
		} else if d.updated {
			pong.PID++
		}
		_ = enc.Encode(pong)
	case "instances":
		if r.Method == http.MethodPost {
			d.stream(enc)
			return
		}
		list := api.List{Instances: []api.Instance{}}
		chosen, err := d.chosen(r.URL.Query())
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			_ = enc.Encode(errs.Wire(err))
			return
		}
		for _, in := range chosen {
			if r.URL.Query().Get("detail") == "" {
				in.Detail = nil
			}
			list.Instances = append(list.Instances, in)
		}
		_ = enc.Encode(list)
	case "host":
		if d.host == nil {
			http.NotFound(w, r)
			return
		}
		_ = enc.Encode(d.host)
	case "save":
		_ = enc.Encode(api.SaveResponse{Path: "/h/dump.pm2", Saved: d.saved})
	case "update":
		_ = enc.Encode(d.pong)
		d.updated = true
	case "trigger":
		close(d.triggered)
		d.stream(enc)
	case "settings":
		_ = enc.Encode(d.settings)
	case "logs/flush", "logs/reload":
	default:
		d.stream(enc)
	}
}

func (d *fakeDaemon) notify(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.requests = append(d.requests, "events "+r.URL.RawQuery)
	d.mu.Unlock()
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-d.triggered:
	case <-r.Context().Done():
		return
	}
	enc := json.NewEncoder(w)
	for _, n := range d.notices {
		_ = enc.Encode(n)
	}
	_ = http.NewResponseController(w).Flush()
	if d.quiet {
		<-r.Context().Done()
	}
}

func (d *fakeDaemon) stream(enc *json.Encoder) {
	for _, ev := range d.events {
		_ = enc.Encode(ev)
	}
	if !d.cut {
		_ = enc.Encode(api.Event{Kind: api.EventDone, Error: d.failure})
	}
}

// result is what a command did.
type result struct {
	code           int
	stdout, stderr string
	requests       []string
}

// world is an Env in empty directories.
func world(t *testing.T) *Env {
	t.Helper()
	return &Env{
		Program: "tend", Version: "v1", Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard,
		Cwd: t.TempDir(), Environ: []string{"HOME=/home/demo", "PATH=/usr/bin:/bin", "NODE_ENV=production"},
		Home: home.Dir(t.TempDir()),
		Launch: func(context.Context) (bool, error) {
			t.Error("a daemon was launched")
			return false, nil
		},
	}
}

// serve lets d answer in the home of env.
func serve(t *testing.T, env *Env, d *fakeDaemon) {
	t.Helper()
	d.triggered = make(chan struct{})
	l, err := net.Listen("unix", env.Home.Socket())
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: d}}
	srv.Start()
	t.Cleanup(srv.Close)
}

// try runs a command line in env against d, which may be nil.
func try(t *testing.T, env *Env, d *fakeDaemon, args ...string) result {
	t.Helper()
	if d != nil {
		if d.pong.PID == 0 {
			d.pong = api.Pong{Version: "v1", PID: 100}
		}
		serve(t, env, d)
	}
	var stdout, stderr bytes.Buffer
	env.Stdout, env.Stderr = &stdout, &stderr
	r := result{code: Main(t.Context(), args, env)}
	r.stdout, r.stderr = stdout.String(), stderr.String()
	if d != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		r.requests = d.requests
	}
	return r
}

// instances are one of each state.
func instances() []api.Instance {
	const now = 1_700_000_000_000
	list := []api.Instance{
		{ID: 0, Name: "tick", State: api.Online, PID: 7414, StartedAt: now - 5_000, Memory: 21_810_380, Version: "", Mode: api.Fork},
		{ID: 1, Name: "api", Index: 0, State: api.Online, PID: 7420, StartedAt: now - 90*60_000, Memory: 55_155_000, CPU: 12.34, Version: "1.2.3", Mode: api.Cluster, Watching: true},
		{ID: 2, Name: "api", Index: 1, State: api.Launching, PID: 7421, Version: "1.2.3", Mode: api.Cluster},
		{ID: 3, Name: "worker-with-a-long-name", State: api.Waiting, Restarts: 3, Mode: api.Fork},
		{ID: 10, Name: "Größe-数据", Namespace: "a-long-namespace", State: api.Errored, Restarts: 15, Reason: "too many restarts", Mode: api.Fork},
		{ID: 11, Name: "off", State: api.Stopped, Mode: api.Fork},
	}
	for i := range list {
		in := &list[i]
		if in.Namespace == "" {
			in.Namespace = "default"
		}
		in.User, in.Script = "demo", "/srv/"+in.Name+".js"
		in.OutFile, in.ErrFile = fmt.Sprintf("/h/logs/%s-out.log", in.Name), fmt.Sprintf("/h/logs/%s-error.log", in.Name)
		in.PidFile = fmt.Sprintf("/h/pids/%s-%d.pid", in.Name, in.ID)
	}
	return list
}
