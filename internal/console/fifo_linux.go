package console

import (
	"os"

	"golang.org/x/sys/unix"
)

// room is how much of what was written may wait for the reader. More than a
// megabyte only root may have (pipe(7)).
const room = 1 << 20

// widen makes room in a fifo; without it there is less.
func widen(f *os.File) {
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, room) })
	}
}
