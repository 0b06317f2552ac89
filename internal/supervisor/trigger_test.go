package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/nodeipc"
	"tend/internal/sysinfo"
	"tend/internal/watch"
)

// fakeFiles plays the watcher.
type fakeFiles struct {
	mu      sync.Mutex
	targets map[string]watch.Target
	files   []string
	calls   int
}

func (f *fakeFiles) Watch(key string, t watch.Target) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.targets == nil {
		f.targets = map[string]watch.Target{}
	}
	f.targets[key] = t
	f.calls++
}

func (f *fakeFiles) Forget(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.targets, key)
}

func (f *fakeFiles) Own(files, _ []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files = files
}

// keys are those that are watched.
func (f *fakeFiles) keys() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var keys []string
	for k := range f.targets {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// change has a file change of the one app that is watched.
func (w *world) change(path string) {
	w.t.Helper()
	keys := w.f.keys()
	if len(keys) != 1 {
		w.t.Fatalf("watched are %q, want one", keys)
	}
	w.FilesChanged(keys[0], path)
	synctest.Wait()
}

func (k *fakeKeeper) resident(p sysinfo.Root, _ int64) (int64, error) {
	if k.memory == nil {
		return 1, nil
	}
	return k.memory(p.PID), nil
}

// launches are the instances that were started, in order, and forgets them.
func (k *fakeKeeper) launches() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var ids []string
	for _, m := range k.asked {
		ids = append(ids, variable(m.Spawn, "pm_id"))
	}
	k.asked = nil
	return ids
}

func watching(delay int64) func(*api.Spec) {
	return func(s *api.Spec) { s.Watch = &api.Watch{Paths: []string{s.Cwd}, Delay: delay} }
}

func cronSpec(pattern string) func(*api.Spec) { return func(s *api.Spec) { s.Cron = pattern } }

func heavier(limit int64) func(*api.Spec) { return func(s *api.Spec) { s.MaxMemory = limit } }

func TestAChangeRestartsAllInstancesOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", instances(4), watching(700)), spec("b"))
		w.k.launches()
		if !w.row(0).Watching || w.row(4).Watching || w.f.calls != 1 {
			t.Errorf("watched: %v, %v, in %d calls", w.row(0).Watching, w.row(4).Watching, w.f.calls)
		}
		w.change("/x/one")
		w.change("/x/two")
		time.Sleep(699 * time.Millisecond)
		synctest.Wait()
		if got := w.k.launches(); len(got) != 0 {
			t.Errorf("started before its delay was over: %v", got)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		got := w.k.launches()
		slices.Sort(got)
		if !slices.Equal(got, []string{"0", "1", "2", "3"}) || w.row(0).Restarts != 1 {
			t.Errorf("started %v", got)
		}
		log := strings.Join(w.log.read(), "\n")
		if !strings.Contains(log, `msg=starting app=a instance=0 why="file changed: /x/one"`) ||
			!strings.Contains(log, `msg="file changed" app=a path=/x/one restart_in=700ms`) {
			t.Errorf("the log says\n%s", log)
		}
		var reasons []string
		for _, n := range w.n.take() {
			if _, data, _ := strings.Cut(n, " "); strings.Contains(data, `"restart"`) {
				reasons = append(reasons, data)
			}
		}
		if len(reasons) != 4 || reasons[0] != `{"event":"restart","reason":"file changed: /x/one"}` {
			t.Errorf("published %q", reasons)
		}
		time.Sleep(time.Hour)
		if got := w.k.launches(); len(got) != 0 {
			t.Errorf("started once more: %v", got)
		}
	})
}

// TestChangesDuringARestartAreOneMore: however many there are.
func TestChangesDuringARestartAreOneMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.hear = func(p fakeProc, _ syscall.Signal) { time.AfterFunc(time.Second, func() { w.k.exit(p.Key, 0) }) }
		w.start(spec("a", watching(0), func(s *api.Spec) { s.KillTimeout = 5000 }))
		w.k.launches()
		for i := range 9 {
			w.change(fmt.Sprint("/x/", i))
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := w.k.launches(); len(got) != 2 {
			t.Errorf("started %d times, want 2", len(got))
		}
	})
}

