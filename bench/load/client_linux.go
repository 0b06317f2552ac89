package load

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// What the kinds say.
const (
	freshRequest = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
	keptRequest  = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	garbage      = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \x00\r\n\r\n\xff\xfe\xfd\r\n\r\n"
	half         = "GET / HTT"
)

// What is waited for on a connection.
const (
	reading = unix.EPOLLIN | unix.EPOLLRDHUP
	writing = reading | unix.EPOLLOUT // until it is there
)

// client is one client; with fd < 0 it has no connection.
type client struct {
	squad  *squad
	number int32
	fd     int
	to     unix.SockaddrInet4
	since  time.Duration // the begin of the connection or request
	unsent bool          // the connection is not there yet
	whole  bool          // the answer is; its end is waited for
	got    int           // bytes in answer
	answer [1024]byte
}

func (k Kind) words() string {
	switch k {
	case Fresh:
		return freshRequest
	case Kept:
		return keptRequest
	case Garbage:
		return garbage
	case Loris:
	}
	return half
}

// open makes a connection and says what there is to say.
func (m *client) open(c *crowd) {
	m.squad.tally.Opened++
	m.got, m.whole, m.since = 0, false, time.Since(c.began)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		m.fail(Own)
		return
	}
	m.fd = fd
	if err := unix.Connect(fd, &m.to); err != nil && err != unix.EINPROGRESS {
		m.fail(reason(err))
		return
	}
	// On one machine the connection is there by now, but where the server's
	// backlog is full.
	wanted := uint32(reading)
	switch err := m.say(); {
	case err == nil:
		m.unsent = false
	case errors.Is(err, unix.EAGAIN):
		m.unsent, wanted = true, writing
	default:
		m.fail(reason(err))
		return
	}
	m.want(c, unix.EPOLL_CTL_ADD, wanted)
}

// want tells the kernel which events are of interest.
func (m *client) want(c *crowd, op int, events uint32) {
	c.event = unix.EpollEvent{Events: events, Fd: m.number}
	if err := unix.EpollCtl(c.epoll, op, m.fd, &c.event); err != nil {
		m.fail(Own)
	}
}

// say sends the request, which is short enough to go in one piece.
func (m *client) say() error {
	_, err := unix.Write(m.fd, m.squad.words)
	return err
}

// act deals with what happened on the connection.
func (m *client) act(c *crowd, events uint32) {
	if m.unsent {
		switch err := m.say(); {
		case err == nil:
			m.unsent = false
			m.want(c, unix.EPOLL_CTL_MOD, reading)
		case errors.Is(err, unix.EAGAIN):
		default:
			m.fail(reason(err))
		}
		return
	}
	n, err := unix.Read(m.fd, m.answer[m.got:])
	hangup := events&(unix.EPOLLRDHUP|unix.EPOLLHUP) != 0
	switch {
	case err == unix.EAGAIN:
	case !m.squad.honest():
		if n <= 0 {
			m.done(c)
		} // else what the server thinks of it, which is not kept
	case m.whole:
		m.done(c) // a byte, an end or a reset behind a whole answer are all one
	case err != nil:
		m.fail(reason(err))
	case n == 0:
		m.fail(Cut)
	default:
		m.got += n
		m.consider(c, hangup && m.got < len(m.answer))
	}
}

// consider looks whether the answer is there. ended tells that all that the
// server will send has been read.
func (m *client) consider(c *crowd, ended bool) {
	v, last := judge(m.answer[:m.got])
	switch {
	case v == wrong || v == partial && m.got == len(m.answer):
		m.fail(Strange)
	case v == partial && ended:
		m.fail(Cut)
	case v == partial:
	case m.squad.Kind == Fresh && !ended:
		m.whole = true
	case m.squad.Kind == Fresh || last || ended || c.ending:
		m.done(c)
	default:
		m.again(c)
	}
}

// count notes that a request was answered.
func (m *client) count(c *crowd) {
	now := time.Since(c.began)
	m.squad.tally.Done++
	m.squad.tally.Latency.add(now - m.since)
	m.since = now
}

// again makes the next request on the connection.
func (m *client) again(c *crowd) {
	m.count(c)
	m.got = 0
	if err := m.say(); err != nil {
		m.fail(reason(err))
	}
}

// done ends a connection that has served, and opens the next one where the
// group has no rate.
func (m *client) done(c *crowd) {
	m.count(c)
	m.hangUp()
	if c.ending || m.squad.Rate > 0 {
		m.rest()
		return
	}
	m.open(c)
}

// fail counts a request that has no answer. The client's next one waits for a
// tick: a server that is gone would get nothing but refusals counted.
func (m *client) fail(why Failure) {
	m.squad.tally.Failed[why]++
	m.hangUp()
	m.rest()
}

func (m *client) rest() { m.squad.idle = append(m.squad.idle, m) }

func (m *client) hangUp() {
	if m.fd >= 0 {
		_ = unix.Close(m.fd) // an error would say nothing about the answer
		m.fd = -1
	}
}

// reason is the failure that an errno stands for.
func reason(err error) Failure {
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return Refused
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return Reset
	}
	return Own
}
