package console

import (
	"fmt"
	"os"
	"syscall"
)

// Make makes a fifo at path and opens it for reading. It lasts as long as the
// file is open: then whoever writes is told so. It never comes to an end by
// itself, for it is open for writing as well.
func Make(path string) (*os.File, error) {
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("make fifo %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	widen(f)
	return f, nil
}
