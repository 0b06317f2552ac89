package lifecycle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// epoch is when the lives of these tests begin.
var epoch = time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)

// standard is the policy of an app that asks for nothing special.
func standard() Policy {
	return Policy{
		Autorestart: true, MaxRestarts: 16, MinUptime: time.Second,
		KillTimeout: 1600 * time.Millisecond, ListenTimeout: 3 * time.Second,
	}
}

// life is an instance whose time the test owns.
type life struct {
	Instance

	t      *testing.T
	policy Policy
	now    time.Time
}

func newLife(t *testing.T, p Policy) *life { return &life{t: t, policy: p, now: epoch} }

// happen applies events and tells the effects of the last, in words.
func (l *life) happen(events ...Event) string {
	l.t.Helper()
	var words []string
	for _, ev := range events {
		var effects []Effect
		l.Instance, effects = l.policy.Step(l.Instance, ev, l.now)
		words = nil
		for _, e := range effects {
			words = append(words, l.describe(e))
		}
	}
	return strings.Join(words, ", ")
}

func (l *life) describe(e Effect) string {
	l.t.Helper()
	launch := func(verb string, n uint64) string {
		if n != l.Live {
			l.t.Errorf("%s is for launch %d, and launch %d is live", verb, n, l.Live)
		}
		return verb
	}
	switch e := e.(type) {
	case Spawn:
		return launch("spawn", e.Launch)
	case Signal:
		return launch("signal", e.Launch)
	case Sweep:
		return launch("sweep", e.Launch)
	case Kill:
		return launch("kill", e.Launch)
	case Arm:
		if e.Gen != l.Gen {
			l.t.Errorf("a timer carries generation %d, the instance has %d", e.Gen, l.Gen)
		}
		return "arm " + e.After.String()
	case Leave:
		return "leave"
	}
	return fmt.Sprintf("unknown %T", e)
}

func (l *life) after(d time.Duration) *life { l.now = l.now.Add(d); return l }

// The answers of the world to what was asked last.

func (l *life) spawned() Event        { return Spawned{Launch: l.Live} }
func (l *life) ready() Event          { return Ready{Launch: l.Live} }
func (l *life) asked() Event          { return Asked{Launch: l.Live} }
func (l *life) exited(code int) Event { return Exited{Launch: l.Live, Exit: Exit{Code: code}} }
func (l *life) died(signal int) Event { return Exited{Launch: l.Live, Exit: Exit{Signal: signal}} }
func (l *life) swept() Event          { return Swept{Launch: l.Live} }
func (l *life) elapsed() Event        { return Elapsed{Gen: l.Gen} }
func (l *life) spawnFailed(lasting bool) Event {
	return SpawnFailed{Launch: l.Live, Reason: "no such file", Lasting: lasting}
}

// The ways into each state.

func never(*life) {}

func launching(l *life) { l.happen(Start{}) }

func booting(l *life) { // there, and not ready
	l.policy.WaitReady = true
	l.happen(Start{})
	l.happen(l.spawned())
}

func online(l *life) { launching(l); l.happen(l.spawned()) }

func stopping(l *life) { online(l); l.happen(Stop{}, l.asked()) }

func restarting(l *life) { online(l); l.happen(Restart{}, l.asked()) }

func removing(l *life) { online(l); l.happen(Remove{}, l.asked()) }

func sweeping(l *life) { stopping(l); l.happen(l.died(2)) }

func waiting(l *life) {
	l.policy.RestartDelay = 5 * time.Second
	online(l)
	l.after(time.Minute).happen(l.exited(1))
}

func stopped(l *life) { sweeping(l); l.happen(l.swept()) }

func errored(l *life) { launching(l); l.happen(l.spawnFailed(true)) }

func unkillable(l *life) {
	stopping(l)
	l.happen(l.elapsed())
	l.happen(l.elapsed())
}

// orphaned is unkillable no more; what it left is still there.
func orphaned(l *life) { unkillable(l); l.happen(l.died(9)) }

func TestStates(t *testing.T) {
	for name, test := range map[string]struct {
		way  func(*life)
		want State
		live bool
	}{
		"never ran":           {never, Stopped, false},
		"asked of the keeper": {launching, Launching, true},
		"not ready":           {booting, Launching, true},
		"running":             {online, Online, true},
		"being stopped":       {stopping, Stopping, true},
		"being restarted":     {restarting, Stopping, true},
		"being removed":       {removing, Stopping, true},
		"being swept":         {sweeping, Stopping, true},
		"waiting":             {waiting, Waiting, false},
		"stopped":             {stopped, Stopped, false},
		"given up":            {errored, Errored, false},
		"not to be killed":    {unkillable, Errored, true},
		"killed too late":     {orphaned, Errored, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, standard())
			test.way(l)
			if l.State != test.want || (l.Live != 0) != test.live {
				t.Errorf("state %v with live launch %d, want %v, live %v", l.State, l.Live, test.want, test.live)
			}
		})
	}
}

