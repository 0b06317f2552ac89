package nodeipc

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/fdpass"
)

const (
	// mostParcels bounds what waits for a process that does not read: messages
	// are refused then, and what it asks for is not read.
	mostParcels = 64
	// mostHandles is how many descriptors come with one read. Node sends one.
	mostHandles = 8
	// mostReads bounds how much is read of one channel before the others.
	mostReads = 4
	// safeBytes is how much may be unread on the other side while several
	// handles are under way. libuv reads 64 KiB at once; an envelope that is cut
	// by that loses its handle to the next one.
	safeBytes = 48 << 10
	// mostActions bounds what an app registers.
	mostActions = 256
)

// parcel is a line on its way out.
type parcel struct {
	line   []byte
	fd     int         // that goes with it, or -1
	sent   func(error) // may be nil
	lost   func()      // called when the handle did not arrive; may be nil
	flight *flight     // the connection that it is, or nil
}

// channel is the channel of one process.
type channel struct {
	Channel

	inbox  *inbox
	closed bool
	paused bool // nothing is read: too much waits to be sent
	out    []*parcel
	events uint32

	// What is unread on the other side, at most: the bytes since the last
	// handle that was acknowledged, and the handles since, each with what was
	// sent by then.
	unread  int
	handles []handle

	notes      notes
	retired    bool // it is to get no more connections
	drain      drain
	actions    []string              // their names
	metrics    map[string]api.Metric // never changed, for others read them
	flights    []*flight             // connections that it was given and has not answered for
	complained complained

	// What the daemon before us made known last, and could not say so any more.
	published uint64
	repeats   bool
}

// handle is one under way.
type handle struct {
	sent   int // unread, when it was sent
	lost   func()
	flight *flight
}

// complained are what is logged once of a channel.
type complained struct{ line, notes bool }

// notes are what the next daemon has to know of a worker.
type notes struct {
	Online    bool    `json:"online,omitempty"`
	Listening bool    `json:"listening,omitempty"`
	Ready     bool    `json:"ready,omitempty"`
	Leaving   bool    `json:"leaving,omitempty"` // it closes its servers, on purpose
	Keys      []noted `json:"keys,omitempty"`
}

// noted is an address that the worker has got.
type noted struct {
	Key   string          `json:"key"`
	Index int             `json:"index"`
	Seq   uint64          `json:"seq"` // of its query
	Data  json.RawMessage `json:"data,omitempty"`
}

func (l *loop) open(c Channel, in *inbox) {
	if old := l.channels[c.Key]; old != nil {
		l.opts.Log.Error("an IPC channel is open already", "key", c.Key)
		_ = in.close()
		return
	}
	ch := &channel{Channel: c, inbox: in, events: unix.EPOLLIN}
	ch.published, ch.repeats = l.opts.Published(c.Key)
	l.channels[c.Key] = ch
	if err := json.Unmarshal(in.notes(), &ch.notes); err != nil && len(in.notes()) > 0 {
		l.opts.Log.Error("take over what was known of a worker", "key", c.Key, "err", err)
	}
	l.rejoin(ch)
	for _, n := range []struct {
		news News
		is   bool
	}{{Online, ch.notes.Online}, {Listening, ch.notes.Listening}, {Ready, ch.notes.Ready}} {
		if n.is {
			l.opts.Heard(c.Key, n.news)
		}
	}
	l.publishStatus(ch)
	if err := l.watch(c.FD, ch.events, ch); err != nil {
		l.opts.Log.Error("hear an IPC channel", "key", c.Key, "err", err)
		l.ended(ch)
		return
	}
	l.hear(ch) // what the daemon before us had read
}

func (l *loop) publishStatus(c *channel) {
	l.h.setStatus(c.Key, Status{Open: !c.closed, Listening: c.notes.Listening, Ready: c.notes.Ready, Metrics: c.metrics})
}

// note changes the notes, for the next daemon as well.
func (l *loop) note(c *channel) {
	text, err := json.Marshal(c.notes)
	if (err != nil || !c.inbox.setNotes(text)) && !c.complained.notes {
		c.complained.notes = true
		l.opts.Log.Error("a worker listens on more than can be noted: a daemon that takes over will not know all of it", "key", c.Key, "err", err)
	}
}

