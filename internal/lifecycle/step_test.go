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

// crash lets what runs exit with code, uptime after its start, and its
// successor, if there is one, come up.
func (l *life) crash(uptime time.Duration, code int) string {
	l.t.Helper()
	effects := l.after(uptime).happen(l.exited(code))
	if l.State == Launching {
		l.happen(l.spawned())
	}
	return effects
}

func TestCrashLoops(t *testing.T) {
	for name, test := range map[string]struct {
		policy   func(*Policy)
		uptime   time.Duration
		crashes  int // at most
		ends     int // at which crash it is given up; 0: never
		restarts int
	}{
		"sixteen quick crashes end it":   {func(*Policy) {}, 10 * time.Millisecond, 30, 16, 15},
		"two are allowed":                {func(p *Policy) { p.MaxRestarts = 2 }, 0, 30, 2, 1},
		"one is allowed":                 {func(p *Policy) { p.MaxRestarts = 1 }, 0, 30, 1, 0},
		"none is allowed":                {func(p *Policy) { p.MaxRestarts = 0 }, 0, 30, 1, 0},
		"steady exits are never counted": {func(p *Policy) { p.MaxRestarts = 0 }, time.Second, 30, 0, 30},
		// Crashes later than min_uptime x max_restarts after the first start
		// are not counted (PM2): 16 of 0.999 s fit in, ...
		"crashes just below a second":  {func(*Policy) {}, 999 * time.Millisecond, 30, 16, 15},
		"a window of two, half passed": {func(p *Policy) { p.MaxRestarts = 2 }, 999 * time.Millisecond, 30, 2, 1},
		// ... but with a wait between them they do not.
		"a delay outlasts the window": {func(p *Policy) { p.RestartDelay = 2 * time.Second }, 10 * time.Millisecond, 30, 0, 30},
	} {
		t.Run(name, func(t *testing.T) {
			p := standard()
			test.policy(&p)
			l := newLife(t, p)
			online(l)
			ends := 0
			for n := 1; n <= test.crashes && ends == 0; n++ {
				l.crash(test.uptime, 1)
				if l.State == Waiting {
					l.after(l.WakeAt.Sub(l.now)).happen(l.elapsed())
					l.happen(l.spawned())
				}
				if l.State == Errored {
					ends = n
				}
			}
			if ends != test.ends || l.Restarts != test.restarts {
				t.Errorf("given up at crash %d with %d restarts, want %d with %d", ends, l.Restarts, test.ends, test.restarts)
			}
			if ends != 0 && (l.Reason == "" || l.Unstable != 0 || !l.Created.IsZero() || l.Live != 0) {
				t.Errorf("given up without a reason, or with a history: %+v", l.Instance)
			}
		})
	}
}

func TestRestartAfterGivingUpBeginsANewHistory(t *testing.T) {
	l := newLife(t, standard())
	online(l)
	for l.State != Errored {
		l.crash(0, 1)
	}
	l.after(time.Hour)
	if got := l.happen(Start{}); got != "spawn" || l.Reason != "" {
		t.Fatalf("effects %q, reason %q, want a spawn and no reason", got, l.Reason)
	}
	l.happen(l.spawned())
	if !l.Created.Equal(l.now) || l.Restarts != 15 {
		t.Errorf("created %v with %d restarts, want %v and the 15 of before", l.Created, l.Restarts, l.now)
	}
	n := 0
	for ; l.State != Errored; n++ {
		l.crash(0, 1)
	}
	if n != 16 {
		t.Errorf("given up after %d crashes, want 16 again", n)
	}
}

