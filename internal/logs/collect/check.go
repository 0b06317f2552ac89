package collect

import (
	"os"

	"golang.org/x/sys/unix"
)

// Fifos are those among files that were checked. Whoever reads one takes it for
// the end when nobody has it open any more: they are to be closed after Add.
type Fifos []int

// Close closes them.
func (f Fifos) Close() {
	for _, fd := range f {
		_ = unix.Close(fd) // nothing was written
	}
}

// Check tells whether every path could be written, as Add will want to: an app
// is better not started than started with nowhere to write. It leaves the
// files behind, empty where they are new.
func Check(paths []string, owner *Owner) (Fifos, error) {
	var fifos Fifos
	for _, path := range paths {
		if path == os.DevNull {
			continue
		}
		fd, err := openLog(path, owner)
		if err != nil {
			fifos.Close()
			return nil, refuse("open log", path, err)
		}
		if isFifo(fd) {
			fifos = append(fifos, fd)
		} else {
			_ = unix.Close(fd) // nothing was written
		}
	}
	return fifos, nil
}

func isFifo(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}
