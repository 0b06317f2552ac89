package supervisor

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/errs"
)

// fromFile is an app that came from the file of these tests.
func fromFile(s *api.Spec) { s.File = "/srv/ecosystem.json" }

// apply has the table be as req wants it, which must go well, and gives what
// was done, app by app.
func (w *world) apply(req api.StartRequest) map[string]string {
	w.t.Helper()
	var got told
	req.Changed = true
	if err := w.Start(w.t.Context(), req, got.tell); err != nil {
		w.t.Fatalf("start: %v", err)
	}
	did := map[string]string{}
	for _, ev := range got.events {
		if ev.Kind == api.EventStep {
			did[ev.Name] = ev.Step.Do
		}
	}
	return did
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s (-got +want):\n%s", what, diff)
	}
}

func TestAStartThatChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		req := api.StartRequest{
			Apps:      []api.Spec{spec("a", instances(2), fromFile), spec("b", fromFile), spec("off", fromFile, func(s *api.Spec) { s.Autostart = false })},
			Inherited: map[string]string{"LANG": "C"},
		}
		want(t, "the first", w.apply(req), map[string]string{"a": "add", "b": "add", "off": "add"})
		launches, before := len(w.k.asks()), w.states()
		// Another shell asks, and another user.
		req.Inherited = map[string]string{"LANG": "de", "NEW": "1"}
		req.Apps = slices.Clone(req.Apps)
		req.Apps[0].Username = "bob"
		same := map[string]string{"a": "unchanged", "b": "unchanged", "off": "unchanged"}
		want(t, "the second", w.apply(req), same)
		want(t, "the table", w.states(), before)
		if n := len(w.k.asks()); n != launches {
			t.Errorf("%d processes were started by a start that changes nothing", n-launches)
		}

		// The next daemon knows as much.
		w.close()
		w = openWorld(t, w.home, w.k, w.k.inventory())
		want(t, "after the daemon's death", w.apply(req), same)
	})
}

func TestAStartRenewsWhatHasChanged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		req := api.StartRequest{
			Apps:      []api.Spec{spec("a", instances(2), fromFile), spec("b", fromFile), spec("c", fromFile)},
			Inherited: map[string]string{"LANG": "C"},
		}
		w.apply(req)
		w.act(api.ActStop, "1", "c")
		keys := []string{w.row(0).Key, w.row(2).Key}

		req.Apps = []api.Spec{req.Apps[0], spec("b", fromFile, func(s *api.Spec) { s.Env = map[string]string{"NEW": "1"} }), req.Apps[2]}
		req.Inherited = map[string]string{"LANG": "de"}
		want(t, "did", w.apply(req), map[string]string{"a": "start", "b": "restart", "c": "start"})
		if w.row(0).Key != keys[0] || w.row(2).Key == keys[1] {
			t.Error("what runs and is as wanted was restarted, or what has changed was not")
		}
		want(t, "the table", w.states(), map[int]string{0: "a/0 online", 1: "a/1 online", 2: "b/0 online", 3: "c/0 online"})
		for _, m := range w.k.asks()[4:] {
			if variable(m.Spawn, "LANG") != "de" {
				t.Errorf("%s was started with the environment of the first start", m.Path)
			}
		}

		// What an app inherited counts when that is asked for.
		req.UpdateEnv = true
		want(t, "with --update-env", w.apply(req), map[string]string{"a": "restart", "b": "unchanged", "c": "unchanged"})
	})
}

func TestAStartScalesToTheNumberOfTheFile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		req := api.StartRequest{Apps: []api.Spec{spec("a", instances(2), fromFile)}}
		w.apply(req)
		keys := []string{w.row(0).Key, w.row(1).Key}
		req.Apps = []api.Spec{spec("a", instances(4), fromFile)}
		want(t, "up", w.apply(req), map[string]string{"a": "scale"})
		want(t, "the table", w.states(), map[int]string{0: "a/0 online", 1: "a/1 online", 2: "a/2 online", 3: "a/3 online"})
		if w.row(0).Key != keys[0] || w.row(1).Key != keys[1] {
			t.Error("scaling restarted what was there")
		}

		if err := w.Scale(t.Context(), api.ScaleRequest{Name: "a", Count: 3}, nobody); err != nil {
			t.Fatal(err)
		}
		want(t, "after a scaling by hand", w.apply(req), map[string]string{"a": "unchanged"})
		req.Exact = true
		want(t, "exactly", w.apply(req), map[string]string{"a": "scale"})
		req.Apps, req.Exact = []api.Spec{spec("a", fromFile)}, false
		want(t, "down", w.apply(req), map[string]string{"a": "scale"})
		if n := len(w.states()); n != 1 {
			t.Errorf("%d instances are left, want 1", n)
		}
	})
}

func TestPruneRemovesWhatTheFileHasNoMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("byhand"), spec("other", func(s *api.Spec) { s.File = "/srv/other.json" }))
		w.apply(api.StartRequest{Apps: []api.Spec{spec("a", fromFile), spec("b", instances(2), fromFile)}})
		req := api.StartRequest{Apps: []api.Spec{spec("a", fromFile)}}
		want(t, "without prune", w.apply(req), map[string]string{"a": "unchanged"})
		req.Prune, req.DryRun = "/srv/ecosystem.json", true
		want(t, "a dry run", w.apply(req), map[string]string{"a": "unchanged", "b": "remove"})
		want(t, "after the dry run", len(w.states()), 5)
		req.DryRun = false
		want(t, "with prune", w.apply(req), map[string]string{"a": "unchanged", "b": "remove"})
		want(t, "the table", w.states(), map[int]string{0: "byhand/0 online", 1: "other/0 online", 2: "a/0 online"})
	})
}

func TestADryRunDoesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", fromFile))
		w.log.read()
		key := w.row(0).Key
		req := api.StartRequest{DryRun: true, Apps: []api.Spec{spec("a", fromFile, func(s *api.Spec) { s.KillTimeout = 7 }), spec("new")}}
		want(t, "would", w.apply(req), map[string]string{"a": "restart", "new": "add"})
		want(t, "the table", w.states(), map[int]string{0: "a/0 online"})
		want(t, "the log", w.log.read(), nil)
		if w.row(0).Key != key || w.table[0].rec.Spec.KillTimeout == 7 {
			t.Error("the app was touched")
		}
		req.Apps[1].Name = "all"
		wantKind(t, w.Start(t.Context(), req, nobody), errs.Invalid, "reserved")
	})
}
