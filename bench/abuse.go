package main

import (
	"context"
	"fmt"
	"os"
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
		{Kind: load.Garbage, Clients: 2 * abuseRate * int(abuseTime/time.Second), Rate: abuseRate},
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
	if err := t.recordFlood(ctx); err != nil {
		return err
	}
	t.record(badMade.in(abused), float64(r.Tallies[1].Opened+r.Tallies[2].Opened))
	t.record(memoryBefore.in(abused), before)
	if err := t.recordMemory(daemon); err != nil {
		return err
	}
	t.recordAsked(&r.Tallies[0], r.Took)
	return nil
}

// startFlood starts the app that talks too much. It ends with the abuse.
func (t *turn) startFlood(ctx context.Context) error {
	script := filepath.Join(t.dir, "flood.js")
	if err := writeProgram("flood.js", script); err != nil {
		return err
	}
	_, err := t.start(ctx, []app{{
		name: floodName, script: script, workers: 1,
		env: map[string]string{"SECONDS": strconv.Itoa(int(abuseTime / time.Second)), "REPORT": t.floodReport()},
	}})
	return err
}

// floodReport is where the app writes how many messages were taken from it.
func (t *turn) floodReport() string { return filepath.Join(t.dir, "flood.report") }

func (t *turn) recordFlood(ctx context.Context) error {
	var n int
	err := until(ctx, 5*time.Second, 100*time.Millisecond, "the flood has ended", func() bool {
		text, err := os.ReadFile(t.floodReport())
		if err != nil {
			return false
		}
		_, err = fmt.Sscanf(string(text), "%d\n", &n)
		return err == nil
	})
	if err == nil {
		t.record(floodTaken.in(abused), float64(n))
	}
	return err
}

func (t *turn) recordMemory(daemon int) error {
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
	t.record(memoryPeak.in(abused), peak)
	t.record(memoryAfter.in(abused), after)
	return nil
}

func (t *turn) recordAsked(asked *load.Tally, took time.Duration) {
	t.record(askedMade.in(abused), float64(asked.Made()))
	t.record(askedRate.in(abused), float64(asked.Done)/took.Seconds())
	t.record(askedTail.in(abused), asked.Latency.Quantile(0.99).Seconds())
	t.record(askedHeld.in(abused), float64(asked.Failed[load.Late]))
	t.record(askedFailed.in(abused), float64(asked.Failures(load.Late)))
	if asked.Failures() > 0 {
		t.remark("%s: %d of %d well-behaved requests failed (%s)", abused, asked.Failures(), asked.Made(), asked)
	}
}
