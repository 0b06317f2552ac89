package lifecycle

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// world is everything around one instance, as the supervisor, the keeper and
// the kernel are to it: it carries out effects in any order and with any
// delay, lets processes end when they like, and kills the daemon at any
// moment. What the daemon wrote down (the instance) and what the keeper holds
// (processes, exits that were not acknowledged) lasts; the rest is lost.
type world struct {
	t      *rapid.T
	policy Policy
	now    time.Time

	// The daemon's record, on disk.
	in    Instance
	known uint64 // the launch whose process it has learnt
	gone  bool   // it left the table

	// In the daemon's memory.
	asked  []uint64 // launches on their way to the keeper, in order
	told   []Event  // by the keeper, on their way, in order
	mail   []Event  // answers of work aside, in any order
	work   []Effect // Signal, Kill and Sweep, under way aside
	timers []timer  // none is ever stopped

	order Event // the last one that was given and not overruled
	// doom is how many effects are still carried out before the daemon dies
	// in the middle of a step; below 0 it does not.
	doom int

	// At the keeper, and in the kernel.
	procs  map[uint64]*proc
	unread map[uint64]Exit // exits that were not acknowledged
}

type timer struct {
	gen uint64
	at  time.Time
}

// proc is the first process of a launch, and how many it started are left.
type proc struct {
	alive  bool
	left   int
	killed bool
}

func newWorld(t *rapid.T, p Policy) *world {
	return &world{t: t, policy: p, now: epoch, doom: -1, procs: map[uint64]*proc{}, unread: map[uint64]Exit{}}
}

// step gives the instance an event, writes it down and carries out what
// follows, as supervisor.step does. It tells whether anything changed.
func (w *world) step(ev Event) (changed bool) {
	if w.gone {
		return false
	}
	before := w.in
	after, effects := w.policy.Step(before, ev, w.now)
	again, effectsAgain := w.policy.Step(before, ev, w.now)
	if after != again || !reflect.DeepEqual(effects, effectsAgain) {
		w.t.Fatalf("%#v: two steps from one place differ:\n%+v %#v\n%+v %#v", ev, after, effects, again, effectsAgain)
	}
	if after.Gen < before.Gen || after.Launch < before.Launch || after.Launch > before.Launch+1 {
		w.t.Fatalf("%#v: numbers run backwards:\n%+v\n%+v", ev, before, after)
	}
	if after.State != before.State && after.Gen == before.Gen {
		w.t.Fatalf("%#v: a change of state without a new generation:\n%+v\n%+v", ev, before, after)
	}
	w.in = after
	if _, rang := ev.(Elapsed); w.policy.Strict && before.State == Launching && after.State != before.State {
		if _, told := ev.(Ready); w.policy.WaitReady && after.State == Online && !told {
			w.t.Fatalf("%#v makes it online, and it has to say that it is ready:\n%+v", ev, before)
		}
		if rang {
			w.order = Remove{} // who has to be ready in time and is not, leaves
		}
	}
	if w.in.State == Errored && w.in.Live != 0 {
		w.order = Stop{} // it could not be killed; who had asked is told, and may ask again
	}
	defer func() {
		if w.in.Live != 0 && w.known != w.in.Live {
			w.known = 0
		}
	}()
	if p := w.procs[before.Live]; p != nil && w.in.Live != before.Live && (before.State != Stopping || before.Killed) {
		if before.State == Stopping && w.known == before.Live && p.left > 0 && !p.killed && !slices.Contains(w.work, Effect(Kill{before.Live})) {
			w.t.Fatalf("%#v: what launch %d left never was sent SIGKILL: %+v", ev, before.Live, before)
		}
		// What an app leaves when it exits by itself is its own business, and
		// what SIGKILL does not end, nothing will.
		p.left = 0
	}
	for _, e := range effects {
		w.check(ev, before, after, e)
	}
	for _, e := range effects {
		if w.doom == 0 {
			w.die()
			return true
		}
		w.doom--
		w.carryOut(e)
	}
	return after != before || len(effects) > 0
}

