package lifecycle

import (
	"fmt"
	"slices"
	"time"
)

// Step applies ev to in at time now. It returns the instance after the event
// and what to do about it. An event that means nothing in the current state
// changes nothing.
func (p Policy) Step(in Instance, ev Event, now time.Time) (Instance, []Effect) {
	s := step{Policy: p, Instance: in, now: now}
	switch ev := ev.(type) {
	case Start:
		s.order(WantRunning, false)
	case Restart:
		s.order(WantRunning, true)
	case Stop:
		s.order(WantStopped, false)
	case Remove:
		s.order(WantRemoved, false)
	case Reset:
		s.Restarts, s.Unstable, s.Tries, s.PrevDelay, s.Created = 0, 0, 0, 0, now
	case Spawned:
		s.spawned(ev.Launch)
	case SpawnFailed:
		s.spawnFailed(ev)
	case Ready:
		if s.State == Launching && s.Live == ev.Launch {
			s.online()
		}
	case Asked:
		s.asked(ev.Launch)
	case Exited:
		s.exited(ev)
	case Swept:
		if s.Ended && s.Live == ev.Launch {
			s.finish()
		}
	case Elapsed:
		if ev.Gen == s.Gen {
			s.elapsed()
		}
	case Adopted:
		s.adopted(ev.Alive)
	}
	return s.Instance, s.effects
}

// step is one call of Step under way.
type step struct {
	Policy
	Instance

	now     time.Time
	effects []Effect
}

func (s *step) do(e Effect) { s.effects = append(s.effects, e) }

func (s *step) enter(state State) {
	s.State = state
	s.Gen++
	s.WakeAt = time.Time{}
}

func (s *step) arm(after time.Duration) { s.do(Arm{Gen: s.Gen, After: after}) }

// order carries out what a person asked for. renew: also where a process runs.
func (s *step) order(want Want, renew bool) {
	if want != WantRunning {
		switch s.State {
		case Stopped, Waiting, Errored:
			if s.Live == 0 {
				s.rest(want)
				return
			}
			s.stop(want) // it could not be killed; try again
		case Launching, Online:
			s.stop(want)
		case Stopping:
			// Somebody who wants it gone is not overruled by a later stop.
			if s.Want != WantRemoved {
				s.Want = want
			}
		}
		return
	}
	switch s.State {
	case Launching, Online:
		if renew {
			s.manual()
			s.Restarts++
			s.stop(WantRunning)
		}
	case Stopping:
		if s.Want != WantRemoved {
			s.Want = WantRunning
			s.manual()
		}
	case Stopped, Waiting, Errored:
		s.manual()
		if s.Live != 0 {
			s.stop(WantRunning)
			return
		}
		s.launch()
	}
}

// manual forgets the history that automatic restarts go by: a person took
// things in hand.
func (s *step) manual() {
	s.Created, s.Unstable, s.Tries, s.PrevDelay, s.Reason = s.now, 0, 0, 0, ""
}

// launch asks for a new process. Live is 0 here, or two would run.
func (s *step) launch() {
	s.Launch++
	s.Live = s.Launch
	s.Instance.Asked, s.Killed, s.Ended = false, false, false
	s.Want, s.Reason = WantRunning, ""
	s.Started = s.now
	if s.Created.IsZero() {
		s.Created = s.now
	}
	s.enter(Launching)
	s.do(Spawn{Launch: s.Live})
}

// stop asks the live process to end.
func (s *step) stop(want Want) {
	s.Want = want
	s.Instance.Asked, s.Killed = false, false
	s.enter(Stopping)
	if s.Ended { // of an earlier try; only what it left is still there
		s.do(Sweep{Launch: s.Live})
		s.arm(s.KillTimeout)
		return
	}
	s.do(Signal{Launch: s.Live})
}

// asked starts the clock: a process has its kill_timeout from the moment it
// was asked, however long that took us.
func (s *step) asked(launch uint64) {
	if s.State == Stopping && s.Live == launch && !s.Instance.Asked {
		s.Instance.Asked = true
		s.arm(s.KillTimeout)
	}
}

// rest ends in the state that is wanted of an instance without a process.
func (s *step) rest(want Want) {
	s.Want = want
	if want == WantRemoved {
		s.enter(Stopped)
		s.do(Leave{})
		return
	}
	s.Reason = ""
	s.enter(Stopped)
}

func (s *step) spawned(launch uint64) {
	if s.Live != launch {
		return
	}
	if s.State == Stopping { // the stop came before there was anything to signal
		switch {
		case s.Killed:
			s.do(Kill{Launch: launch})
		case !s.Instance.Asked:
			s.do(Signal{Launch: launch})
		}
		return
	}
	if s.State != Launching {
		return
	}
	// A clock that was set back lets nobody wait longer than he was to.
	left := min(s.StartTime-s.now.Sub(s.Started), s.StartTime)
	switch {
	case s.WaitReady:
		s.arm(s.ListenTimeout)
	case left > 0:
		s.arm(left)
	default:
		s.online()
	}
}

// online is the end of a start that went well.
func (s *step) online() {
	s.Tries = 0
	s.enter(Online)
}

func (s *step) spawnFailed(ev SpawnFailed) {
	if s.Live != ev.Launch {
		return
	}
	if s.State == Stopping {
		s.finish()
		return
	}
	s.Live = 0
	s.Reason = ev.Reason
	if ev.Lasting || !s.Autorestart {
		s.giveUp(ev.Reason)
		return
	}
	s.again(max(s.RestartDelay, s.grown(max(s.Backoff, retrySpawn))))
}

