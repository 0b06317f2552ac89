package collect

import (
	"errors"
	"hash/fnv"

	"golang.org/x/sys/unix"

	"tend/internal/console"
)

// screen is the fifo that all lines go to as well, when somebody runs the daemon
// in the foreground and reads it. While it is full the streams wait, as they do
// for a file that does not work; where nobody reads it any more, lines go on to
// their files alone.
type screen struct {
	*file

	gone   func() // tells, once, that nobody reads any more
	dead   bool
	awaits bool // room
	buffer []byte
}

// errBusy says that the screen, or a fifo in place of a file, has no room.
var errBusy = errors.New("who reads it is slow")

// Console has every stream with a Shape.Type copied into a fifo too, as package
// console has it. It is called before Run. gone is called once when the fifo has
// no reader any more, on the goroutine of Run.
func (c *Collector) Console(path string, gone func()) error {
	fd, err := openRetry(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return refuse("open console", path, err)
	}
	c.screen = &screen{file: &file{path: path, fd: fd, users: 1}, gone: gone}
	return nil
}

// source is what the lines of a stream are known by on the screen.
func source(s Stream) *console.Source {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.Key)) // never fails
	return &console.Source{Stream: h.Sum64(), ID: s.Shape.ID, App: s.Shape.App, Err: s.Shape.Type == "err"}
}

// show adds the screen to the files of a stream, before all others: what it has
// no room for is not written to any.
func (l *loop) show(s *stream) {
	if l.c.screen == nil || s.Shape.Type == "" {
		return
	}
	l.c.screen.users++
	s.outs = append([]out{{file: l.c.screen.file, source: source(s.Stream)}}, s.outs...)
}

// send writes what was not written yet of a text.
func (l *loop) send(s *stream, o *out, text []byte) (int, error) {
	if o.source == nil {
		n, err := o.write(text[o.ahead:])
		if errors.Is(err, unix.EAGAIN) { // a fifo, or a terminal
			s.slow, s.read = true, n > 0
			err = errBusy
		}
		return n, err
	}
	sc := l.c.screen
	done, err := o.source.Send(text, o.ahead, s.rest.seq, sc.buffer, func(frame []byte) error {
		sc.buffer = frame
		return sc.put(frame)
	})
	switch {
	case errors.Is(err, unix.EAGAIN):
		l.await(true)
		err = errBusy
	case errors.Is(err, unix.EPIPE):
		l.leave()
		done, err = len(text), nil
	}
	return done - o.ahead, err
}

// put writes a frame whole or not at all.
func (sc *screen) put(frame []byte) error {
	if sc.dead {
		return nil
	}
	_, err := retry(func() (int64, error) {
		n, err := unix.Write(sc.fd, frame)
		return int64(n), err
	})
	return err
}

// await begins or ends to wait for room on the screen.
func (l *loop) await(room bool) {
	sc := l.c.screen
	if sc.dead || sc.awaits == room {
		return
	}
	events := uint32(0) // that it has no reader is told in any case (epoll_ctl(2))
	if room {
		events = unix.EPOLLOUT
	}
	if err := l.pipes.Change(sc.fd, events); err == nil {
		sc.awaits = room
	}
}

// watchScreen begins to look after the screen.
func (l *loop) watchScreen() error {
	if l.c.screen == nil {
		return nil
	}
	return l.pipes.Add(l.c.screen.fd, 0)
}

// screenReady looks why the screen was told of.
func (l *loop) screenReady() {
	look := []unix.PollFd{{Fd: int32(l.c.screen.fd), Events: unix.POLLOUT}} //nolint:gosec // a descriptor
	if _, err := unix.Poll(look, 0); err == nil && look[0].Revents&unix.POLLERR != 0 {
		l.leave()
	}
	l.await(false)
	l.tryAll()
}

// leave lets go of a screen that nobody reads.
func (l *loop) leave() {
	sc := l.c.screen
	if sc.dead {
		return
	}
	sc.dead = true
	l.pipes.Remove(sc.fd)
	l.c.log.Info("nobody reads the console any more")
	sc.gone()
}

// isScreen tells whether a descriptor that is ready is the screen's.
func (l *loop) isScreen(fd int) bool { return l.c.screen != nil && l.c.screen.fd == fd }

// Drained tells whether all that was written until now is where it goes, but for
// lines that lack their end. It waits for Run.
func (c *Collector) Drained() bool {
	drained := true
	c.wait(func(l *loop) {
		drained = l.left == "" && len(l.stalled) == 0
		for fd := range l.streams {
			drained = drained && l.pipes.held(fd) == 0
		}
	})
	return drained
}