// check is what an effect must never be.
func (w *world) check(ev Event, before, after Instance, e Effect) {
	switch e := e.(type) {
	case Spawn:
		switch w.order.(type) {
		case Stop, Remove:
			w.t.Fatalf("%#v starts a process, and the last order was %T:\n%+v\n%+v", ev, w.order, before, after)
		}
		if e.Launch != after.Live || after.State != Launching {
			w.t.Fatalf("%#v spawns launch %d:\n%+v", ev, e.Launch, after)
		}
	case Arm:
		if e.Gen != after.Gen || e.After < 0 {
			w.t.Fatalf("%#v arms %+v:\n%+v", ev, e, after)
		}
	case Leave:
		if _, ok := w.order.(Remove); !ok {
			w.t.Fatalf("%#v makes it leave, and the last order was %T", ev, w.order)
		}
		for launch, p := range w.procs {
			if p.alive || p.left > 0 {
				w.t.Fatalf("%#v makes it leave, and launch %d is there: %+v", ev, launch, *p)
			}
		}
	}
}

// give is a person's order.
func (w *world) give(order Event) {
	if _, removing := w.order.(Remove); !removing {
		w.order = order // and a Remove is not overruled by any
	}
	w.step(order)
}

func (w *world) carryOut(e Effect) {
	switch e := e.(type) {
	case Spawn:
		w.asked = append(w.asked, e.Launch)
	case Arm:
		w.timers = append(w.timers, timer{e.Gen, w.now.Add(e.After)})
	case Leave:
		w.gone = true
	case Signal, Kill:
		if w.known == w.in.Live { // else there is nothing to signal yet
			w.work = append(w.work, e)
		}
	case Sweep:
		w.work = append(w.work, e)
	}
}

// keep lets the keeper carry out the first launch that it was asked for.
func (w *world) keep(fails, lasting bool) {
	launch := w.asked[0]
	w.asked = w.asked[1:]
	if p := w.procs[launch]; p != nil {
		if p.alive { // asked again: it tells of the process that is there
			w.told = append(w.told, Spawned{launch})
			return
		}
		w.t.Fatalf("launch %d is started a second time: %+v", launch, w.in)
	}
	if fails {
		w.told = append(w.told, SpawnFailed{Launch: launch, Reason: "no", Lasting: lasting})
		return
	}
	for other, p := range w.procs {
		if p.alive {
			w.t.Fatalf("launch %d is started beside launch %d: %+v", launch, other, w.in)
		}
	}
	w.procs[launch] = &proc{alive: true}
	w.told = append(w.told, Spawned{launch})
}

// hear gives the instance what the keeper told first.
func (w *world) hear() {
	ev := w.told[0]
	w.told = w.told[1:]
	switch ev := ev.(type) {
	case Spawned:
		if ev.Launch != w.in.Live {
			w.step(ev) // means nothing, and must not
			return
		}
		w.known = ev.Launch
		w.step(ev)
	case Exited:
		live := ev.Launch == w.in.Live && !w.in.Ended
		changed := w.step(ev)
		want := ev.Exit
		want.Happened = true
		if live && (!changed || w.in.Exit != want) {
			w.t.Fatalf("the exit %+v is lost: %+v", ev.Exit, w.in)
		}
		delete(w.unread, ev.Launch) // acknowledged
	default:
		w.step(ev)
	}
}

// end lets the process of a launch end.
func (w *world) end(launch uint64, exit Exit) {
	w.procs[launch].alive = false
	w.unread[launch] = exit
	w.told = append(w.told, Exited{launch, exit})
}

// do carries out a piece of work. obeys: who gets a signal, ends.
func (w *world) do(i int, obeys bool) {
	e := w.work[i]
	switch e := e.(type) {
	case Signal:
		w.work = slices.Delete(w.work, i, i+1)
		w.hit(e.Launch, obeys, Exit{Signal: 2})
		w.mail = append(w.mail, Asked(e))
	case Kill:
		w.work = slices.Delete(w.work, i, i+1)
		if p := w.procs[e.Launch]; p != nil {
			p.killed = true
		}
		w.hit(e.Launch, obeys, Exit{Signal: 9})
	case Sweep:
		p := w.procs[e.Launch]
		if p != nil && (obeys || w.known != e.Launch) { // what it never learnt of it cannot look for
			p.left = 0
		}
		if p == nil || p.left == 0 { // else it goes on looking
			w.work = slices.Delete(w.work, i, i+1)
			w.mail = append(w.mail, Swept(e))
		}
	}
}

