package main

import (
	"context"
	"time"

	"tend/bench/load"
)

// How long the clients ask.
const (
	warmUp   = 500 * time.Millisecond
	rateTime = 2 * time.Second
)

// takeRates measures what a cluster can do when all that it does is to answer:
// on new connections, where its manager matters, and on kept ones, where it
// should not.
func takeRates(ctx context.Context, t *turn) error {
	s, err := t.startSite(ctx, siteOptions{})
	if err != nil {
		return err
	}
	fresh, err := t.measureRate(ctx, s, load.Fresh)
	if err != nil {
		return err
	}
	t.record(freshRate, fresh.perSecond)
	t.record(managerCost, fresh.manager)
	t.record(workerCost, fresh.workers)
	t.record(freshClient, fresh.client)
	t.record(freshOthers, fresh.others)
	kept, err := t.measureRate(ctx, s, load.Kept)
	if err != nil {
		return err
	}
	t.record(keptRate, kept.perSecond)
	t.record(keptClient, kept.client)
	t.record(keptOthers, kept.others)
	return nil
}

// throughput is what one kind of clients got.
type throughput struct {
	perSecond        float64
	manager, workers float64 // CPU time for each request, in seconds
	client, others   float64 // in percent of a core
}

func (t *turn) measureRate(ctx context.Context, s *site, kind load.Kind) (got throughput, err error) {
	groups := []load.Group{{Kind: kind, Clients: crowdSize, Patience: patience}}
	if _, err := s.meanwhile(ctx, groups, func(ctx context.Context) error { return pause(ctx, warmUp) }); err != nil {
		return got, err
	}
	before, err := t.used(s)
	if err != nil {
		return got, err
	}
	r, err := s.meanwhile(ctx, groups, func(ctx context.Context) error { return pause(ctx, rateTime) })
	if err != nil {
		return got, err
	}
	after, err := t.used(s)
	if err != nil {
		return got, err
	}
	tally := &r.Tallies[0]
	if n := tally.Failures(); n > 0 {
		t.remark("throughput: %d of %d requests failed (%s)", n, tally.Made(), tally)
	}
	t.remarkBusy("throughput", r)
	done, seconds := float64(tally.Done), r.Took.Seconds()
	manager, workers := (after.manager - before.manager).Seconds(), (after.workers - before.workers).Seconds()
	others := (after.machine - before.machine).Seconds() - manager - workers - r.Busy*seconds
	return throughput{
		perSecond: done / seconds,
		manager:   manager / done,
		workers:   workers / done,
		client:    100 * r.Busy,
		others:    100 * max(0, others/seconds),
	}, nil
}

// shares are who has used how much CPU time so far.
type shares struct{ manager, workers, machine time.Duration }

func (t *turn) used(s *site) (got shares, err error) {
	daemon, err := t.daemon()
	if err != nil {
		return got, err
	}
	if got.manager, err = cpuTime(daemon); err != nil {
		return got, err
	}
	pids := make([]int, len(s.workers))
	for i, id := range s.workers {
		pids[i] = id.PID
	}
	if got.workers, err = cpuTimes(pids); err != nil {
		return got, err
	}
	got.machine, err = machineTime()
	return got, err
}
