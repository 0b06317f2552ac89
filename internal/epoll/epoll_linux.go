// Package epoll waits for many descriptors with one parked goroutine and no
// thread of its own: the epoll(7) that they are in is in the runtime's own.
// It knows nothing of what the descriptors are.
package epoll

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// most is how many descriptors one Wait tells of.
const most = 128

// Set is a set of descriptors that are waited for. Interrupt may be called by
// anybody, everything else by one goroutine.
type Set struct {
	file *os.File
	conn syscall.RawConn
	// Kept, as a closure for each call would be an allocation.
	poll   func(epoll uintptr) bool
	ctl    func(epoll uintptr)
	call   control
	events [most]unix.EpollEvent
	ready  []unix.EpollEvent
	err    error
}

// control is a call of epoll_ctl(2).
type control struct {
	op    int
	event unix.EpollEvent
	err   error
}

// New makes an empty set.
func New() (*Set, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// Only a descriptor that does not block is given to the runtime's poller.
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("set nonblock", err)
	}
	s := &Set{file: os.NewFile(uintptr(fd), "epoll")}
	if s.conn, err = s.file.SyscallConn(); err != nil {
		_ = s.file.Close()
		return nil, err
	}
	s.ctl = func(epoll uintptr) {
		s.call.err = unix.EpollCtl(int(epoll), s.call.op, int(s.call.event.Fd), &s.call.event)
	}
	s.poll = func(epoll uintptr) bool {
		var n int
		n, s.err = unix.EpollWait(int(epoll), s.events[:], 0)
		if errors.Is(s.err, unix.EINTR) {
			n, s.err = 0, nil
		}
		s.ready = s.events[:max(n, 0)]
		return n > 0 || s.err != nil
	}
	return s, nil
}

// Close ends a Wait and the set. The descriptors stay open.
func (s *Set) Close() error { return s.file.Close() }

// Add begins to wait for the events of fd (epoll_ctl(2)).
func (s *Set) Add(fd int, events uint32) error { return s.control(unix.EPOLL_CTL_ADD, fd, events) }

// Change waits for other events of fd, or for the same ones again after an
// EPOLLONESHOT.
func (s *Set) Change(fd int, events uint32) error { return s.control(unix.EPOLL_CTL_MOD, fd, events) }

// Remove ends the wait for fd.
func (s *Set) Remove(fd int) {
	_ = s.control(unix.EPOLL_CTL_DEL, fd, 0) // it is there, or it is no matter
}

func (s *Set) control(op, fd int, events uint32) error {
	s.call = control{op: op, event: unix.EpollEvent{Events: events, Fd: int32(fd)}}
	if err := s.conn.Control(s.ctl); err != nil {
		return err
	}
	return os.NewSyscallError("epoll_ctl", s.call.err)
}

// Until sets the time at which the next Wait ends at the latest; zero: never.
// It forgets interrupts.
func (s *Set) Until(t time.Time) { _ = s.file.SetReadDeadline(t) }

// Interrupt ends the Wait, now or as soon as it begins.
func (s *Set) Interrupt() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) }

// Wait waits for events and gives them: none, if it was interrupted or its
// time is over. They are good until the next call.
func (s *Set) Wait() ([]unix.EpollEvent, error) {
	if err := s.conn.Read(s.poll); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, nil
		}
		return nil, err
	}
	return s.ready, os.NewSyscallError("epoll_wait", s.err)
}
