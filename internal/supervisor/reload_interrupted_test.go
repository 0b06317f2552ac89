package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/keeper/wire"
	"tend/internal/lifecycle"
	"tend/internal/nodeipc"
	"tend/internal/store"
)

func TestASecondReload(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", cluster))
		time.Sleep(time.Minute)
		w.k.boots(talking(word{2 * time.Second, nodeipc.Listening}))
		first := make(chan error, 1)
		go func() { _, err := w.reload(nil, "a"); first <- err }()
		time.Sleep(time.Second)
		events, err := w.reload(nil, "a")
		wantKind(t, err, errs.Exists, "under way")
		if len(events) != 2 || !strings.Contains(events[1].Error.Hint, "--force") {
			t.Errorf("told %+v", events)
		}
		_, err = w.reload(func(r *api.ActRequest) { r.Force = true }, "a")
		if err != nil {
			t.Errorf("by force: %v", err)
		}
		wantKind(t, <-first, errs.Crashed, "another reload was forced")
		if row := w.row(0); row.Reason != "" || row.Key != w.k.last().Key || len(w.k.asks()) != 3 {
			t.Errorf("in the view %+v after %d launches", row, len(w.k.asks()))
		}
		w.alone()
	})
}

// By force also while the old process finishes: it is left to, and so is the
// one that follows it.
func TestAReloadByForceWhileTheOldProcessFinishes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.channels.drain = func(key string, _ time.Duration) {
			time.AfterFunc(3*time.Second, func() { w.k.channels.finished(key) })
		}
		w.start(spec("a", cluster))
		first := make(chan error, 1)
		go func() { _, err := w.reload(nil, "a"); first <- err }()
		time.Sleep(time.Second)
		if _, err := w.reload(func(r *api.ActRequest) { r.Force = true }, "a"); err != nil {
			t.Error(err)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		if n := len(w.k.asks()); n != 3 || w.row(0).Restarts != 2 {
			t.Errorf("%d launches, %d restarts", n, w.row(0).Restarts)
		}
		w.alone()
	})
}

// Whatever is ordered in the middle of a reload, no process is left behind, and
// both are answered.
func TestOrdersInTheMiddleOfAReload(t *testing.T) {
	boots := func(w *world) { w.k.boots(silent) }
	finishes := func(w *world) { w.k.channels.drain = func(string, time.Duration) {} }
	for name, test := range map[string]struct {
		set   func(w *world)
		order func(w *world) error
		state api.State
		err   string // of the reload
	}{
		"stop while it boots":       {boots, func(w *world) error { w.act(api.ActStop, "a"); return nil }, api.Stopped, "it was stopped"},
		"restart while it boots":    {boots, func(w *world) error { w.act(api.ActRestart, "a"); return nil }, api.Online, "it was restarted"},
		"delete while it boots":     {boots, func(w *world) error { w.act(api.ActDelete, "a"); return nil }, "", "it was stopped"},
		"kill while it boots":       {boots, func(w *world) error { return w.Kill(w.t.Context(), nobody) }, "", "it was stopped"},
		"stop while it finishes":    {finishes, func(w *world) error { w.act(api.ActStop, "a"); return nil }, api.Stopped, ""},
		"restart while it finishes": {finishes, func(w *world) error { w.act(api.ActRestart, "a"); return nil }, api.Online, ""},
		"delete while it finishes":  {finishes, func(w *world) error { w.act(api.ActDelete, "a"); return nil }, "", ""},
		"kill while it finishes":    {finishes, func(w *world) error { return w.Kill(w.t.Context(), nobody) }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.start(spec("a", cluster, func(s *api.Spec) { s.ListenTimeout = 60_000 }))
				test.set(w)
				// They are slow to end, and the hidden one slower.
				var n atomic.Int64
				w.k.hear = func(p fakeProc, sig syscall.Signal) {
					if sig == syscall.SIGKILL {
						w.k.exit(p.Key, uint32(sig))
						return
					}
					time.AfterFunc(time.Second/time.Duration(n.Add(1)), func() { w.k.exit(p.Key, uint32(sig)) })
				}
				reload := make(chan error, 1)
				go func() { _, err := w.reload(nil, "a"); reload <- err }()
				time.Sleep(time.Second)
				if n := w.k.alive(); n != 2 {
					t.Fatalf("%d processes in the middle of it", n)
				}
				if err := test.order(w); err != nil {
					t.Errorf("the order: %v", err)
				}
				if test.state != api.Online {
					if live := w.k.running(); len(live) != 0 {
						t.Errorf("it is answered, and %v run", live)
					}
				}
				if err := <-reload; test.err == "" && err != nil {
					t.Errorf("the reload: %v", err)
				} else if test.err != "" {
					wantKind(t, err, errs.Crashed, test.err)
				}
				time.Sleep(time.Minute)
				if test.state == "" {
					if len(w.View().Rows) != 0 {
						t.Errorf("in the list: %v", w.states())
					}
				} else if row := w.row(0); row.State != test.state || row.Reason != "" {
					t.Errorf("it is %s because %q", row.State, row.Reason)
				}
				w.alone()
			})
		})
	}
}

