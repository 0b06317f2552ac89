package nodeipc

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tend/api"
)

func TestTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l timers
		if !l.next().IsZero() {
			t.Errorf("no timer is set, and the next is at %v", l.next())
		}
		l.run(time.Now()) // of nothing
		var done []string
		do := func(name string) func() { return func() { done = append(done, name) } }
		check := func(when string, next time.Duration, want ...string) {
			t.Helper()
			if !slices.Equal(done, want) {
				t.Errorf("%s: %v was done, want %v", when, done, want)
			}
			var at time.Time
			if next >= 0 {
				at = time.Now().Add(next)
			}
			if !l.next().Equal(at) {
				t.Errorf("%s: the next is at %v, want %v", when, l.next(), at)
			}
		}

		l.after(3*time.Second, do("three"))
		l.after(time.Second, do("one"))
		l.after(time.Second, func() {
			done = append(done, "one again")
			l.after(0, do("at once")) // as what is done does
			l.after(time.Second, do("two"))
		})
		check("at first", time.Second)
		l.run(time.Now())
		check("before its time", time.Second)

		time.Sleep(time.Second - 1)
		l.run(time.Now())
		check("just before its time", 1)
		time.Sleep(time.Nanosecond)
		l.run(time.Now())
		check("at its time, in their order", 0, "one", "one again")
		l.run(time.Now())
		check("what was set meanwhile", time.Second, "one", "one again", "at once")

		time.Sleep(time.Hour)
		l.run(time.Now())
		check("late", -1, "one", "one again", "at once", "three", "two")
		l.run(time.Now())
		check("once only", -1, "one", "one again", "at once", "three", "two")
	})
}

// TestATimerThatAnOrderSets is of an app that says nothing, so that the time
// is all that can end the hub's wait.
func TestATimerThatAnOrderSets(t *testing.T) {
	w := newWorld(t)
	c := worker(0, api.RoundRobin)
	c.Preloaded = true // it says so, and will not answer
	a := w.spawn(c, "setInterval(() => {}, 1e9)")
	w.waitNews(a.Key, Online)
	w.Drain(a.Key, 50*time.Millisecond)
	w.waitNews(a.Key, Drained)
}
