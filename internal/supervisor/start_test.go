package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/keeper/remote"
	"tend/internal/keeper/wire"
	"tend/internal/logs/collect"
)

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
