package remote

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func openPidfd(pid int) (int, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	return fd, os.NewSyscallError("pidfd_open", err)
}

func signalPidfd(pidfd int, sig syscall.Signal) error {
	return signalError(unix.PidfdSendSignal(pidfd, sig, nil, 0))
}

// signalGroup signals the process group that the process leads. Before Linux
// 6.9 a pidfd cannot do that, and the number of the group is the pid of a
// process that was not reaped a moment ago.
func signalGroup(pidfd, pid int, sig syscall.Signal) error {
	err := unix.PidfdSendSignal(pidfd, sig, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP)
	if errors.Is(err, unix.EINVAL) {
		err = unix.Kill(-pid, sig)
	}
	return signalError(err)
}

func signalError(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return os.NewSyscallError("pidfd_send_signal", err)
}