func (w *world) hit(launch uint64, obeys bool, exit Exit) {
	p := w.procs[launch]
	if p == nil || !obeys {
		return
	}
	p.left = 0
	if p.alive {
		w.end(launch, exit)
	}
}

// ring lets the timer i run out.
func (w *world) ring(i int) {
	tm := w.timers[i]
	w.timers = slices.Delete(w.timers, i, i+1)
	if tm.at.After(w.now) {
		w.now = tm.at
	}
	w.step(Elapsed{tm.gen})
}

// die is the daemon's death, and the adoption by the next: adopt.go of the
// supervisor, where the keeper lives on.
func (w *world) die() {
	if w.gone {
		return // it is out of the journal, and stays so
	}
	w.doom = -1
	w.asked, w.told, w.mail, w.work, w.timers = nil, nil, nil, nil, nil
	live := w.in.Live
	if live == 0 {
		w.step(Adopted{})
		clear(w.unread)
		return
	}
	p := w.procs[live]
	running := p != nil && p.alive
	exit, ended := w.unread[live]
	if running {
		w.known = live
	}
	w.step(Adopted{Alive: running || ended})
	if ended {
		// Not through hear: an exit that was handled and not acknowledged
		// comes again, and rightly changes nothing.
		w.step(Exited{live, exit})
	}
	clear(w.unread)
}

// invariant is what holds after every step.
func (w *world) invariant() {
	if w.gone {
		return
	}
	if w.in.Live != 0 && w.in.Live != w.in.Launch {
		w.t.Fatalf("the live launch is not the last: %+v", w.in)
	}
	for launch, p := range w.procs {
		if p.alive && launch != w.in.Live {
			w.t.Fatalf("launch %d runs and nobody knows: %+v", launch, w.in)
		}
	}
	armed := slices.ContainsFunc(w.timers, func(tm timer) bool { return tm.gen == w.in.Gen })
	switch w.in.State {
	case Launching:
		if !armed && !w.spawning() {
			w.t.Fatalf("it launches, and nobody will tell how that goes: %+v", w.in)
		}
	case Stopping:
		if !armed && !w.asking() && !w.spawning() {
			w.t.Fatalf("it stops, and nothing will end that: %+v", w.in)
		}
	case Waiting:
		if !armed {
			w.t.Fatalf("it waits, and no timer will end that: %+v", w.in)
		}
	case Online:
		if w.in.Live == 0 {
			w.t.Fatalf("it is online without a process: %+v", w.in)
		}
	case Stopped, Errored:
	}
	if (w.in.State == Stopped || w.in.State == Waiting) && w.in.Live != 0 {
		w.t.Fatalf("it is %v with a process: %+v", w.in.State, w.in)
	}
}

// asking tells whether the live launch is being asked to stop, or swept.
func (w *world) asking() bool {
	return slices.ContainsFunc(w.work, func(e Effect) bool {
		switch e := e.(type) {
		case Signal:
			return e.Launch == w.in.Live
		case Sweep:
			return e.Launch == w.in.Live
		}
		return false
	}) || slices.Contains(w.mail, Event(Asked{w.in.Live})) || slices.Contains(w.mail, Event(Swept{w.in.Live}))
}

// spawning tells whether an answer about the live launch is on its way.
func (w *world) spawning() bool {
	return slices.Contains(w.asked, w.in.Live) ||
		slices.ContainsFunc(w.told, func(ev Event) bool {
			switch ev := ev.(type) {
			case Spawned:
				return ev.Launch == w.in.Live
			case SpawnFailed:
				return ev.Launch == w.in.Live
			case Exited:
				return ev.Launch == w.in.Live
			}
			return false
		})
}

