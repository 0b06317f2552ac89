package lifecycle

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
