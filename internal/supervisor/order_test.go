package supervisor

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/keeper/remote"
	"tend/internal/keeper/wire"
)

// bubble runs a test on a clock of its own: what sleeps takes no time, and
// time stands still while anybody works.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestBadRequestsChangeNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ctx := t.Context()
		wantKind(t, w.Start(ctx, api.StartRequest{}, nobody), errs.Invalid, "no app")
		wantKind(t, w.Start(ctx, api.StartRequest{Apps: []api.Spec{spec("good"), spec("all")}}, nobody), errs.Invalid, "reserved")
		wantKind(t, w.Act(ctx, api.ActRequest{Act: "dance", Targets: []string{"all"}}, nobody), errs.Invalid, "no such act")
		wantKind(t, w.Act(ctx, api.ActRequest{Act: api.ActStop}, nobody), errs.Invalid, "no target")
		wantKind(t, w.Act(ctx, api.ActRequest{Act: api.ActStop, Targets: []string{"all"}}, nobody), errs.NotFound, "no app is in the list")
		wantKind(t, w.Scale(ctx, api.ScaleRequest{Name: "a", Count: 2}, nobody), errs.NotFound, "a")
		if got := w.states(); len(got) != 0 || len(w.k.asks()) != 0 {
			t.Errorf("there is %v", got)
		}
	})
}

func TestAllTargetsAreTried(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.hear = func(p fakeProc, sig syscall.Signal) {
			if sig != syscall.SIGUSR2 {
				w.k.exit(p.Key, uint32(sig))
			}
		}
		w.start(spec("a"), spec("b"))
		for _, act := range []string{api.ActRestart, api.ActSignal, api.ActStop} {
			want := api.Online
			if act == api.ActStop {
				want = api.Stopped
			}
			var got told
			err := w.Act(t.Context(), api.ActRequest{Act: act, Targets: []string{"a", "zzz", "b"}, Signal: "USR2"}, got.tell)
			if !errors.Is(err, errParts) {
				t.Errorf("%s: %v, want the error that points above", act, err)
			}
			if w.row(0).State != want || w.row(1).State != want {
				t.Errorf("%s: %v", act, w.states())
			}
			failed := slices.IndexFunc(got.events, func(ev api.Event) bool { return ev.Target == "zzz" && ev.Error != nil && ev.ID == -1 })
			if failed < 0 {
				t.Errorf("%s: nobody was told of zzz: %+v", act, got.events)
			}
		}
	})
}

// slow makes processes take some time to end, and some to begin, and watches
// how many of each name are down because somebody ordered it.
type slow struct {
	mu        sync.Mutex
	down, max map[string]int
	all, most int
}

func slowly(k *fakeKeeper, end, begin time.Duration) *slow {
	l := &slow{down: map[string]int{}, max: map[string]int{}}
	count := func(name string, n int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.down[name] += n
		l.all += n
		l.max[name], l.most = max(l.max[name], l.down[name]), max(l.most, l.all)
	}
	k.hear = func(p fakeProc, sig syscall.Signal) {
		count(p.name, 1)
		time.AfterFunc(end, func() { k.exit(p.Key, uint32(sig)) })
	}
	k.answer = func(m wire.Spawn, done func(wire.Child, error)) {
		time.AfterFunc(begin, func() {
			c := k.run(m)
			if variable(m, "restart_time") != "0" {
				count(variable(m, "name"), -1)
			}
			done(c, nil)
		})
	}
	return l
}