// settle answers everything that was asked, fairly, until only timers are
// left; and these too while the instance goes through states that pass.
// Processes obey only SIGKILL when stubborn.
func (w *world) settle(stubborn bool) {
	const most = 200
	for range most {
		switch {
		case len(w.asked) > 0:
			w.keep(false, false)
		case len(w.told) > 0:
			w.hear()
		case len(w.mail) > 0:
			ev := w.mail[0]
			w.mail = w.mail[1:]
			w.step(ev)
		case slices.ContainsFunc(w.work, w.canEnd(stubborn)):
			i := slices.IndexFunc(w.work, w.canEnd(stubborn))
			_, kill := w.work[i].(Kill)
			w.do(i, kill || !stubborn)
		case !w.gone && (w.in.State == Launching || w.in.State == Stopping) && len(w.timers) > 0:
			w.ring(w.nextTimer())
		default:
			return
		}
		w.invariant()
	}
	w.t.Fatalf("after %d answers it still does not rest: %+v", most, w.in)
}

// canEnd tells of a piece of work whether doing it changes anything: a sweep
// waits as long as what it looks for does not obey.
func (w *world) canEnd(stubborn bool) func(Effect) bool {
	return func(e Effect) bool {
		s, ok := e.(Sweep)
		if !ok || !stubborn {
			return true
		}
		p := w.procs[s.Launch]
		return p == nil || p.left == 0 || w.known != s.Launch
	}
}

func (w *world) nextTimer() int {
	next := 0
	for i, tm := range w.timers {
		if tm.at.Before(w.timers[next].at) {
			next = i
		}
	}
	return next
}

// policies draws what an app may ask for.
func policies() *rapid.Generator[Policy] {
	ms := func(values ...int) *rapid.Generator[time.Duration] {
		return rapid.Map(rapid.SampledFrom(values), func(n int) time.Duration { return time.Duration(n) * time.Millisecond })
	}
	return rapid.Custom(func(t *rapid.T) Policy {
		return Policy{
			Autorestart:   rapid.Float64Range(0, 1).Draw(t, "autorestart") < 0.8,
			StopCodes:     rapid.SampledFrom([][]int{nil, {0}, {1, 2}}).Draw(t, "stop codes"),
			MaxRestarts:   rapid.SampledFrom([]int{0, 1, 3, 16}).Draw(t, "max restarts"),
			MinUptime:     ms(0, 1000).Draw(t, "min uptime"),
			ExpectedCodes: rapid.SampledFrom([][]int{nil, nil, {0}, {1, 2}}).Draw(t, "expected codes"),
			StartTime:     ms(0, 0, 2000).Draw(t, "start time"),
			StartTries:    rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "start tries"),
			RestartDelay:  ms(0, 0, 500).Draw(t, "restart delay"),
			Backoff:       ms(0, 0, 100).Draw(t, "backoff"),
			KillTimeout:   ms(0, 1600).Draw(t, "kill timeout"),
			WaitReady:     rapid.Bool().Draw(t, "wait ready"),
			ListenTimeout: ms(0, 3000).Draw(t, "listen timeout"),
			Strict:        rapid.IntRange(0, 3).Draw(t, "strict") == 0,
		}
	})
}

var exits = []Exit{{}, {Code: 1}, {Code: 2}, {Signal: 9}, {Signal: 11}}

// action is something that may happen next.
type action struct {
	name string
	can  bool
	do   func(t *rapid.T)
}

func (w *world) actions() []action {
	order := func(name string, ev Event) action {
		return action{name, true, func(*rapid.T) { w.give(ev) }}
	}
	p := w.procs[w.in.Live]
	runs := p != nil && p.alive
	all := []action{
		order("start", Start{}),
		order("restart", Restart{}),
		order("stop", Stop{}),
		{"remove", true, func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "rare") == 0 { // else every life would be short
				w.give(Remove{})
			}
		}},
		{"reset", true, func(*rapid.T) { w.step(Reset{}) }},
		{"keep", len(w.asked) > 0, func(t *rapid.T) {
			how := rapid.IntRange(0, 9).Draw(t, "how")
			w.keep(how > 7, how == 9)
		}},
		{"hear", len(w.told) > 0, func(*rapid.T) { w.hear() }},
		{"mail", len(w.mail) > 0, func(t *rapid.T) {
			i := rapid.IntRange(0, len(w.mail)-1).Draw(t, "which")
			ev := w.mail[i]
			w.mail = slices.Delete(w.mail, i, i+1)
			w.step(ev)
		}},
		{"work", len(w.work) > 0, func(t *rapid.T) {
			w.do(rapid.IntRange(0, len(w.work)-1).Draw(t, "which"), rapid.Bool().Draw(t, "obeys"))
		}},
		{"ring", len(w.timers) > 0, func(t *rapid.T) {
			w.ring(rapid.IntRange(0, len(w.timers)-1).Draw(t, "which"))
		}},
		{"exit", runs, func(t *rapid.T) { w.end(w.in.Live, rapid.SampledFrom(exits).Draw(t, "exit")) }},
		{"fork", runs, func(*rapid.T) { p.left++ }},
		{"ready", runs, func(*rapid.T) { w.mail = append(w.mail, Ready{w.in.Live}) }},
		{"wait", true, func(t *rapid.T) {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 60_000).Draw(t, "ms")) * time.Millisecond)
		}},
		{"die", true, func(*rapid.T) { w.die() }},
		{"doom", true, func(t *rapid.T) { w.doom = rapid.IntRange(0, 2).Draw(t, "effects") }},
		{"late", w.in.Launch > 1, w.late},
	}
	return slices.DeleteFunc(all, func(a action) bool { return !a.can })
}

