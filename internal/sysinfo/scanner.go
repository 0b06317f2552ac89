package sysinfo

import (
	"context"
	"errors"
	"time"

	"tend/internal/errs"
)

// Scanner looks at all processes on behalf of everybody: those who ask at the
// same time share one look.
type Scanner struct {
	look  func() (*Table, error)
	close func()
	asks  chan chan<- answer
	ended chan struct{}
}

type answer struct {
	table *Table
	err   error
}

// NewScanner makes a Scanner that looks when it runs.
func NewScanner() *Scanner {
	r := newReader()
	return &Scanner{look: r.look, close: r.close, asks: make(chan chan<- answer), ended: make(chan struct{})}
}

// Run serves Scan until ctx ends, and gives its cause. It is called once.
func (s *Scanner) Run(ctx context.Context) error {
	defer s.close()
	defer close(s.ended)
	var asking []chan<- answer
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case ask := <-s.asks:
			asking = append(asking[:0], ask)
		}
		// Those who asked during the last look are all waiting to send now.
		for more := true; more; {
			select {
			case ask := <-s.asks:
				asking = append(asking, ask)
			default:
				more = false
			}
		}
		t, err := s.look()
		for _, ask := range asking {
			ask <- answer{t, err}
		}
	}
}

// Scan gives a look that began after the call. It waits for Run to be there.
func (s *Scanner) Scan(ctx context.Context) (*Table, error) {
	// Room for the answer, so that Run never waits for one who gave up.
	mine := make(chan answer, 1)
	select {
	case s.asks <- mine:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.ended:
		return nil, &errs.Error{Op: "read", On: "processes", Kind: errs.Unavailable, Err: errors.New("the scanner has ended")}
	}
	select {
	case a := <-mine:
		return a.table, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Usage is what a process tree uses.
type Usage struct {
	CPU    float64 // percent of one core, between two samples
	Memory int64   // resident bytes; what processes share counts for each of them
}

// Root names the top of a process tree.
type Root struct {
	PID   int
	Start uint64 // see Proc.Start
}

// Sampler measures process trees from look to look. It has one owner: it is
// not safe for concurrent use.
type Sampler struct {
	at    time.Time
	ticks uint64
	// The processes of the last sample, and a map to make the next one in.
	last, spare map[int]spent
}

type spent struct{ start, cpu uint64 }

// NewSampler makes a Sampler that has seen nothing.
func NewSampler() *Sampler {
	return &Sampler{last: map[int]spent{}, spare: map[int]spent{}}
}

// Sample is the usage of each root's tree, root included, by root's pid. A
// root that is not in the table, or is another process by now, is left out.
//
// What a process used since the last sample counts, and all it used if it
// began after that; one that is older but was in no tree before counts as idle.
// The time of processes that came and went between two samples is not seen.
func (s *Sampler) Sample(t *Table, roots []Root) map[int]Usage {
	first := s.at.IsZero()
	elapsed := t.At.Sub(s.at).Seconds()
	now := s.spare
	clear(now)

	usage := make(map[int]Usage, len(roots))
	for _, root := range roots {
		top, ok := t.Get(root.PID)
		if !ok || top.Start != root.Start {
			continue
		}
		var ticks uint64
		var memory int64
		count := func(p Proc) {
			memory += p.RSS
			now[p.PID] = spent{p.Start, p.CPU}
			old, seen := s.last[p.PID]
			switch {
			case seen && old.start == p.Start:
				ticks += p.CPU - min(old.cpu, p.CPU)
			case !first && p.Start >= s.ticks:
				ticks += p.CPU
			}
		}
		count(top)
		t.walk(root.PID, count)

		u := Usage{Memory: memory}
		if elapsed > 0 {
			u.CPU = 100 * float64(ticks) / ticksPerSecond / elapsed
		}
		usage[root.PID] = u
	}
	s.at, s.ticks = t.At, t.ticks
	s.last, s.spare = now, s.last
	return usage
}

// ticksPerSecond is the unit of times in /proc: USER_HZ, which is 100 on every
// architecture that Go knows (include/asm-generic/param.h of Linux).
const ticksPerSecond = 100
