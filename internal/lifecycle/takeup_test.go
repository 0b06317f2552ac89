package lifecycle

import "testing"

// daemon dies after Put of the end of a removal and before Delete: the instance is back as stopped.
func TestARemovalIsTakenUp(t *testing.T) {
	l := newLife(t, standard())
	removing(l)
	l.happen(l.died(2))
	l.happen(l.swept()) // leave, never carried out
	if got := l.happen(Adopted{}); got != "leave" {
		t.Errorf("removed, daemon died before Leave: %v want=%d %q", l.State, l.Want, got)
	}
}

// the same for what had no process: rest does not write Want down.
func TestTheRemovalOfWhatIsStoppedIsTakenUp(t *testing.T) {
	l := newLife(t, standard())
	stopped(l)
	l.happen(Remove{}) // leave, never carried out
	if got := l.happen(Adopted{}); got != "leave" {
		t.Errorf("removed, daemon died before Leave: %v want=%d %q", l.State, l.Want, got)
	}
}

// daemon dies between writing Killed down and carrying Kill out, while sweeping: what is left is
// never sent SIGKILL, and given up.
func TestLeftoversAreKilledAfterADeath(t *testing.T) {
	l := newLife(t, standard())
	stopping(l)
	l.happen(l.died(2))   // ended, sweep
	l.happen(l.elapsed()) // Killed, kill: not carried out
	l.happen(Adopted{})   // sweep, arm
	if got := l.happen(l.elapsed()); got != "kill, arm 1.6s" {
		t.Errorf("its leftovers never got SIGKILL, and now: %v %q", l.State, got)
	}
}

// Reason of a spawn failure that passed stays with the app that runs.
func TestAReasonGoesWithWhatItExplains(t *testing.T) {
	l := newLife(t, standard())
	launching(l)
	l.happen(l.spawnFailed(false))
	l.happen(l.elapsed())
	l.happen(l.spawned())
	if l.State != Online || l.Reason != "" {
		t.Errorf("%v with reason %q", l.State, l.Reason)
	}
}

// a process that ended unseen keeps the exit of the launch before.
func TestAnUnseenExitIsUnknown(t *testing.T) {
	l := newLife(t, standard())
	online(l)
	l.crash(0, 7)
	l.happen(Stop{})
	l.happen(Adopted{Alive: false})
	if l.Exit != (Exit{Happened: true, Unknown: true}) {
		t.Errorf("exit of launch %d is told as %+v, which was launch 1's", l.Launch, l.Exit)
	}
}
