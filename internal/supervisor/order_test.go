package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	"tend/internal/logs/collect"
)

// bubble runs a test on a clock of its own: what sleeps takes no time, and
// time stands still while anybody works.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"version":"4.2.0"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		uid, gid := 1000, 1001
		var got told
		began := time.Now()
		err := w.Start(t.Context(), api.StartRequest{Inherited: map[string]string{"LANG": "C", "A": "inherited"}, Apps: []api.Spec{
			spec("web", instances(2), func(s *api.Spec) {
				s.Script, s.Interpreter, s.InterpreterArgs = filepath.Join(dir, "web.js"), "/usr/bin/node", []string{"--flag"}
				s.Args, s.Cwd, s.Env = []string{"-p", "a b"}, dir, map[string]string{"A": "given", "B": "x=y"}
				s.UID, s.GID, s.Groups, s.Account = &uid, &gid, []int{7}, "www"
				s.Log.Disabled = true // who this test is may not be allowed to give files to others
			}),
		}}, got.tell)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]api.Event{
			{Kind: api.EventStep, Act: api.ActStart, Name: "web", Step: &api.Step{Do: api.StepAdd, Name: "web", After: 2}},
			{Kind: api.EventApp, Act: api.ActStart, Name: "web", IDs: []int{0, 1}, OK: true},
			{Kind: api.EventInstance, Act: api.ActStart, Name: "web", ID: 0, OK: true},
			{Kind: api.EventInstance, Act: api.ActStart, Name: "web", ID: 1, OK: true},
		}, got.events); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		asks := w.k.asks()
		if len(asks) != 2 {
			t.Fatalf("asked %d times for a process, want 2", len(asks))
		}
		for i, m := range asks {
			row := w.row(i)
			if m.Key != row.Key || len(m.Key) != 36 || m.Key == asks[1-i].Key {
				t.Errorf("launch %d has the key %q, the view %q", i, m.Key, row.Key)
			}
			got := wire.Spawn{
				Path: m.Path, Argv: m.Argv, Dir: m.Dir, Slots: m.Slots, AsUser: m.AsUser, UID: m.UID, GID: m.GID, Groups: m.Groups,
			}
			if diff := cmp.Diff(wire.Spawn{
				Path: "/usr/bin/node", Argv: []string{"/usr/bin/node", "--enable-source-maps", "--flag", filepath.Join(dir, "web.js"), "-p", "a b"},
				Dir: dir, Slots: []wire.Slot{wire.SlotInput, wire.SlotPipe, wire.SlotPipe, wire.SlotChannel},
				AsUser: true, UID: 1000, GID: 1001, Groups: []uint32{7},
			}, got); diff != "" {
				t.Errorf("asked of the keeper (-want +got):\n%s", diff)
			}
			for name, want := range map[string]string{
				"A": "given", "B": "x=y", "LANG": "C", "unique_id": m.Key, "pm_id": fmt.Sprint(i), "name": "web",
				"NODE_APP_INSTANCE": fmt.Sprint(i), "instances": "2", "restart_time": "0",
			} {
				if v := variable(m.Spawn, name); v != want {
					t.Errorf("%s is %q for launch %d, want %q", name, v, i, want)
				}
			}
			var kept tag
			if err := json.Unmarshal(m.Tag, &kept); err != nil || kept.ID != i || kept.Index != i || kept.Spec.Name != "web" || kept.Spec.Env != nil {
				t.Errorf("the keeper keeps %s, %v", m.Tag, err)
			}
			pid := firstPid + 1 + i
			if row.State != api.Online || row.PID != pid || row.StartTicks != uint64(pid) || row.StartedAt != began.UnixMilli() ||
				row.User != "www" || row.Version != "4.2.0" || row.Index != i || row.Restarts != 0 || row.Exited {
				t.Errorf("in the view: %+v", row)
			}
			if text, err := os.ReadFile(row.PidFile); string(text) != fmt.Sprint(pid) {
				t.Errorf("pid file holds %q, %v; want %d", text, err, pid)
			}
			for n := 1; n <= 2; n++ {
				s, ok := w.c.added()[wire.PipeName(m.Key, n)]
				if !ok || s.FD != 10*pid+n || len(s.Paths) != 0 {
					t.Errorf("output %d of launch %d is collected as %+v", n, i, s)
				}
			}
		}
	})
}

func TestOutputGoesToTheFilesOfTheApp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		dir := t.TempDir()
		out, both := filepath.Join(dir, "out.log"), filepath.Join(dir, "both.log")
		w.start(spec("a", func(s *api.Spec) { s.Log.Out, s.Log.Combined, s.Log.Merge = out, both, true }))
		key, errFile := w.row(0).Key, filepath.Join(w.home.Logs(), "a-error.log")
		if diff := cmp.Diff(map[string]collect.Stream{
			key + "/1": {Key: key + "/1", FD: 10*w.row(0).PID + 1, Paths: []string{out, both}, Shape: collect.Shape{Type: "out", App: "a"}, Shared: true},
			key + "/2": {Key: key + "/2", FD: 10*w.row(0).PID + 2, Paths: []string{errFile, both}, Shape: collect.Shape{Type: "err", App: "a"}, Shared: true},
		}, w.c.added()); diff != "" {
			t.Errorf("collected (-want +got):\n%s", diff)
		}
		for _, path := range []string{out, both, errFile} {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("not there before the app is: %v", err)
			}
		}
	})
}

