package own

import "golang.org/x/sys/unix"

// takePlace makes the descriptor old another one of what fd is of. Children
// inherit a standard output, and nothing else.
func takePlace(fd, old int) error {
	flags := unix.O_CLOEXEC
	if old <= unix.Stderr {
		flags = 0
	}
	return unix.Dup3(fd, old, flags)
}
