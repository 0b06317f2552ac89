package daemon

import (
	"context"
	"time"

	"tend/api"
	"tend/internal/supervisor"
)

// journal is where the table is written down. An owned daemon has one of its
// own: its apps are nobody's after it, and those of the home are not its.
func (d *daemon) journal() string {
	if d.opts.Owned {
		return d.opts.Home.OwnedJournal()
	}
	return d.opts.Home.Journal()
}

// openConsole has all output go to our owner too. Without a reader there is
// none any more.
func (d *daemon) openConsole() {
	if !d.opts.Owned {
		return
	}
	if err := d.logs.Console(d.opts.Home.Console(), func() { close(d.alone) }); err != nil {
		d.log.Info("nobody reads the console", "err", err)
		close(d.alone)
	}
}

// mourn ends everything when our owner is gone without a word: who ends in
// order says so.
func (d *daemon) mourn(ctx context.Context, leave context.CancelCauseFunc) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-d.alone:
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-d.supervisor.Whole():
	}
	req := api.ActRequest{Act: api.ActDelete, Targets: []string{"all"}}
	if err := d.supervisor.Act(supervisor.AskedBy(ctx, "the end of its owner"), req, func(api.Event) {}); err != nil {
		d.log.Warn("end the apps of an owner that is gone", "err", err)
	}
	d.leave(ctx, true, leave)
	return ctx.Err()
}

// The last output of apps that ended may take so long on its way to a file, or
// to a terminal that is slow.
const (
	outLimit = 2 * time.Second
	outPause = 2 * time.Millisecond
)

// heardOut waits, within bounds, until the output of every app is where it
// goes: when the keeper ends, what is in the pipes is lost.
func (d *daemon) heardOut(ctx context.Context) {
	tick := time.NewTicker(outPause)
	defer tick.Stop()
	for end := time.Now().Add(outLimit); !d.logs.Drained() && time.Now().Before(end); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