func TestOutputThatCannotBeKeptIsDiscarded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.c.refuse = func(s collect.Stream) error {
			if len(s.Paths) > 0 {
				return errors.New("no more descriptors")
			}
			return nil
		}
		w.start(spec("a"))
		if s := w.c.added()[w.row(0).Key+"/1"]; len(s.Paths) != 0 || s.FD == 0 {
			t.Errorf("the pipe is %+v, want it read and its bytes let go", s)
		}
	})
}

func TestWhatCannotBeStartedIsToldOf(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	refused := func(errno syscall.Errno) error { return &remote.RefusedError{Errno: errno, Text: errno.Error()} }
	for name, test := range map[string]struct {
		change func(*api.Spec)
		err    error
		want   string
		again  bool // it is tried again
	}{
		"its directory is gone":   {func(s *api.Spec) { s.Cwd = "/no/such" }, refused(syscall.ENOENT), "its directory /no/such is gone", false},
		"its script is gone":      {func(s *api.Spec) { s.Script = "/no/such" }, refused(syscall.ENOENT), "/no/such is gone", false},
		"its interpreter is gone": {nil, refused(syscall.ENOENT), "the interpreter that " + script + " names in its first line, or its loader, is missing", false},
		"it may not be executed":  {nil, refused(syscall.EACCES), "may not be executed", false},
		"it is no program":        {nil, refused(syscall.ENOEXEC), "no program for this machine", false},
		"too much environment":    {nil, refused(syscall.E2BIG), "larger than the kernel allows", false},
		"another errno":           {nil, refused(syscall.ELOOP), "start " + script + ": " + syscall.ELOOP.Error(), false},
		"the keeper says no":      {nil, &remote.RefusedError{Text: "slot 9 is unknown"}, "slot 9 is unknown", false},
		"no process is free":      {nil, refused(syscall.EAGAIN), "waiting", true},
		"no memory is free":       {nil, refused(syscall.ENOMEM), "waiting", true},
		"it is being written":     {nil, refused(syscall.ETXTBSY), "waiting", true},
		"no descriptor is free":   {nil, refused(syscall.EMFILE), "waiting", true},
		"too many open files":     {nil, refused(syscall.ENFILE), "waiting", true},
		"but it is not to restart": {
			func(s *api.Spec) { s.Autorestart = false }, refused(syscall.EAGAIN), "start " + script + ": " + syscall.EAGAIN.Error(), false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.k.answer = func(m wire.Spawn, done func(wire.Child, error)) {
					if len(w.k.asks()) > 1 {
						done(w.k.run(m), nil)
						return
					}
					done(wire.Child{Key: m.Key}, test.err)
				}
				s := spec("a", func(s *api.Spec) { s.Script = script })
				if test.change != nil {
					test.change(&s)
				}
				err := w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{s}}, nobody)
				if err == nil || errs.KindOf(err) != errs.Crashed || !test.again && !strings.Contains(err.Error(), test.want) {
					t.Errorf("told %v of kind %s, want %q", err, errs.KindOf(err), test.want)
				}
				if row := w.row(0); !test.again && (row.State != api.Errored || !strings.Contains(row.Reason, test.want)) || row.PID != 0 {
					t.Errorf("in the view: %s, pid %d, %q; want errored and %q", row.State, row.PID, row.Reason, test.want)
				}
				time.Sleep(time.Minute)
				asks := w.k.asks()
				if !test.again {
					if len(asks) != 1 {
						t.Errorf("asked %d times, want once: it will not get better", len(asks))
					}
					return
				}
				if len(asks) != 2 || w.row(0).State != api.Online || w.row(0).Restarts != 1 {
					t.Fatalf("asked %d times, then %+v", len(asks), w.row(0))
				}
				if wait := asks[1].at.Sub(asks[0].at); wait != 200*time.Millisecond {
					t.Errorf("tried again after %v, want 200ms", wait)
				}
				if asks[0].Key == asks[1].Key {
					t.Error("the second launch has the key of the first")
				}
			})
		})
	}
}

// What is told of a start is what became of the process that was started, also
// where the supervisor hears of its end in the same breath as of its beginning.
func TestAProcessThatEndsBeforeAnybodyLooks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.answer = func(m wire.Spawn, done func(wire.Child, error)) {
			child := w.k.run(m)
			if len(w.k.asks()) > 1 {
				done(child, nil)
				return
			}
			busy, free := make(chan struct{}), make(chan struct{})
			w.mail.post(question{func(*Supervisor) { close(busy); <-free }, make(chan struct{})})
			<-busy
			done(child, nil)
			w.k.exit(m.Key, code(4))
			close(free)
		}
		err := w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{spec("a")}}, nobody)
		wantKind(t, err, errs.Crashed, "it ended at once (exit code 4) and is being restarted")
	})
}

// Nor does it matter how long it takes to hear of the end.
func TestAnEndThatIsHeardOfLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.answer = func(m wire.Spawn, done func(wire.Child, error)) {
			child := w.k.run(m)
			if len(w.k.asks()) == 1 {
				w.k.endUnheard(m.Key, code(4), 2*time.Second)
			}
			done(child, nil)
		}
		err := w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{spec("a")}}, nobody)
		wantKind(t, err, errs.Crashed, "it ended at once (exit code 4)")
	})
}

func TestNothingIsStartedThatCannotWriteItsOutput(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		err := w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{spec("a", func(s *api.Spec) { s.Log.Out = file + "/out.log" })}}, nobody)
		wantKind(t, err, errs.Crashed, file+"/out")
		if n := len(w.k.asks()); n != 0 || w.row(0).State != api.Errored {
			t.Errorf("asked %d times for a process, the app is %s", n, w.row(0).State)
		}
	})
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
