package keeper

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// watcher tells when processes that are not our children end. A pidfd becomes
// readable then (pidfd_open(2)); all of them hang in one epoll, which hangs
// in the runtime's poller: one goroutine and no thread wait for any number.
type watcher struct {
	fd   int
	file *os.File
	raw  syscall.RawConn
}

func newWatcher(gone chan<- int) (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that os.NewFile polls it
		return nil, os.NewSyscallError("set nonblock", err)
	}
	w := &watcher{fd: fd, file: os.NewFile(uintptr(fd), "pidfds")}
	if w.raw, err = w.file.SyscallConn(); err != nil {
		return nil, err
	}
	go w.loop(gone) // lives as long as the process
	return w, nil
}

func (w *watcher) loop(gone chan<- int) {
	var events [64]unix.EpollEvent
	for {
		n := 0
		err := w.raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events[:], 0)
			return n > 0
		})
		if err != nil {
			return
		}
		for _, e := range events[:n] {
			gone <- int(e.Fd)
		}
	}
}

// add watches a pidfd; once it has fired it is silent.
func (w *watcher) add(pidfd, pid int) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(pid)} //nolint:gosec // pids have 22 bits
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, pidfd, &e))
}

func (w *watcher) remove(pidfd int) {
	_ = unix.EpollCtl(w.fd, unix.EPOLL_CTL_DEL, pidfd, nil) // not in it is fine
}
