package lifecycle

import (
	"testing"
	"time"
)

// TestKilling is the whole way from a signal that is ignored to the end.
func TestKilling(t *testing.T) {
	l := newLife(t, standard())
	online(l)
	if got := l.happen(Stop{}); got != "signal" {
		t.Fatalf("stop: %q", got)
	}
	// However long it took to ask, it has its whole time from then on.
	if got := l.after(time.Hour).happen(l.asked()); got != "arm 1.6s" {
		t.Fatalf("asked: %q", got)
	}
	if got := l.happen(l.asked()); got != "" {
		t.Fatalf("asked again: %q, want the first clock to go on", got)
	}
	if got := l.after(1600 * time.Millisecond).happen(l.elapsed()); got != "kill, arm 1.6s" || l.State != Stopping {
		t.Fatalf("the signal was ignored: %v, %q", l.State, got)
	}
	live := l.Live
	if got := l.after(1600 * time.Millisecond).happen(l.elapsed()); got != "" || l.State != Errored || l.Live != live || l.Reason == "" {
		t.Fatalf("SIGKILL did nothing: %v, live %d, reason %q, effects %q; want errored with its process kept", l.State, l.Live, l.Reason, got)
	}
	if got := l.after(time.Hour).happen(l.died(9)); got != "sweep" || l.Exit != (Exit{Happened: true, Signal: 9}) {
		t.Fatalf("it died after all: %q, exit %+v", got, l.Exit)
	}
	if got := l.happen(l.swept()); got != "" || l.State != Stopped || l.Live != 0 || l.Reason != "" {
		t.Errorf("nothing is left: %v, live %d, reason %q, effects %q; want stopped", l.State, l.Live, l.Reason, got)
	}
}

// TestKillingWhatWasLeft: when SIGKILL does not help either, nothing more can
// be done, and the order is carried out.
func TestKillingWhatWasLeft(t *testing.T) {
	for name, test := range map[string]struct {
		order   Event
		effects string
	}{"stop": {Stop{}, ""}, "restart": {Restart{}, "spawn"}, "remove": {Remove{}, "leave"}} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, standard())
			online(l)
			l.happen(test.order, l.asked(), l.died(2))
			if got := l.happen(l.elapsed()); got != "kill, arm 1.6s" {
				t.Fatalf("it left somebody: %q, want a kill", got)
			}
			if got := l.happen(l.elapsed()); got != test.effects {
				t.Errorf("%v, %q, want %q", l.State, got, test.effects)
			}
		})
	}
}

func TestKillingWaitsASecondAtLeast(t *testing.T) {
	p := standard()
	p.KillTimeout = 0
	l := newLife(t, p)
	online(l)
	l.happen(Stop{})
	if got := l.happen(l.asked()); got != "arm 0s" {
		t.Fatalf("asked: %q", got)
	}
	if got := l.happen(l.elapsed()); got != "kill, arm 1s" {
		t.Errorf("kill: %q", got)
	}
}

// TestStopBeforeSpawned stops what the keeper has not answered for yet.
func TestStopBeforeSpawned(t *testing.T) {
	begin := func(t *testing.T, order Event) *life {
		l := newLife(t, standard())
		launching(l)
		if got := l.happen(order); got != "signal" || l.State != Stopping {
			t.Fatalf("%v, %q", l.State, got)
		}
		return l
	}
	t.Run("its process comes and is asked again", func(t *testing.T) {
		l := begin(t, Stop{})
		if got := l.happen(l.spawned()); got != "signal" || l.State != Stopping {
			t.Fatalf("%v, %q, want another signal", l.State, got)
		}
		l.happen(l.asked())
		l.happen(l.died(2))
		if l.happen(l.swept()); l.State != Stopped || l.Live != 0 {
			t.Errorf("%v, live %d, want stopped", l.State, l.Live)
		}
	})
	t.Run("it was asked already", func(t *testing.T) {
		l := begin(t, Stop{})
		l.happen(l.asked())
		if got := l.happen(l.spawned()); got != "" {
			t.Errorf("effects %q, want none", got)
		}
	})
	t.Run("no clock runs before it is asked", func(t *testing.T) {
		l := begin(t, Stop{})
		l.after(time.Hour).happen(l.spawned())
		if got := l.happen(l.asked()); got != "arm 1.6s" {
			t.Errorf("%q, want its whole time", got)
		}
	})
	t.Run("its process never comes", func(t *testing.T) {
		l := begin(t, Stop{})
		if l.happen(l.spawnFailed(false)); l.State != Stopped || l.Live != 0 {
			t.Errorf("%v, live %d, want stopped", l.State, l.Live)
		}
	})
	t.Run("it is removed and never comes", func(t *testing.T) {
		l := begin(t, Remove{})
		if got := l.happen(l.spawnFailed(true)); got != "leave" {
			t.Errorf("effects %q, want it to leave", got)
		}
	})
	t.Run("it is restarted and never comes", func(t *testing.T) {
		l := begin(t, Restart{})
		if got := l.happen(l.spawnFailed(true)); got != "spawn" || l.Live != 2 {
			t.Errorf("effects %q and live %d, want a second launch", got, l.Live)
		}
	})
	t.Run("it exits by itself", func(t *testing.T) {
		l := begin(t, Stop{})
		if got := l.happen(l.exited(0)); got != "sweep" {
			t.Errorf("effects %q, want a sweep", got)
		}
	})
}
