package supervisor

import (
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
	"tend/internal/keeper/remote"
	"tend/internal/keeper/wire"
)

func rank(n int) func(*api.Spec) { return func(s *api.Spec) { s.Priority = &n } }

// byStart are the names of the apps in the order in which their first processes
// were asked for.
func (w *world) byStart() (names []string) {
	for _, m := range w.k.asks() {
		if name := variable(m.Spawn, "name"); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// byStop are the names of the apps in the order in which they were signalled,
// and when.
func (w *world) byStop(names map[string]string) (out []string, at []time.Duration) {
	var first time.Time
	for _, s := range w.k.sent() {
		if first.IsZero() {
			first = s.at
		}
		if n := names[s.key]; !slices.Contains(out, n) {
			out, at = append(out, n), append(at, s.at.Sub(first))
		}
	}
	return out, at
}

func TestPriority(t *testing.T) {
	// Each is online after a second, and ends a second after it was asked to.
	slow := func(s *api.Spec) { s.StartTime = 1000 }
	for name, end := range map[string]func(w *world){
		"stop":   func(w *world) { w.act(api.ActStop, "all") },
		"delete": func(w *world) { w.act(api.ActDelete, "web", "db", "log", "queue") },
		"kill": func(w *world) {
			if err := w.Kill(w.t.Context(), nobody); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.k.hear = func(p fakeProc, _ syscall.Signal) {
					time.AfterFunc(time.Second, func() { w.k.exit(p.Key, code(0)) })
				}
				began := time.Now()
				w.start(spec("web", slow), spec("log", slow, rank(1000)), spec("db", slow, rank(1)), spec("queue", slow, rank(1)))
				if got := w.byStart(); !slices.Equal(got[:2], []string{"db", "queue"}) || !slices.Equal(got[2:], []string{"web", "log"}) {
					t.Errorf("started %q, want the lowest first", got)
				}
				if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
					t.Errorf("three levels of a second each took %v", took)
				}
				names := map[string]string{}
				for _, row := range w.View().Rows {
					names[row.Key] = row.Name
				}
				end(w)
				got, at := w.byStop(names)
				slices.Sort(got[2:])
				if diff := cmp.Diff([]string{"log", "web", "db", "queue"}, got); diff != "" {
					t.Errorf("stopped (-want +got):\n%s", diff)
				}
				if len(at) == 4 && (at[1] < time.Second || at[2] < 2*time.Second || at[2] != at[3] && name != "delete") {
					t.Errorf("asked to stop at %v, want each level after the one before, or each target", at)
				}
			})
		})
	}
}

func TestOnlyTheGroupIsKilled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.hear = func(p fakeProc, _ syscall.Signal) { w.k.exit(p.Key, code(0)) }
		w.start(spec("a", func(s *api.Spec) { s.GroupKill = true }))
		w.act(api.ActStop, "a")
		if got := w.k.sent(); len(got) != 1 || !got[0].group {
			t.Errorf("sent %+v, want one signal to the group", got)
		}
	})
}

func TestRights(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		mask := 0o27
		w.start(spec("a", func(s *api.Spec) {
			s.Umask = &mask
			s.Limits = map[string]api.Limit{"nofile": {Soft: 5, Hard: 6}, "core": {Soft: -1, Hard: -1}}
		}))
		m := w.k.last().Spawn
		if !m.SetUmask || m.Umask != 0o27 || m.Needs() != wire.LevelLimits {
			t.Errorf("umask %v %#o", m.SetUmask, m.Umask)
		}
		want := []wire.Limit{{Name: "core", Soft: wire.Unlimited, Hard: wire.Unlimited}, {Name: "nofile", Soft: 5, Hard: 6}}
		if diff := cmp.Diff(want, m.Limits); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestAnOldKeeper(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.answer = func(m wire.Spawn, done func(wire.Child, error)) { done(wire.Child{Key: m.Key}, remote.ErrOld) }
		err := w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{spec("a")}}, nobody)
		if row := w.row(0); row.State != api.Errored || !strings.Contains(row.Reason, "`tend update` replaces it") {
			t.Errorf("%v, %s: %s", err, row.State, row.Reason)
		}
	})
}

