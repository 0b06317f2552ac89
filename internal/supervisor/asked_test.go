package supervisor

import (
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/lifecycle"
	"tend/internal/logs/collect"
	"tend/internal/store"
)

const ann = "user 1000, pid 77"

// do carries out an act that ann asks for.
func (w *world) do(req api.ActRequest) {
	w.t.Helper()
	if err := w.Act(AskedBy(w.t.Context(), ann), req, nobody); err != nil {
		w.t.Fatalf("%s %v: %v", req.Act, req.Targets, err)
	}
}

// wantLog compares the log since the last look.
func (w *world) wantLog(want ...string) {
	w.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(w.log.read(), want); diff != "" {
		w.t.Errorf("the log (-got +want):\n%s", diff)
	}
}

func TestLogSaysWhoAskedAndWhy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ctx := AskedBy(t.Context(), ann)
		w.log.read()
		slow := spec("web", func(s *api.Spec) { s.RestartDelay, s.MaxRestarts, s.StopCodes = 5000, 2, []int{7} })
		slow.Env = map[string]string{"PASSWORD": "hunter2"}
		slow.Args = []string{"--token=hunter2"}
		req := api.StartRequest{Apps: []api.Spec{slow}, Inherited: map[string]string{"TOKEN": "hunter2"}}
		if err := w.Start(ctx, req, nobody); err != nil {
			t.Fatal(err)
		}
		w.wantLog(
			`level=INFO msg="asked to" act=start by="user 1000, pid 77" app=web do=add instances=[0]`,
			`level=INFO msg=starting app=web instance=0 why="start by user 1000, pid 77" restarts=0`,
			`level=INFO msg=online app=web instance=0`,
		)

		w.k.exit(w.k.last().Key, code(3))
		w.wantLog(
			`level=INFO msg="process ended" app=web instance=0 code=3 signal=0 unknown=false asked_to=false`,
			`level=INFO msg="waiting before the next start" app=web instance=0 why="it ended, exit code 3"`,
		)
		time.Sleep(5 * time.Second)
		w.wantLog(
			`level=INFO msg=starting app=web instance=0 why="its delay is over" restarts=1`,
			`level=INFO msg=online app=web instance=0`,
		)

		w.do(api.ActRequest{Act: api.ActRestart, Targets: []string{"web"}})
		w.wantLog(
			`level=INFO msg="asked to" act=restart by="user 1000, pid 77" targets=[web]`,
			`level=INFO msg=stopping app=web instance=0 why="restart by user 1000, pid 77"`,
			`level=INFO msg="process ended" app=web instance=0 code=0 signal=2 unknown=false asked_to=true`,
			`level=INFO msg=starting app=web instance=0 why="restart by user 1000, pid 77" restarts=2`,
			`level=INFO msg=online app=web instance=0`,
		)

		w.k.exit(w.k.last().Key, code(7))
		w.wantLog(
			`level=INFO msg="process ended" app=web instance=0 code=7 signal=0 unknown=false asked_to=false`,
			`level=INFO msg=stopped app=web instance=0 why="it ended, exit code 7, which is one of stop_exit_codes"`,
		)

		w.do(api.ActRequest{Act: api.ActReset, Targets: []string{"web"}})
		w.wantLog(`level=INFO msg="asked to" act=reset by="user 1000, pid 77" targets=[web]`)

		w.do(api.ActRequest{Act: api.ActDelete, Targets: []string{"all"}})
		w.wantLog(
			`level=INFO msg="asked to" act=delete by="user 1000, pid 77" targets=[all]`,
			`level=INFO msg=deleted app=web instance=0`,
		)
	})
}

func TestLogOfGivingUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("bad", func(s *api.Spec) { s.MaxRestarts = 2 }))
		synctest.Wait()
		w.log.read()
		w.k.exit(w.k.last().Key, code(1))
		synctest.Wait()
		w.k.exit(w.k.last().Key, uint32(syscall.SIGSEGV))
		w.wantLog(
			`level=INFO msg="process ended" app=bad instance=0 code=1 signal=0 unknown=false asked_to=false`,
			`level=INFO msg=starting app=bad instance=0 why="it ended, exit code 1" restarts=1`,
			`level=INFO msg=online app=bad instance=0`,
			`level=INFO msg="process ended" app=bad instance=0 code=0 signal=11 unknown=false asked_to=false`,
			`level=ERROR msg="given up" app=bad instance=0 reason="2 exits in a row, each less than 1s after its start"`,
		)
	})
}

func TestLogOfScaling(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("web", instances(2)))
		synctest.Wait()
		w.log.read()
		if err := w.Scale(AskedBy(t.Context(), ann), api.ScaleRequest{Name: "web", Count: 1}, nobody); err != nil {
			t.Fatal(err)
		}
		w.wantLog(
			`level=INFO msg="asked to" act=scale by="user 1000, pid 77" app=web from=2 to=1`,
			`level=INFO msg=stopping app=web instance=0 why="delete by user 1000, pid 77"`,
			`level=INFO msg="process ended" app=web instance=0 code=0 signal=2 unknown=false asked_to=true`,
			`level=INFO msg=stopped app=web instance=0 why="delete by user 1000, pid 77"`,
			`level=INFO msg=deleted app=web instance=0`,
		)
	})
}