func TestAPersonResetsTheCountOfCrashes(t *testing.T) {
	for name, order := range map[string]func(*life){
		"restart": func(l *life) {
			l.happen(Restart{})
			l.happen(l.died(2))
			l.happen(l.swept())
			l.happen(l.spawned())
		},
		"reset": func(l *life) { l.happen(Reset{}) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, standard())
			online(l)
			for range 10 {
				l.crash(0, 1)
			}
			if l.Unstable != 10 || l.Restarts != 10 {
				t.Fatalf("after 10 crashes: %d unstable, %d restarts", l.Unstable, l.Restarts)
			}
			order(l.after(time.Minute))
			wantRestarts := map[string]int{"restart": 11, "reset": 0}[name]
			if l.State != Online || l.Unstable != 0 || l.Restarts != wantRestarts || !l.Created.Equal(l.now) {
				t.Errorf("%v, %d unstable, %d restarts, created %v; want online, 0, %d, %v",
					l.State, l.Unstable, l.Restarts, l.Created, wantRestarts, l.now)
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	for name, test := range map[string]struct {
		backoff, delay time.Duration
		uptimes        []time.Duration // of each launch; the last one again and again
		want           []int           // delays in milliseconds
	}{
		"grows by half, whole milliseconds, to the cap": {
			100 * time.Millisecond, 0,
			[]time.Duration{0},
			[]int{100, 150, 225, 337, 505, 757, 1135, 1702, 2553, 3829, 5743, 8614, 12921, 15000, 15000},
		},
		"wins over a fixed delay": {100 * time.Millisecond, time.Hour, []time.Duration{0}, []int{100, 150}},
		"a fixed delay stays":     {0, 250 * time.Millisecond, []time.Duration{0}, []int{250, 250, 250}},
		"cannot get stuck at one": {time.Millisecond, 0, []time.Duration{0}, []int{1, 1, 1}},
		"begins anew after 30 s":  {100 * time.Millisecond, 0, []time.Duration{0, 0, 0, 30 * time.Second, 0}, []int{100, 150, 225, 100, 150}},
		"goes on after less":      {100 * time.Millisecond, 0, []time.Duration{0, 30*time.Second - 1, 0}, []int{100, 150, 225}},
		"above the cap stays":     {20 * time.Second, 0, []time.Duration{0}, []int{20000, 20000}},
	} {
		t.Run(name, func(t *testing.T) {
			p := standard()
			p.Backoff, p.RestartDelay = test.backoff, test.delay
			p.MinUptime = 0 // not what is tested here
			l := newLife(t, p)
			online(l)
			var got []int
			for n := range test.want {
				l.crash(test.uptimes[min(n, len(test.uptimes)-1)], 1)
				if l.State != Waiting || !l.WakeAt.After(l.now) {
					t.Fatalf("after crash %d it is %v until %v", n+1, l.State, l.WakeAt)
				}
				got = append(got, int(l.WakeAt.Sub(l.now).Milliseconds()))
				l.after(l.WakeAt.Sub(l.now)).happen(l.elapsed())
				l.happen(l.spawned())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("delays (-want +got):\n%s", diff)
			}
			if l.Restarts != len(test.want) {
				t.Errorf("%d restarts, want %d", l.Restarts, len(test.want))
			}
		})
	}
}

func TestAPersonBeginsTheDelaysAnew(t *testing.T) {
	p := standard()
	p.Backoff = 100 * time.Millisecond
	l := newLife(t, p)
	online(l)
	for range 3 {
		l.crash(0, 1)
		l.happen(l.elapsed())
		l.happen(l.spawned())
	}
	l.happen(Restart{})
	l.happen(l.died(2))
	l.happen(l.swept())
	l.happen(l.spawned())
	if got := l.crash(0, 1); got != "arm 100ms" {
		t.Errorf("effects %q, want the first delay again", got)
	}
}

func TestExits(t *testing.T) {
	for name, test := range map[string]struct {
		policy func(*Policy)
		exit   Exit
		state  State
	}{
		"code 0 is answered by a restart":         {func(*Policy) {}, Exit{}, Launching},
		"a stop code":                             {func(p *Policy) { p.StopCodes = []int{7, 0} }, Exit{}, Stopped},
		"another stop code":                       {func(p *Policy) { p.StopCodes = []int{7, 0} }, Exit{Code: 7}, Stopped},
		"no stop code":                            {func(p *Policy) { p.StopCodes = []int{7, 0} }, Exit{Code: 1}, Launching},
		"a signal is not code 0":                  {func(p *Policy) { p.StopCodes = []int{0} }, Exit{Signal: 9}, Launching},
		"what nobody knows is not code 0":         {func(p *Policy) { p.StopCodes = []int{0} }, Exit{Unknown: true}, Launching},
		"no autorestart":                          {func(p *Policy) { p.Autorestart = false }, Exit{Code: 1}, Stopped},
		"no autorestart, killed":                  {func(p *Policy) { p.Autorestart = false }, Exit{Signal: 9}, Stopped},
		"no autorestart and a delay":              {func(p *Policy) { p.Autorestart = false; p.RestartDelay = time.Second }, Exit{}, Stopped},
		"a stop code and a delay":                 {func(p *Policy) { p.StopCodes = []int{1}; p.Backoff = time.Second }, Exit{Code: 1}, Stopped},
		"an expected code":                        {func(p *Policy) { p.ExpectedCodes = []int{0, 2} }, Exit{Code: 2}, Stopped},
		"an unexpected code":                      {func(p *Policy) { p.ExpectedCodes = []int{0, 2} }, Exit{Code: 1}, Launching},
		"a signal where code 0 is expected":       {func(p *Policy) { p.ExpectedCodes = []int{0} }, Exit{Signal: 15}, Launching},
		"a delay":                                 {func(p *Policy) { p.RestartDelay = time.Second }, Exit{Code: 1}, Waiting},
		"the last crash, though there is a delay": {func(p *Policy) { p.MaxRestarts = 1; p.RestartDelay = time.Second }, Exit{Code: 1}, Errored},
	} {
		t.Run(name, func(t *testing.T) {
			p := standard()
			test.policy(&p)
			l := newLife(t, p)
			online(l)
			l.happen(Exited{Launch: l.Live, Exit: test.exit})
			if l.State != test.state {
				t.Errorf("%v, want %v", l.State, test.state)
			}
			want := test.exit
			want.Happened = true
			if l.Exit != want {
				t.Errorf("exit %+v, want %+v", l.Exit, want)
			}
		})
	}
}

// TestStartTime: a process is online when it was up so long, and who ends before
// has not started, whatever its exit code is.
func TestStartTime(t *testing.T) {
	p := standard()
	p.MinUptime, p.StartTime, p.StartTries, p.ExpectedCodes = 0, 10*time.Second, 3, []int{0}
	l := newLife(t, p)
	l.happen(Start{})
	if got := l.after(time.Second).happen(l.spawned()); got != "arm 9s" || l.State != Launching {
		t.Fatalf("spawned: %v, %q; want launching, with the rest of its start time to come", l.State, got)
	}
	if l.after(9 * time.Second).happen(l.elapsed()); l.State != Online {
		t.Fatalf("after its start time it is %v", l.State)
	}
	if l.happen(l.exited(0)); l.State != Stopped {
		t.Fatalf("an expected end leaves it %v", l.State)
	}

	l.happen(Start{})
	l.happen(l.spawned())
	if l.after(5 * time.Second).happen(l.exited(0)); l.State != Launching || l.Unstable != 1 || l.Tries != 1 {
		t.Fatalf("after an end before its start was over it is %v, with %d unstable of %d tries", l.State, l.Unstable, l.Tries)
	}
	l.happen(l.spawned())
	l.after(10 * time.Second).happen(l.elapsed())
	if l.happen(l.exited(1)); l.State != Launching || l.Tries != 0 {
		t.Fatalf("after a crash of an online process it is %v, with %d tries", l.State, l.Tries)
	}
	for range 2 {
		l.happen(l.spawned())
		l.after(5 * time.Second).happen(l.exited(1))
	}
	l.happen(l.spawned())
	if l.after(5 * time.Second).happen(l.exited(1)); l.State != Errored || !strings.Contains(l.Reason, "start retries are exhausted: 3 exits") {
		t.Errorf("after three such ends it is %v, %q", l.State, l.Reason)
	}
}

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

func TestSpawnFailures(t *testing.T) {
	for name, test := range map[string]struct {
		policy  func(*Policy)
		lasting bool
		state   State
		effects string
	}{
		"a lasting reason":          {func(*Policy) {}, true, Errored, ""},
		"one that may go away":      {func(*Policy) {}, false, Waiting, "arm 200ms"},
		"a longer delay":            {func(p *Policy) { p.RestartDelay = time.Second }, false, Waiting, "arm 1s"},
		"a short first delay":       {func(p *Policy) { p.Backoff = time.Millisecond }, false, Waiting, "arm 200ms"},
		"without autorestart":       {func(p *Policy) { p.Autorestart = false }, false, Errored, ""},
		"lasting, without any more": {func(p *Policy) { p.Autorestart = false }, true, Errored, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := standard()
			test.policy(&p)
			l := newLife(t, p)
			launching(l)
			effects := l.happen(l.spawnFailed(test.lasting))
			if l.State != test.state || effects != test.effects || l.Live != 0 || l.Reason != "no such file" {
				t.Errorf("%v, live %d, reason %q, effects %q; want %v, none, the reason, %q",
					l.State, l.Live, l.Reason, effects, test.state, test.effects)
			}
			if l.State == Waiting {
				if got := l.happen(l.elapsed()); got != "spawn" || l.Restarts != 1 {
					t.Errorf("then effects %q and %d restarts, want a spawn and 1", got, l.Restarts)
				}
			}
		})
	}
}

// TestSpawnFailuresKeepTheirDistance: a launch that runs a program for its secret
// does so ever more seldom while that fails.
func TestSpawnFailuresKeepTheirDistance(t *testing.T) {
	l := newLife(t, standard())
	launching(l)
	for _, want := range []string{"arm 200ms", "arm 300ms", "arm 450ms", "arm 675ms"} {
		if got := l.happen(l.spawnFailed(false)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		l.happen(l.elapsed())
	}
	for range 20 {
		l.happen(l.spawnFailed(false))
		l.happen(l.elapsed())
	}
	if got := l.happen(l.spawnFailed(false)); got != "arm 15s" {
		t.Errorf("got %q at last, want the longest delay", got)
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
