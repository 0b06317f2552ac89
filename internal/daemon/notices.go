package daemon

import (
	"fmt"

	"golang.org/x/sys/unix"

	"tend/internal/fanout"
)

const (
	// heldNotices is the name of the ring of notices on the keeper's shelf:
	// what a daemon published, the next one still has.
	heldNotices = "notices"
	noticesSize = 1 << 20 // a page of it is in memory once it was written to
)

// openNotices takes the ring from the shelf, or makes it.
func (d *daemon) openNotices() (*fanout.Ring, error) {
	if fd, ok := d.keeper.Held(heldNotices); ok {
		r, err := fanout.Open(fd, d.log)
		if err == nil {
			return r, nil
		}
		d.log.Warn("take over the notices", "err", err)
	}
	fd, err := fanout.Create(noticesSize)
	if err != nil {
		return nil, fmt.Errorf("make the memory of notices: %w", err)
	}
	defer func() { _ = unix.Close(fd) }() // the keeper has its own
	r, err := fanout.Open(fd, d.log)
	if err != nil {
		return nil, err
	}
	if err := d.keeper.Hold(heldNotices, fd); err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("hold the memory of notices: %w", err)
	}
	return r, nil
}
