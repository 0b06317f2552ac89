package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// heldSocket is the name of the API's socket on the keeper's shelf: clients
// that come while there is no daemon wait in its queue for the next one.
const heldSocket = "api"

// listen takes the API's socket from the shelf, or makes it.
func (d *daemon) listen() (net.Listener, error) {
	path := d.opts.Home.Socket()
	if fd, ok := d.keeper.Held(heldSocket); ok {
		if _, err := os.Stat(path); err == nil {
			l, err := d.inherit(fd)
			if err == nil {
				return l, nil
			}
			d.log.Warn("take over the socket", "err", err)
		}
		// Somebody removed its path: nobody can reach it any more.
	}
	// We hold the home's lock: what stands there is of a daemon that is gone.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open the daemon's socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // its path lives longer than we do
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("close the daemon's socket to others: %w", err)
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("hold the daemon's socket: %w", err)
	}
	var holdErr error
	if err := raw.Control(func(fd uintptr) { holdErr = d.keeper.Hold(heldSocket, int(fd)) }); err != nil || holdErr != nil {
		return nil, fmt.Errorf("hold the daemon's socket: %w", errors.Join(err, holdErr))
	}
	return l, nil
}

// inherit makes a listener of a descriptor that stays the keeper's.
func (d *daemon) inherit(fd int) (net.Listener, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	f := os.NewFile(uintptr(own), heldSocket)
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	if ul, ok := l.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(false)
	}
	return l, nil
}
