package supervisor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/keeper/remote"
	"tend/internal/keeper/wire"
	"tend/internal/nodeipc"
)

// dice are thrown by many.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

func (d *dice) upTo(limit time.Duration) time.Duration { return time.Duration(d.n(int(limit))) }

// moody makes the keeper answer late and in any order, or say no, and its
// processes end late, or when nobody asked, or only of SIGKILL.
func moody(k *fakeKeeper, d *dice) {
	k.answer = func(m wire.Spawn, done func(wire.Child, error)) {
		daemon := k.daemon()
		time.AfterFunc(d.upTo(300*time.Millisecond), func() {
			if k.daemon() != daemon {
				return // who asked is dead, and the keeper had not heard it all
			}
			switch d.n(12) {
			case 0:
				done(wire.Child{}, &remote.RefusedError{Errno: syscall.EAGAIN, Text: "no"})
			case 1:
				done(wire.Child{}, &remote.RefusedError{Errno: syscall.ELOOP, Text: "never"})
			case 2:
				done(wire.Child{}, remote.ErrLost) // of a launch that never was
			default:
				done(k.run(m), nil)
				if d.n(3) == 0 {
					time.AfterFunc(d.upTo(5*time.Second), func() { k.exit(m.Key, code(d.n(2))) })
				}
			}
		})
	}
	k.channels.boot = func(string) (words []word) {
		for _, n := range []nodeipc.News{nodeipc.Online, nodeipc.Ready, nodeipc.Listening} {
			if d.n(4) > 0 {
				words = append(words, word{d.upTo(4 * time.Second), n})
			}
		}
		return words
	}
	k.channels.drain = func(key string, limit time.Duration) {
		time.AfterFunc(d.upTo(limit), func() { k.channels.finished(key) })
	}
	k.hear = func(p fakeProc, sig syscall.Signal) {
		if sig == syscall.SIGKILL || d.n(4) > 0 {
			time.AfterFunc(d.upTo(500*time.Millisecond), func() { k.exit(p.Key, uint32(sig)) })
		}
	}
}

// TestChaos has many order at random what ten instances are to do, with a
// keeper in a mood, and daemons that die in between. Whatever comes, an
// instance never runs twice (the keeper looks), every order is answered (or
// the bubble finds that nothing moves), and after the last stop nothing runs.
func TestChaos(t *testing.T) {
	const rounds, lives, people, orders = 5, 3, 12, 4
	for seed := range uint64(rounds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				d := &dice{r: rand.New(rand.NewPCG(seed, 1))}
				moody(w.k, d)
				apps := []api.Spec{
					spec("a", instances(4)),
					spec("b", instances(3), func(s *api.Spec) { s.Backoff, s.KillTimeout = 100, 0 }),
					spec("c", instances(3), func(s *api.Spec) { s.RestartDelay, s.TreeKill = 700, false }),
					spec("w", cluster, instances(3), func(s *api.Spec) { s.WaitReady = d.n(2) == 0 }),
				}
				for range lives {
					ctx, cancel := context.WithCancel(t.Context())
					var working sync.WaitGroup
					for range people {
						working.Go(func() {
							for range orders {
								w.anything(ctx, d, apps)
							}
						})
					}
					time.Sleep(d.upTo(8 * time.Second))
					w.close() // in the middle of it
					cancel()
					working.Wait()
					time.Sleep(d.upTo(time.Second))
					w = openWorld(t, w.home, w.k, w.k.inventory())
				}
				var working sync.WaitGroup
				for range people {
					working.Go(func() {
						for range orders {
							w.anything(t.Context(), d, apps)
						}
					})
				}
				working.Wait() // for the answer to everything
				_ = w.Start(t.Context(), api.StartRequest{Apps: apps}, nobody)
				w.act(api.ActStop, "all")
				w = w.calm()
				w.act(api.ActDelete, "all")
				if len(w.View().Rows) != 0 || len(w.keys) != 0 || len(w.serial) != 0 || len(w.roots.set) != 0 {
					t.Errorf("left in the table: %v %v %v %v", w.states(), w.keys, w.serial, w.roots.set)
				}
			})
		})
	}
}

// anything orders something, after a while.
func (w *world) anything(ctx context.Context, d *dice, apps []api.Spec) {
	acts := []string{api.ActStart, api.ActStop, api.ActRestart, api.ActReset, api.ActDelete, api.ActSignal, api.ActReload}
	targets := []string{"a", "b", "c", "w", "all", "0", "4", "9", "/b|c/"}
	time.Sleep(d.upTo(2 * time.Second))
	switch d.n(6) {
	case 0:
		_ = w.Start(ctx, api.StartRequest{Apps: apps, Reload: d.n(2) == 0}, nobody)
	case 1:
		_ = w.Scale(ctx, api.ScaleRequest{Name: targets[d.n(4)], Count: 1 + d.n(5)}, nobody)
	default:
		_ = w.Act(ctx, api.ActRequest{
			Act: acts[d.n(len(acts))], Targets: []string{targets[d.n(len(targets))]}, Parallel: d.n(4), Signal: "USR2", Force: d.n(2) == 0,
		}, nobody)
	}
}

// calm checks that everything is stopped and stays so, and that the journal
// tells the same to another daemon, which it returns.
func (w *world) calm() *world {
	w.t.Helper()
	synctest.Wait()
	if n := w.k.running(); len(n) != 0 {
		w.t.Errorf("after the last stop %v run; the list is %v", n, w.states())
	}
	asks := len(w.k.asks())
	time.Sleep(time.Hour)
	for _, row := range w.View().Rows {
		if row.State != api.Stopped || row.PID != 0 {
			w.t.Errorf("after the last stop %s %d is %s with pid %d", row.Name, row.ID, row.State, row.PID)
		}
	}
	if n := len(w.k.asks()) - asks; n != 0 {
		w.t.Errorf("%d launches after the last stop", n)
	}
	if n := w.k.unread(); n != 0 {
		w.t.Errorf("%d exits were not acknowledged", n)
	}
	before := w.states()
	w.close()
	next := openWorld(w.t, w.home, w.k, w.k.inventory())
	synctest.Wait()
	if diff := cmp.Diff(before, next.states()); diff != "" {
		w.t.Errorf("the next daemon knows another list (-this +next):\n%s", diff)
	}
	return next
}