func TestRestartIsRolling(t *testing.T) {
	for name, test := range map[string]struct {
		parallel int
		ofA, ofB int // at most down at once
	}{
		"two of a name by default":     {0, 2, 2},
		"one where one is asked for":   {1, 1, 1},
		"five where five are":          {5, 5, 3},
		"all where more are asked for": {100, 6, 3},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				l := slowly(w.k, 100*time.Millisecond, 50*time.Millisecond)
				w.start(spec("a", instances(6)), spec("b", instances(3)))
				before := w.View()
				var got told
				err := w.Act(t.Context(), api.ActRequest{Act: api.ActRestart, Targets: []string{"all"}, Parallel: test.parallel}, got.tell)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(map[string]int{"a": test.ofA, "b": test.ofB}, l.max); diff != "" {
					t.Errorf("down at once (-want +got):\n%s", diff)
				}
				if want := test.ofA + test.ofB; l.most != want {
					t.Errorf("%d were down at once, want %d: names wait for each other", l.most, want)
				}
				for i, row := range w.View().Rows {
					if row.State != api.Online || row.Restarts != 1 || row.Key == before.Rows[i].Key || row.PID == before.Rows[i].PID {
						t.Errorf("%d was not restarted: %+v", i, row)
					}
				}
				if n := len(got.events); n != 1+9 {
					t.Errorf("told %d times, want of the target and of 9 instances", n)
				}
			})
		})
	}
}

func TestStopAndStartAreDoneAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		l := slowly(w.k, time.Second, time.Second)
		w.start(spec("a", instances(5)))
		began := time.Now()
		w.act(api.ActStop, "a")
		if took := time.Since(began); took != time.Second || l.most != 5 {
			t.Errorf("5 were stopped within %v, %d at once; want 1s", took, l.most)
		}
	})
}

func TestDelete(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", instances(2)), spec("b"))
		w.act(api.ActDelete, "a")
		if diff := cmp.Diff(map[int]string{2: "b/0 online"}, w.states()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.start(spec("c"))
		if diff := cmp.Diff(map[int]string{2: "b/0 online", 3: "c/0 online"}, w.states()); diff != "" {
			t.Errorf("an id is given twice (-want +got):\n%s", diff)
		}
		w.act(api.ActStop, "c")
		w.act(api.ActDelete, "all") // of running and of stopped ones
		if len(w.states()) != 0 || len(w.k.running()) != 0 {
			t.Errorf("left: %v, %v", w.states(), w.k.running())
		}
		w.start(spec("d"))
		if diff := cmp.Diff(map[int]string{0: "d/0 online"}, w.states()); diff != "" {
			t.Errorf("ids do not begin anew (-want +got):\n%s", diff)
		}
		w.close()
		w.k.hear = nil
		w = openWorld(t, w.home, w.k, w.k.inventory())
		if diff := cmp.Diff(map[int]string{0: "d/0 online"}, w.states()); diff != "" {
			t.Errorf("the next daemon knows (-want +got):\n%s", diff)
		}
	})
}

func TestScale(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		scale := func(name string, count int, relative bool) error {
			return w.Scale(t.Context(), api.ScaleRequest{Name: name, Count: count, Relative: relative}, nobody)
		}
		want := func(what string, err error, states map[int]string) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if diff := cmp.Diff(states, w.states()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		w.start(spec("a", instances(3)), spec("b"))
		w.act(api.ActDelete, "1")
		want("the smallest free indexes are taken", scale("a", 4, false),
			map[int]string{0: "a/0 online", 2: "a/2 online", 3: "b/0 online", 4: "a/1 online", 5: "a/3 online"})
		want("the lowest ids go first", scale("a", 2, false),
			map[int]string{3: "b/0 online", 4: "a/1 online", 5: "a/3 online"})
		want("two more", scale("a", 2, true),
			map[int]string{3: "b/0 online", 4: "a/1 online", 5: "a/3 online", 6: "a/0 online", 7: "a/2 online"})
		want("three less", scale("a", -3, true), map[int]string{3: "b/0 online", 7: "a/2 online"})
		want("an id stands for its app", scale("3", 2, false),
			map[int]string{3: "b/0 online", 7: "a/2 online", 8: "b/1 online"})
		want("also where it has more", scale("3", 3, false),
			map[int]string{3: "b/0 online", 7: "a/2 online", 8: "b/1 online", 9: "b/2 online"})
		wantKind(t, scale("b", 0, false), errs.Invalid, "would have 0")
		wantKind(t, scale("b", -3, true), errs.Invalid, "would have 0")
		wantKind(t, scale("b", 3, false), errs.Invalid, "already")
		for _, many := range []string{"all", "default", "/./"} {
			wantKind(t, scale(many, 1, false), errs.Invalid, "more than one app")
		}
		if n := len(w.states()); n != 4 {
			t.Errorf("%d instances are left, want 4", n)
		}
	})
}

func TestStartOfANameThatIsThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", instances(2)))
		w.act(api.ActStop, "1")
		var got told
		next := spec("a", func(s *api.Spec) { s.Script, s.Env = "/opt/next", map[string]string{"NEW": "1"} })
		if err := w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{next}, Inherited: map[string]string{"LANG": "de"}}, got.tell); err != nil {
			t.Fatal(err)
		}
		if ev := got.events[0]; ev.Kind != api.EventStep || ev.Step.Do != api.StepRestart || !slices.Equal(ev.IDs, []int{0, 1}) {
			t.Errorf("told %+v, want that the app was there", ev)
		}
		if diff := cmp.Diff(map[int]string{0: "a/0 online", 1: "a/1 online"}, w.states()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, m := range w.k.asks()[2:] {
			if m.Path != "/opt/next" || variable(m.Spawn, "NEW") != "1" || variable(m.Spawn, "LANG") != "de" {
				t.Errorf("started as before: %s %v", m.Path, m.Env)
			}
		}
		if w.row(0).Script != "/opt/next" || len(w.k.asks()) != 4 {
			t.Errorf("in the view %+v after %d launches", w.row(0), len(w.k.asks()))
		}
		if err := w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{next}, Force: true}, nobody); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[int]string{0: "a/0 online", 1: "a/1 online", 2: "a/2 online"}, w.states()); diff != "" {
			t.Errorf("force adds none (-want +got):\n%s", diff)
		}
	})
}

func TestAnAppThatIsNotToStartIsListed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", func(s *api.Spec) { s.Autostart = false }))
		if diff := cmp.Diff(map[int]string{0: "a/0 stopped"}, w.states()); diff != "" || len(w.k.asks()) != 0 {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.act(api.ActStart, "a")
		if w.row(0).State != api.Online {
			t.Errorf("it is %s", w.row(0).State)
		}
	})
}

func TestRestartTakesNewVariables(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", func(s *api.Spec) { s.Env = map[string]string{"GIVEN": "1"} }))
		err := w.Act(t.Context(), api.ActRequest{
			Act: api.ActRestart, Targets: []string{"a"}, Inherited: map[string]string{"NEW": "2", "GIVEN": "3"},
		}, nobody)
		if err != nil {
			t.Fatal(err)
		}
		check := func(when string) {
			t.Helper()
			for name, want := range map[string]string{"LANG": "C", "NEW": "2", "GIVEN": "3"} {
				if got := variable(w.k.last().Spawn, name); got != want {
					t.Errorf("%s %s=%q, want %q", when, name, got, want)
				}
			}
		}
		check("after restart")
		w.close()
		w = openWorld(t, w.home, w.k, w.k.inventory())
		w.act(api.ActRestart, "a")
		check("at the next daemon")
	})
}