func TestStopEndsWatching(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", instances(2), watching(0), func(s *api.Spec) { s.Watch.Ignore = []string{"x"} }))
		key := w.f.keys()[0]
		w.FilesChanged(key, "/x")
		w.act(api.ActStop, "a")
		w.FilesChanged(key, "/x") // comes too late
		synctest.Wait()
		if len(w.f.keys()) != 0 || w.row(0).Watching || w.row(0).State != api.Stopped {
			t.Errorf("watched are %q; the view says %+v", w.f.keys(), w.row(0).Instance)
		}
		list, err := w.Details(t.Context(), []int{0})
		if err != nil || list[0].Detail.Spec.Watch != nil || cmp.Diff(list[0].Detail.Spec.Extra["ignore_watch"], any([]string{"x"})) != "" {
			t.Errorf("it keeps %+v, %v", list[0].Detail.Spec, err)
		}
		w.act(api.ActRestart, "a")
		if len(w.f.keys()) != 0 || w.row(0).Watching {
			t.Error("a restart watches again")
		}
		toggle := func(act, how string) {
			t.Helper()
			if err := w.Act(t.Context(), api.ActRequest{Act: act, Targets: []string{"a"}, Watch: how}, nobody); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		toggle(api.ActRestart, api.WatchToggle)
		if keys := w.f.keys(); !w.row(0).Watching || !w.row(1).Watching || !slices.Equal(keys, []string{key}) {
			t.Errorf("after the toggle: %+v, %q, want what was before", w.row(0).Instance, keys)
		}
		toggle(api.ActRestart, api.WatchToggle)
		if w.row(0).Watching || len(w.f.keys()) != 0 {
			t.Error("after the other it is watched")
		}
		toggle(api.ActStart, api.WatchOn)
		toggle(api.ActStart, api.WatchOn)
		if !w.row(0).Watching || len(w.f.keys()) != 1 {
			t.Error("start does not switch it on")
		}
		w.act(api.ActDelete, "a")
		if len(w.f.keys()) != 0 {
			t.Error("what is deleted is watched")
		}
		err = w.Act(t.Context(), api.ActRequest{Act: api.ActRestart, Targets: []string{"a"}, Watch: "perhaps"}, nobody)
		wantKind(t, err, errs.Invalid, "no such change")
	})
}

// TestAStopIsNotOverruled: neither by what is under way, nor by what has just
// been decided.
func TestAStopIsNotOverruled(t *testing.T) {
	for wait := range 12 {
		bubble(t, func(t *testing.T) {
			w := newWorld(t)
			w.k.hear = func(p fakeProc, _ syscall.Signal) { time.AfterFunc(time.Second, func() { w.k.exit(p.Key, 0) }) }
			w.start(spec("a", watching(0), instances(6), func(s *api.Spec) { s.KillTimeout = 5000 }))
			w.FilesChanged(w.f.keys()[0], "/x") // two at a time take a second
			time.Sleep(time.Duration(wait) * 300 * time.Millisecond)
			w.act(api.ActStop, "a")
			time.Sleep(time.Minute)
			synctest.Wait()
			for _, row := range w.View().Rows {
				if row.State != api.Stopped {
					t.Errorf("stopped after %d00 ms, %d is %s", 3*wait, row.ID, row.State)
				}
			}
		})
	}
}

func TestWhoIsWatched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(
			spec("never-started", watching(0), func(s *api.Spec) { s.Autostart = false }),
			spec("one", watching(0)), spec("other", watching(0)),
		)
		if keys := w.f.keys(); len(keys) != 2 || !strings.HasPrefix(keys[0], "one\x00") {
			t.Errorf("watched are %q", keys)
		}
		w.act(api.ActStart, "never-started")
		if keys := w.f.keys(); len(keys) != 3 {
			t.Errorf("then %q", keys)
		}
		// Two apps of one name are two.
		if err := w.Start(t.Context(), api.StartRequest{Force: true, Apps: []api.Spec{spec("one", watching(0), func(s *api.Spec) { s.Cwd = "/tmp" })}}, nobody); err != nil {
			t.Fatal(err)
		}
		if keys := w.f.keys(); len(keys) != 4 {
			t.Errorf("then %q", keys)
		}
		if !slices.Contains(w.f.files, w.row(1).OutFile) || !slices.Contains(w.f.files, w.row(1).PidFile) {
			t.Errorf("%q are our own, without the log or the pid of one", w.f.files)
		}
	})
}

func TestFilesThatCannotBeWatched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", watching(0)))
		w.FilesUnwatched(w.f.keys()[0], &errs.Error{Op: "watch", On: "/x", Kind: errs.Full, Err: fmt.Errorf("too many"), Hint: "raise it"})
		synctest.Wait()
		if row := w.row(0); row.State != api.Online || !strings.Contains(row.Reason, "not all of its files are watched: watch /x: too many") {
			t.Errorf("the view says %+v", row.Instance)
		}
		if log := strings.Join(w.log.read(), "\n"); !strings.Contains(log, "raise it") {
			t.Errorf("no hint in the log\n%s", log)
		}
	})
}

