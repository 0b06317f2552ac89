package daemon

import (
	"context"
	"log/slog"
	"time"

	"tend/api"
	"tend/internal/hostinfo"
)

// hosts looks at the machine as a whole: now and then, so that rates are of
// lately, and when somebody asks.
type hosts struct {
	log   *slog.Logger
	off   func() bool // the home is set not to look
	asked chan chan<- api.Host
}

const (
	hostEvery = 30 * time.Second
	// hostWindow is the shortest time that a rate is over: the kernel counts
	// hundredths of a second.
	hostWindow = 500 * time.Millisecond
	// hostWait bounds how long a list waits for it: a disk may hang.
	hostWait = 50 * time.Millisecond
)

func newHosts(log *slog.Logger, off func() bool) *hosts {
	return &hosts{log: log, off: off, asked: make(chan chan<- api.Host)}
}

func (h *hosts) run(ctx context.Context) error {
	var sampler hostinfo.Sampler
	var now api.Host
	var at time.Time
	complained := false
	look := func() {
		var err error
		if now, err = sampler.Sample(); err != nil && !complained {
			complained = true
			h.log.Warn("the figures of the machine cannot be read", "err", err)
		}
		at = time.Now()
	}
	if !h.off() {
		look() // there is something to compare the next one with
	}
	for {
		var answer chan<- api.Host
		select {
		case <-ctx.Done():
			return ctx.Err()
		case answer = <-h.asked:
		case <-time.After(hostEvery):
		}
		off := h.off()
		if !off && time.Since(at) >= hostWindow {
			look()
		}
		switch {
		case answer == nil:
		case off:
			answer <- api.Host{Off: true}
		default:
			answer <- now
		}
	}
}

// ask is what the machine has and uses, or nothing where that takes too long.
func (h *hosts) ask(ctx context.Context) api.Host {
	ctx, cancel := context.WithTimeout(ctx, hostWait)
	defer cancel()
	answer := make(chan api.Host, 1) // so that run never waits for one who gave up
	select {
	case h.asked <- answer:
	case <-ctx.Done():
		return api.Host{}
	}
	select {
	case host := <-answer:
		return host
	case <-ctx.Done():
		return api.Host{}
	}
}