func TestTemplatesAtALaunch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("web", instances(2), func(s *api.Spec) {
			s.Args, s.InstanceStart, s.IncrementVar = []string{"--port={{env.PORT}}", "%(program_name)s_%(process_num)02d"}, 1, "PORT"
			s.Env = map[string]string{"PORT": "3000", "DATA": "/data/{{instance}}"}
			s.Log.Out = w.home.Logs() + "/w{{instance}}.log"
		}))
		w.act(api.ActRestart, "web")
		if err := w.Scale(t.Context(), api.ScaleRequest{Name: "web", Count: 3}, nobody); err != nil {
			t.Fatal(err)
		}
		asks := w.k.asks()
		if len(asks) != 5 {
			t.Fatalf("asked %d times, want twice for each of two, and once for the third", len(asks))
		}
		got := map[string]int{}
		for _, m := range asks {
			args := strings.Join(m.Argv[len(m.Argv)-2:], " ")
			got[args+" "+variable(m.Spawn, "DATA")+" "+variable(m.Spawn, "PORT")+" "+variable(m.Spawn, "NODE_APP_INSTANCE")]++
		}
		if diff := cmp.Diff(map[string]int{
			"--port=3000 web_01 /data/1 3000 1": 2, "--port=3001 web_02 /data/2 3001 2": 2, "--port=3002 web_03 /data/3 3002 3": 1,
		}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if row := w.row(1); row.OutFile != w.home.Logs()+"/w2.log" || row.Index != 1 {
			t.Errorf("the second writes to %s", row.OutFile)
		}
	})
}

// TestChange: what a request changes, every instance has at its next launch, and
// the journal for good.
func TestChange(t *testing.T) {
	for _, act := range []string{api.ActRestart, api.ActReload} {
		t.Run(act, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.k.hear = func(p fakeProc, _ syscall.Signal) { w.k.exit(p.Key, code(0)) }
				w.start(spec("a", instances(2)), spec("b"))
				change := json.RawMessage(`{"args":["new"],"kill_timeout_ms":7,"name":"c","env":{"A":"{{id}}"}}`)
				err := w.Act(t.Context(), api.ActRequest{Act: act, Targets: []string{"a"}, Change: change}, nobody)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(map[int]string{0: "c/0 online", 1: "c/1 online", 2: "b/0 online"}, w.states()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				details, err := w.Details(t.Context(), []int{0, 1, 2})
				if err != nil {
					t.Fatal(err)
				}
				for i, want := range []int64{7, 7, app.Default().KillTimeout} {
					if got := details[i].Detail.Spec.KillTimeout; got != want {
						t.Errorf("instance %d: kill_timeout %d, want %d", i, got, want)
					}
				}
				last := w.k.last()
				if last.Argv[len(last.Argv)-1] != "new" || variable(last.Spawn, "A") != variable(last.Spawn, "pm_id") {
					t.Errorf("started as %q", last.Argv)
				}
			})
		})
	}
}

func TestChangeRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a"), spec("b"), spec("w", func(s *api.Spec) { s.Mode, s.Interpreter = api.Cluster, "/usr/bin/node" }))
		asks := len(w.k.asks())
		for name, test := range map[string]struct {
			req  api.ActRequest
			kind errs.Kind
			text string
		}{
			"a rule that is broken": {api.ActRequest{Act: api.ActRestart, Targets: []string{"all"}, Change: json.RawMessage(`{"kill_timeout_ms":-1}`)}, errs.Invalid, "kill_timeout: -1 is negative"},
			"no such field":         {api.ActRequest{Act: api.ActRestart, Targets: []string{"a"}, Change: json.RawMessage(`{"x":1}`)}, errs.Invalid, `unknown field "x"`},
			"the name of another":   {api.ActRequest{Act: api.ActRestart, Targets: []string{"a"}, Change: json.RawMessage(`{"name":"b"}`)}, errs.Exists, "there is an app called b already"},
			"a cluster that runs":   {api.ActRequest{Act: api.ActReload, Targets: []string{"w"}, Change: json.RawMessage(`{"name":"x"}`)}, errs.Invalid, "share what they listen on"},
			"what changes nothing":  {api.ActRequest{Act: api.ActStop, Targets: []string{"a"}, Change: json.RawMessage(`{"name":"x"}`)}, errs.Invalid, "it can change nothing"},
		} {
			wantKind(t, w.Act(t.Context(), test.req, nobody), test.kind, test.text)
			if got := len(w.k.asks()); got != asks || w.row(0).State != api.Online {
				t.Errorf("%s: something was done: %v", name, w.states())
			}
		}
	})
}
