package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tend/api"
	"tend/internal/redact"
)

const file = "/srv/ecosystem.json"

// anySpec draws an app; few values, so that drawn ones are often the same.
func anySpec(t *rapid.T, name string) api.Spec {
	s := api.Spec{
		Name: name, Script: rapid.SampledFrom([]string{"/a", "/b"}).Draw(t, "script"),
		Instances: rapid.IntRange(1, 3).Draw(t, "instances"), Mode: api.Fork, Autostart: rapid.Bool().Draw(t, "autostart"),
		KillTimeout: rapid.Int64Range(1, 2).Draw(t, "kill_timeout"),
		File:        rapid.SampledFrom([]string{file, "/other.json"}).Draw(t, "file"),
	}
	if rapid.Bool().Draw(t, "cluster") {
		s.Mode = api.Cluster
	}
	if v := rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "env"); v != "" {
		s.Env = map[string]string{"N": v}
	}
	return s
}

// anyTable draws what runs: apps, some of them scaled by hand, some stopped.
func anyTable(t *rapid.T) []Instance {
	var table []Instance
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 4, rapid.ID).Draw(t, "there") {
		spec := anySpec(t, name)
		for range rapid.IntRange(1, 4).Draw(t, "count") {
			table = append(table, Instance{ID: len(table), Spec: &spec, Running: rapid.Bool().Draw(t, "running")})
		}
	}
	return table
}

func anyWanted(t *rapid.T) []api.Spec {
	var wanted []api.Spec
	for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "e"}), 1, 5).Draw(t, "names") {
		s := anySpec(t, name)
		s.File = file
		wanted = append(wanted, s)
	}
	return wanted
}

// carryOut is what a supervisor makes of steps.
func carryOut(table []Instance, steps []Step) []Instance {
	byID := map[int]Instance{}
	next := 0
	for _, in := range table {
		byID[in.ID] = in
		next = max(next, in.ID+1)
	}
	for i := range steps {
		s := &steps[i]
		for _, in := range s.Drop {
			delete(byID, in.ID)
		}
		for _, in := range s.Keep {
			in.Spec, in.Running = s.Want, in.Running || s.Starts(in)
			byID[in.ID] = in
		}
		for n := len(s.Keep); n < s.After; n++ {
			byID[next] = Instance{ID: next, Spec: s.Want, Running: s.Want.Autostart}
			next++
		}
	}
	var out []Instance
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		out = append(out, byID[id])
	}
	return out
}

// idle tells whether steps do nothing.
func idle(steps []Step) bool {
	return !slices.ContainsFunc(steps, func(s Step) bool { return s.Do != api.StepUnchanged })
}

func TestAPlanCarriedOutGivesWhatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, wanted := anyTable(t), anyWanted(t)
		rules := Rules{Changed: true, Exact: true, Prune: file, Reload: rapid.Bool().Draw(t, "reload")}
		after := carryOut(table, Make(table, wanted, rules))

		missing := map[string]int{} // by what it is: how many instances more are wanted than there are
		for _, w := range wanted {
			missing[show(&w)] += w.Instances
		}
		for _, in := range after {
			missing[show(in.Spec)]--
			if in.Spec.Autostart && !in.Running && in.Spec.File == file {
				t.Fatalf("instance %d of %s does not run", in.ID, in.Spec.Name)
			}
		}
		for what, n := range missing {
			if n > 0 || n < 0 && slices.ContainsFunc(wanted, func(w api.Spec) bool { return show(&w) == what }) {
				t.Errorf("%d instances are missing of %s", n, what)
			}
		}
		if again := Make(after, wanted, rules); !idle(again) {
			t.Errorf("a second plan is %+v", again)
		}
	})
}

func show(s *api.Spec) string {
	text, _ := json.Marshal(s)
	return string(text)
}

func TestAPlanTouchesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, wanted := anyTable(t), anyWanted(t)
		rules := Rules{
			Changed: rapid.Bool().Draw(t, "changed"), Exact: rapid.Bool().Draw(t, "exact"),
			Reload: rapid.Bool().Draw(t, "reload"), Force: rapid.Bool().Draw(t, "force"),
		}
		prune := rapid.Bool().Draw(t, "prune")
		if prune {
			rules.Prune = file
		}
		asked := map[string]int{}
		for _, w := range wanted {
			asked[w.Name]++
		}
		touched := map[int]bool{}
		for _, s := range Make(table, wanted, rules) {
			for _, in := range slices.Concat(s.Keep, s.Drop) {
				if touched[in.ID] {
					t.Errorf("two steps are about instance %d", in.ID)
				}
				touched[in.ID] = true
				if in.Spec.Name != s.Name || s.Do != api.StepRemove && asked[s.Name] == 0 {
					t.Errorf("a step %s of %s is about an instance of %s", s.Do, s.Name, in.Spec.Name)
				}
				if s.Do == api.StepRemove && (!prune || in.Spec.File != file || asked[in.Spec.Name] == 1) {
					t.Errorf("instance %d of %s, from %s, is removed", in.ID, in.Spec.Name, in.Spec.File)
				}
			}
		}
	})
}

