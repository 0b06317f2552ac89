package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/keeper/wire"
	"tend/internal/logs/read"
	"tend/internal/sysinfo"
)

// An app that dies while it boots was not started, whatever its pid was: who
// started it is told. Nobody can tell when a boot is over, but a process that
// has not run at all between two looks waits for something, and a booting one
// does not. So a start is settled when the process sleeps through one pause, or
// has run for settleRan, however long a busy machine takes to let it; and at the
// latest after settleLimit.
const (
	settlePause = 10 * time.Millisecond
	settleRan   = 300 * time.Millisecond
	settleLimit = 3 * time.Second
	// drainLimit bounds the wait for the last output of a process that ended.
	drainLimit = 200 * time.Millisecond
	// lastLines reach back to the message of what node ends with when nobody
	// caught it, over its stack and its properties.
	lastLines = 20
)

// settling is an instance that was just started.
type settling struct {
	row *Row   // as it was when it came online
	ran uint64 // how long its process has run, at the last look
}

// settle watches instances that were just started, and returns an error for
// each that ended at once.
func (s *Supervisor) settle(ctx context.Context, begun []*Row, act string, tell func(api.Event)) (failed []error) {
	young := make([]settling, 0, len(begun))
	for _, row := range begun {
		young = append(young, settling{row: row})
	}
	tick := time.NewTicker(settlePause)
	defer tick.Stop()
	for end := time.Now().Add(settleLimit); len(young) > 0 && time.Now().Before(end); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return failed
		}
		now := s.byID()
		young = slices.DeleteFunc(young, func(y settling) bool {
			row := now[y.row.ID]
			if s.crashed(row, y.row) {
				err := s.crash(ctx, y.row, row)
				failed = append(failed, err)
				tell(api.Event{Kind: api.EventInstance, Act: act, ID: row.ID, Name: row.Name, Error: errs.Wire(err)})
				return true
			}
			return row == nil || row.Key != y.row.Key || row.State != api.Online
		})
		young = s.unsettled(ctx, young)
	}
	return failed
}

// unsettled leaves out whoever has settled since the last look.
func (s *Supervisor) unsettled(ctx context.Context, young []settling) []settling {
	table, err := s.opts.Scan.Scan(ctx)
	if err != nil {
		return young // at the latest settleLimit ends it
	}
	kept := young[:0]
	for _, y := range young {
		if !s.settled(&y, table) {
			kept = append(kept, y)
		}
	}
	return kept
}

// settled tells whether neither the process nor what it started has run since
// the last look (it may be a wrapper that waits for a child that boots), or they
// have run for long enough. One that is not there any more has ended, and how is
// on its way here, however long that takes.
func (s *Supervisor) settled(y *settling, table *sysinfo.Table) bool {
	ran, asleep := uint64(0), true
	pids := []int{y.row.PID}
	for _, p := range table.Tree(y.row.PID) {
		pids = append(pids, p.PID)
	}
	for _, pid := range pids {
		ns, state, err := s.opts.RunTime(pid)
		if err != nil && pid == y.row.PID {
			return false
		}
		asleep = asleep && err == nil && state == 'S'
		ran += ns
	}
	asleep = asleep && ran == y.ran
	y.ran = ran
	return asleep || ran >= uint64(settleRan)
}

// crashed tells whether the process of the launch that was begun has ended,
// unless that is all it was to do. One that somebody stopped has not crashed.
func (s *Supervisor) crashed(now, begun *Row) bool {
	switch {
	case now == nil, !now.Exited, now.State == api.Stopping:
		return false
	case now.State == api.Stopped:
		return now.ExitCode != 0 || now.ExitSignal != "" || now.ExitUnknown
	case now.State == api.Errored, now.State == api.Waiting:
		return true
	}
	// An order, also of cron or of a file that changed, begins another history.
	return now.Key != begun.Key && now.Restarts > begun.Restarts && now.CreatedAt == begun.CreatedAt
}

func (s *Supervisor) byID() map[int]*Row {
	m := map[int]*Row{}
	for _, row := range s.View().Rows {
		m[row.ID] = row
	}
	return m
}

// crash is the error of an app that ended at once, with its last lines.
func (s *Supervisor) crash(ctx context.Context, was, now *Row) error {
	how := howEnded(now.Instance)
	e := &errs.Error{
		Op: "start", On: was.Name, Kind: errs.Crashed,
		Err:  fmt.Errorf("it ended at once (%s) and is %s", how, now.State),
		Hint: fmt.Sprintf("`tend logs %s` shows its output, `tend describe %s` what it runs", was.Name, was.Name),
	}
	if now.State == api.Online || now.State == api.Launching {
		e.Err = fmt.Errorf("it ended at once (%s) and is being restarted", how)
	}
	e.Lines = s.lastWords(ctx, was)
	return e
}

// lastWords are the last lines of an instance whose process has ended.
func (s *Supervisor) lastWords(ctx context.Context, was *Row) []string {
	s.heardOut(ctx, was)
	for _, path := range []string{was.ErrFile, was.OutFile} {
		if lines, err := read.Tail(path, lastLines); err == nil && len(lines) > 0 {
			return lines
		}
	}
	return nil
}

// heardOut waits, within bounds, until the output of an instance's launches
// that ended is in its files.
func (s *Supervisor) heardOut(ctx context.Context, was *Row) {
	tick := time.NewTicker(settlePause)
	defer tick.Stop()
	for end := time.Now().Add(drainLimit); time.Now().Before(end); {
		if !s.holds(wire.PipeName(was.Key, 1)) && !s.holds(wire.PipeName(was.Key, 2)) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Supervisor) holds(name string) bool {
	_, ok := s.opts.Keeper.Held(name)
	return ok
}

var errNotRunning = errors.New("it is not running")