// A restart stays the restart of who ordered it, whatever else is asked until
// the process has ended.
func TestLogOfARestartThatTakesLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.hear = func(fakeProc, syscall.Signal) {}
		w.start(spec("web"))
		key := w.k.last().Key
		var restarting sync.WaitGroup
		restarting.Go(func() { w.do(api.ActRequest{Act: api.ActRestart, Targets: []string{"web"}}) })
		synctest.Wait()
		if err := w.Act(AskedBy(t.Context(), "bob"), api.ActRequest{Act: api.ActReset, Targets: []string{"web"}}, nobody); err != nil {
			t.Fatal(err)
		}
		w.log.read()
		w.k.exit(key, code(0))
		restarting.Wait()
		w.wantLog(
			`level=INFO msg="process ended" app=web instance=0 code=0 signal=0 unknown=false asked_to=true`,
			`level=INFO msg=starting app=web instance=0 why="restart by user 1000, pid 77" restarts=0`,
			`level=INFO msg=online app=web instance=0`,
		)
	})
}

func TestNoSecretIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		s := spec("web", func(s *api.Spec) { s.Env = map[string]string{"PASSWORD": "hunter2"} })
		s.Args = []string{"--token=hunter2"}
		if err := w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{s}, Inherited: map[string]string{"TOKEN": "hunter2"}}, nobody); err != nil {
			t.Fatal(err)
		}
		w.do(api.ActRequest{Act: api.ActRestart, Targets: []string{"web"}, Inherited: map[string]string{"KEY": "hunter2"}})
		w.do(api.ActRequest{Act: api.ActStop, Targets: []string{"web"}})
		synctest.Wait()
		if lines := w.log.read(); len(lines) == 0 || strings.Contains(strings.Join(lines, "\n"), "hunter2") {
			t.Errorf("the log has a secret in it, or nothing:\n%s", strings.Join(lines, "\n"))
		}
	})
}

// An instance whose last order came to a daemon that is gone says no name.
func TestCauseWithoutAName(t *testing.T) {
	in := &instance{rec: store.Record{Spec: &api.Spec{}}}
	before := &lifecycle.Instance{State: lifecycle.Stopping}
	if got := in.cause(before, lifecycle.Swept{}); got != "it was asked to" {
		t.Errorf("got %q", got)
	}
}

func TestCollectSaysHow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		own := &api.Rotation{MaxSize: 1 << 20}
		w.start(spec("plain"), spec("web", instances(2), func(s *api.Spec) {
			s.Log = api.Log{Date: "HH:mm", Type: "json", RateLimit: 500, Rotation: own}
		}))
		synctest.Wait()
		var got []collect.Shape
		for _, s := range w.c.added() {
			want := own
			if s.Shape.App == "plain" {
				want = nil
			}
			if s.Rotation != want {
				t.Errorf("%s is rotated by %+v, want %+v", s.Shape.App, s.Rotation, want)
			}
			got = append(got, s.Shape)
		}
		slices.SortFunc(got, func(a, b collect.Shape) int { return strings.Compare(key(a), key(b)) })
		web := collect.Shape{Date: "HH:mm", JSON: true, Rate: 500, App: "web"}
		with := func(s collect.Shape, id int, kind string) collect.Shape { s.ID, s.Type = id, kind; return s }
		if diff := cmp.Diff(got, []collect.Shape{
			with(collect.Shape{App: "plain"}, 0, "err"), with(collect.Shape{App: "plain"}, 0, "out"),
			with(web, 1, "err"), with(web, 1, "out"), with(web, 2, "err"), with(web, 2, "out"),
		}); diff != "" {
			t.Errorf("(-got +want):\n%s", diff)
		}
	})
}

func TestWhoseLinesMeetInAFile(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(s *api.Spec)
		want   bool
	}{
		"one process":                       {func(s *api.Spec) { s.Log.Merge = true }, false},
		"instances with files of their own": {func(s *api.Spec) { s.Instances = 2 }, false},
		"instances with one file":           {func(s *api.Spec) { s.Instances, s.Log.Merge = 2, true }, true},
		"both outputs in one file":          {func(s *api.Spec) { s.Log.Out, s.Log.Err = "/dev/stdout", "/dev/stdout" }, true},
		"a file for both beside them":       {func(s *api.Spec) { s.Log.Combined = "true" }, true},
		"nothing is written":                {func(s *api.Spec) { s.Log.Out, s.Log.Err, s.Log.Combined = "/dev/null", "/dev/null", "/dev/null" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.start(spec("other"), spec("web", tt.change))
				for _, s := range w.c.added() {
					if want := tt.want && s.Shape.App == "web"; s.Shared != want {
						t.Errorf("%s of %s: shared %v, want %v", s.Shape.Type, s.Shape.App, s.Shared, want)
					}
				}
			})
		})
	}
}

func key(s collect.Shape) string { return s.App + string(rune('0'+s.ID)) + s.Type }
