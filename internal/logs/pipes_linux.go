package logs

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/epoll"
)

// pipes waits for pipes to have something to read, and reads them.
type pipes struct {
	*epoll.Set

	ready []int

	// tee(2) puts what a pipe holds into the spare pipe as well, without
	// taking it out. The spare pipe is empty between any two calls.
	spareRead, spareWrite int
	null                  int
	block                 []byte
}

func newPipes() (*pipes, error) {
	p := &pipes{block: make([]byte, blockSize)}
	var err error
	if p.null, err = unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	var spare [2]int
	if err := unix.Pipe2(spare[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		_ = unix.Close(p.null)
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	p.spareRead, p.spareWrite = spare[0], spare[1]
	if p.Set, err = epoll.New(); err != nil {
		p.closeSpare()
		return nil, err
	}
	return p, nil
}

// add begins to wait for a pipe.
func (p *pipes) add(fd int) error { return p.Add(fd, unix.EPOLLIN) }

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

// rest gives the apps a moment to write more. An app that writes line by line
// is otherwise copied line by line: with this rest it is twice as fast, and
// copying it costs a fifth. In 100 microseconds no app fills its pipe. A
// timer of the runtime could not be that short, since epoll_wait(2) counts
// milliseconds.
func (p *pipes) rest() { _ = unix.Nanosleep(&unix.Timespec{Nsec: 100_000}, nil) }

// peek is what is at the front of a pipe, at most a block; it stays there. The
// bytes are good until the next call.
func (p *pipes) peek(fd int) ([]byte, error) {
	n, err := retry(func() (int64, error) { return unix.Tee(fd, p.spareWrite, blockSize, unix.SPLICE_F_NONBLOCK) })
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look into pipe: %w", err)
	case n == 0:
		return nil, errNoWriter
	}
	for got := 0; got < int(n); {
		m, err := retry(func() (int64, error) {
			m, err := unix.Read(p.spareRead, p.block[got:n])
			return int64(m), err
		})
		if err != nil {
			return nil, fmt.Errorf("read spare pipe: %w", err)
		}
		got += int(m)
	}
	return p.block[:n], nil
}

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
	p.closeSpare()
}

func (p *pipes) closeSpare() {
	_ = unix.Close(p.spareRead)
	_ = unix.Close(p.spareWrite)
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
