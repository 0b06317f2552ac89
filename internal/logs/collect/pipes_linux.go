package collect

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/epoll"
)

// pipes waits for pipes to have something to read.
type pipes struct {
	*epoll.Set

	ready []int
	null  int
}

func newPipes() (*pipes, error) {
	null, err := unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	set, err := epoll.New()
	if err != nil {
		_ = unix.Close(null)
		return nil, err
	}
	return &pipes{Set: set, null: null}, nil
}

// A pipe that was ready is not waited for before again: each write to it would
// otherwise wake whoever waits for the runtime, also while the pipe is being
// emptied.
const onceReadable = unix.EPOLLIN | unix.EPOLLONESHOT

// add begins to wait for a pipe.
func (p *pipes) add(fd int) error { return p.Add(fd, onceReadable) }

// again waits for a pipe that was ready.
func (p *pipes) again(fd int) error { return p.Change(fd, onceReadable) }

// remove ends the wait for a pipe.
func (p *pipes) remove(fd int) { p.Remove(fd) }

// until is the time at which the next wait ends at the latest; zero: never. It
// forgets interrupts.
func (p *pipes) until(t time.Time) { p.Until(t) }

// interrupt ends the wait, now or as soon as it begins.
func (p *pipes) interrupt() { p.Interrupt() }

// wait waits for pipes that can be read, or have no writer, and gives their
// descriptors: none, if it was interrupted.
func (p *pipes) wait() ([]int, error) {
	events, err := p.Wait()
	p.ready = p.ready[:0]
	for _, e := range events {
		p.ready = append(p.ready, int(e.Fd))
	}
	return p.ready, err
}

// How long apps get to write more, at the least and at the most: an app that
// writes line by line would otherwise be copied line by line. With a short rest it
// is twice as fast, and copying it costs a fifth; with a long one a third less
// again.
const (
	shortRest = 100 * time.Microsecond
	longRest  = 600 * time.Microsecond
)

// rest waits for so long. A timer of the runtime could not be that short, since
// epoll_wait(2) counts milliseconds.
func (p *pipes) rest(d time.Duration) { _ = unix.Nanosleep(&unix.Timespec{Nsec: int64(d)}, nil) }

const wideSize = 4 * blockSize

// widen has a pipe hold wideSize, if the system lets it.
func (p *pipes) widen(fd int) { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, wideSize) }

// discard takes at most n bytes out of a pipe, as many as are there.
func (p *pipes) discard(fd, n int) (done int, err error) {
	for done < n {
		m, err := retry(func() (int64, error) {
			return unix.Splice(fd, nil, p.null, nil, n-done, unix.SPLICE_F_NONBLOCK)
		})
		switch {
		case errors.Is(err, unix.EAGAIN):
			return done, nil
		case err != nil:
			return done, fmt.Errorf("empty pipe: %w", err)
		case m == 0 && done == 0:
			return 0, errNoWriter
		case m == 0:
			return done, nil
		}
		done += int(m)
	}
	return done, nil
}

// held is how many bytes are in a pipe.
func (p *pipes) held(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

func (p *pipes) close() {
	_ = p.Close()
	_ = unix.Close(p.null)
}

// checkPipe tells whether a descriptor is what Stream.FD has to be.
func checkPipe(fd int) error {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0); err != nil {
		return fmt.Errorf("descriptor %d is no pipe: %w", fd, err)
	}
	return nil
}

func retry(call func() (int64, error)) (int64, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
