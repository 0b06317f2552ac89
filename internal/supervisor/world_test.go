package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
	"tend/internal/home"
	"tend/internal/keeper/remote"
	"tend/internal/logs/collect"
	"tend/internal/store"
	"tend/internal/sysinfo"
	"tend/internal/testkit"
)

// world is a supervisor with a journal on a disk, a keeper that only plays,
// and no process. In a synctest bubble it runs on the bubble's clock.
type world struct {
	*Supervisor

	t     *testing.T
	home  home.Dir
	k     *fakeKeeper
	c     *fakeCollector
	n     *fakeNotices
	f     *fakeFiles
	st    *store.Store
	log   *logbook
	close func() // as a daemon that is killed, but that it waits
}

// newHome is a home with nothing in it.
func newHome(t *testing.T) home.Dir {
	t.Helper()
	h := home.Dir(testkit.Home(t))
	if err := h.Make(); err != nil {
		t.Fatal(err)
	}
	return h
}

// newWorld begins with an empty list.
func newWorld(t *testing.T) *world {
	t.Helper()
	return openWorld(t, newHome(t), newKeeper(t), remote.Inventory{})
}

// openWorld begins with what the journal of the home knows and the keeper
// holds.
func openWorld(t *testing.T, h home.Dir, k *fakeKeeper, inv remote.Inventory) *world {
	t.Helper()
	book := &logbook{}
	log := slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), book), nil))
	st, records, err := store.Open(h.Journal(), log)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, home: h, k: k, c: &fakeCollector{}, n: &fakeNotices{}, f: &fakeFiles{}, st: st, log: book}
	scan := sysinfo.NewScanner()
	w.Supervisor, err = New(Options{
		Home: h, Keeper: k, Logs: w.c, Store: st, Scan: scan, Log: log, Channels: k.channels, Notices: w.n,
		Preload: func() string { return "/preload" }, Watch: w.f, Resident: k.resident, RunTime: k.runTime,
	}, records, inv)
	if err != nil {
		t.Fatal(err)
	}
	k.attach(w.Supervisor, st, h.Journal())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = scan.Run(ctx) })
	running.Go(func() {
		if err := w.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	w.close = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		st.Close()
	})
	t.Cleanup(w.close)
	<-w.Whole()
	return w
}

// logbook is what the daemon's log has.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// read is what was written since the last time, without the time and the pids.
func (b *logbook) read() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	for line := range strings.Lines(b.text.String()) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), " ") // time=...
		lines = append(lines, changing.ReplaceAllString(line, ""))
	}
	b.text.Reset()
	return lines
}

// changing is what differs from one run of a test to the next.
var changing = regexp.MustCompile(` (pid|old_pid|until)=\S+`)

// spec is a sound app of that name.
func spec(name string, change ...func(*api.Spec)) api.Spec {
	s := app.Default()
	s.Name, s.Script, s.Cwd, s.Username = name, "/opt/"+name, "/", "ann"
	for _, c := range change {
		c(&s)
	}
	return s
}

func instances(n int) func(*api.Spec) { return func(s *api.Spec) { s.Instances = n } }

// told gathers what a request tells.
type told struct {
	mu     sync.Mutex
	events []api.Event
}

func (e *told) tell(ev api.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, ev)
}

func nobody(api.Event) {}

// start starts apps, which must go well.
func (w *world) start(specs ...api.Spec) {
	w.t.Helper()
	if err := w.Start(w.t.Context(), api.StartRequest{Apps: specs, Inherited: map[string]string{"LANG": "C"}}, nobody); err != nil {
		w.t.Fatalf("start: %v", err)
	}
}

// act carries out an act, which must go well.
func (w *world) act(act string, targets ...string) {
	w.t.Helper()
	if err := w.Act(w.t.Context(), api.ActRequest{Act: act, Targets: targets}, nobody); err != nil {
		w.t.Fatalf("%s %v: %v", act, targets, err)
	}
}

// row is the instance of that id in the view.
func (w *world) row(id int) *Row {
	w.t.Helper()
	row := w.byID()[id]
	if row == nil {
		w.t.Fatalf("no instance %d in the view %v", id, w.states())
	}
	return row
}

// states are the instances in the view, as "name/index state".
func (w *world) states() map[int]string {
	out := map[int]string{}
	for _, row := range w.View().Rows {
		out[row.ID] = row.Name + "/" + string(rune('0'+row.Index)) + " " + string(row.State)
	}
	return out
}

func wantKind(t *testing.T, err error, kind errs.Kind, text string) {
	t.Helper()
	if errs.KindOf(err) != kind || err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v of kind %s, want %q of kind %s", err, errs.KindOf(err), text, kind)
	}
}

// journal reads what a supervisor has written, as it grows.
type journal struct {
	path string
	file os.FileInfo
	seen int64 // up to here
	keys map[string]store.Record
}

// read is the latest record of each key.
func (j *journal) read(t *testing.T) map[string]store.Record {
	t.Helper()
	f, err := os.Open(j.path)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		t.Error(err)
		return nil
	}
	if j.file == nil || !os.SameFile(fi, j.file) { // it was rewritten
		j.file, j.seen, j.keys = fi, 0, map[string]store.Record{}
	}
	text, err := io.ReadAll(io.NewSectionReader(f, j.seen, fi.Size()-j.seen))
	if err != nil {
		t.Error(err)
	}
	end := bytes.LastIndexByte(text, '\n') + 1
	j.seen += int64(end)
	for line := range bytes.Lines(text[:end]) {
		var e struct {
			Put *store.Record `json:"put"`
		}
		const checksum = 9 // and a space
		if err := json.Unmarshal(line[checksum:], &e); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if e.Put != nil && e.Put.Key != "" {
			j.keys[e.Put.Key] = *e.Put
		}
	}
	return j.keys
}

// fakeCollector writes nothing down but what it was asked.
type fakeCollector struct {
	mu      sync.Mutex
	streams []collect.Stream
	let     []string                   // streams that were discarded
	refuse  func(collect.Stream) error // nil: it takes all
}

func (c *fakeCollector) Add(s collect.Stream) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams = append(c.streams, s)
	if c.refuse != nil {
		return c.refuse(s)
	}
	return nil
}

func (c *fakeCollector) Discard(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.let = append(c.let, key)
}

func (c *fakeCollector) discarded() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.let)
}

func (c *fakeCollector) added() map[string]collect.Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := map[string]collect.Stream{}
	for _, s := range c.streams {
		m[s.Key] = s
	}
	return m
}