func TestShutdownInTheMiddleOfAReload(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", cluster, func(s *api.Spec) { s.ListenTimeout = 60_000 }))
		w.k.boots(silent)
		go func() { _, _ = w.reload(nil, "a") }()
		time.Sleep(time.Second)
		w.k.frozen = true
		w.Shutdown(t.Context())
		if n := w.k.running(); len(n) != 0 {
			t.Errorf("%v run", n)
		}
		w.close()
		w.k.frozen, w.k.channels.boot = false, nil
		next := openWorld(t, w.home, w.k, w.k.inventory())
		synctest.Wait()
		if diff := cmp.Diff(map[int]string{0: "a/0 online"}, next.states()); diff != "" {
			t.Errorf("after the next start (-want +got):\n%s", diff)
		}
		next.alone()
	})
}

// reloadsThatDie are the ways in which a reload may go.
var reloadsThatDie = map[string]struct {
	boot  func(key string) []word
	crash bool
	over  bool // it has to take over, when the daemon lives
}{
	"that goes well": {
		talking(word{10 * time.Millisecond, nodeipc.Online}, word{20 * time.Millisecond, nodeipc.Listening}), false, true,
	},
	"that is never ready":       {talking(word{10 * time.Millisecond, nodeipc.Online}), false, false},
	"whose new process crashes": {silent, true, false},
}

// TestAReloadSurvivesAnyDeath kills the daemon before each thing that it does
// to the world in a reload, with every length of the journal that may be there
// then, and sees that the next one ends with one process.
func TestAReloadSurvivesAnyDeath(t *testing.T) {
	for name, test := range reloadsThatDie {
		t.Run(name, func(t *testing.T) {
			for dieAt := 1; ; dieAt++ {
				lived := false
				for cut := 0; ; cut++ {
					more := false
					ok := t.Run(fmt.Sprintf("before %d, %d lines lost", dieAt, cut), func(t *testing.T) {
						bubble(t, func(t *testing.T) { lived, more = dies(t, test.boot, test.crash, test.over, dieAt, cut) })
					})
					if !ok {
						return
					}
					if !more {
						break
					}
				}
				if lived {
					if dieAt < 6 {
						t.Errorf("a reload did no more than %d things", dieAt)
					}
					return
				}
			}
		})
	}
}

// dies is one such death. It tells whether the daemon lived through the reload,
// and whether more of the journal may have been lost.
func dies(t *testing.T, boot func(string) []word, crash, over bool, dieAt, cut int) (lived, more bool) {
	w := newWorld(t)
	w.start(spec("a", cluster))
	time.Sleep(time.Minute)
	old := w.row(0).Key
	w.k.boots(boot)
	if crash {
		dying(w.k, 50*time.Millisecond, 3)
	}
	w.k.mu.Lock()
	w.k.effects, w.k.dieAt = 0, dieAt
	fi, err := os.Stat(w.home.Journal())
	if err != nil {
		t.Fatal(err)
	}
	w.k.written = fi.Size()
	w.k.mu.Unlock()
	var reported atomic.Bool
	go func() {
		_, err := w.reload(nil, "a")
		reported.Store(err == nil)
	}()
	time.Sleep(20 * time.Second)
	w.k.mu.Lock()
	lived, w.k.dieAt = !w.k.dead, 0
	written := w.k.written
	w.k.mu.Unlock()
	w.close()
	if !lived {
		text, err := os.ReadFile(w.home.Journal())
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.SplitAfter(text[written:], []byte("\n"))
		kept := max(0, len(lines)-1-cut) // the last is empty
		more = kept > 0
		text = append(text[:written:written], bytes.Join(lines[:kept], nil)...)
		if err := os.WriteFile(w.home.Journal(), text, 0o600); err != nil {
			t.Fatal(err)
		}
		reported.Store(false) // nobody heard
	}
	w.k.answer = nil
	next := openWorld(t, w.home, w.k, w.k.inventory())
	time.Sleep(20 * time.Second)
	next.alone()
	row := next.row(0)
	if row.State != api.Online || len(next.View().Rows) != 1 {
		t.Errorf("in the list: %v", next.states())
	}
	switch taken := row.Key != old; {
	case lived && taken != over, taken && !over, reported.Load() && !taken:
		t.Errorf("taken over: %v, the daemon lived: %v, it said so: %v", taken, lived, reported.Load())
	case lived && !over && row.Reason == "":
		t.Error("nobody is told why it failed")
	}
	roles := map[store.Role]int{}
	for _, in := range next.serial {
		roles[in.rec.Role]++
	}
	if diff := cmp.Diff(map[store.Role]int{store.Current: 1}, roles); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	if pid, err := os.ReadFile(row.PidFile); string(pid) != fmt.Sprint(row.PID) {
		t.Errorf("the pid file holds %q, %v, want %d", pid, err, row.PID)
	}
	next.act(api.ActDelete, "a")
	if n := next.k.running(); len(n) != 0 {
		t.Errorf("left behind: %v", n)
	}
	return lived, more
}

