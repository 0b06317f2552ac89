package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// How often is looked at what no event tells: times, and connections that are
// due.
const (
	tick     = 10 * time.Millisecond
	finetick = time.Millisecond // where a group has a rate
)

// grace is the most that answers are waited for when no more requests are made.
// Those that are missing then are late.
const grace = 2 * time.Second

// Run has groups make requests to a port of this machine until ctx ends, and
// then waits a little for the answers that are missing.
func Run(ctx context.Context, port int, groups []Group) (Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c, err := newCrowd(port, groups)
	if err != nil {
		return Result{}, err
	}
	defer c.close()
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &before); err != nil {
		return Result{}, err
	}
	took, err := c.run(ctx)
	if err != nil {
		return Result{}, err
	}
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &after); err != nil {
		return Result{}, err
	}
	used := func(r unix.Rusage) time.Duration { return time.Duration(r.Utime.Nano() + r.Stime.Nano()) }
	r := Result{Took: took, Busy: (used(after) - used(before)).Seconds() / took.Seconds()}
	for i := range c.squads {
		r.Tallies = append(r.Tallies, c.squads[i].tally)
	}
	return r, nil
}

// squad is a group at work.
type squad struct {
	Group
	words []byte
	tally Tally
	idle  []*client // without a connection; the last one is taken first
}

// crowd is all clients of a run.
type crowd struct {
	epoll   int
	squads  []squad
	clients []client
	began   time.Time
	now     time.Duration // since began
	ending  bool          // no more requests are made
	event   unix.EpollEvent
}

func newCrowd(port int, groups []Group) (*crowd, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	c := &crowd{epoll: epoll}
	var n int
	for _, g := range groups {
		n += g.Clients
		c.squads = append(c.squads, squad{Group: g, words: []byte(g.Kind.words())})
	}
	c.clients = make([]client, n)
	n = 0
	for i := range c.squads {
		s := &c.squads[i]
		for range s.Clients {
			m := &c.clients[n]
			*m = client{squad: s, number: int32(n), fd: -1}
			m.to.Port = port
			// Many addresses, so that the ports on this side do not run out.
			m.to.Addr = [4]byte{127, 0, 1, byte(1 + n%200)}
			s.idle = append(s.idle, m)
			n++
		}
	}
	return c, nil
}

func (c *crowd) close() {
	for i := range c.clients {
		if fd := c.clients[i].fd; fd >= 0 {
			_ = unix.Close(fd) // nothing was to be kept
		}
	}
	_ = unix.Close(c.epoll)
}

// run returns how long requests were made.
func (c *crowd) run(ctx context.Context) (took time.Duration, err error) {
	pace := tick
	for i := range c.squads {
		if c.squads[i].Rate > 0 {
			pace = finetick
		}
	}
	c.began = time.Now()
	var events [256]unix.EpollEvent
	for next := time.Duration(0); ; {
		if c.now >= next {
			next = c.now + pace
			if ctx.Err() != nil && !c.ending {
				c.ending, took = true, c.now
			}
			c.look()
			if c.ending && !c.waits(c.now > took+grace) {
				return took, nil
			}
		}
		n, err := unix.EpollWait(c.epoll, events[:], int(max(0, next-c.now+time.Millisecond-1)/time.Millisecond))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return 0, fmt.Errorf("wait for answers: %w", err)
		}
		c.now = time.Since(c.began)
		for _, e := range events[:max(0, n)] {
			c.clients[e.Fd].act(c, e.Events)
		}
	}
}

// waits tells whether an answer is missing that is still waited for.
func (c *crowd) waits(noMore bool) (missing bool) {
	for i := range c.clients {
		m := &c.clients[i]
		switch {
		case m.fd < 0 || !m.squad.honest():
		case noMore:
			m.fail(Late)
		default:
			missing = true
		}
	}
	return missing
}

// look gives up answers that are late, and opens the connections that are due.
func (c *crowd) look() {
	for i := range c.squads {
		s := &c.squads[i]
		due := len(s.idle)
		if s.Rate > 0 {
			due = min(due, int(c.now.Seconds()*float64(s.Rate))-s.tally.Opened)
		}
		for range due {
			if c.ending {
				break
			}
			m := s.idle[len(s.idle)-1]
			s.idle = s.idle[:len(s.idle)-1]
			m.open(c)
		}
	}
	for i := range c.clients {
		m := &c.clients[i]
		if m.fd >= 0 && m.squad.honest() && c.now-m.since > m.squad.Patience {
			m.fail(Late)
		}
	}
}

// honest tells that the clients want an answer.
func (s *squad) honest() bool { return s.Kind == Fresh || s.Kind == Kept }