// TestOrders gives each order in each state.
func TestOrders(t *testing.T) {
	const stop = "signal" // its answer starts the clock
	for name, test := range map[string]struct {
		way      func(*life)
		order    Event
		state    State
		want     Want
		restarts int
		effects  string
	}{
		"start what never ran":            {never, Start{}, Launching, WantRunning, 0, "spawn"},
		"start what is launching":         {launching, Start{}, Launching, WantRunning, 0, ""},
		"start what is not ready":         {booting, Start{}, Launching, WantRunning, 0, ""},
		"start what runs":                 {online, Start{}, Online, WantRunning, 0, ""},
		"start what is stopping":          {stopping, Start{}, Stopping, WantRunning, 0, ""},
		"start what is restarting":        {restarting, Start{}, Stopping, WantRunning, 1, ""},
		"start what is being removed":     {removing, Start{}, Stopping, WantRemoved, 0, ""},
		"start what is being swept":       {sweeping, Start{}, Stopping, WantRunning, 0, ""},
		"start what waits":                {waiting, Start{}, Launching, WantRunning, 0, "spawn"},
		"start what is stopped":           {stopped, Start{}, Launching, WantRunning, 0, "spawn"},
		"start what was given up":         {errored, Start{}, Launching, WantRunning, 0, "spawn"},
		"start what cannot be killed":     {unkillable, Start{}, Stopping, WantRunning, 0, stop},
		"start what was killed too late":  {orphaned, Start{}, Stopping, WantRunning, 0, "sweep, arm 1.6s"},
		"restart what never ran":          {never, Restart{}, Launching, WantRunning, 0, "spawn"},
		"restart what is launching":       {launching, Restart{}, Stopping, WantRunning, 1, stop},
		"restart what is not ready":       {booting, Restart{}, Stopping, WantRunning, 1, stop},
		"restart what runs":               {online, Restart{}, Stopping, WantRunning, 1, stop},
		"restart what is stopping":        {stopping, Restart{}, Stopping, WantRunning, 0, ""},
		"restart what is restarting":      {restarting, Restart{}, Stopping, WantRunning, 1, ""},
		"restart what is being removed":   {removing, Restart{}, Stopping, WantRemoved, 0, ""},
		"restart what is being swept":     {sweeping, Restart{}, Stopping, WantRunning, 0, ""},
		"restart what waits":              {waiting, Restart{}, Launching, WantRunning, 0, "spawn"},
		"restart what is stopped":         {stopped, Restart{}, Launching, WantRunning, 0, "spawn"},
		"restart what was given up":       {errored, Restart{}, Launching, WantRunning, 0, "spawn"},
		"restart what cannot be killed":   {unkillable, Restart{}, Stopping, WantRunning, 0, stop},
		"restart what was killed late":    {orphaned, Restart{}, Stopping, WantRunning, 0, "sweep, arm 1.6s"},
		"stop what never ran":             {never, Stop{}, Stopped, WantStopped, 0, ""},
		"stop what is launching":          {launching, Stop{}, Stopping, WantStopped, 0, stop},
		"stop what is not ready":          {booting, Stop{}, Stopping, WantStopped, 0, stop},
		"stop what runs":                  {online, Stop{}, Stopping, WantStopped, 0, stop},
		"stop what is stopping":           {stopping, Stop{}, Stopping, WantStopped, 0, ""},
		"stop what is restarting":         {restarting, Stop{}, Stopping, WantStopped, 1, ""},
		"stop what is being removed":      {removing, Stop{}, Stopping, WantRemoved, 0, ""},
		"stop what is being swept":        {sweeping, Stop{}, Stopping, WantStopped, 0, ""},
		"stop what is stopped":            {stopped, Stop{}, Stopped, WantStopped, 0, ""},
		"stop what was given up":          {errored, Stop{}, Stopped, WantStopped, 0, ""},
		"stop what cannot be killed":      {unkillable, Stop{}, Stopping, WantStopped, 0, stop},
		"stop what was killed too late":   {orphaned, Stop{}, Stopping, WantStopped, 0, "sweep, arm 1.6s"},
		"remove what never ran":           {never, Remove{}, Stopped, WantStopped, 0, "leave"},
		"remove what is launching":        {launching, Remove{}, Stopping, WantRemoved, 0, stop},
		"remove what is not ready":        {booting, Remove{}, Stopping, WantRemoved, 0, stop},
		"remove what runs":                {online, Remove{}, Stopping, WantRemoved, 0, stop},
		"remove what is stopping":         {stopping, Remove{}, Stopping, WantRemoved, 0, ""},
		"remove what is restarting":       {restarting, Remove{}, Stopping, WantRemoved, 1, ""},
		"remove what is being removed":    {removing, Remove{}, Stopping, WantRemoved, 0, ""},
		"remove what is being swept":      {sweeping, Remove{}, Stopping, WantRemoved, 0, ""},
		"remove what is stopped":          {stopped, Remove{}, Stopped, WantStopped, 0, "leave"},
		"remove what cannot be killed":    {unkillable, Remove{}, Stopping, WantRemoved, 0, stop},
		"remove what was killed too late": {orphaned, Remove{}, Stopping, WantRemoved, 0, "sweep, arm 1.6s"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, standard())
			test.way(l)
			effects := l.happen(test.order)
			if l.State != test.state || l.Restarts != test.restarts || effects != test.effects {
				t.Errorf("%v with %d restarts and effects %q, want %v, %d, %q",
					l.State, l.Restarts, effects, test.state, test.restarts, test.effects)
			}
			if l.State == Stopping || l.State == Launching {
				if l.Want != test.want {
					t.Errorf("want is %d, should be %d", l.Want, test.want)
				}
			}
		})
	}
	// Without a process the want of the past says nothing; only the effects do.
	for name, test := range map[string]struct {
		way     func(*life)
		order   Event
		effects string
	}{
		"stop what waits":          {waiting, Stop{}, ""},
		"remove what waits":        {waiting, Remove{}, "leave"},
		"remove what was given up": {errored, Remove{}, "leave"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, standard())
			test.way(l)
			timer := l.elapsed()
			if effects := l.happen(test.order); effects != test.effects || l.State != Stopped {
				t.Errorf("%v and effects %q, want stopped and %q", l.State, effects, test.effects)
			}
			if effects := l.happen(timer); effects != "" || l.State != Stopped {
				t.Errorf("the timer it had waited for still means something: %v, %q", l.State, effects)
			}
		})
	}
}

