//go:build !linux

package watch

import (
	"io/fs"
	"os"
	"time"
)

// changedAt is when a file changed last.
func changedAt(fi fs.FileInfo) time.Time { return fi.ModTime() }

// touched tells whether more changed of a file than its rights.
func touched(path string) bool {
	fi, err := os.Lstat(path)
	return err == nil && !fi.IsDir() && time.Since(fi.ModTime()) < time.Second
}