func TestWhatTheNextDaemonWatches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", watching(0)))
		key := w.f.keys()[0]
		if since := w.f.targets[key].Since; !since.IsZero() {
			t.Errorf("the first looks for changes since %v", since)
		}
		time.Sleep(time.Second)
		w.FilesWatched(key)
		ready := time.Now()
		time.Sleep(time.Hour)
		synctest.Wait()
		w.close()
		w = openWorld(t, w.home, w.k, w.k.inventory())
		synctest.Wait()
		if since := w.f.targets[key].Since; !since.Equal(ready) {
			t.Errorf("the next one looks for changes since %v, want %v", since, ready)
		}
		w.act(api.ActRestart, "a")
		started := time.UnixMilli(w.row(0).StartedAt)
		w.close()
		w = openWorld(t, w.home, w.k, w.k.inventory())
		synctest.Wait()
		if since := w.f.targets[key].Since; !since.Equal(started) {
			t.Errorf("the third one looks for changes since %v, want %v", since, started)
		}
	})
}

func TestCronRestarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(
			spec("nightly", cronSpec("0 3 * * *"), instances(3)), spec("quick", cronSpec("*/10 * * * * *")),
			spec("stopped", cronSpec("0 3 * * *")), spec("spared", cronSpec("0 3 * * *"), func(s *api.Spec) { s.CronSparesStopped = true }),
			spec("new", cronSpec("0 3 * * *"), func(s *api.Spec) { s.Autostart = false }),
			spec("without"),
		)
		w.k.launches()
		var told told
		for _, name := range []string{"stopped", "spared"} {
			if err := w.Act(t.Context(), api.ActRequest{Act: api.ActStop, Targets: []string{name}}, told.tell); err != nil {
				t.Fatal(err)
			}
		}
		var warned []string
		for _, ev := range told.events {
			if ev.Kind == api.EventWarning {
				warned = append(warned, ev.Name)
			}
		}
		if !slices.Equal(warned, []string{"stopped"}) {
			t.Errorf("warned of %q", warned)
		}
		now := time.Now()
		time.Sleep(now.Truncate(10 * time.Second).Add(30*time.Second + 5*time.Millisecond).Sub(now))
		synctest.Wait()
		if got := w.k.launches(); !slices.Equal(got, []string{"3", "3", "3"}) {
			t.Errorf("every ten seconds, in thirty: %q", got)
		}
		w.act(api.ActDelete, "quick")
		three := time.Date(2000, 1, 1, 3, 0, 0, 0, time.Local)
		if three.Before(time.Now()) {
			three = three.AddDate(0, 0, 1)
		}
		time.Sleep(time.Until(three) - time.Millisecond)
		synctest.Wait()
		if got := w.k.launches(); len(got) != 0 {
			t.Errorf("before three: %q", got)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		got := w.k.launches()
		slices.Sort(got)
		if !slices.Equal(got, []string{"0", "1", "2", "4"}) {
			t.Errorf("at three: %q", got)
		}
		if log := strings.Join(w.log.read(), "\n"); !strings.Contains(log, `why="cron 0 3 * * *"`) {
			t.Errorf("the log says\n%s", log)
		}
		// Without the pattern it is over, and a daemon that was not there at the
		// time does not make up for it.
		if err := w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{spec("nightly", instances(3))}}, nobody); err != nil {
			t.Fatal(err)
		}
		w.k.launches()
		w.close()
		time.Sleep(24 * time.Hour)
		w = openWorld(t, w.home, w.k, w.k.inventory())
		synctest.Wait()
		if got := w.k.launches(); len(got) != 0 {
			t.Errorf("made up for: %q", got)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if got := w.k.launches(); !slices.Equal(got, []string{"4"}) {
			t.Errorf("a day later: %q", got)
		}
	})
}

// TestCronDoesNotPileUp: an app that takes longer to restart than its pattern
// leaves it misses a turn.
func TestCronDoesNotPileUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.hear = func(p fakeProc, _ syscall.Signal) {
			time.AfterFunc(2500*time.Millisecond, func() { w.k.exit(p.Key, 0) })
		}
		w.start(spec("a", cronSpec("* * * * * *"), func(s *api.Spec) { s.KillTimeout = 5000 }))
		w.k.launches()
		time.Sleep(30*time.Second + time.Millisecond)
		synctest.Wait()
		if got := w.k.launches(); len(got) < 9 || len(got) > 10 {
			t.Errorf("%d restarts in 30 seconds, want one every three", len(got))
		}
	})
}

func TestMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		var heavy sync.Map // pids
		w.k.memory = func(pid int) int64 {
			if n, ok := heavy.Load(pid); ok {
				return n.(int64)
			}
			return 10 << 20
		}
		w.start(spec("a", heavier(200<<20), instances(2)), spec("b"))
		w.k.launches()
		time.Sleep(time.Minute)
		heavy.Store(w.row(0).PID, int64(200<<20)) // as much as it may
		heavy.Store(w.row(2).PID, int64(1<<40))   // it has no limit
		time.Sleep(time.Minute)
		if got := w.k.launches(); len(got) != 0 {
			t.Fatalf("restarted %q", got)
		}
		heavy.Store(w.row(0).PID, int64(210<<20))
		time.Sleep(weighEvery + time.Millisecond)
		synctest.Wait()
		if got := w.k.launches(); !slices.Equal(got, []string{"0"}) {
			t.Errorf("restarted %q", got)
		}
		if row := w.row(0); row.Reason != "restarted for its memory 210.0mb over 200.0mb" || row.Restarts != 1 {
			t.Errorf("the view says %+v", row.Instance)
		}
		if log := strings.Join(w.log.read(), "\n"); !strings.Contains(log, `why="memory 210.0mb over 200.0mb"`) ||
			!strings.Contains(log, `msg="memory exceeds max_memory_restart" app=a instance=0 memory=220200960 limit=209715200 act=restart`) {
			t.Errorf("the log says\n%s", log)
		}
		w.act(api.ActRestart, "0")
		if r := w.row(0).Reason; r != "" {
			t.Errorf("the note outlives a restart: %q", r)
		}
	})
}

// TestALimitBelowWhatAnAppTakes does not have it restarted all the time.
func TestALimitBelowWhatAnAppTakes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.memory = func(int) int64 { return 1 << 40 }
		w.start(spec("a", heavier(1)))
		began := time.Now()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		var at []time.Duration
		for _, a := range w.k.asks()[1:] {
			at = append(at, a.at.Sub(began).Round(time.Second))
		}
		want := []time.Duration{1, 2, 4, 8, 16, 32, 62, 92}
		for i, s := range want {
			if d := at[i] - s*time.Second; d < -time.Second || d > time.Second {
				t.Errorf("restarted after %v, want about %d seconds", at, want)
				break
			}
		}
		if n := len(at); n < 20 || n > 26 {
			t.Errorf("%d restarts in 10 minutes", n)
		}
	})
}

func TestMemoryOfWorkers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		var heavy sync.Map
		w.k.memory = func(pid int) int64 {
			if _, ok := heavy.Load(pid); ok {
				return 2 << 20
			}
			return 1
		}
		w.start(spec("a", cluster, heavier(1<<20), instances(2)))
		old := w.row(0).Key
		heavy.Store(w.row(0).PID, true)
		w.k.launches()
		var overlap atomic.Bool
		w.k.boots(func(string) []word {
			if _, there := w.k.live[old]; there { // its lock is held
				overlap.Store(true)
			}
			return []word{{time.Second, nodeipc.Listening}}
		})
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := w.k.launches(); !slices.Equal(got, []string{"0"}) || w.row(0).Key == old || w.row(0).State != api.Online {
			t.Errorf("reloaded %q; the view says %+v", got, w.row(0).Instance)
		}
		if !overlap.Load() {
			t.Error("the old worker had ended when the new one began")
		}
		if r := w.row(0).Reason; r != "restarted for its memory 2.0mb over 1.0mb" {
			t.Errorf("the reason is %q", r)
		}
		w.alone()

		// A reload that fails leaves the old one, and is tried again ever more
		// rarely.
		w.k.boots(silent)
		heavy.Store(w.row(1).PID, true)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		n := len(w.k.launches())
		if row := w.row(1); n < 5 || n > 20 || row.State != api.Online || !strings.Contains(row.Reason, "reload failed") {
			t.Errorf("%d attempts; the view says %+v", n, row.Instance)
		}
	})
}

func TestNothingTriggersAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.memory = func(int) int64 { return 1 << 40 }
		w.start(spec("a", cronSpec("* * * * * *"), watching(0), heavier(1), func(s *api.Spec) { s.KillTimeout = 5000 }))
		key := w.f.keys()[0]
		w.k.launches()
		w.k.hear = func(p fakeProc, _ syscall.Signal) { time.AfterFunc(3*time.Second, func() { w.k.exit(p.Key, 0) }) }
		time.AfterFunc(time.Second, func() { w.FilesChanged(key, "/x") })
		w.k.frozen = true
		w.Shutdown(t.Context())
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := w.k.launches(); len(got) != 0 || w.row(0).State != api.Stopped {
			t.Errorf("started %q at the end, and it is %s", got, w.row(0).State)
		}
	})
}
