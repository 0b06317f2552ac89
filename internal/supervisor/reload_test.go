package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
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

// cluster makes an app one of workers.
func cluster(s *api.Spec) {
	s.Mode, s.Interpreter, s.DrainTimeout = api.Cluster, "/usr/bin/node", 5000
}

// silent are processes that say nothing, and talking such as say these things.
func silent(string) []word { return nil }

func talking(words ...word) func(string) []word { return func(string) []word { return words } }

// keys are the keys of the instances in the view, by id.
func (w *world) keysOf() map[int]string {
	keys := map[int]string{}
	for _, row := range w.View().Rows {
		keys[row.ID] = row.Key
	}
	return keys
}

// reload reloads the targets, and tells what it was told.
func (w *world) reload(change func(*api.ActRequest), targets ...string) ([]api.Event, error) {
	req := api.ActRequest{Act: api.ActReload, Targets: targets}
	if change != nil {
		change(&req)
	}
	var got told
	err := w.Act(w.t.Context(), req, got.tell)
	return got.events, err
}

// alone checks that each instance is one process that the view shows, and that
// nothing is left of another.
func (w *world) alone() {
	w.t.Helper()
	synctest.Wait()
	live, online := w.k.alive(), 0
	for _, row := range w.View().Rows {
		if row.State == api.Online {
			online++
			if !w.k.has(row.Key) {
				w.t.Errorf("%s %d is online, and its process is gone", row.Name, row.ID)
			}
		}
	}
	if live != online || len(w.serial) != len(w.list) || len(w.keys) > len(w.list) {
		w.t.Errorf("%d processes for %d online instances of %d; known are %d serials and %d keys", live, online, len(w.list), len(w.serial), len(w.keys))
	}
	if n := w.k.unread(); n != 0 {
		w.t.Errorf("%d exits were not acknowledged", n)
	}
}

func TestAWorkerIsToldWhatItIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", cluster, instances(2)), spec("b", cluster, func(s *api.Spec) { s.DrainTimeout = 0 }), spec("c"))
		numbers := map[string]bool{}
		for _, m := range w.k.asks() {
			id, fd, worker := variable(m.Spawn, "pm_id"), variable(m.Spawn, "NODE_CHANNEL_FD"), variable(m.Spawn, "NODE_UNIQUE_ID")
			preloaded := slices.Contains(m.Argv, "--require=/preload")
			if id == "3" {
				if fd != "" || worker != "" || len(m.Slots) != 3 || m.Slots[0] != wire.SlotInput {
					t.Errorf("a program in fork mode is told of channel %q, worker %q, and has %v", fd, worker, m.Slots)
				}
				continue
			}
			if fd != "3" || worker == "" || numbers[worker] || m.Slots[3] != wire.SlotChannel || preloaded != (variable(m.Spawn, "name") == "a") {
				t.Errorf("instance %s: channel %q, worker %q, slots %v, %v", id, fd, worker, m.Slots, m.Argv)
			}
			numbers[worker] = true
			ch := w.k.channels.open[m.Key]
			want := nodeipc.Channel{
				Key: m.Key, FD: w.k.held[m.Key+"/3"], Group: variable(m.Spawn, "name"), Slot: ch.Slot, Balance: api.RoundRobin,
				Source: nodeipc.Source{ID: ch.Source.ID, Name: ch.Group, Namespace: "default"}, Preloaded: preloaded,
			}
			if diff := cmp.Diff(want, ch); diff != "" || fmt.Sprint(ch.Source.ID) != id || ch.Slot != w.row(ch.Source.ID).Index {
				t.Errorf("channel (-want +got):\n%s", diff)
			}
		}
		if mode := w.row(0).Mode; mode != api.Cluster {
			t.Errorf("it is said to run in %s mode", mode)
		}
		first := variable(w.k.asks()[0].Spawn, "NODE_UNIQUE_ID")
		w.k.exit(w.row(0).Key, code(1))
		synctest.Wait()
		if again := variable(w.k.last().Spawn, "NODE_UNIQUE_ID"); numbers[again] || again == first {
			t.Errorf("worker %s comes twice", again)
		}
	})
}