// news tells of what happened for the first time.
func (l *loop) news(c *channel, flag *bool, n News) {
	if *flag {
		return
	}
	*flag = true
	l.note(c)
	l.publishStatus(c)
	l.opts.Heard(c.Key, n)
}

func (c *channel) ready(l *loop, events uint32) {
	if events&unix.EPOLLOUT != 0 {
		l.flush(c)
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) == 0 {
		return
	}
	for range mostReads {
		if c.closed || c.paused || !l.read(c) {
			return
		}
	}
}

// read takes in what came and deals with it, and tells whether anything did.
func (l *loop) read(c *channel) bool {
	space, ok, err := c.inbox.room()
	if err != nil {
		l.opts.Log.Error("make room for what an app sends", "key", c.Key, "err", err)
		return false // epoll brings us here again
	}
	if !ok && !c.complained.line {
		c.complained.line = true
		l.opts.Log.Warn("an app sent a message of more than 8 MiB, which is dropped", "app", c.Source.Name, "instance", c.Source.ID)
	}
	n, err := l.receive(c, space)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return false
	case err != nil || n == 0:
		l.ended(c)
		return false
	}
	c.inbox.came(n)
	l.hear(c)
	return true
}

// receive reads into space. Handles that come along are closed: nothing here
// wants them, but their sender waits for the acknowledgement.
func (l *loop) receive(c *channel, space []byte) (int, error) {
	for {
		n, oobn, _, _, err := unix.Recvmsg(c.FD, space, l.oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && oobn > 0 {
			fds, _ := fdpass.ParseRights(l.oob[:oobn]) // what is no right is none of ours
			fdpass.CloseAll(fds)
		}
		return n, err
	}
}

// hear deals with every whole line in the inbox.
func (l *loop) hear(c *channel) {
	for !c.paused {
		line, ok := c.inbox.line()
		if !ok {
			return
		}
		if len(line) > 0 {
			l.understand(c, line)
		}
		c.inbox.done(len(line))
	}
}

func (l *loop) understand(c *channel, line []byte) {
	m, err := parse(line)
	if err != nil {
		if !c.complained.line {
			c.complained.line = true
			l.opts.Log.Warn("an app wrote something to its IPC channel that is no message", "app", c.Source.Name,
				"instance", c.Source.ID, "err", err)
		}
		return
	}
	switch m.class {
	case classAck, classNack:
		l.acknowledged(c, m.class == classAck)
	case classAnswer:
		l.answered(c, m.seq, m.accepted)
	case classRequest:
		l.requested(c, m)
	case classHandle:
		l.put(c, &parcel{line: []byte(ackLine), fd: -1})
		if len(m.body) > 0 {
			l.user(c, m.body)
		}
	case classPreload:
		l.preloadSays(c, m.act)
	case classUser:
		l.user(c, m.body)
	case classInternal:
	}
}

// acknowledged notes that a handle of ours has arrived, or that it has not.
func (l *loop) acknowledged(c *channel, arrived bool) {
	if len(c.handles) == 0 {
		return // one of the daemon before us
	}
	h := c.handles[0]
	c.handles = slices.Delete(c.handles, 0, 1)
	c.unread -= h.sent
	for i := range c.handles {
		c.handles[i].sent -= h.sent
	}
	switch {
	case arrived:
	case h.flight != nil:
		l.lose(c, h.flight)
	case h.lost != nil:
		h.lost()
	}
	if len(c.out) > 0 {
		l.flush(c)
	}
}

// send is Hub.Send.
func (l *loop) send(key string, line []byte, sent func(error)) *parcel {
	c := l.channels[key]
	switch {
	case c == nil || c.closed:
		sent(errClosed)
		return nil
	case len(c.out) >= mostParcels:
		sent(errFull)
		return nil
	}
	p := &parcel{line: line, fd: -1, sent: sent}
	l.put(c, p)
	return p
}

// withdraw takes back what was not sent yet.
func (l *loop) withdraw(key string, p *parcel) {
	c := l.channels[key]
	if c == nil || p == nil {
		return
	}
	if at := slices.Index(c.out, p); at >= 0 {
		c.out = slices.Delete(c.out, at, at+1)
		p.sent(errFull)
		l.flush(c)
	}
}

// put sends a parcel, now or as soon as there is room. The order is kept.
func (l *loop) put(c *channel, p *parcel) {
	if c.closed {
		p.fail(errClosed)
		return
	}
	c.out = append(c.out, p)
	if len(c.out) == 1 {
		l.flush(c)
	}
	if len(c.out) >= mostParcels && !c.paused {
		c.paused = true // what it asks for has to wait until it hears us
		l.adjust(c)
	}
}

func (p *parcel) fail(err error) {
	if p.sent != nil {
		p.sent(err)
	}
}

// flush sends what can be sent.
func (l *loop) flush(c *channel) {
	sent := false
	for len(c.out) > 0 && c.maySend(c.out[0]) {
		p := c.out[0]
		err := l.write(c, p)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		c.out = slices.Delete(c.out, 0, 1)
		sent = true
		switch {
		case err == nil:
			c.wrote(p)
		case p.flight != nil:
			l.lose(c, p.flight)
		default:
			p.fail(errClosed) // the end of the channel comes as an event
		}
	}
	resumed := c.paused && len(c.out) < mostParcels/2
	if resumed {
		c.paused = false
	}
	l.adjust(c)
	if len(c.out) == 0 && sent && c.Group != "" {
		l.serveAgain(c)
	}
	if resumed { // later: it may be a line of this channel that brought us here
		l.timers.after(0, func() {
			if l.channels[c.Key] == c {
				l.hear(c)
			}
		})
	}
}

// wrote takes note of what the other side has to read now.
func (c *channel) wrote(p *parcel) {
	c.unread += len(p.line)
	if p.fd >= 0 {
		c.handles = append(c.handles, handle{sent: c.unread, lost: p.lost, flight: p.flight})
	}
	if p.sent != nil {
		p.sent(nil)
	}
}

// maySend keeps what is unread below what the other side reads at once while
// several handles are under way.
func (c *channel) maySend(p *parcel) bool {
	under := len(c.handles)
	if p.fd < 0 && under > 0 {
		under--
	}
	return under == 0 || c.unread+len(p.line) <= safeBytes
}

// setRights is control data that carries fd (SCM_RIGHTS, unix(7)). It is good
// until the next call.
func (l *loop) setRights(fd int) []byte {
	binary.NativeEndian.PutUint32(l.rights[unix.CmsgLen(0):], uint32(fd)) //nolint:gosec // a descriptor
	return l.rights
}

// adjust waits for what is wanted of the channel.
func (l *loop) adjust(c *channel) {
	if c.closed {
		return
	}
	var want uint32
	if !c.paused {
		want = unix.EPOLLIN
	}
	if len(c.out) > 0 && c.maySend(c.out[0]) {
		want |= unix.EPOLLOUT
	}
	if want != c.events {
		c.events = want
		if err := l.set.Change(c.FD, want); err != nil {
			l.opts.Log.Error("wait for an IPC channel", "key", c.Key, "err", err)
		}
	}
}

// write sends a line as a whole, or nothing of it.
func (l *loop) write(c *channel, p *parcel) error {
	var rights []byte
	if p.fd >= 0 {
		rights = l.setRights(p.fd)
	}
	for {
		_, err := unix.SendmsgN(c.FD, p.line, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// ended deals with the end of a channel: the process closed it, or is gone.
func (l *loop) ended(c *channel) {
	if c.closed {
		return
	}
	c.closed = true
	l.unwatch(c.FD)
	l.leaveAll(c)
	c.letGo(errClosed)
	l.publishStatus(c)
	l.opts.Heard(c.Key, Closed)
	l.drained(c)
}

// letGo fails what waits to be sent.
func (c *channel) letGo(err error) {
	out := c.out
	c.out = nil
	for _, p := range out {
		p.fail(err)
	}
}

// forget is Hub.Forget.
func (l *loop) forget(key string) {
	if c := l.channels[key]; c != nil {
		c.paused = false
		for deadline := time.Now().Add(forgetLimit); !c.closed && l.read(c) && time.Now().Before(deadline); {
			c.letGo(errClosed)
			c.paused = false
		}
		l.ended(c)
		delete(l.channels, key)
		_ = c.inbox.close()
	}
	l.h.mu.Lock()
	delete(l.h.status, key)
	l.h.mu.Unlock()
	l.opts.Shelf.Drop(key + "/" + string(rune('0'+ChannelSlot)))
	l.opts.Shelf.Drop(InboxName(key))
}

// forgetLimit bounds how long the last words of a process are listened to,
// where something that it left still speaks.
const forgetLimit = 100 * time.Millisecond