func (s *step) exited(ev Exited) {
	if s.Live != ev.Launch || s.Ended {
		return
	}
	s.Exit = ev.Exit
	s.Exit.Happened = true
	if s.State == Stopping || s.State == Errored {
		s.Ended = true
		s.do(Sweep{Launch: s.Live})
		return
	}
	s.Live = 0
	s.decide(s.State == Online)
}

// decide is PM2's rule for an exit that nobody asked for (pm2-surface 3.3), and
// Supervisor's for one before the start was over.
func (s *step) decide(started bool) {
	if !s.Autorestart || s.exitedWith(s.StopCodes) || started && s.exitedWith(s.ExpectedCodes) {
		s.enter(Stopped)
		return
	}
	if !started {
		s.Tries++
	}
	uptime, least := s.now.Sub(s.Started), max(s.MinUptime, s.StartTime)
	window := least * time.Duration(max(s.MaxRestarts, 1))
	if uptime < least && s.now.Sub(s.Created) < window {
		s.Unstable++
	}
	switch {
	case s.StartTries > 0 && s.Tries >= s.StartTries:
		s.giveUp(fmt.Sprintf("its start retries are exhausted: %d exits in a row before it was online", s.Tries))
		return
	case s.Unstable > 0 && s.Unstable >= s.MaxRestarts:
		s.giveUp(fmt.Sprintf("%d exits in a row, each less than %v after its start", s.Unstable, least))
		return
	}
	if uptime >= backoffReset {
		s.PrevDelay = 0
	}
	s.again(s.nextDelay())
}

// exitedWith tells whether the last process ended by itself with one of codes.
func (s *step) exitedWith(codes []int) bool {
	e := s.Exit
	return !e.Unknown && e.Signal == 0 && slices.Contains(codes, e.Code)
}

// again launches after a delay.
func (s *step) again(delay time.Duration) {
	if delay == 0 {
		s.Restarts++
		s.launch()
		return
	}
	s.Want = WantRunning
	s.enter(Waiting)
	s.WakeAt = s.now.Add(delay)
	s.arm(delay)
}

// nextDelay grows from Backoff, or is RestartDelay.
func (s *step) nextDelay() time.Duration {
	if s.Backoff == 0 {
		return s.RestartDelay
	}
	return s.grown(s.Backoff)
}

// grown is a delay that grows by half each time, from the first to the cap.
func (s *step) grown(first time.Duration) time.Duration {
	if s.PrevDelay == 0 {
		s.PrevDelay = first
	} else {
		grown := (s.PrevDelay * 3 / 2).Truncate(time.Millisecond)
		s.PrevDelay = min(max(grown, s.PrevDelay), max(backoffCap, first))
	}
	return s.PrevDelay
}

func (s *step) giveUp(reason string) {
	s.Reason = reason
	s.Unstable, s.Tries = 0, 0
	s.Created = time.Time{} // the next launch starts a new history
	s.enter(Errored)
}

// finish goes on after a stop, when no process is left.
func (s *step) finish() {
	s.Live = 0
	s.Instance.Asked, s.Killed, s.Ended = false, false, false
	if s.Want == WantRunning {
		s.launch()
		return
	}
	s.rest(s.Want)
}

func (s *step) elapsed() {
	switch s.State {
	case Waiting:
		s.Restarts++
		s.launch()
	case Launching: // it was waited for long enough (PM2: listen_timeout)
		if s.Strict {
			s.Reason = fmt.Sprintf("it was not ready within %v", s.ListenTimeout)
			s.stop(WantRemoved)
			return
		}
		s.online()
	case Stopping:
		if !s.Killed {
			s.Killed = true
			s.Gen++
			s.do(Kill{Launch: s.Live})
			s.arm(max(s.KillTimeout, time.Second))
			return
		}
		if s.Ended { // what it left was sent SIGKILL; there is nothing more to be done about it
			s.finish()
			return
		}
		s.Want = WantStopped
		s.Reason = "its process could not be killed"
		s.enter(Errored) // Live stays: an order tries again, an exit is still noticed
	case Stopped, Online, Errored:
	}
}

// adopted takes up what a daemon that died was doing.
func (s *step) adopted(alive bool) {
	switch s.State {
	case Launching:
		if alive {
			s.spawned(s.Live)
			return
		}
		s.do(Spawn{Launch: s.Live}) // the keeper knows the launch if it was carried out
	case Waiting:
		s.Gen++
		s.arm(max(0, s.WakeAt.Sub(s.now)))
	case Stopping:
		s.Gen++
		switch {
		case s.Ended || !alive:
			s.vanished()
			s.Killed = false // it may not have been carried out: the clock brings it again
			s.do(Sweep{Launch: s.Live})
		case s.Killed:
			s.do(Kill{Launch: s.Live})
		case !s.Instance.Asked:
			s.do(Signal{Launch: s.Live})
			return // its answer starts the clock
		}
		s.arm(s.KillTimeout)
	case Errored:
		if s.Live != 0 && (s.Ended || !alive) {
			s.vanished()
			s.do(Sweep{Launch: s.Live})
		}
	case Stopped:
		if s.Want == WantRemoved { // it was written down, and not yet carried out
			s.do(Leave{})
		}
	case Online:
	}
}

// vanished notes the end of a process that nobody saw end.
func (s *step) vanished() {
	if !s.Ended {
		s.Ended = true
		s.Exit = Exit{Happened: true, Unknown: true}
	}
}
