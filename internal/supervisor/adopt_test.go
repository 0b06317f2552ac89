package supervisor

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/home"
	"tend/internal/keeper/remote"
	"tend/internal/keeper/wire"
	"tend/internal/lifecycle"
	"tend/internal/store"
	"tend/internal/sysinfo"
	"tend/internal/testkit"
)

// past is a home in which a daemon died that had written these records down.
func past(t *testing.T, records ...store.Record) home.Dir {
	t.Helper()
	h := newHome(t)
	st, _, err := store.Open(h.Journal(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		r.Serial = st.Serial()
		r.Inherited = st.Intern(map[string]string{"LANG": "C"})
		if err := st.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return h
}

// record is an instance in the third launch of its life, which is there.
func record(state lifecycle.State, change ...func(*store.Record)) store.Record {
	s := spec("a")
	boot, err := sysinfo.BootID()
	if err != nil {
		panic(err)
	}
	r := store.Record{
		ID: 4, Index: 1, Spec: &s, Key: "the-key", KeyLaunch: 3,
		Life: lifecycle.Instance{
			State: state, Want: lifecycle.WantRunning, Gen: 9, Launch: 3, Live: 3, Restarts: 2,
			Created: time.Now().Add(-time.Hour), Started: time.Now().Add(-time.Hour),
		},
		Proc: sysinfo.Identity{PID: firstPid - 1, Start: firstPid - 1, Boot: boot},
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func TestAdoption(t *testing.T) {
	want := func(w lifecycle.Want) func(*store.Record) {
		return func(r *store.Record) { r.Life.Want = w }
	}
	otherBoot := func(r *store.Record) { r.Proc.Boot = "another" }
	unborn := func(r *store.Record) { r.Proc.PID, r.Proc.Start = 0, 0 }
	dead := func(r *store.Record) { r.Life.Live = 0 }
	asked := func(r *store.Record) { r.Life.Asked = true }
	killed := func(r *store.Record) { r.Life.Asked, r.Life.Killed = true, true }
	ended := func(r *store.Record) { r.Life.Ended = true }
	const (
		child = 1 << iota
		exit
	)
	for name, test := range map[string]struct {
		record   store.Record
		keeper   int
		state    api.State // right after; "": gone from the list
		launched bool      // once more, with a key of its own
		restarts int
		signals  []syscall.Signal // at once
		later    api.State        // after a minute; "": as state
	}{
		"it runs on": {
			record(lifecycle.Online), child, api.Online, false, 2, nil, "",
		},
		"it ended meanwhile": {
			record(lifecycle.Online), exit, api.Online, true, 3, nil, "",
		},
		"it ended, with the daemon that knew of no process": {
			record(lifecycle.Launching, unborn), exit, api.Online, true, 3, nil, "",
		},
		"its launch went well": {
			record(lifecycle.Launching, unborn), child, api.Online, false, 2, nil, "",
		},
		"nobody knows what became of it": {
			record(lifecycle.Online), 0, api.Online, true, 3, nil, "",
		},
		"the machine was started anew": {
			record(lifecycle.Online, otherBoot), 0, api.Online, true, 2, nil, "",
		},
		"the machine was started anew while it was launched": {
			record(lifecycle.Launching, unborn, otherBoot), 0, api.Online, false, 2, nil, "",
		},
		"its stop goes on": {
			record(lifecycle.Stopping, want(lifecycle.WantStopped)), child, api.Stopped, false, 2, []syscall.Signal{syscall.SIGINT}, "",
		},
		"its stop was asked for, and waits on": {
			record(lifecycle.Stopping, want(lifecycle.WantStopped), asked), child, api.Stopping, false, 2, nil, api.Stopped,
		},
		"its stop was a kill": {
			record(lifecycle.Stopping, want(lifecycle.WantStopped), killed), child, api.Stopped, false, 2, []syscall.Signal{syscall.SIGKILL}, "",
		},
		"its restart goes on": {
			record(lifecycle.Stopping), child, api.Online, true, 2, []syscall.Signal{syscall.SIGINT}, "",
		},
		"its delete goes on": {
			record(lifecycle.Stopping, want(lifecycle.WantRemoved)), child, "", false, 2, []syscall.Signal{syscall.SIGINT}, "",
		},
		"its stop was carried out": {
			record(lifecycle.Stopping, want(lifecycle.WantStopped), asked), exit, api.Stopped, false, 2, nil, "",
		},
		"its stop was carried out, and the exit dealt with": {
			record(lifecycle.Stopping, want(lifecycle.WantStopped), asked, ended), 0, api.Stopped, false, 2, nil, "",
		},
		"nobody knows whether its stop was carried out": {
			record(lifecycle.Stopping, want(lifecycle.WantStopped), asked), 0, api.Stopped, false, 2, nil, "",
		},
		"its restart was under way when the machine went down": {
			record(lifecycle.Stopping, otherBoot), 0, api.Online, true, 2, nil, "",
		},
		"its stop was under way when the machine went down": {
			record(lifecycle.Stopping, want(lifecycle.WantStopped), otherBoot), 0, api.Stopped, false, 2, nil, "",
		},
		"its stop came before its process": {
			record(lifecycle.Stopping, want(lifecycle.WantStopped), unborn), 0, api.Stopped, false, 2, nil, "",
		},
		"it was stopped": {
			record(lifecycle.Stopped, dead, want(lifecycle.WantStopped)), 0, api.Stopped, false, 2, nil, "",
		},
		"it was given up": {
			record(lifecycle.Errored, dead), 0, api.Errored, false, 2, nil, "",
		},
		"it could not be killed, and is there": {
			record(lifecycle.Errored, killed, want(lifecycle.WantStopped)), child, api.Errored, false, 2, nil, "",
		},
		"it could not be killed, and ended": {
			record(lifecycle.Errored, killed, want(lifecycle.WantStopped)), exit, api.Stopped, false, 2, nil, "",
		},
		"it could not be killed, and the machine went down": {
			record(lifecycle.Errored, killed, want(lifecycle.WantStopped), otherBoot), 0, api.Stopped, false, 2, nil, "",
		},
		"it waited for its next launch": {
			record(lifecycle.Waiting, dead, func(r *store.Record) { r.Life.WakeAt = r.Life.Started.Add(time.Hour + time.Minute/2) }),
			0, api.Waiting, false, 2, nil, api.Online,
		},
		"its next launch is overdue": {
			record(lifecycle.Waiting, dead, func(r *store.Record) { r.Life.WakeAt = r.Life.Started }), 0, api.Online, true, 3, nil, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				// Times of the records are of the world outside.
				shift := time.Since(test.record.Life.Started.Add(time.Hour))
				rec := test.record
				rec.Life.Started, rec.Life.Created = rec.Life.Started.Add(shift), rec.Life.Created.Add(shift)
				if !rec.Life.WakeAt.IsZero() {
					rec.Life.WakeAt = rec.Life.WakeAt.Add(shift)
				}
				k := newKeeper(t)
				var inv remote.Inventory
				c := wire.Child{Key: rec.Key, PID: firstPid - 1, Start: firstPid - 1}
				if test.keeper&child != 0 {
					k.live[rec.Key] = fakeProc{Child: c, id: fmt.Sprint(rec.ID), name: "a"}
					inv.Children = []wire.Child{c}
				}
				if test.keeper&exit != 0 {
					inv.Exits = []wire.Exit{k.ended(c, code(7))}
				}
				k.held[wire.PipeName(rec.Key, 1)] = 77 // there may be something in it, however it ended
				inv.Held = []string{wire.PipeName(rec.Key, 1)}
				w := openWorld(t, past(t, rec), k, inv)
				synctest.Wait()

				row := w.byID()[rec.ID]
				switch {
				case row == nil && test.state != "":
					t.Fatalf("it is gone, want it %s", test.state)
				case row == nil:
				case row.State != test.state || row.Restarts != test.restarts || row.Index != 1:
					t.Errorf("it is %s after %d restarts, want %s after %d", row.State, row.Restarts, test.state, test.restarts)
				}
				asks := k.asks()
				switch relaunched := test.state == api.Online && test.keeper&child == 0; {
				case test.launched && (len(asks) != 1 || asks[0].Key == rec.Key):
					t.Errorf("asked for %+v, want another launch", asks)
				case !test.launched && relaunched && (len(asks) != 1 || asks[0].Key != rec.Key):
					t.Errorf("asked for %+v, want the launch that was asked for", asks)
				case !test.launched && !relaunched && len(asks) != 0:
					t.Errorf("asked for %+v, want no launch", asks)
				}
				var signals []syscall.Signal
				for _, s := range k.sent() {
					signals = append(signals, s.sig)
				}
				if diff := cmp.Diff(test.signals, signals); diff != "" {
					t.Errorf("sent (-want +got):\n%s", diff)
				}
				if n := k.unread(); n != 0 {
					t.Errorf("%d exits were not acknowledged", n)
				}
				again := len(asks) == 1 && asks[0].Key == rec.Key // with pipes of its own
				if s, ok := w.c.added()[wire.PipeName(rec.Key, 1)]; !again && (!ok || len(s.Paths) != 1 || s.FD != 77) {
					t.Errorf("its output is collected as %+v", s)
				}
				if test.later != "" {
					time.Sleep(time.Minute)
					if got := w.row(rec.ID).State; got != test.later {
						t.Errorf("after a minute it is %s, want %s", got, test.later)
					}
				}
				// What came of it is written down.
				before := w.states()
				w.close()
				w = openWorld(t, w.home, k, k.inventory())
				synctest.Wait()
				if diff := cmp.Diff(before, w.states()); diff != "" && test.state != api.Errored {
					t.Errorf("for the next daemon (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestARestartThatIsWaitedForComesInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", func(s *api.Spec) { s.RestartDelay = 60_000 }))
		died := time.Now()
		w.k.exit(w.row(0).Key, code(1))
		time.Sleep(10 * time.Second)
		w.close()
		time.Sleep(20 * time.Second)
		w = openWorld(t, w.home, w.k, w.k.inventory())
		time.Sleep(time.Hour)
		if got := w.k.last().at.Sub(died); got != time.Minute || len(w.k.asks()) != 2 {
			t.Errorf("launched %d times, the last after %v; want 2 and 1m", len(w.k.asks()), got)
		}
	})
}

func TestAProcessThatTheJournalDoesNotKnow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := spec("lost")
		text, err := json.Marshal(tag{ID: 4, Index: 2, Spec: &s})
		if err != nil {
			t.Fatal(err)
		}
		k := newKeeper(t)
		for key, tag := range map[string][]byte{"lost-key": text, "odd-key": []byte("{"), "empty-key": nil} {
			k.live[key] = fakeProc{Child: wire.Child{Key: key, PID: firstPid - len(key), Start: 5, Tag: tag}, id: key}
		}
		gone := k.ended(wire.Child{Key: "nobody's"}, code(1))
		inv := k.inventory()
		inv.Exits = []wire.Exit{gone}
		inv.Held = []string{"lost-key/1", "old-key/1", "api"}
		k.held = map[string]int{"lost-key/1": 71, "old-key/1": 72, "api": 73}
		w := openWorld(t, past(t, record(lifecycle.Stopped, func(r *store.Record) { r.Life.Live = 0 })), k, inv)
		synctest.Wait()
		// Its id is taken, so it gets the next one.
		if diff := cmp.Diff(map[int]string{4: "a/1 stopped", 5: "lost/2 online"}, w.states()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if row := w.row(5); row.PID != firstPid-len("lost-key") || row.Key != "lost-key" || row.Script != s.Script {
			t.Errorf("in the view %+v", row)
		}
		if k.unread() != 0 || len(k.asks()) != 0 || len(k.sent()) != 0 {
			t.Errorf("%d exits wait, asked for %v, sent %v", k.unread(), k.asks(), k.sent())
		}
		streams := w.c.added()
		if s := streams["lost-key/1"]; s.FD != 71 || len(s.Paths) != 1 {
			t.Errorf("its output is collected as %+v", s)
		}
		if s, ok := streams["old-key/1"]; !ok || s.FD != 72 || len(s.Paths) != 0 {
			t.Errorf("what comes from a launch that is over is collected as %+v, want it let go", s)
		}
		if _, ok := streams["api"]; ok {
			t.Error("the daemon's own socket is taken for output")
		}
		w.act(api.ActStop, "lost")
		if k.has("lost-key") || !k.has("odd-key") {
			t.Errorf("left running: %v", k.running())
		}
	})
}

// until waits for what comes of real processes.
func (w *world) until(what string, cond func() bool) {
	w.t.Helper()
	testkit.WaitFor(w.t, 20*time.Second, what, cond)
}

func TestAProcessThatOutlivedKeeperAndDaemonIsKept(t *testing.T) {
	for name, change := range map[string]func(*store.Record){
		"as it was":                   func(*store.Record) {},
		"in the middle of a shutdown": func(r *store.Record) { r.Proc.Boot = "" },
	} {
		t.Run(name, func(t *testing.T) {
			id := strayed(t, "of somebody else", true)
			k := newKeeper(t)
			var adopted []any
			k.adopt = func(key string, pid int, start uint64) error {
				adopted = []any{key, pid, start}
				k.live[key] = fakeProc{Child: wire.Child{Key: key, PID: pid, Start: start}, id: "4"}
				return nil
			}
			rec := record(lifecycle.Online, func(r *store.Record) { r.Proc = id }, change)
			w := openWorld(t, past(t, rec), k, remote.Inventory{})
			if diff := cmp.Diff([]any{"the-key", id.PID, id.Start}, adopted); diff != "" {
				t.Errorf("adopted (-want +got):\n%s", diff)
			}
			if row := w.row(4); row.State != api.Online || row.PID != id.PID || row.Restarts != 2 || len(k.asks()) != 0 {
				t.Errorf("in the view %+v, after %d launches", row, len(k.asks()))
			}
			w.act(api.ActRestart, "a")
			if row := w.row(4); row.State != api.Online || row.Key == "the-key" || len(k.asks()) != 1 {
				t.Errorf("after a restart %+v", row)
			}
		})
	}
}

func TestAProcessThatCannotBeAdoptedCountsAsEnded(t *testing.T) {
	id := strayed(t, "of somebody else", true)
	k := newKeeper(t)
	k.adopt = func(string, int, uint64) error { return os.ErrProcessDone }
	w := openWorld(t, past(t, record(lifecycle.Online, func(r *store.Record) { r.Proc = id })), k, remote.Inventory{})
	w.until("its next launch", func() bool { return w.row(4).State == api.Online && w.row(4).Key != "the-key" })
	if row := w.row(4); row.Restarts != 3 || !row.ExitUnknown {
		t.Errorf("in the view %+v", row)
	}
}

func TestAPidThatWentToAnotherProcessIsLeftAlone(t *testing.T) {
	for name, change := range map[string]func(*store.Record){
		"online":   func(r *store.Record) { r.Life.State = lifecycle.Online },
		"stopping": func(r *store.Record) { r.Life.Want, r.Life.Asked = lifecycle.WantStopped, true },
		"stopping, on another boot": func(r *store.Record) {
			r.Life.Want, r.Life.Asked, r.Proc.Boot = lifecycle.WantStopped, true, "another"
			r.Proc.Start++ // as it would have it
		},
		"ended": func(r *store.Record) { r.Life.Want, r.Life.Ended = lifecycle.WantStopped, true },
	} {
		t.Run(name, func(t *testing.T) {
			// A stranger with the pid of ours, and one in its session.
			cmd := testkit.Command(t, "spawn:1;sleep")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			})
			var pid int
			if _, err := fmt.Fscanf(out, "child %d\n", &pid); err != nil {
				t.Fatal(err)
			}
			testkit.KillAtEnd(t, pid)
			kin, err := sysinfo.Identify(pid)
			if err != nil {
				t.Fatal(err)
			}
			id, err := sysinfo.Identify(cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			rec := record(lifecycle.Stopping, func(r *store.Record) {
				r.Proc = id
				r.Proc.Start--
			}, change)
			w := openWorld(t, past(t, rec), newKeeper(t), remote.Inventory{})
			w.until("the end of what is under way", func() bool {
				st := w.row(4).State
				return st == api.Stopped || st == api.Online && w.row(4).Key != "the-key"
			})
			if !id.Alive() || !kin.Alive() {
				t.Errorf("the stranger lives: %v, its child: %v", id.Alive(), kin.Alive())
			}
		})
	}
}

// strayed is a process of a launch, in a session of its own or not, that no
// keeper knows.
func strayed(t *testing.T, key string, leads bool) sysinfo.Identity {
	t.Helper()
	cmd := testkit.Command(t, "sleep")
	cmd.Env = append(cmd.Env, "unique_id="+key)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: leads}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	id, err := sysinfo.Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestALostAnswer(t *testing.T) {
	const (
		none   = iota
		keep   // it is there, and can be taken over
		refuse // it is there, and cannot
		loose  // what it started is there, and it is not
	)
	for name, test := range map[string]struct {
		stray int
		stop  bool
	}{
		"of a process that is there":                    {keep, false},
		"of a process that nobody can take over":        {refuse, false},
		"of a process that is gone, but left a child":   {loose, false},
		"of a process that never was":                   {none, false},
		"of a process that is there, and a stop":        {keep, true},
		"of a process nobody can take over, and a stop": {refuse, true},
		"of a process that never was, and a stop":       {none, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var stray sysinfo.Identity
			lost := make(chan func(wire.Child, error), 1)
			w.k.answer = func(m wire.Spawn, done func(wire.Child, error)) {
				if len(w.k.asks()) == 1 {
					if test.stray != none {
						stray = strayed(t, m.Key, test.stray != loose)
					}
					lost <- done
					return
				}
				if stray.PID != 0 && stray.Alive() {
					t.Error("launched once more while the first one runs")
				}
				done(w.k.run(m), nil)
			}
			w.k.adopt = func(key string, pid int, start uint64) error {
				if test.stray != keep || pid != stray.PID || start != stray.Start {
					return os.ErrPermission
				}
				w.k.mu.Lock()
				defer w.k.mu.Unlock()
				w.k.live[key] = fakeProc{Child: wire.Child{Key: key, PID: pid, Start: start}, id: "0"}
				return nil
			}
			started := make(chan error, 1)
			go func() {
				started <- w.Start(t.Context(), api.StartRequest{Apps: []api.Spec{spec("a")}}, nobody)
			}()
			done := <-lost
			stopped := make(chan error, 1)
			if test.stop {
				go func() {
					stopped <- w.Act(t.Context(), api.ActRequest{Act: api.ActStop, Targets: []string{"a"}}, nobody)
				}()
				w.until("the stop", func() bool { return w.row(0).State == api.Stopping })
			}
			done(wire.Child{}, remote.ErrLost)
			err := <-started
			asks := w.k.asks()
			if stray.PID != 0 && stray.Alive() != (test.stray == keep) {
				t.Errorf("the process runs on: %v", stray.Alive())
			}
			if test.stop {
				if err := <-stopped; err != nil || w.row(0).State != api.Stopped || len(asks) != 1 || len(w.k.running()) != 0 {
					t.Errorf("%v, it is %s after %d launches", err, w.row(0).State, len(asks))
				}
				return
			}
			if err != nil || w.row(0).Restarts != 0 || w.row(0).State != api.Online {
				t.Errorf("%v, %+v", err, w.row(0))
			}
			switch {
			case test.stray == keep && (len(asks) != 1 || w.row(0).PID != stray.PID):
				t.Errorf("%d launches, pid %d; want the process %d taken over", len(asks), w.row(0).PID, stray.PID)
			case test.stray != keep && (len(asks) != 2 || asks[0].Key != asks[1].Key):
				t.Errorf("asked for %+v, want the same launch twice", asks)
			}
		})
	}
}

func TestALaunchWhoseAnswerNoDaemonHeard(t *testing.T) {
	for name, state := range map[string]lifecycle.State{"that goes on": lifecycle.Launching, "in a restart": lifecycle.Stopping} {
		t.Run(name, func(t *testing.T) {
			stray := strayed(t, "the-key-of-a-stray", false)
			rec := record(state, func(r *store.Record) { r.Key, r.Proc = "the-key-of-a-stray", sysinfo.Identity{} })
			k := newKeeper(t)
			k.answer = func(m wire.Spawn, done func(wire.Child, error)) {
				if stray.Alive() {
					t.Error("launched once more while the first one runs")
				}
				done(k.run(m), nil)
			}
			w := openWorld(t, past(t, rec), k, remote.Inventory{})
			w.until("its launch", func() bool { return w.row(4).State == api.Online })
			if stray.Alive() || len(k.asks()) != 1 {
				t.Errorf("the stray lives: %v; %d launches", stray.Alive(), len(k.asks()))
			}
		})
	}
}