func TestReload(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.boots(talking(word{10 * time.Millisecond, nodeipc.Online}, word{time.Second, nodeipc.Listening}))
		w.k.channels.drain = func(key string, limit time.Duration) {
			if limit != 5*time.Second {
				t.Errorf("drained for %v", limit)
			}
			time.AfterFunc(2*time.Second, func() { w.k.channels.finished(key) })
		}
		w.start(spec("a", cluster, instances(2)))
		time.Sleep(time.Minute)
		old, rows := w.keysOf(), []*Row{w.row(0), w.row(1)}
		w.n.take()
		w.k.channels.done()
		began := time.Now()
		events, err := w.reload(nil, "a")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("it took %v; want a second to boot and two to finish, both at once", took)
		}
		slices.SortStableFunc(events[1:], func(a, b api.Event) int { return a.ID - b.ID })
		if diff := cmp.Diff([]api.Event{
			{Kind: api.EventTarget, Act: api.ActReload, Target: "a", IDs: []int{0, 1}},
			{Kind: api.EventInstance, Act: api.ActReload, Name: "a", ID: 0, OK: true},
			{Kind: api.EventInstance, Act: api.ActReload, Name: "a", ID: 1, OK: true},
		}, events); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		w.alone()
		for id, was := range rows {
			row := w.row(id)
			if row.Key == old[id] || row.Index != was.Index || row.OutFile != was.OutFile || row.Restarts != 1 || row.State != api.Online ||
				row.CreatedAt <= was.CreatedAt || row.Reason != "" {
				t.Errorf("in the view: %+v", row)
			}
			if pid, err := os.ReadFile(row.PidFile); string(pid) != fmt.Sprint(row.PID) {
				t.Errorf("the pid file holds %q, %v, want %d", pid, err, row.PID)
			}
			if v := variable(w.k.asks()[2+id].Spawn, "NODE_APP_INSTANCE"); v != fmt.Sprint(id) {
				t.Errorf("the new process is instance %s of the app", v)
			}
		}
		did := w.k.channels.done()
		for _, key := range old {
			if !slices.Contains(did, "drain "+key) {
				t.Errorf("done: %v, want %s drained", did, key)
			}
			if _, ok := w.k.Held(key + "/0"); ok || !w.k.channels.forgotten[key] {
				t.Errorf("what %s was spoken to through stays", key)
			}
		}
		got := w.n.take()
		slices.Sort(got)
		want := []string{
			`0 {"event":"exit"}`, `0 {"event":"online"}`, `0 {"event":"reload"}`,
			`1 {"event":"exit"}`, `1 {"event":"online"}`, `1 {"event":"reload"}`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("noticed (-want +got):\n%s", diff)
		}
		// And its life goes on as any.
		w.k.exit(w.row(0).Key, code(1))
		synctest.Wait()
		if row := w.row(0); row.State != api.Online || row.Restarts != 2 {
			t.Errorf("after an exit it is %s with %d restarts", row.State, row.Restarts)
		}
	})
}

// While a reload is under way the old process serves and is what people see.
func TestTheOldProcessServesUntilTheNewOneIsReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.boots(talking(word{time.Second, nodeipc.Listening}))
		w.start(spec("a", cluster))
		time.Sleep(time.Minute)
		old := w.row(0)
		w.k.channels.done()
		go func() { _, _ = w.reload(nil, "a") }()
		time.Sleep(900 * time.Millisecond)
		if row := w.row(0); row.Key != old.Key || row.State != api.Online || len(w.k.sent()) != 0 || w.k.channels.done() != nil {
			t.Errorf("while the new one boots: %+v, sent %v", row, w.k.sent())
		}
		if pid, _ := os.ReadFile(old.PidFile); string(pid) != fmt.Sprint(old.PID) {
			t.Errorf("the pid file holds %s", pid)
		}
		if len(w.View().Rows) != 1 || len(w.k.asks()) != 2 {
			t.Errorf("%d rows, %d launches", len(w.View().Rows), len(w.k.asks()))
		}
		time.Sleep(time.Minute)
		if w.row(0).Key == old.Key {
			t.Error("the new one never took over")
		}
		w.alone()
	})
}

