package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	daemonDeaths = 20
	betweenKills = 250 * time.Millisecond
)

// takeDaemonDeaths kills the daemon over and over while clients ask.
func takeDaemonDeaths(ctx context.Context, t *turn) error {
	s, err := t.startSite(ctx, siteOptions{delay: slowAnswer})
	if err != nil {
		return err
	}
	r, err := s.meanwhile(ctx, visitors(), func(ctx context.Context) error {
		for range daemonDeaths {
			if err := pause(ctx, betweenKills); err != nil {
				return err
			}
			if err := t.killDaemon(ctx); err != nil {
				return err
			}
		}
		return pause(ctx, settle)
	})
	if err != nil {
		return err
	}
	t.recordVisits(daemonDeath, r)
	after, err := t.workers(ctx)
	if err != nil {
		return err
	}
	var same int
	for _, id := range s.workers {
		if id.Alive() && slices.Contains(after, id) {
			same++
		}
	}
	t.record(oldWorkers.in(daemonDeath), float64(same))
	return nil
}

// killDaemon ends the daemon by SIGKILL and returns when there is another one.
func (t *turn) killDaemon(ctx context.Context) error {
	pid, err := t.daemon()
	if err != nil {
		return err
	}
	if !hasMark(pid, t.mark) {
		return fmt.Errorf("kill process %d: it is none of ours", pid)
	}
	endMarked(pid, t.mark)
	return until(ctx, 10*time.Second, 5*time.Millisecond, "there is another daemon", func() bool {
		next, err := t.daemon()
		return err == nil && next != pid && hasMark(next, t.mark)
	})
}
