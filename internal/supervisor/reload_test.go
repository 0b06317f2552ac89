package supervisor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/keeper/wire"
	"tend/internal/nodeipc"
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
