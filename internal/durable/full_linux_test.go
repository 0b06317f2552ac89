package durable

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
)

// smallDisk mounts a file system of fullDisk bytes, where this user may.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", fullDisk))
	if errors.Is(err, syscall.EPERM) {
		t.Skip("only root may mount; a limit on files stands in for it")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}
