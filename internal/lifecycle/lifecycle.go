// Package lifecycle decides what an order, an exit and a timer mean for one
// instance of an app. It is pure: Step takes the instance and an event and
// returns the instance after it and what is to be done. It starts nothing,
// waits for nothing and asks no clock.
package lifecycle

import "time"

// State is where an instance stands. Numbers are on disk: append only.
type State int

// The states.
const (
	Stopped   State = 0
	Launching State = 1 // asked of the keeper, or not yet ready
	Online    State = 2
	Stopping  State = 3
	Waiting   State = 4 // for the time of the next launch
	Errored   State = 5 // given up
)

// String is PM2's word for the state.
func (s State) String() string {
	switch s {
	case Stopped:
		return "stopped"
	case Launching:
		return "launching"
	case Online:
		return "online"
	case Stopping:
		return "stopping"
	case Waiting:
		return "waiting restart"
	case Errored:
		return "errored"
	}
	return "unknown"
}

// Want is what follows a stop. Numbers are on disk: append only.
type Want int

// The wants.
const (
	WantStopped Want = 0
	WantRunning Want = 1 // start again
	WantRemoved Want = 2 // leave the table
)

// Policy is what the app's Spec says about its life.
type Policy struct {
	Autorestart   bool
	StopCodes     []int // exit codes that are not answered by a restart
	ExpectedCodes []int // the same, but not of a process that never was online
	MaxRestarts   int   // unstable exits before giving up
	MinUptime     time.Duration
	StartTime     time.Duration // online only after it, unless WaitReady
	StartTries    int           // exits in a row before it was online, before giving up; 0: no matter how many
	RestartDelay  time.Duration
	Backoff       time.Duration // first of growing delays; 0: RestartDelay holds
	KillTimeout   time.Duration
	WaitReady     bool // online only after Ready, or ListenTimeout
	ListenTimeout time.Duration
	// Strict: who is not ready within ListenTimeout has failed, and leaves.
	Strict bool
}

// The bounds of a growing delay, as PM2 has them.
const (
	backoffCap   = 15 * time.Second
	backoffReset = 30 * time.Second // an uptime that makes the next delay the first again
)

// Delay before a launch that failed for want of something that may come back
// (memory, processes, a secret) is tried again, at least; it grows as others do.
const retrySpawn = 200 * time.Millisecond

// Instance is all that a life depends on. It is a value; its zero value is an
// instance that never ran.
type Instance struct {
	State State `json:"state"`
	Want  Want  `json:"want,omitempty"`
	// Gen grows with every change of state; a timer carries the one it was
	// armed in, and a late timer is ignored.
	Gen uint64 `json:"gen"`
	// Launch numbers the launches. Live is the launch whose process is there
	// or asked for, 0 when none: while it is set nothing else is launched.
	Launch uint64 `json:"launch"`
	Live   uint64 `json:"live,omitempty"`
	// Asked tells that the live process was asked to stop; Killed that it, and
	// what it left, was sent SIGKILL; Ended that it ended and what it left
	// is being looked for.
	Asked  bool `json:"asked,omitempty"`
	Killed bool `json:"killed,omitempty"`
	Ended  bool `json:"ended,omitempty"`

	Created   time.Time     `json:"created,omitzero"`
	Started   time.Time     `json:"started,omitzero"`
	Restarts  int           `json:"restarts,omitempty"`
	Unstable  int           `json:"unstable,omitempty"`
	Tries     int           `json:"tries,omitempty"` // launches in a row that ended before they were online
	PrevDelay time.Duration `json:"prev_delay,omitempty"`
	WakeAt    time.Time     `json:"wake_at,omitzero"` // when Waiting ends

	Exit   Exit   `json:"exit,omitzero"`
	Reason string `json:"reason,omitempty"` // why it is Errored, for people
}

// Exit is how the last process ended.
type Exit struct {
	Happened bool `json:"happened,omitempty"`
	Unknown  bool `json:"unknown,omitempty"` // nobody could learn it
	Code     int  `json:"code,omitempty"`
	Signal   int  `json:"signal,omitempty"` // 0: it was not a signal
}

// Event is what happens to an instance.
type Event interface{ event() }

// The events.
type (
	// Start asks for a running instance; it does nothing to one that runs.
	Start struct{}
	// Restart asks for a new process in place of whatever is there.
	Restart struct{}
	// Stop asks for no process.
	Stop struct{}
	// Remove asks for no process and no instance.
	Remove struct{}
	// Reset zeroes the counters.
	Reset struct{}
	// Spawned tells that the process of a launch is there.
	Spawned struct{ Launch uint64 }
	// SpawnFailed tells that there will be none. Lasting: the reason will not
	// go away by itself.
	SpawnFailed struct {
		Launch  uint64
		Reason  string
		Lasting bool
	}
	// Ready tells that the process says it is ready.
	Ready struct{ Launch uint64 }
	// Asked tells that the effect Signal was carried out.
	Asked struct{ Launch uint64 }
	// Exited tells that the process of a launch ended.
	Exited struct {
		Launch uint64
		Exit   Exit
	}
	// Swept tells that nothing is left of a launch that was stopped.
	Swept struct{ Launch uint64 }
	// Elapsed tells that a timer ran out.
	Elapsed struct{ Gen uint64 }
	// Adopted tells that a new daemon has taken over, with Alive telling
	// whether the process of the live launch is there. What was under way
	// is taken up again.
	Adopted struct{ Alive bool }
)

func (Start) event()       {}
func (Restart) event()     {}
func (Stop) event()        {}
func (Remove) event()      {}
func (Reset) event()       {}
func (Spawned) event()     {}
func (SpawnFailed) event() {}
func (Ready) event()       {}
func (Asked) event()       {}
func (Exited) event()      {}
func (Swept) event()       {}
func (Elapsed) event()     {}
func (Adopted) event()     {}

// Effect is what is to be done, in order.
type Effect interface{ effect() }

// The effects.
type (
	// Spawn asks for the process of a launch. The answer is Spawned or
	// SpawnFailed.
	Spawn struct{ Launch uint64 }
	// Signal asks the process of a launch, and what it started, to stop. The
	// answer is Asked.
	Signal struct{ Launch uint64 }
	// Sweep looks for what a launch left behind, asks it to stop and waits
	// for its end. The answer is Swept.
	Sweep struct{ Launch uint64 }
	// Kill sends SIGKILL to the process of a launch and to all it started.
	Kill struct{ Launch uint64 }
	// Arm asks for Elapsed{Gen} at a time from now.
	Arm struct {
		Gen   uint64
		After time.Duration
	}
	// Leave takes the instance out of the table.
	Leave struct{}
)

func (Spawn) effect()  {}
func (Signal) effect() {}
func (Sweep) effect()  {}
func (Kill) effect()   {}
func (Arm) effect()    {}
func (Leave) effect()  {}
