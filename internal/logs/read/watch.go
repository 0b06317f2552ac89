package read

import "time"

// pollEvery is how often files are looked at where the system does not tell of
// changes.
const pollEvery = 100 * time.Millisecond

// watch tells which files may have changed. Interrupt may be called by anybody,
// everything else by one goroutine.
type watch interface {
	// add looks at what has a path now, by a number, and at who gets the path.
	add(id int, path string)
	// until bounds the next wait, and forgets interrupts.
	until(t time.Time)
	// interrupt ends the wait, now or as soon as it begins.
	interrupt()
	// wait waits for a change, and gives the numbers of the files; all: it may
	// be any. None: it was interrupted, or its time is over.
	wait() (ids []int, all bool, err error)
	close()
}

// poll is the watch that does not know and looks at all files often.
type poll struct {
	end  time.Time
	wake chan struct{} // holds one interrupt, for a wait that is to begin
}

func newPoll() *poll { return &poll{wake: make(chan struct{}, 1)} }

func (p *poll) add(int, string) {}

func (p *poll) until(t time.Time) {
	p.end = t
	select {
	case <-p.wake:
	default:
	}
}

func (p *poll) interrupt() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *poll) wait() ([]int, bool, error) {
	timer := time.NewTimer(min(time.Until(p.end), pollEvery))
	defer timer.Stop()
	select {
	case <-p.wake:
		return nil, false, nil
	case <-timer.C:
		return nil, true, nil
	}
}

func (p *poll) close() {}
