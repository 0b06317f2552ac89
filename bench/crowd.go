package main

import (
	"context"
	"math"
	"time"

	"tend/bench/lines"
)

const (
	crowdSized = 50   // apps
	crowdRate  = 2000 // lines a second, of each app
	// crowdStart is how long the memory of a daemon may change that begins to
	// have something to do.
	crowdStart = 10 * time.Second
	crowdLook  = 500 * time.Millisecond
)

// takeCrowd has many apps write at a steady rate, and watches what the daemon
// holds meanwhile.
func takeCrowd(ctx context.Context, t *turn) error {
	made := crowdRate * int(t.scale.crowd/time.Second)
	crowd, err := t.startWriters(ctx, t.apps, lines.Writer{Lines: uint64(made), Length: lines.Usual, Rate: crowdRate}, rotation{})
	if err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	daemon, err := t.daemon()
	if err != nil {
		return err
	}
	before, err := cpuTime(daemon)
	if err != nil {
		return err
	}
	if err := crowd.gate.Open(); err != nil {
		return err
	}
	began := time.Now()
	held, drift, err := watchMemory(ctx, daemon, t.scale.crowd)
	if err != nil {
		return err
	}
	after, err := cpuTime(daemon)
	if err != nil {
		return err
	}
	t.record(crowdMemory, held)
	t.record(crowdDrift, drift)
	t.record(crowdCPU, 100*(after-before).Seconds()/time.Since(began).Seconds())
	if err := t.ended(ctx, crowd); err != nil {
		return err
	}
	return t.recordLines(manyApps, crowd)
}

// watchMemory is what a process holds once it is under way, and how far it gets
// away from that later.
func watchMemory(ctx context.Context, pid int, long time.Duration) (held, drift float64, err error) {
	began := time.Now()
	for time.Since(began) < long {
		if err := pause(ctx, crowdLook); err != nil {
			return 0, 0, err
		}
		now, err := resident(pid)
		if err != nil {
			return 0, 0, err
		}
		if time.Since(began) <= min(crowdStart, long/2) {
			held = now
			continue
		}
		drift = max(drift, math.Abs(now-held))
	}
	return held, drift, nil
}

// ended waits until the writers have written all, and the manager had time to
// carry it.
func (t *turn) ended(ctx context.Context, w *writers) error {
	err := until(ctx, rateLimit, 100*time.Millisecond, "the writers are done", func() bool {
		for n := range w.apps {
			if r, err := lines.ReadReport(t.dir, n); err != nil || r.Ended.IsZero() {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	return pause(ctx, aftermath)
}
