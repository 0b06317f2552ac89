package sysinfo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SignalProcess sends sig to exactly the process that p names, through a
// pidfd: a pid that was reused is never hit. A process that is gone, or a
// zombie, is os.ErrProcessDone.
func SignalProcess(p Process, sig syscall.Signal) error {
	fd, err := openProcess(p)
	if err != nil {
		return fmt.Errorf("signal process %d: %w", p.identity().PID, err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
		if err == unix.ESRCH {
			err = os.ErrProcessDone
		}
		return fmt.Errorf("signal process %d: %w", p.identity().PID, err)
	}
	return nil
}

// WaitGone returns nil when the process that p names has ended, whether its
// parent has noticed or not, or the cause for which ctx ended. While it waits
// it holds a descriptor and no thread.
func WaitGone(ctx context.Context, p Process) error {
	fd, err := openProcess(p)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", p.identity().PID, err)
	}
	// Only a descriptor that does not block is given to the runtime's poller.
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("wait for process %d: %w", p.identity().PID, err)
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	defer file.Close()
	conn, err := file.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", p.identity().PID, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = conn.Read(func(fd uintptr) bool { return readable(int(fd)) })
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", p.identity().PID, err)
	}
	return nil
}

// openProcess gives a pidfd of the process that p names. As long as that is
// open it means this process, so what is checked after opening holds.
func openProcess(p Process) (fd int, err error) {
	fd, err = unix.PidfdOpen(p.identity().PID, 0)
	switch {
	case err == nil:
	case errors.Is(err, unix.ESRCH):
		return -1, os.ErrProcessDone
	case errors.Is(err, unix.ENOSYS):
		return -1, errors.New("the kernel has no pidfd_open: Linux 5.3 or newer is needed")
	default:
		return -1, fmt.Errorf("open pidfd: %w", err)
	}
	now, err := current(p)
	if err == nil && !now.Ended() {
		return fd, nil
	}
	_ = unix.Close(fd)
	if err == nil || errors.Is(err, errOther) {
		err = os.ErrProcessDone
	}
	return -1, err
}

// readable tells whether the process of a pidfd has ended: pidfd_open(2).
func readable(pidfd int) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}