func TestSignal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.hear = func(fakeProc, syscall.Signal) {}
		w.start(spec("a"), spec("b", func(s *api.Spec) { s.Autostart = false }))
		signal := func(target, name string) error {
			return w.Act(t.Context(), api.ActRequest{Act: api.ActSignal, Targets: []string{target}, Signal: name}, nobody)
		}
		if err := signal("a", "USR2"); err != nil {
			t.Fatal(err)
		}
		if got := w.k.sent(); len(got) != 1 || got[0].key != w.row(0).Key || got[0].sig != syscall.SIGUSR2 || got[0].group || w.row(0).State != api.Online {
			t.Errorf("sent %+v, the app is %s", got, w.row(0).State)
		}
		wantKind(t, signal("b", "USR2"), errs.Invalid, "not running")
		if err := signal("all", "USR2"); err != nil {
			t.Errorf("one of two runs: %v", err)
		}
		heard := 0
		for _, one := range w.k.sent() {
			if one.key == w.row(0).Key {
				heard++
			}
		}
		if heard != 2 {
			t.Errorf("a got %d signals, want 2", heard)
		}
		wantKind(t, signal("a", "SIGNOPE"), errs.Invalid, "SIGNOPE")
		wantKind(t, signal("zzz", "USR2"), errs.NotFound, "zzz")
	})
}

func TestAViewNeverChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		text := func(v *View) string {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		type seen struct {
			view *View
			text string
		}
		var all []seen
		look := func() { all = append(all, seen{w.View(), text(w.View())}) }
		w.start(spec("a", instances(2)))
		look()
		for _, act := range []string{api.ActRestart, api.ActStop, api.ActStart, api.ActReset, api.ActDelete} {
			w.act(act, "0")
			look()
		}
		w.start(spec("a", func(s *api.Spec) { s.Namespace = "new" }))
		look()
		for i, s := range all {
			if now := text(s.view); now != s.text {
				t.Errorf("view %d changed from\n%s\nto\n%s", i, s.text, now)
			}
		}
	})
}

func TestWhatAnAnswerTellsIsInTheView(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", instances(20)))
		for act, want := range map[string]api.State{api.ActStop: api.Stopped, api.ActStart: api.Online, api.ActRestart: api.Online} {
			if err := w.Act(t.Context(), api.ActRequest{Act: act, Targets: []string{"all"}}, func(ev api.Event) {
				if ev.Kind == api.EventInstance && w.row(ev.ID).State != want {
					t.Errorf("told that %s %d is done, and it is %s", act, ev.ID, w.row(ev.ID).State)
				}
			}); err != nil {
				t.Error(err)
			}
		}
		if err := w.Act(t.Context(), api.ActRequest{Act: api.ActDelete, Targets: []string{"all"}}, func(ev api.Event) {
			if ev.Kind == api.EventInstance && w.byID()[ev.ID] != nil {
				t.Errorf("told that %d is gone, and it is listed", ev.ID)
			}
		}); err != nil {
			t.Error(err)
		}
	})
}

func TestAnOrderThatIsOverruledIsAnswered(t *testing.T) {
	for name, test := range map[string]struct {
		first, then string
		want        api.State
	}{
		"a stop by a restart":  {api.ActStop, api.ActRestart, api.Online},
		"a stop by a start":    {api.ActStop, api.ActStart, api.Online},
		"a restart by a stop":  {api.ActRestart, api.ActStop, api.Stopped},
		"a restart by delete":  {api.ActRestart, api.ActDelete, ""},
		"a stop by delete":     {api.ActStop, api.ActDelete, ""},
		"a delete by a start":  {api.ActDelete, api.ActStart, ""},
		"a delete by a stop":   {api.ActDelete, api.ActStop, ""},
		"a restart by another": {api.ActRestart, api.ActRestart, api.Online},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				slowly(w.k, 100*time.Millisecond, 50*time.Millisecond)
				w.start(spec("a"))
				var orders sync.WaitGroup
				for _, act := range []string{test.first, test.then} {
					orders.Go(func() { _ = w.Act(t.Context(), api.ActRequest{Act: act, Targets: []string{"a"}}, nobody) })
					synctest.Wait()
				}
				orders.Wait() // or the bubble finds that nothing moves any more
				state := api.State("")
				if row := w.byID()[0]; row != nil {
					state = row.State
				}
				if state != test.want {
					t.Errorf("in the end it is %q, want %q", state, test.want)
				}
			})
		})
	}
}

