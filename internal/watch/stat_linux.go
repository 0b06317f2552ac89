package watch

import (
	"io/fs"
	"os"
	"syscall"
	"time"
)

// changedAt is when anything about a file changed last, its name too: who puts
// an old file in the place of another changes it.
func changedAt(fi fs.FileInfo) time.Time {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fi.ModTime()
	}
	return time.Unix(st.Ctim.Unix())
}

// touched tells apart what the kernel tells of in the same way: touch(1) sets
// both times at once, chmod(1) but the one.
func touched(path string) bool {
	fi, err := os.Lstat(path)
	return err == nil && !fi.IsDir() && fi.ModTime().Equal(changedAt(fi))
}