func TestReadiness(t *testing.T) {
	begin := func(t *testing.T) *life {
		p := standard()
		p.WaitReady = true
		l := newLife(t, p)
		launching(l)
		if got := l.happen(l.spawned()); got != "arm 3s" || l.State != Launching {
			t.Fatalf("spawned: %v, %q", l.State, got)
		}
		return l
	}
	t.Run("it says so", func(t *testing.T) {
		l := begin(t)
		timer := l.elapsed()
		if l.happen(l.ready()); l.State != Online {
			t.Fatalf("%v, want online", l.State)
		}
		before := l.Instance
		if got := l.happen(timer); got != "" || l.Instance != before {
			t.Errorf("the timer still does something: %q", got)
		}
	})
	t.Run("it never says so", func(t *testing.T) {
		l := begin(t)
		if l.happen(l.elapsed()); l.State != Online {
			t.Errorf("%v, want online", l.State)
		}
	})
	t.Run("it never says so, and has to", func(t *testing.T) {
		l := begin(t)
		l.policy.Strict = true
		if got := l.happen(l.elapsed()); got != "signal" || l.State != Stopping || l.Reason != "it was not ready within 3s" {
			t.Fatalf("%v, %q because %q; want it asked to stop", l.State, got, l.Reason)
		}
		if l.happen(l.ready()); l.State != Stopping {
			t.Errorf("ready too late: %v", l.State)
		}
		if got := l.happen(l.asked(), l.died(2), l.swept()); !strings.Contains(got, "leave") || l.Reason == "" {
			t.Errorf("effects %q because %q, want it to leave, and why", got, l.Reason)
		}
	})
	t.Run("it dies before", func(t *testing.T) {
		l := begin(t)
		if got := l.happen(l.exited(1)); got != "spawn" || l.Unstable != 1 {
			t.Errorf("effects %q, %d unstable; want a new launch", got, l.Unstable)
		}
	})
	t.Run("the wait begins with the process, not with the asking", func(t *testing.T) {
		p := standard()
		p.WaitReady = true
		l := newLife(t, p)
		launching(l)
		if got := l.happen(Adopted{Alive: true}); got != "arm 3s" || l.State != Launching {
			t.Errorf("adopted: %v, %q; want the wait to begin anew", l.State, got)
		}
	})
}