// What makes a successor ready, and what does not.
func TestReadinessOfASuccessor(t *testing.T) {
	const s = time.Second
	for name, test := range map[string]struct {
		change func(*api.Spec)
		old    []word
		words  []word
		after  time.Duration // 0: it is never ready
	}{
		"it listens, as the old one":           {nil, []word{{0, nodeipc.Listening}}, []word{{1 * s, nodeipc.Online}, {2 * s, nodeipc.Listening}}, 2 * s},
		"it comes up, and the old one listens": {nil, []word{{0, nodeipc.Listening}}, []word{{1 * s, nodeipc.Online}}, 0},
		"it comes up, as the old one":          {nil, []word{{0, nodeipc.Online}}, []word{{1 * s, nodeipc.Online}}, 1 * s},
		"its word counts under wait_ready": {
			func(s *api.Spec) { s.WaitReady = true },
			[]word{{0, nodeipc.Ready}},
			[]word{{0, nodeipc.Online}, {1 * s, nodeipc.Listening}, {2 * s, nodeipc.Ready}},
			2 * s,
		},
		"and nothing but its word": {
			func(s *api.Spec) { s.WaitReady = true },
			[]word{{0, nodeipc.Ready}},
			[]word{{0, nodeipc.Online}, {1 * s, nodeipc.Listening}},
			0,
		},
		"ready without wait_ready is only a message": {
			nil, []word{{0, nodeipc.Listening}}, []word{{1 * s, nodeipc.Ready}, {2 * s, nodeipc.Listening}}, 2 * s,
		},
		"too late": {nil, []word{{0, nodeipc.Listening}}, []word{{3*s + 1, nodeipc.Listening}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.k.boots(talking(test.old...))
				app := spec("a", cluster)
				if test.change != nil {
					test.change(&app)
				}
				w.start(app)
				time.Sleep(time.Minute)
				old := w.row(0).Key
				w.k.boots(talking(test.words...))
				began := time.Now()
				_, err := w.reload(nil, "a")
				took := time.Since(began)
				if test.after != 0 {
					if err != nil || took < test.after || took > test.after+s || w.row(0).Key == old {
						t.Errorf("%v after %v", err, took)
					}
				} else {
					wantKind(t, err, errs.Crashed, "it was not ready within 3s")
					if w.row(0).Key != old || !strings.Contains(w.row(0).Reason, "reload failed: it was not ready within 3s") {
						t.Errorf("in the view %+v", w.row(0))
					}
				}
				w.alone()
			})
		})
	}
}

func TestAReloadThatFailsTouchesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", cluster, instances(4)))
		time.Sleep(time.Minute)
		old := w.keysOf()
		w.k.boots(silent)
		dying(w.k, 50*time.Millisecond, 3)
		w.k.channels.done()
		if err := os.WriteFile(w.row(0).ErrFile, []byte("no such module\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		events, err := w.reload(func(r *api.ActRequest) { r.Parallel = 1 }, "a")
		wantKind(t, err, errs.Crashed, "a (0): the new process ended before it was ready (exit code 3)")
		if len(events) != 3 || events[1].Error == nil || events[1].ID != 0 || events[1].Error.Hint == "" ||
			events[2].Kind != api.EventWarning || !strings.Contains(events[2].Message, "3 instances") {
			t.Errorf("told %+v", events)
		} else if diff := cmp.Diff([]string{"no such module"}, events[1].Error.Lines); diff != "" {
			t.Errorf("last lines (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(old, w.keysOf()); diff != "" || w.k.channels.done() != nil || len(w.k.sent()) != 0 || len(w.k.asks()) != 5 {
			t.Errorf("something was touched: sent %v, %d launches (-want +got):\n%s", w.k.sent(), len(w.k.asks()), diff)
		}
		w.alone()
		if row := w.row(0); !strings.Contains(row.Reason, "reload failed: the new process ended") || row.Restarts != 0 {
			t.Errorf("in the view %+v", row)
		}
		if w.row(1).Reason != "" {
			t.Errorf("of another: %q", w.row(1).Reason)
		}
		// The next that goes well takes the note away.
		w.k.channels.boot, w.k.answer = nil, nil
		if _, err := w.reload(nil, "a"); err != nil || w.row(0).Reason != "" {
			t.Errorf("%v, because %q", err, w.row(0).Reason)
		}
		w.alone()
	})
}

