package daemon

import (
	"context"
	"time"

	"tend/api"
	"tend/internal/supervisor"
	"tend/internal/sysinfo"
)

// sampler measures what the apps use, at a pace that costs little: the more
// processes there are, the rarer it looks.
type sampler struct {
	scan       *sysinfo.Scanner
	supervisor *supervisor.Supervisor
	asked      chan chan struct{}
}

const (
	sampleEvery = 2 * time.Second // at most
	sampleRare  = 30 * time.Second
	// sampleShare is how many times longer than a look the pause after it is:
	// at most a third of a percent of one core.
	sampleShare = 300
	// freshWait bounds how long a reader waits for processes that were never
	// measured.
	freshWait = 50 * time.Millisecond
)

func newSampler(scan *sysinfo.Scanner, s *supervisor.Supervisor) *sampler {
	return &sampler{scan: scan, supervisor: s, asked: make(chan chan struct{})}
}

func (s *sampler) run(ctx context.Context) error {
	use := sysinfo.NewSampler()
	pause := sampleEvery
	for {
		var done chan struct{}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case done = <-s.asked:
		case <-time.After(pause):
		}
		took, err := s.sample(ctx, use)
		if err != nil {
			return err
		}
		if done != nil {
			close(done)
		}
		pause = min(max(took*sampleShare, sampleEvery), sampleRare)
	}
}

func (s *sampler) sample(ctx context.Context, use *sysinfo.Sampler) (took time.Duration, err error) {
	var roots []sysinfo.Root
	for _, row := range s.supervisor.View().Rows {
		if row.PID != 0 {
			roots = append(roots, sysinfo.Root{PID: row.PID, Start: row.StartTicks})
		}
	}
	if len(roots) == 0 {
		return 0, nil
	}
	start := time.Now()
	table, err := s.scan.Scan(ctx)
	if err != nil {
		return 0, err
	}
	measured := use.Sample(table, roots)
	took = time.Since(start)
	return took, s.supervisor.Measured(ctx, measured)
}

// fresh waits until every process that runs was measured at least once.
func (s *sampler) fresh(ctx context.Context) {
	all := true
	for _, row := range s.supervisor.View().Rows {
		all = all && (row.State != api.Online || row.Memory > 0)
	}
	if all {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, freshWait)
	defer cancel()
	done := make(chan struct{})
	select {
	case s.asked <- done:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}
