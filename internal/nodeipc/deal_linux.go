package nodeipc

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// flight is a connection between the kernel and a worker's answer for it. Our
// copy stays open until then: a worker that refuses, or dies, costs nothing.
type flight struct {
	of    *shared
	fd    int
	seq   uint64
	tried []*channel
}

// pauseNoRoom is waited when there are no descriptors left.
const pauseNoRoom = 100 * time.Millisecond

func (k *socket) ready(l *loop, _ uint32) {
	k.more = true
	l.deal(k.of)
}

// deal hands out connections as long as there are any, and somebody who may
// have one. They are accepted one by one: what is not accepted is safe in the
// kernel when the daemon dies.
func (l *loop) deal(s *shared) {
	for len(s.waiting) > 0 {
		f := s.waiting[0]
		to := s.choose(f.tried)
		if to == nil {
			break
		}
		s.waiting = slices.Delete(s.waiting, 0, 1)
		l.fly(f, to)
	}
	for _, k := range s.sockets {
		for k.taken && k.more {
			to := s.choose(nil)
			if to == nil {
				return
			}
			fd, err := accept(k.fd)
			if err != nil {
				l.notAccepted(k, err)
				continue
			}
			l.fly(&flight{of: s, fd: fd}, to)
		}
	}
}

// accept takes a connection. Who it is from is not asked: the worker does.
func accept(fd int) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

func (l *loop) notAccepted(k *socket, err error) {
	switch {
	case errors.Is(err, unix.EAGAIN):
		k.more = false
	case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED), errors.Is(err, unix.EPROTO):
	default: // no descriptors, no memory: what waits in the kernel can wait on
		k.more = false
		l.opts.Log.Error("accept a connection", "app", k.of.group.name, "address", k.of.key, "err", err)
		l.timers.after(pauseNoRoom, func() { k.ready(l, 0) })
	}
}

// choose is the worker that gets the next connection, but for those who had
// it.
func (s *shared) choose(tried []*channel) *channel {
	var room [16]int // more members need more; few apps have them
	busy := room[:0]
	for _, m := range s.members {
		n := len(m.c.flights)
		if m.c.closed || m.c.retired || len(m.c.out) > 0 || slices.Contains(tried, m.c) {
			n = -1
		}
		busy = append(busy, n)
	}
	at := pick(busy, s.last)
	if at < 0 {
		return nil
	}
	return s.members[at].c
}

// fly hands a connection to a worker.
func (l *loop) fly(f *flight, to *channel) {
	f.seq = l.nextSeq()
	f.of.last = slices.IndexFunc(f.of.members, func(m *member) bool { return m.c == to })
	f.tried = append(f.tried, to)
	to.flights = append(to.flights, f)
	l.text = appendNewconn(l.text[:0], string(f.of.quote), f.seq)
	p := parcel{line: l.text, fd: f.fd, flight: f}
	if len(to.out) == 0 && to.maySend(&p) && l.write(to, &p) == nil {
		to.wrote(&p) // as nearly always
		return
	}
	l.put(to, &parcel{line: slices.Clone(l.text), fd: f.fd, flight: f})
}

// answered deals with a worker's answer for a connection. One to the daemon
// before us matches none.
func (l *loop) answered(c *channel, seq uint64, accepted bool) {
	at := slices.IndexFunc(c.flights, func(f *flight) bool { return f.seq == seq })
	if at < 0 {
		return
	}
	f := c.flights[at]
	c.flights = slices.Delete(c.flights, at, at+1)
	if !accepted {
		l.offer(f)
		return
	}
	_ = unix.Close(f.fd)
	l.serveAgain(c)
}

// serveAgain deals to a worker that has room again, on all of its addresses.
func (l *loop) serveAgain(c *channel) {
	g := l.groups[c.Group]
	if g == nil {
		return
	}
	for _, n := range c.notes.Keys {
		if s := g.shared[n.Key]; s != nil {
			l.deal(s)
		}
	}
}

// lose takes back a connection that did not arrive at a worker.
func (l *loop) lose(c *channel, f *flight) {
	if at := slices.Index(c.flights, f); at >= 0 {
		c.flights = slices.Delete(c.flights, at, at+1)
		l.offer(f)
	}
}

// offer gives a connection that a worker did not take to another one. When
// all had it, it ends, as with every worker full.
func (l *loop) offer(f *flight) {
	s := f.of
	if to := s.choose(f.tried); to != nil {
		l.fly(f, to)
		return
	}
	untried := slices.ContainsFunc(s.members, func(m *member) bool { return !m.c.closed && !slices.Contains(f.tried, m.c) })
	if untried || len(s.members) == 0 && s.group.shared[s.key] == s {
		s.waiting = append(s.waiting, f)
		return
	}
	_ = unix.Close(f.fd)
}

// dropFlights ends what waits for a worker.
func (s *shared) dropFlights() {
	for _, f := range s.waiting {
		_ = unix.Close(f.fd)
	}
	s.waiting = nil
}
