package collect

import (
	"os"

	"golang.org/x/sys/unix"
)

// Check tells whether every path could be written, as Add will want to: an app
// is better not started than started with nowhere to write. It leaves the
// files behind, empty where they are new.
func Check(paths []string, owner *Owner) error {
	for _, path := range paths {
		if path == os.DevNull {
			continue
		}
		fd, err := openLog(path, owner)
		if err != nil {
			return refuse("open log", path, err)
		}
		_ = unix.Close(fd) // nothing was written
	}
	return nil
}
