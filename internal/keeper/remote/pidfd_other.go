//go:build !linux

package remote

import (
	"errors"
	"syscall"
)

var errNoPidfd = errors.New("pidfds are not supported on this system")

func openPidfd(int) (int, error) { return -1, errNoPidfd }

func signalGroup(int, int, syscall.Signal) error { return errNoPidfd }

func signalPidfd(int, syscall.Signal) error { return errNoPidfd }
