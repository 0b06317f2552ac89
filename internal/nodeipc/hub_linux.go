package nodeipc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/epoll"
)

// Hub speaks over all channels. One goroutine, Run, does everything; the
// methods tell it what, and wait for nothing but where they say so.
type Hub struct {
	opts  Options
	ended chan struct{} // closed when Run has returned

	mu     sync.Mutex
	todo   []func(*loop)
	wake   func() // nil while Run does not run
	over   bool
	status map[string]Status
}

// New makes a Hub. Nothing is read before Run.
func New(opts Options) *Hub {
	return &Hub{opts: opts, ended: make(chan struct{}), status: map[string]Status{}}
}

// Open begins to speak over a channel.
func (h *Hub) Open(c Channel) error {
	inbox, err := h.inbox(c.Key)
	if err != nil {
		return fmt.Errorf("open the IPC channel: %w", err)
	}
	h.setStatus(c.Key, Status{Open: true})
	if !h.do(func(l *loop) { l.open(c, inbox) }) {
		return errors.Join(errClosed, inbox.close())
	}
	return nil
}

// inbox finds or makes the inbox of a channel.
func (h *Hub) inbox(key string) (*inbox, error) {
	name := InboxName(key)
	if fd, ok := h.opts.Shelf.Held(name); ok {
		in, err := openInbox(fd)
		if err == nil {
			return in, nil
		}
		h.opts.Log.Error("take over what was read from an IPC channel, it is lost", "key", key, "err", err)
	}
	fd, err := createInbox()
	if err != nil {
		return nil, err
	}
	err = h.opts.Shelf.Hold(name, fd) // before anything is read into it
	_ = unix.Close(fd)                // the shelf has a copy
	if err != nil {
		return nil, err
	}
	own, _ := h.opts.Shelf.Held(name)
	return openInbox(own)
}

// Status is what is known of a channel; of one that is not open, nothing.
func (h *Hub) Status(key string) Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.status[key]
}

func (h *Hub) setStatus(key string, s Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status[key] = s
}

// Send sends a message, which is a JSON value, and returns when the kernel has
// it. It waits while the process does not read, as long as ctx allows.
func (h *Hub) Send(ctx context.Context, key string, message []byte) error {
	if len(message) > api.MaxMessage {
		return errSize
	}
	line := append(slices.Clone(message), '\n')
	sent := make(chan error, 1)
	var p *parcel
	if !h.do(func(l *loop) { p = l.send(key, line, func(err error) { sent <- err }) }) {
		return errClosed
	}
	select {
	case err := <-sent:
		return err
	case <-h.ended:
		return errClosed
	case <-ctx.Done():
	}
	h.do(func(l *loop) { l.withdraw(key, p) })
	select {
	case err := <-sent: // in the last moment, or never
		return err
	case <-h.ended:
		return errClosed
	}
}

// Retire gives a worker no more connections.
func (h *Hub) Retire(key string) { h.do(func(l *loop) { l.retire(key) }) }

// Drain gives a worker no more connections and lets it finish those that it
// has. The news Drained follows, at the latest after limit.
func (h *Hub) Drain(key string, limit time.Duration) { h.do(func(l *loop) { l.drain(key, limit) }) }

// Forget hears what is left in a channel and lets go of it. What the hub never
// spoke over is let go of too. A hub that has ended forgets nothing: the next
// daemon hears of the end of the process, and does.
func (h *Hub) Forget(key string) { h.do(func(l *loop) { l.forget(key) }) }

// Release closes the sockets of a group.
func (h *Hub) Release(group string) { h.do(func(l *loop) { l.release(group) }) }

// do gives Run's goroutine something to do, and tells whether it will.
func (h *Hub) do(f func(*loop)) bool {
	h.mu.Lock()
	over, wake := h.over, h.wake
	if !over {
		h.todo = append(h.todo, f)
	}
	h.mu.Unlock()
	if !over && wake != nil {
		wake()
	}
	return !over
}

// Run speaks until ctx ends, and gives its cause. No process notices. It is
// called once.
func (h *Hub) Run(ctx context.Context) error {
	defer close(h.ended)
	set, err := epoll.New()
	if err != nil {
		return fmt.Errorf("speak over IPC channels: %w", err)
	}
	l := newLoop(h, set)
	defer l.close()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.over, h.wake, h.todo = true, nil, nil
	}()
	h.mu.Lock()
	h.wake = set.Interrupt
	h.mu.Unlock()
	stop := context.AfterFunc(ctx, set.Interrupt)
	defer stop()
	l.adoptSockets(h.opts.Held)
	for {
		// In this order: an interrupt from here on ends the wait at once. Again
		// after each order, which may have set a timer.
		for again := true; again; {
			set.Until(l.timers.next())
			again = l.obey()
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		events, err := set.Wait()
		if err != nil {
			return fmt.Errorf("speak over IPC channels: %w", err)
		}
		for _, e := range events {
			if s := l.sources[int(e.Fd)]; s != nil {
				s.ready(l, e.Events)
			}
		}
		l.timers.run(time.Now())
	}
}

// obey does what it was told to, and tells whether that was anything.
func (l *loop) obey() bool {
	l.h.mu.Lock()
	todo := l.h.todo
	l.h.todo = nil
	l.h.mu.Unlock()
	for _, f := range todo {
		f(l)
	}
	return len(todo) > 0
}

// source is a descriptor that the loop waits for.
type source interface{ ready(l *loop, events uint32) }

// loop is what Run's goroutine owns.
type loop struct {
	h        *Hub
	opts     *Options
	set      *epoll.Set
	sources  map[int]source
	channels map[string]*channel
	groups   map[string]*group
	timers   timers
	seq      uint64 // of what we say
	rights   []byte // control data that carries one descriptor; see setRights
	oob      []byte
	text     []byte
}

func newLoop(h *Hub, set *epoll.Set) *loop {
	return &loop{
		h: h, opts: &h.opts, set: set,
		sources: map[int]source{}, channels: map[string]*channel{}, groups: map[string]*group{},
		// Far from the numbers of the daemon before us: an answer to one of its
		// requests must not match one of ours. JavaScript counts to 1<<53.
		seq:    uint64(time.Now().UnixMicro()), //nolint:gosec // after 1970
		rights: unix.UnixRights(0),
		oob:    make([]byte, unix.CmsgSpace(mostHandles*4)),
	}
}

func (l *loop) nextSeq() uint64 {
	l.seq++
	return l.seq
}

// watch begins to wait for events of fd.
func (l *loop) watch(fd int, events uint32, s source) error {
	if err := l.set.Add(fd, events); err != nil {
		return err
	}
	l.sources[fd] = s
	return nil
}

func (l *loop) unwatch(fd int) {
	if _, ok := l.sources[fd]; ok {
		delete(l.sources, fd)
		l.set.Remove(fd)
	}
}

// close lets go of everything, and closes nothing: the next daemon goes on.
func (l *loop) close() {
	for _, c := range l.channels {
		c.letGo(errClosed)
	}
	for _, g := range l.groups {
		for _, s := range g.shared {
			s.dropFlights()
		}
	}
	_ = l.set.Close()
}