func TestASuccessorThatCannotBeStarted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", cluster))
		old := w.row(0).Key
		w.k.answer = func(_ wire.Spawn, done func(wire.Child, error)) { done(wire.Child{}, syscall.EAGAIN) }
		_, err := w.reload(nil, "a")
		wantKind(t, err, errs.Crashed, "resource temporarily unavailable")
		if w.row(0).Key != old {
			t.Error("the old one is gone")
		}
		w.k.answer = nil
		w.alone()
		w.act(api.ActRestart, "a")
		if row := w.row(0); row.Reason != "" {
			t.Errorf("after a restart: %q", row.Reason)
		}
	})
}

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

func TestAReloadOfForkMode(t *testing.T) {
	for name, test := range map[string]struct {
		parallel int
		most     int
		note     string
	}{
		"one after the other":  {0, 1, "its reload is a restart, one instance after the other"},
		"as many as asked for": {3, 3, "its reload is a restart"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.start(spec("a", instances(3)))
				slow := slowly(w.k, time.Second, 0)
				events, err := w.reload(func(r *api.ActRequest) { r.Parallel = test.parallel }, "a")
				if err != nil || slow.most != test.most {
					t.Errorf("%v, %d at once, want %d", err, slow.most, test.most)
				}
				if len(events) != 5 || events[1].Kind != api.EventNote || !strings.HasSuffix(events[1].Message, test.note) {
					t.Errorf("told %+v", events)
				}
				w.alone()
			})
		})
	}
}

func TestAReloadOfWhatDoesNotRunStartsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", cluster))
		w.act(api.ActStop, "a")
		if _, err := w.reload(nil, "a"); err != nil || w.row(0).State != api.Online {
			t.Errorf("%v, it is %s", err, w.row(0).State)
		}
		w.alone()
	})
}

func TestAReloadTakesTheNewSpec(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", cluster))
		old := w.row(0).Key
		again := spec("a", cluster, func(s *api.Spec) { s.Args = []string{"new"} })
		var got told
		req := api.StartRequest{Apps: []api.Spec{again, spec("b")}, Inherited: map[string]string{"LANG": "de"}, Reload: true}
		if err := w.Start(t.Context(), req, got.tell); err != nil {
			t.Fatal(err)
		}
		if row := w.row(0); row.Key == old || w.row(1).State != api.Online || w.table[0].rec.Spec.Args[0] != "new" || w.table[0].rec.Inherited.Vars["LANG"] != "de" {
			t.Errorf("in the view %+v", row)
		}
		w.alone()
		// One that fails leaves the old one with what it had.
		w.k.boots(silent)
		req.Apps = []api.Spec{spec("a", cluster, func(s *api.Spec) { s.Args = []string{"newer"} })}
		wantKind(t, w.Start(t.Context(), req, nobody), errs.Crashed, "not ready")
		if args := w.table[0].rec.Spec.Args; args[0] != "new" {
			t.Errorf("the old one has %v now", args)
		}
		// And one that is to be no worker any more cannot stand beside it.
		w.k.boots(nil)
		req.Apps = []api.Spec{spec("a")}
		w.k.channels.done()
		if err := w.Start(t.Context(), req, nobody); err != nil || w.row(0).Mode != api.Fork {
			t.Errorf("%v, in %s mode", err, w.row(0).Mode)
		}
		if did := w.k.channels.done(); !slices.Contains(did, "release a") {
			t.Errorf("done %v, want its sockets released", did)
		}
		w.alone()
	})
}