func TestDetails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", func(s *api.Spec) { s.Env = map[string]string{"X": "1"} }), spec("b"))
		got, err := w.Details(t.Context(), []int{1, 7, 0})
		if err != nil || len(got) != 2 || got[0].Name != "b" || got[1].Name != "a" {
			t.Fatalf("%+v, %v", got, err)
		}
		want := &api.Detail{Spec: got[1].Detail.Spec, Env: map[string]string{"X": "1", "LANG": "C"}, UniqueID: w.row(0).Key}
		if diff := cmp.Diff(want, got[1].Detail); diff != "" || got[1].Detail.Spec.Name != "a" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestKillAndResurrect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", instances(2)), spec("b"))
		w.act(api.ActStop, "b")
		if out, err := w.Save(t.Context(), api.SaveRequest{}); err != nil || out.Saved != 3 {
			t.Fatalf("%+v, %v", out, err)
		}
		if err := w.Kill(t.Context(), nobody); err != nil {
			t.Fatal(err)
		}
		if len(w.states()) != 0 || len(w.k.running()) != 0 {
			t.Errorf("left: %v, %v", w.states(), w.k.running())
		}
		if out, err := w.Save(t.Context(), api.SaveRequest{}); err != nil || out.Saved != 0 {
			t.Errorf("%+v, %v", out, err)
		}
		w.start(spec("c"))
		if err := w.Resurrect(t.Context(), nobody); err != nil {
			t.Fatal(err)
		}
		want := map[int]string{0: "c/0 online", 1: "a/0 online", 2: "a/1 online", 3: "b/0 stopped"}
		if diff := cmp.Diff(want, w.states()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if err := w.Resurrect(t.Context(), nobody); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, w.states()); diff != "" {
			t.Errorf("once more (-want +got):\n%s", diff)
		}
		if got := variable(w.k.asks()[4].Spawn, "LANG"); got != "C" {
			t.Errorf("LANG=%q, want what was inherited", got)
		}
	})
}

func TestResurrectWithoutASave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		var got told
		if err := w.Resurrect(t.Context(), got.tell); err != nil || len(got.events) != 1 || got.events[0].Kind != api.EventNote {
			t.Errorf("%v, %+v; want a note", err, got.events)
		}
		w.start(spec("a"))
		if err := w.Kill(t.Context(), nobody); err != nil {
			t.Fatal(err)
		}
		if err := w.Resurrect(t.Context(), nobody); err != nil || w.row(0).State != api.Online {
			t.Errorf("%v, %v; want what was there at the kill", err, w.states())
		}
	})
}

func TestShutdownIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a"), spec("b"), spec("c", func(s *api.Spec) { s.Autorestart = false }))
		w.act(api.ActStop, "b")
		w.k.frozen = true // nothing more is written down, on purpose
		w.Shutdown(t.Context())
		if len(w.k.running()) != 0 {
			t.Errorf("%v run on", w.k.running())
		}
		w.close()
		w = openWorld(t, w.home, newKeeper(t), remote.Inventory{})
		time.Sleep(time.Minute)
		if diff := cmp.Diff(map[int]string{0: "a/0 online", 1: "b/0 stopped", 2: "c/0 online"}, w.states()); diff != "" || w.row(0).Restarts != 0 {
			t.Errorf("at the next daemon (-want +got):\n%s", diff)
		}
	})
}

func TestAJournalThatCannotBeWrittenAddsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		if err := w.opts.Store.Close(); err != nil { // every write fails from now on
			t.Fatal(err)
		}
		if err := os.RemoveAll(string(w.home)); err != nil {
			t.Fatal(err)
		}
		err := w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{spec("a", instances(3))}}, nobody)
		wantKind(t, err, errs.Full, "journal")
		if len(w.states()) != 0 || len(w.k.asks()) != 0 {
			t.Errorf("there is %v", w.states())
		}
	})
}
