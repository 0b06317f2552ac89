package nodeipc

import (
	"slices"
	"time"
)

// timers are what is to be done later. There are few.
type timers struct{ list []timer }

type timer struct {
	at time.Time
	do func()
}

// after does f when d has passed. Nothing is ever taken back: f looks whether
// it still means anything.
func (t *timers) after(d time.Duration, f func()) {
	t.list = append(t.list, timer{time.Now().Add(d), f})
}

// next is the time of the first, zero where there is none.
func (t *timers) next() (first time.Time) {
	for _, e := range t.list {
		if first.IsZero() || e.at.Before(first) {
			first = e.at
		}
	}
	return first
}

// run does what is due.
func (t *timers) run(now time.Time) {
	if len(t.list) == 0 {
		return
	}
	var due []timer
	t.list = slices.DeleteFunc(t.list, func(e timer) bool {
		if e.at.After(now) {
			return false
		}
		due = append(due, e)
		return true
	})
	for _, e := range due {
		e.do()
	}
}
