package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"tend/bench/load"
)

const (
	quietReloads  = 5
	loadedReloads = 20
	slowAnswer    = 5 * time.Millisecond
	// shortListen is how long a new version may take that does not come up.
	shortListen = time.Second
)

// takeReload times the reload of a site that nobody asks anything.
func takeReload(ctx context.Context, t *turn) error {
	s, err := t.startSite(ctx, siteOptions{})
	if err != nil {
		return err
	}
	var all []float64
	for range quietReloads {
		if err := pause(ctx, settle); err != nil {
			return err
		}
		took, err := t.reload(ctx, s)
		if err != nil {
			return err
		}
		all = append(all, took.Seconds())
	}
	t.record(reloadTime.in(quietReload), all...)
	return nil
}

// reload replaces all workers of a site and sees that it has.
func (t *turn) reload(ctx context.Context, s *site) (time.Duration, error) {
	took, err := t.time(ctx, reload)
	if err != nil {
		return 0, err
	}
	fresh, err := t.workers(ctx)
	if err != nil {
		return 0, err
	}
	if stayed := living(s.workers); len(fresh) != t.apps || stayed > 0 {
		return 0, fmt.Errorf("check the reload: %d workers run, not %d, and %d of them are the old ones", len(fresh), t.apps, stayed)
	}
	s.workers = fresh
	return took, nil
}

func takePlainReloads(ctx context.Context, t *turn) error { return t.reloads(ctx, plainReload, 0) }
func takeSlowReloads(ctx context.Context, t *turn) error {
	return t.reloads(ctx, slowReload, slowAnswer)
}

// reloads replaces the workers over and over while clients ask.
func (t *turn) reloads(ctx context.Context, at situation, delay time.Duration) error {
	s, err := t.startSite(ctx, siteOptions{delay: delay})
	if err != nil {
		return err
	}
	var all []float64
	r, err := s.meanwhile(ctx, visitors(), func(ctx context.Context) error {
		for range loadedReloads {
			took, err := t.reload(ctx, s)
			if err != nil {
				return err
			}
			all = append(all, took.Seconds())
		}
		return pause(ctx, settle)
	})
	if err != nil {
		return err
	}
	t.record(reloadTime.in(at), all...)
	t.recordVisits(at, r)
	return nil
}

func takeCrashingVersion(ctx context.Context, t *turn) error {
	return t.brokenReload(ctx, crashingVersion, "crash.js")
}

func takeSilentVersion(ctx context.Context, t *turn) error {
	return t.brokenReload(ctx, silentVersion, "silent.js")
}

func takeLateVersion(ctx context.Context, t *turn) error {
	return t.brokenReload(ctx, lateVersion, "late.js")
}

// brokenReload reloads to a version that does not come up, while clients ask.
func (t *turn) brokenReload(ctx context.Context, at situation, version string) error {
	s, err := t.startSite(ctx, siteOptions{delay: slowAnswer, listenTimeout: shortListen})
	if err != nil {
		return err
	}
	var refused float64
	var took time.Duration
	var r load.Result
	r, err = s.meanwhile(ctx, visitors(), func(ctx context.Context) (err error) {
		if err := errors.Join(pause(ctx, settle), s.install(version)); err != nil {
			return err
		}
		took, err = t.time(ctx, reload)
		switch {
		case errors.As(err, new(*exec.ExitError)):
			refused = 1
		case err != nil:
			return err
		}
		return pause(ctx, aftermath)
	})
	if err != nil {
		return err
	}
	t.record(reloadTime.in(at), took.Seconds())
	t.recordVisits(at, r)
	t.record(told.in(at), refused)
	t.record(oldWorkers.in(at), float64(living(s.workers)))
	return nil
}