// live lets anything happen, until it has left or for a while.
func (w *world) live(t *rapid.T) {
	for range rapid.IntRange(0, 100).Draw(t, "length") {
		if w.gone {
			return
		}
		all := w.actions()
		names := make([]string, len(all))
		for i, a := range all {
			names[i] = a.name
		}
		name := rapid.SampledFrom(names).Draw(t, "then")
		all[slices.Index(names, name)].do(t)
		w.invariant()
	}
}

// late gives an event of an earlier launch or timer.
func (w *world) late(t *rapid.T) {
	launch := rapid.Uint64Range(1, w.in.Launch-1).Draw(t, "launch")
	ev := rapid.SampledFrom([]Event{
		Spawned{launch},
		SpawnFailed{Launch: launch, Reason: "late"},
		SpawnFailed{Launch: launch, Lasting: true},
		Ready{launch},
		Asked{launch},
		Exited{launch, Exit{Code: 3}},
		Swept{launch},
		Elapsed{Gen: rapid.Uint64Range(0, w.in.Gen-1).Draw(t, "gen")},
	}).Draw(t, "event")
	before := w.in
	if w.step(ev) {
		t.Fatalf("%#v is late and does something:\n%+v\n%+v", ev, before, w.in)
	}
}

// TestAnyLife lets anything happen in any order, gives a last order, and sees
// that it is reached as soon as the world answers.
func TestAnyLife(t *testing.T) {
	for name, test := range map[string]struct {
		order   Event
		reached func(w *world) bool
	}{
		"and then a stop": {Stop{}, func(w *world) bool {
			return w.gone || w.in.State == Stopped && w.in.Live == 0
		}},
		"and then a removal": {Remove{}, func(w *world) bool { return w.gone }},
		"and then a start": {Start{}, func(w *world) bool {
			return w.gone || w.in.State == Online || w.in.State == Errored || w.in.State == Stopped ||
				w.in.State == Waiting && len(w.timers) > 0
		}},
		"and then a restart": {Restart{}, func(w *world) bool {
			return w.gone || w.in.State == Online || w.in.State == Errored || w.in.State == Stopped ||
				w.in.State == Waiting && len(w.timers) > 0
		}},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				w := newWorld(t, policies().Draw(t, "policy"))
				w.give(Start{})
				w.live(t)
				w.doom = -1
				if rapid.Bool().Draw(t, "the daemon dies first") {
					w.die()
				}
				w.settle(rapid.Bool().Draw(t, "stubborn before"))
				w.give(test.order)
				w.settle(rapid.Bool().Draw(t, "stubborn"))
				if !test.reached(w) {
					t.Fatalf("after %T it is %v for ever: %+v\nprocesses %v, timers %v", test.order, w.in.State, w.in, w.show(), w.timers)
				}
				for launch, p := range w.procs {
					if p.alive && (w.gone || w.in.State != Online || w.in.Live != launch) {
						t.Fatalf("launch %d still runs: %+v", launch, w.in)
					}
				}
			})
		})
	}
}

func (w *world) show() string {
	out := ""
	for launch, p := range w.procs {
		out += fmt.Sprintf("%d:%+v ", launch, *p)
	}
	return out
}
