package supervisor

import (
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/keeper/wire"
)

// gaps are the times between the launches so far.
func (k *fakeKeeper) gaps() []time.Duration {
	var gaps []time.Duration
	asks := k.asks()
	for i := range asks[1:] {
		gaps = append(gaps, asks[i+1].at.Sub(asks[i].at))
	}
	return gaps
}

// dying makes every process end with a code, some time after its start.
func dying(k *fakeKeeper, after time.Duration, exit int) {
	k.answer = func(m wire.Spawn, done func(wire.Child, error)) {
		done(k.run(m), nil)
		time.AfterFunc(after, func() { k.exit(m.Key, code(exit)) })
	}
}

func TestRestartsAfterExits(t *testing.T) {
	const ms = time.Millisecond
	seconds := func(list ...float64) []time.Duration {
		var all []time.Duration
		for _, s := range list {
			all = append(all, time.Duration(s*float64(time.Second)))
		}
		return all
	}
	for name, test := range map[string]struct {
		change   func(*api.Spec)
		after    time.Duration // it runs that long each time
		code     int
		watch    time.Duration
		gaps     []time.Duration
		state    api.State
		restarts int
		reason   string
	}{
		"at once": {
			nil, 2 * time.Second, 1, 7 * time.Second, seconds(2, 2, 2), api.Online, 3, "",
		},
		"after exit 0 too": {
			nil, 2 * time.Second, 0, 5 * time.Second, seconds(2, 2), api.Online, 2, "",
		},
		"after a delay": {
			func(s *api.Spec) { s.RestartDelay = 300 }, 2 * time.Second, 1, 5 * time.Second, seconds(2.3, 2.3), api.Online, 2, "",
		},
		"after growing delays": {
			func(s *api.Spec) { s.Backoff = 100 }, 2 * time.Second, 1, 9 * time.Second,
			[]time.Duration{2100 * ms, 2150 * ms, 2225 * ms, 2337 * ms},
			api.Online, 4, "",
		},
		"while it waits": {
			func(s *api.Spec) { s.RestartDelay = 5000 }, 2 * time.Second, 1, 4 * time.Second, nil, api.Waiting, 0, "",
		},
		"until there were too many": {
			func(s *api.Spec) { s.MaxRestarts = 3 }, 100 * ms, 1, time.Minute, seconds(.1, .1), api.Errored, 2, "3 exits in a row",
		},
		"not where it is told so": {
			func(s *api.Spec) { s.Autorestart = false }, 2 * time.Second, 1, time.Minute, nil, api.Stopped, 0, "",
		},
		"not for codes that mean to stop": {
			func(s *api.Spec) { s.StopCodes = []int{0, 7} }, 2 * time.Second, 7, time.Minute, nil, api.Stopped, 0, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				dying(w.k, test.after, test.code)
				began := time.Now()
				s := spec("a")
				if test.change != nil {
					test.change(&s)
				}
				_ = w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{s}}, nobody) // it may tell of the first end
				time.Sleep(test.watch - time.Since(began))
				if diff := cmp.Diff(test.gaps, w.k.gaps()); diff != "" {
					t.Errorf("between launches (-want +got):\n%s", diff)
				}
				row := w.row(0)
				if row.State != test.state || row.Restarts != test.restarts || !strings.Contains(row.Reason, test.reason) ||
					!row.Exited || row.ExitCode != test.code {
					t.Errorf("in the view %+v\nwant %s after %d restarts and code %d", row, test.state, test.restarts, test.code)
				}
				if (row.PID != 0) != (test.state == api.Online) {
					t.Errorf("its pid is %d in state %s", row.PID, row.State)
				}
				if n := w.k.unread(); n != 0 {
					t.Errorf("%d exits were not acknowledged", n)
				}
			})
		})
	}
}

func TestGivingUpIsOverByAnOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		dying(w.k, 0, 1)
		err := w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{spec("a", func(s *api.Spec) { s.MaxRestarts = 2 })}}, nobody)
		wantKind(t, err, errs.Crashed, "ended at once (exit code 1) and is errored")
		w.k.answer = nil
		w.act(api.ActRestart, "a")
		if row := w.row(0); row.State != api.Online || row.Reason != "" || row.Unstable != 0 {
			t.Errorf("in the view %+v", row)
		}
	})
}

func TestHowItEndedIsSeen(t *testing.T) {
	for name, test := range map[string]struct {
		exit func(k *fakeKeeper, key string)
		want [3]any // code, signal, unknown
	}{
		"by a code":   {func(k *fakeKeeper, key string) { k.exit(key, code(3)) }, [3]any{3, "", false}},
		"by a signal": {func(k *fakeKeeper, key string) { k.exit(key, uint32(syscall.SIGSEGV)) }, [3]any{0, "SIGSEGV", false}},
		"by a signal with a core dump": {
			func(k *fakeKeeper, key string) { k.exit(key, uint32(syscall.SIGABRT)|0x80) }, [3]any{0, "SIGABRT", false},
		},
		"nobody could learn how": {func(k *fakeKeeper, key string) {
			k.mu.Lock()
			e := k.ended(k.live[key].Child, 0)
			e.Known = false
			delete(k.live, key)
			k.mu.Unlock()
			k.s.Exited(e)
		}, [3]any{0, "", true}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.start(spec("a", func(s *api.Spec) { s.Autorestart = false }))
				test.exit(w.k, w.row(0).Key)
				synctest.Wait()
				row := w.row(0)
				if got := [3]any{row.ExitCode, row.ExitSignal, row.ExitUnknown}; got != test.want || row.State != api.Stopped || row.PID != 0 {
					t.Errorf("got %v, %s, pid %d; want %v, stopped, 0", got, row.State, row.PID, test.want)
				}
			})
		})
	}
}

func TestAnExitThatIsToldTwiceCountsOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a"))
		time.Sleep(time.Minute)
		key := w.row(0).Key
		w.k.exit(key, code(1))
		w.Exited(wire.Exit{Seq: 1, Key: key, Known: true, Status: code(1)})
		w.Exited(wire.Exit{Seq: 9, Key: "somebody else's", Known: true})
		synctest.Wait()
		if row := w.row(0); row.Restarts != 1 || row.State != api.Online || len(w.k.asks()) != 2 {
			t.Errorf("%d restarts, %s, %d launches", row.Restarts, row.State, len(w.k.asks()))
		}
		if diff := cmp.Diff([]uint64{1, 1, 9}, w.k.acks()); diff != "" {
			t.Errorf("acknowledged (-want +got):\n%s", diff)
		}
	})
}

func TestStopAsksAndThenKills(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*api.Spec)
		ends   time.Duration // after the stop signal; 0: never
		sig    syscall.Signal
		kill   time.Duration // until SIGKILL; below 0: never
	}{
		"it ends in time":         {nil, time.Second, syscall.SIGINT, -1},
		"it never ends":           {nil, 0, syscall.SIGINT, 1600 * time.Millisecond},
		"it ends too late":        {nil, 2 * time.Second, syscall.SIGINT, 1600 * time.Millisecond},
		"by a signal of its own":  {func(s *api.Spec) { s.StopSignal = "SIGTERM" }, time.Second, syscall.SIGTERM, -1},
		"with a time of its own":  {func(s *api.Spec) { s.KillTimeout = 60_000 }, 0, syscall.SIGINT, time.Minute},
		"with no time at all":     {func(s *api.Spec) { s.KillTimeout = 0 }, 0, syscall.SIGINT, 0},
		"without what it started": {func(s *api.Spec) { s.TreeKill = false }, 0, syscall.SIGINT, 1600 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.k.hear = func(p fakeProc, sig syscall.Signal) {
					switch {
					case sig == syscall.SIGKILL:
						w.k.exit(p.Key, uint32(sig))
					case test.ends > 0:
						time.AfterFunc(test.ends, func() { w.k.exit(p.Key, code(0)) })
					}
				}
				s := spec("a")
				if test.change != nil {
					test.change(&s)
				}
				w.start(s)
				began, key := time.Now(), w.row(0).Key
				w.act(api.ActStop, "a")
				took := time.Since(began)
				want := []sent{{key, test.sig, s.TreeKill, began}}
				if test.kill >= 0 {
					want = append(want, sent{key, syscall.SIGKILL, s.TreeKill, began.Add(test.kill)})
				}
				if diff := cmp.Diff(want, w.k.sent(), cmp.AllowUnexported(sent{})); diff != "" {
					t.Errorf("sent (-want +got):\n%s", diff)
				}
				if ends := max(test.kill, 0); test.kill < 0 && took != test.ends || test.kill >= 0 && took != ends {
					t.Errorf("it took %v", took)
				}
				if row := w.row(0); row.State != api.Stopped || row.PID != 0 || row.Restarts != 0 {
					t.Errorf("in the view %+v", row)
				}
				time.Sleep(time.Hour)
				if len(w.k.asks()) != 1 || len(w.k.sent()) != len(want) {
					t.Error("it did not stay stopped")
				}
			})
		})
	}
}

func TestAProcessThatCannotBeKilled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.hear = func(fakeProc, syscall.Signal) {}
		w.start(spec("a"))
		key, began := w.row(0).Key, time.Now()
		err := w.Act(t.Context(), api.ActRequest{Act: api.ActStop, Targets: []string{"a"}}, nobody)
		wantKind(t, err, errs.Crashed, "could not be killed")
		if took := time.Since(began); took != 3200*time.Millisecond {
			t.Errorf("it took %v, want twice the kill timeout", took)
		}
		if row := w.row(0); row.State != api.Errored || row.PID == 0 {
			t.Errorf("in the view %+v", row)
		}
		// Nothing else is launched while it is there, whatever is asked.
		err = w.Act(t.Context(), api.ActRequest{Act: api.ActRestart, Targets: []string{"a"}}, nobody)
		wantKind(t, err, errs.Crashed, "could not be killed")
		if n := len(w.k.asks()); n != 1 {
			t.Errorf("asked for a process %d times, want once", n)
		}
		w.k.exit(key, uint32(syscall.SIGKILL)) // its disk came back
		synctest.Wait()
		if row := w.row(0); row.State != api.Stopped || row.PID != 0 {
			t.Errorf("in the view %+v", row)
		}
		w.k.hear = nil
		w.act(api.ActStart, "a")
		if n := len(w.k.running()); n != 1 || len(w.k.asks()) != 2 {
			t.Errorf("%d run after %d launches", n, len(w.k.asks()))
		}
	})
}

func TestAStopBeforeTheProcessIsThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.answer = func(m wire.Spawn, done func(wire.Child, error)) {
			time.AfterFunc(10*time.Second, func() { done(w.k.run(m), nil) })
		}
		started := make(chan error, 1)
		go func() { started <- w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{spec("a")}}, nobody) }()
		synctest.Wait()
		if row := w.row(0); row.State != api.Launching || row.PID != 0 {
			t.Fatalf("in the view %+v", row)
		}
		w.act(api.ActStop, "a")
		wantKind(t, <-started, errs.Crashed, "stopped")
		if len(w.k.running()) != 0 || w.row(0).State != api.Stopped {
			t.Errorf("%v run, the app is %s", w.k.running(), w.row(0).State)
		}
		if sent := w.k.sent(); len(sent) != 1 || sent[0].sig != syscall.SIGINT {
			t.Errorf("sent %+v", sent)
		}
	})
}

func TestALaunchHasNothingOfTheOneBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a"))
		w.k.answer = func(m wire.Spawn, done func(wire.Child, error)) {
			time.AfterFunc(time.Hour, func() { done(w.k.run(m), nil) })
		}
		w.k.exit(w.row(0).Key, code(1))
		synctest.Wait()
		if row := w.row(0); row.State != api.Launching || row.PID != 0 || row.StartTicks != 0 {
			t.Errorf("while the keeper works: %+v", row)
		}
		w.act(api.ActStop, "a")
		if sent := w.k.sent(); len(sent) != 1 || sent[0].key != w.k.last().Key || w.row(0).State != api.Stopped {
			t.Errorf("sent %+v, the app is %s", sent, w.row(0).State)
		}
	})
}

func TestAStopEndsTheWaitForARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", func(s *api.Spec) { s.RestartDelay = 60_000 }))
		w.k.exit(w.row(0).Key, code(1))
		synctest.Wait()
		if row := w.row(0); row.State != api.Waiting {
			t.Fatalf("it is %s", row.State)
		}
		w.act(api.ActStop, "a")
		time.Sleep(time.Hour)
		if len(w.k.asks()) != 1 || w.row(0).State != api.Stopped {
			t.Errorf("%d launches, it is %s", len(w.k.asks()), w.row(0).State)
		}
	})
}

func TestResetZeroesTheCounters(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a"))
		w.k.exit(w.row(0).Key, code(1))
		time.Sleep(time.Second)
		if row := w.row(0); row.Restarts != 1 || row.Unstable != 1 {
			t.Fatalf("in the view %+v", row)
		}
		w.act(api.ActReset, "a")
		if row := w.row(0); row.Restarts != 0 || row.Unstable != 0 || row.State != api.Online {
			t.Errorf("in the view %+v", row)
		}
	})
}

// An app that cron, a changed file or somebody else restarts while its start is
// watched has not ended at once.
func TestARestartWhileAStartSettles(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.k.answer = func(m wire.Spawn, done func(wire.Child, error)) {
			done(w.k.run(m), nil)
			if len(w.k.asks()) == 1 {
				time.AfterFunc(settlePause/2, func() { w.act(api.ActRestart, "a") })
			}
		}
		w.start(spec("a"))
		time.Sleep(time.Second)
		if row := w.row(0); len(w.k.asks()) != 2 || row.State != api.Online || row.Restarts != 1 {
			t.Errorf("%d launches; in the view %+v", len(w.k.asks()), row)
		}
	})
}

func TestAnAppThatEndsAtOnceIsToldOf(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*api.Spec)
		code   int
		want   string // "": it was to do no more
	}{
		"and is restarted": {func(s *api.Spec) { s.MaxRestarts = 1000 }, 1, "ended at once (exit code 1)"},
		"and waits":        {func(s *api.Spec) { s.RestartDelay = 5000 }, 2, "(exit code 2) and is waiting restart"},
		"and is left":      {func(s *api.Spec) { s.Autorestart = false }, 3, "(exit code 3) and is stopped"},
		"and is done":      {func(s *api.Spec) { s.Autorestart = false }, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				dying(w.k, 25*time.Millisecond, test.code)
				s := spec("a")
				test.change(&s)
				var got told
				err := w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{s}}, got.tell)
				if test.want == "" {
					if err != nil {
						t.Errorf("told %v of what ended well", err)
					}
					return
				}
				wantKind(t, err, errs.Crashed, test.want)
				if last := got.events[len(got.events)-1]; last.Error == nil || last.ID != 0 || last.Error.Hint == "" {
					t.Errorf("told %+v, want the failure and a hint", last)
				}
			})
		})
	}
}
