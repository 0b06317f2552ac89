package fdpass

import (
	"os"

	"golang.org/x/sys/unix"
)

const recvFlags = unix.MSG_CMSG_CLOEXEC

// Pair makes a connected pair of descriptors that keeps the borders of
// packets, both closed on exec.
func Pair() (a, b int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, os.NewSyscallError("socketpair", err)
	}
	return fds[0], fds[1], nil
}
