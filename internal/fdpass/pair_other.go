//go:build !linux

package fdpass

import (
	"os"

	"golang.org/x/sys/unix"
)

const recvFlags = 0

// Pair makes a connected pair of descriptors that keeps the borders of
// packets, both closed on exec. Datagrams stand in for SOCK_SEQPACKET, which
// macOS lacks; there, a peer's death is not an end of file.
func Pair() (a, b int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return -1, -1, os.NewSyscallError("socketpair", err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return fds[0], fds[1], nil
}
