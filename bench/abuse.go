package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"tend/bench/load"
	"tend/internal/sysinfo"
)

const (
	abuseTime   = 8 * time.Second
	askRate     = 200 // well-behaved requests a second
	abuseRate   = 500 // of garbage, and of half requests
	askPatience = 2 * time.Second
	stopped     = 1 // workers
	floodName   = "flood"
)

// takeAbuse has bad clients, an app that talks too much and a worker that hangs
// at the same time, and looks what is left for others and what it costs the
// daemon.
func takeAbuse(ctx context.Context, t *turn) error {
	s, err := t.startSite(ctx, siteOptions{})
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
	before, err := resident(daemon)
	if err != nil {
		return err
	}
	if err := t.startFlood(ctx); err != nil {
		return err
	}
	if err := sysinfo.SignalProcess(s.workers[0], syscall.SIGSTOP); err != nil {
		return err
	}
	r, err := s.meanwhile(ctx, []load.Group{
		{Kind: load.Fresh, Clients: 2 * askRate * int(askPatience/time.Second), Rate: askRate, Patience: askPatience},
		{Kind: load.Garbage, Clients: abuseRate, Rate: abuseRate},
		{Kind: load.Loris, Clients: 2 * abuseRate * int(abuseTime/time.Second), Rate: abuseRate},
	}, func(ctx context.Context) error { return pause(ctx, abuseTime) })
	if err != nil {
		return err
	}
	if err := sysinfo.SignalProcess(s.workers[0], syscall.SIGCONT); err != nil {
		return err
	}
	if err := pause(ctx, aftermath); err != nil {
		return err
	}
	return t.recordAbuse(daemon, before, &r.Tallies[0], r.Took)
}

// startFlood starts the app that talks too much. It ends with the abuse.
func (t *turn) startFlood(ctx context.Context) error {
	script := filepath.Join(t.dir, "flood.js")
	if err := writeProgram("flood.js", script); err != nil {
		return err
	}
	_, err := t.start(ctx, []app{{
		name: floodName, script: script, workers: 1,
		env: map[string]string{"SECONDS": strconv.Itoa(int(abuseTime / time.Second))},
	}})
	return err
}

func (t *turn) recordAbuse(daemon int, before float64, asked *load.Tally, took time.Duration) error {
	if !hasMark(daemon, t.mark) {
		return fmt.Errorf("look at the daemon: process %d has died", daemon)
	}
	peak, err := residentPeak(daemon)
	if err != nil {
		return err
	}
	after, err := resident(daemon)
	if err != nil {
		return err
	}
	t.record(memoryBefore, before)
	t.record(memoryPeak, peak)
	t.record(memoryAfter, after)
	t.record(askedMade, float64(asked.Made()))
	t.record(askedRate, float64(asked.Done)/took.Seconds())
	t.record(askedTail, asked.Latency.Quantile(0.99).Seconds())
	t.record(askedHeld, float64(asked.Failed[load.Late]))
	t.record(askedFailed, float64(asked.Failures(load.Late)))
	if asked.Failures() > 0 {
		t.remark("abuse: %d of %d well-behaved requests failed (%s)", asked.Failures(), asked.Made(), asked)
	}
	return nil
}
