//go:build !linux

package fanout

import "errors"

// Create makes the memory of a ring; there is none here yet.
func Create(int) (fd int, err error) {
	return -1, errors.New("shared memory of notices is not supported on this system yet")
}