func TestAStepSaysWhatItIs(t *testing.T) {
	base := api.Spec{Name: "a", Script: "/a", Instances: 2, Mode: api.Cluster, Autostart: true, File: file, Env: map[string]string{"A": "1"}}
	with := func(change func(*api.Spec)) api.Spec {
		s := base
		s.Env = maps.Clone(base.Env)
		change(&s)
		return s
	}
	plain := with(func(*api.Spec) {})
	for name, tt := range map[string]struct {
		running []bool
		want    api.Spec
		rules   Rules
		step    api.Step
	}{
		"what is new is added": {nil, plain, Rules{Changed: true}, api.Step{Do: api.StepAdd, After: 2}},
		"what runs as wanted is left alone": {
			[]bool{true, true}, plain, Rules{Changed: true}, api.Step{Do: api.StepUnchanged, Before: 2, After: 2},
		},
		"who asks, and from which file, is no change": {
			[]bool{true, true},
			with(func(s *api.Spec) { s.Username, s.File = "bob", "/b" }),
			Rules{Changed: true},
			api.Step{Do: api.StepUnchanged, Before: 2, After: 2},
		},
		"without Changed everything is restarted": {
			[]bool{true, true}, plain, Rules{}, api.Step{Do: api.StepRestart, IDs: []int{0, 1}, Before: 2, After: 2},
		},
		"what does not run is started": {
			[]bool{true, false}, plain, Rules{Changed: true}, api.Step{Do: api.StepStart, IDs: []int{1}, Before: 2, After: 2},
		},
		"another value of a variable restarts": {
			[]bool{true, true},
			with(func(s *api.Spec) { s.Env = map[string]string{"A": "2", "B_TOKEN": "x"} }),
			Rules{Changed: true},
			api.Step{Do: api.StepRestart, IDs: []int{0, 1}, Before: 2, After: 2, Changes: []api.Change{
				{Field: "env.A", Old: "1", New: "2"}, {Field: "env.B_TOKEN", New: redact.Hidden},
			}},
		},
		"a worker is reloaded where that is asked for": {
			[]bool{true, false},
			with(func(s *api.Spec) { s.KillTimeout = 5 }),
			Rules{Changed: true, Reload: true},
			api.Step{Do: api.StepReload, IDs: []int{0, 1}, Before: 2, After: 2, Changes: []api.Change{
				{Field: "kill_timeout", Old: "0", New: "5"},
			}},
		},
		"what is to be no worker any more is restarted": {
			[]bool{true},
			with(func(s *api.Spec) { s.Mode, s.Instances = api.Fork, 2 }),
			Rules{Changed: true, Reload: true},
			api.Step{Do: api.StepRestart, IDs: []int{0}, Before: 1, After: 1, Changes: []api.Change{
				{Field: "mode", Old: "cluster", New: "fork"},
			}},
		},
		"another number scales": {
			[]bool{true, true},
			with(func(s *api.Spec) { s.Instances = 4 }),
			Rules{Changed: true},
			api.Step{Do: api.StepScale, Before: 2, After: 4, Changes: []api.Change{{Field: "instances", Old: "2", New: "4"}}},
		},
		"fewer take the lowest ids away": {
			[]bool{true, true, true},
			with(func(s *api.Spec) { s.Instances = 1 }),
			Rules{Changed: true},
			api.Step{Do: api.StepScale, IDs: []int{0, 1}, Before: 3, After: 1, Changes: []api.Change{{Field: "instances", Old: "2", New: "1"}}},
		},
		"what was scaled by hand stays so": {
			[]bool{true, true, true}, plain, Rules{Changed: true}, api.Step{Do: api.StepUnchanged, Before: 3, After: 3},
		},
		"but not where exactly the file is wanted": {
			[]bool{true, true, true},
			plain,
			Rules{Changed: true, Exact: true},
			api.Step{Do: api.StepScale, IDs: []int{0}, Before: 3, After: 2, Changes: []api.Change{{Field: "instances", Old: "3", New: "2"}}},
		},
		"what is not to start gets its Spec and no process": {
			[]bool{false},
			with(func(s *api.Spec) { s.Autostart = false }),
			Rules{Changed: true},
			api.Step{Do: api.StepUpdate, Before: 1, After: 1, Changes: []api.Change{{Field: "autostart", Old: "true", New: "false"}}},
		},
		"another environment of the shell is no change": {
			[]bool{true, true}, plain, Rules{Changed: true}, api.Step{Do: api.StepUnchanged, Before: 2, After: 2},
		},
		"unless it is asked for": {
			[]bool{true, true},
			plain,
			Rules{Changed: true, Inherited: func(*api.Spec) map[string]string {
				return map[string]string{"LANG": "de", "_": "/bin/y", "API_KEY": "s3"}
			}},
			api.Step{Do: api.StepRestart, IDs: []int{0, 1}, Before: 2, After: 2, Changes: []api.Change{
				{Field: "inherited.API_KEY", New: redact.Hidden}, {Field: "inherited.LANG", Old: "C", New: "de"},
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var table []Instance
			for id, running := range tt.running {
				table = append(table, Instance{
					ID: id, Spec: &base, Running: running, Inherited: map[string]string{"LANG": "C", "_": "/bin/x"},
				})
			}
			tt.step.Name = "a"
			steps := Make(table, []api.Spec{tt.want}, tt.rules)
			if diff := cmp.Diff(steps[0].Step, tt.step); diff != "" || len(steps) != 1 {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

// Two apps of one name are told apart by what they are, whichever stands first.
func TestAppsOfOneName(t *testing.T) {
	one := api.Spec{Name: "w", Script: "/w", Args: []string{"one"}, Instances: 1, Autostart: true}
	two := api.Spec{Name: "w", Script: "/w", Args: []string{"two"}, Instances: 2, Autostart: true}
	table := []Instance{{ID: 0, Spec: &one, Running: true}, {ID: 1, Spec: &two, Running: true}, {ID: 2, Spec: &two, Running: true}}
	for _, wanted := range [][]api.Spec{{one, two}, {two, one}} {
		if steps := Make(table, wanted, Rules{Changed: true}); !idle(steps) || len(steps) != 2 {
			t.Errorf("got %+v, want nothing to do", steps)
		}
	}
	three := one
	three.Args = []string{"three"}
	steps := Make(table, []api.Spec{three, two}, Rules{Changed: true})
	if steps[0].Do != api.StepRestart || len(steps[0].Keep) != 1 || steps[1].Do != api.StepUnchanged {
		t.Errorf("got %+v, want a restart of the first and nothing else", steps)
	}
}

// What went through a journal, or over a socket, is what it was.
func TestASpecThatWasWrittenDownIsTheSame(t *testing.T) {
	s := api.Spec{
		Name: "a", Args: []string{}, Env: map[string]string{}, Log: api.Log{Out: "/x"},
		Extra: map[string]any{"kill_retry_time": int64(100), "post_update": []any{"a"}, "pmx": false, "io": map[string]any{"x": 1}},
		Watch: &api.Watch{Paths: []string{"/x"}, Options: map[string]any{"depth": int64(3)}},
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var again api.Spec
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if got := Diff(&s, &again); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestDiffNamesFieldsAsAFileDoes(t *testing.T) {
	old := api.Spec{MaxMemory: 1, KillTimeout: 1, Env: map[string]string{"X_ms": "1"}, Extra: map[string]any{"pmx": true}, Log: api.Log{Out: "/a"}}
	want := api.Spec{MaxMemory: 2, KillTimeout: 2, Env: map[string]string{"X_ms": "2"}, Args: []string{"-v"}, Log: api.Log{Out: "/b"}}
	var got []string
	for _, c := range Diff(&old, &want) {
		got = append(got, fmt.Sprintf("%s: %s -> %s", c.Field, c.Old, c.New))
	}
	if diff := cmp.Diff(got, []string{
		`args:  -> ["-v"]`, "env.X_ms: 1 -> 2", "kill_timeout: 1 -> 2", "log.out_file: /a -> /b", "max_memory_restart: 1 -> 2", "pmx: true -> ",
	}); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

func TestWhatIsShownHoldsNoSecret(t *testing.T) {
	s := api.Spec{
		Name: "a", Script: "run --password hunter2", Args: []string{"--token", "hunter2"},
		Env: map[string]string{"DB_PASSWORD": "hunter2", "URL": "redis://:hunter2@x", "PORT": "80"},
	}
	redacted := Redacted(s)
	text := fmt.Sprint(show(&redacted), Shown(&s))
	if strings.Contains(text, "hunter2") || !strings.Contains(text, "80") || s.Env["DB_PASSWORD"] != "hunter2" {
		t.Errorf("got %s", text)
	}
}