func TestTheOldProcessEndsAsItIsAsked(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(*api.Spec)
		send    error
		did     []string
		said    int
		signals []syscall.Signal
	}{
		"by a signal, when it has finished": {
			func(*api.Spec) {}, nil, []string{"drain", "retire"}, 0, []syscall.Signal{syscall.SIGINT},
		},
		"at once, without drain_timeout": {
			func(s *api.Spec) { s.DrainTimeout = 0 }, nil, []string{"retire"}, 0, []syscall.Signal{syscall.SIGINT},
		},
		"by a message, and killed when it does not heed": {
			func(s *api.Spec) { s.ShutdownMessage = true }, nil, []string{"drain", "retire"}, 1, []syscall.Signal{syscall.SIGKILL},
		},
		"by a signal where the message does not go through": {
			func(s *api.Spec) { s.ShutdownMessage = true }, syscall.EPIPE, []string{"drain", "retire"}, 1, []syscall.Signal{syscall.SIGINT},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.start(spec("a", cluster, test.change))
				key := w.row(0).Key
				w.k.channels.send = func(context.Context, string, []byte) error { return test.send }
				w.k.channels.done()
				if _, err := w.reload(nil, "a"); err != nil {
					t.Fatal(err)
				}
				var want []string
				for _, verb := range test.did {
					want = append(want, verb+" "+key)
				}
				if diff := cmp.Diff(want, w.k.channels.done()); diff != "" {
					t.Errorf("done (-want +got):\n%s", diff)
				}
				if said := w.k.channels.said(); len(said) != test.said || test.said > 0 && said[0] != key+` "shutdown"` {
					t.Errorf("said %q", said)
				}
				var signals []syscall.Signal
				for _, s := range w.k.sent() {
					signals = append(signals, s.sig)
				}
				if diff := cmp.Diff(test.signals, signals); diff != "" {
					t.Errorf("signals (-want +got):\n%s", diff)
				}
				w.alone()
			})
		})
	}
}

func TestWorkersFinishBeforeTheyAreScaledAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		channels := w.k.channels
		channels.drain = func(key string, _ time.Duration) {
			time.AfterFunc(3*time.Second, func() { channels.finished(key) })
		}
		w.start(spec("a", cluster, instances(3)))
		began, first := time.Now(), w
		go func() { _ = first.Scale(t.Context(), api.ScaleRequest{Name: "a", Count: 1}, nobody) }()
		time.Sleep(time.Second)
		if n := len(w.k.sent()); n != 0 || w.row(0).State != api.Stopping || w.row(2).State != api.Online {
			t.Errorf("%d signals before they have finished; %v", n, w.states())
		}
		w.close() // and the next daemon does not forget
		w = openWorld(t, w.home, w.k, w.k.inventory())
		time.Sleep(5 * time.Second)
		if diff := cmp.Diff(map[int]string{2: "a/2 online"}, w.states()); diff != "" || time.Since(began) > 7*time.Second {
			t.Errorf("after %v (-want +got):\n%s", time.Since(began), diff)
		}
		w.alone()
		w.k.channels.done()
		w.act(api.ActDelete, "a")
		if did := w.k.channels.done(); len(did) != 2 || did[1] != "release a" {
			t.Errorf("done at a delete: %v", did)
		}
	})
}

func TestSocketsAreReleasedWithTheLastWorker(t *testing.T) {
	released := func(w *world) bool { return slices.Contains(w.k.channels.done(), "release a") }
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", cluster, instances(2), func(s *api.Spec) { s.RestartDelay = 5000 }))
		w.act(api.ActRestart, "a")
		w.k.exit(w.row(1).Key, code(1))
		synctest.Wait()
		w.act(api.ActStop, "0")
		if released(w) {
			t.Error("released, and one is about to run")
		}
		w.act(api.ActStop, "1")
		if !released(w) {
			t.Error("not released, and none runs")
		}
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