// TestAdoptionOfAReload is what a daemon makes of what another left.
func TestAdoptionOfAReload(t *testing.T) {
	role := func(state lifecycle.State, role store.Role, key string, change ...func(*store.Record)) store.Record {
		r := record(state, change...)
		r.Spec.Mode, r.Spec.Interpreter, r.Spec.DrainTimeout = api.Cluster, "/usr/bin/node", 5000
		r.Role, r.Key, r.Worker = role, key, 100
		return r
	}
	const online = lifecycle.Online
	for name, test := range map[string]struct {
		records []store.Record
		live    []string
		key     string // that has the place in the end; "": a new one
		quiet   bool   // what was said was heard by the daemon that died
	}{
		"the new one was about to take over": {
			[]store.Record{role(online, store.Current, "old"), role(online, store.Successor, "new")}, []string{"old", "new"}, "new", false,
		},
		"the new one was taking over": {
			[]store.Record{role(online, store.Retired, "old"), role(online, store.Successor, "new")}, []string{"old", "new"}, "new", false,
		},
		"the old one was finishing": {
			[]store.Record{role(online, store.Retired, "old"), role(online, store.Current, "new")}, []string{"old", "new"}, "new", false,
		},
		"the old one ended meanwhile": {
			[]store.Record{role(online, store.Retired, "old"), role(online, store.Current, "new")}, []string{"new"}, "new", false,
		},
		"the new one ended meanwhile": {
			[]store.Record{role(online, store.Current, "old"), role(lifecycle.Launching, store.Successor, "new")}, []string{"old"}, "old", false,
		},
		"the new one boots": {
			[]store.Record{role(online, store.Current, "old"), role(lifecycle.Launching, store.Successor, "new")}, []string{"old", "new"}, "new", false,
		},
		"the new one alone, not ready": {
			[]store.Record{role(lifecycle.Launching, store.Successor, "new")}, []string{"new"}, "new", false,
		},
		"both ended when the old one had lost its place": {
			[]store.Record{role(online, store.Retired, "old"), role(online, store.Current, "new")}, nil, "", false,
		},
		"the new one listens, and nobody will say so again": {
			[]store.Record{role(online, store.Current, "old"), role(lifecycle.Launching, store.Successor, "new")}, []string{"old", "new"}, "new", true,
		},
		"two claim one place": {
			[]store.Record{role(online, store.Current, "one"), role(online, store.Current, "two")}, []string{"one", "two"}, "one", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				k := newKeeper(t)
				for i, key := range test.live {
					k.live[key] = fakeProc{Child: wire.Child{Key: key, PID: firstPid + 100 + i, Start: 7}, id: "4", name: "a"}
					k.held[key+"/3"] = 1000 + i
					k.channels.start(key)
				}
				synctest.Wait()
				if test.quiet {
					clear(k.channels.unheard)
				}
				w := openWorld(t, past(t, test.records...), k, k.inventory())
				time.Sleep(time.Minute)
				row := w.row(4)
				if row.State != api.Online || test.key != "" && row.Key != test.key || test.key == "" && (row.Key == "old" || row.Key == "new") {
					t.Errorf("in the view %+v", row)
				}
				w.alone()
			})
		})
	}
}