// TestAdopted is what a new daemon takes up in each state.
func TestAdopted(t *testing.T) {
	killed := func(l *life) { stopping(l); l.happen(l.elapsed()) }
	notAsked := func(l *life) { online(l); l.happen(Stop{}) }
	for name, test := range map[string]struct {
		way     func(*life)
		alive   bool
		state   State
		effects string
	}{
		"never ran":                  {never, false, Stopped, ""},
		"stopped":                    {stopped, false, Stopped, ""},
		"given up":                   {errored, false, Errored, ""},
		"running":                    {online, true, Online, ""},
		"launched, and it is there":  {launching, true, Online, ""},
		"launched, and it is not":    {launching, false, Launching, "spawn"},
		"waiting":                    {waiting, false, Waiting, "arm 5s"},
		"being stopped":              {stopping, true, Stopping, "arm 1.6s"},
		"about to be signalled":      {notAsked, true, Stopping, "signal"},
		"being killed":               {killed, true, Stopping, "kill, arm 1.6s"},
		"stopped meanwhile":          {stopping, false, Stopping, "sweep, arm 1.6s"},
		"being swept":                {sweeping, false, Stopping, "sweep, arm 1.6s"},
		"not to be killed":           {unkillable, true, Errored, ""},
		"not to be killed, but gone": {unkillable, false, Errored, "sweep"},
		"killed too late":            {orphaned, false, Errored, "sweep"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, standard())
			test.way(l)
			gen, launch := l.Gen, l.Launch
			effects := l.happen(Adopted{Alive: test.alive})
			if l.State != test.state || effects != test.effects {
				t.Errorf("%v, effects %q; want %v, %q", l.State, effects, test.state, test.effects)
			}
			if strings.Contains(effects, "arm") && l.Gen == gen {
				t.Error("a timer of the daemon before would still count")
			}
			if l.Launch != launch {
				t.Errorf("launch %d, want %d still", l.Launch, launch)
			}
		})
	}
}

func TestAdoptedWaitsNoLongerThanBefore(t *testing.T) {
	l := newLife(t, standard())
	waiting(l) // 5 s
	if got := l.after(4 * time.Second).happen(Adopted{}); got != "arm 1s" {
		t.Errorf("a second before the end: %q", got)
	}
	if got := l.after(time.Minute).happen(Adopted{}); got != "arm 0s" {
		t.Errorf("long after the end: %q", got)
	}
}

func TestWhatIsLateMeansNothing(t *testing.T) {
	ways := map[string]func(*life){
		"never ran": never, "launching": launching, "booting": booting, "online": online, "stopping": stopping,
		"restarting": restarting, "removing": removing, "sweeping": sweeping, "waiting": waiting,
		"stopped": stopped, "errored": errored, "unkillable": unkillable, "orphaned": orphaned,
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, standard())
			online(l)
			l.crash(time.Minute, 1) // launch 2 runs now
			l.happen(Restart{})
			l.happen(l.died(2))
			l.happen(l.swept())
			l.happen(l.spawned()) // and launch 3
			l.happen(Stop{})
			l.happen(l.died(2))
			l.happen(l.swept())
			way(l)
			for _, ev := range []Event{
				Spawned{Launch: 1},
				SpawnFailed{Launch: 1, Reason: "late"},
				SpawnFailed{Launch: 1, Lasting: true},
				Ready{Launch: 1},
				Asked{Launch: 1},
				Exited{Launch: 1, Exit: Exit{Code: 3}},
				Swept{Launch: 1},
				Elapsed{Gen: l.Gen - 1},
				Elapsed{Gen: 0},
				Spawned{Launch: 99},
				Exited{Launch: 99},
			} {
				before := l.Instance
				effects := l.happen(ev)
				if diff := cmp.Diff(before, l.Instance); diff != "" || effects != "" {
					t.Errorf("%#v changed the instance (-before +after), effects %q:\n%s", ev, effects, diff)
				}
			}
		})
	}
}

func TestAnExitIsCountedOnce(t *testing.T) {
	l := newLife(t, standard())
	stopping(l)
	exit := l.exited(0)
	l.happen(exit)
	before := l.Instance
	if got := l.happen(exit); got != "" || l.Instance != before {
		t.Errorf("the same exit again: effects %q, %+v", got, l.Instance)
	}
}

func TestWhatRunsIsNotSwept(t *testing.T) {
	for name, way := range map[string]func(*life){"online": online, "stopping": stopping, "unkillable": unkillable} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, standard())
			way(l)
			before := l.Instance
			if got := l.happen(l.swept()); got != "" || l.Instance != before {
				t.Errorf("effects %q, %+v; its process has not ended", got, l.Instance)
			}
		})
	}
}

func TestNamesOfStates(t *testing.T) {
	got := ""
	for s := Stopped; s <= Errored+1; s++ {
		got += fmt.Sprintf("%d %s\n", s, s)
	}
	want := "0 stopped\n1 launching\n2 online\n3 stopping\n4 waiting restart\n5 errored\n6 unknown\n"
	if got != want {
		t.Errorf("states are on disk and in scripts; got\n%swant\n%s", got, want)
	}
}
