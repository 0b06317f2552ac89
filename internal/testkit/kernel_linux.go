package testkit

import (
	"errors"
	"math"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TakeOrphans has what a process of the tests leaves behind come to the test
// process and not to init, so that it can be waited for. Nor do processes
// inherit then what whoever runs the tests has left open. It is called before
// Main.
func TakeOrphans() error {
	return errors.Join(
		os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)),
		os.NewSyscallError("close_range", unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)))
}

// Descriptors is how many descriptors the test process has open.
func Descriptors(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
