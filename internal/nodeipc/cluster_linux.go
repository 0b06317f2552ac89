package nodeipc

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/listen"
)

// group is the workers that share sockets: those of one app.
type group struct {
	name   string
	shared map[string]*shared // by key
}

// shared is an address that a group listens on.
type shared struct {
	group *group
	key   string
	quote []byte // key, as JSON
	kind  listen.Kind
	path  string // of a unix socket
	as    *listen.User
	data  json.RawMessage
	name  *sockname // what it is bound to; nil for unix sockets
	// sockets are one, or with Reuseport one for each slot.
	sockets []*socket
	slots   bool // one for each slot
	members []*member
	last    int // of members, who got a connection last
	waiting []*flight
}

// socket is a bound socket on the shelf.
type socket struct {
	of    *shared
	slot  int // -1: it is for all
	fd    int
	taken bool // we accept from it
	more  bool // there may be something to accept
}

// member is a worker that listens on the address.
type member struct {
	c      *channel
	slot   int
	handed bool // it has the socket itself
}

// lingering is how long an address that no worker listens on stays open while
// its app is to run: whoever connects waits for the next worker.
const lingering = 5 * time.Second

func (l *loop) group(name string) *group {
	g := l.groups[name]
	if g == nil {
		g = &group{name: name, shared: map[string]*shared{}}
		l.groups[name] = g
	}
	return g
}

// requested deals with what a worker asks or tells.
func (l *loop) requested(c *channel, m message) {
	if c.Group == "" {
		return // its own cluster module does not think that it is a worker
	}
	switch m.request.Act {
	case "online":
		l.news(c, &c.notes.Online, Online)
	case "queryServer":
		if !c.notes.Leaving && !c.retired {
			l.query(c, m)
		}
	case "listening":
		l.news(c, &c.notes.Listening, Listening)
	case "close":
		l.leave(c, m.request.Key)
	case "exitedAfterDisconnect":
		c.notes.Leaving = true
		l.note(c)
		l.put(c, &parcel{line: plainAck(m.seq, l.nextSeq()), fd: -1})
	}
}

// query answers a worker that wants to listen.
func (l *loop) query(c *channel, m message) {
	q, err := understand(m.request)
	a := answer{Ack: m.seq, Key: q.key, Data: q.data, Seq: l.nextSeq()}
	var s *shared
	if err == nil {
		s, err = l.share(c, q, m.seq)
	}
	if err != nil {
		a.Errno = errnoOf(err)
		l.put(c, &parcel{line: a.line(), fd: -1})
		return
	}
	a.Data = s.data
	k := s.socketFor(c.Slot)
	if c.Balance == api.RoundRobin && !s.slots && s.kind != listen.UDP {
		a.Sockname = s.name
		l.put(c, &parcel{line: a.line(), fd: -1})
	} else {
		envelope := nativeEnvelope
		if s.kind == listen.UDP {
			envelope = dgramEnvelope
		}
		l.hand(c, enveloped(a.line(), envelope), k.fd, resends)
	}
	l.settle(s)
}

// resends is how often a handle that did not arrive is sent again, as Node
// does it.
const resends = 3

// hand sends a handle that has to arrive.
func (l *loop) hand(c *channel, line []byte, fd, again int) {
	p := &parcel{line: line, fd: fd}
	if again > 0 {
		p.lost = func() {
			if !c.closed {
				l.hand(c, line, fd, again-1)
			}
		}
	}
	l.put(c, p)
}

// share makes a worker a member of the address that it asks for, which is
// bound when it is new.
func (l *loop) share(c *channel, q query, seq uint64) (*shared, error) {
	known := slices.IndexFunc(c.notes.Keys, func(n noted) bool { return n.Key == q.key })
	if known >= 0 && (c.notes.Keys[known].Index != q.index || c.notes.Keys[known].Seq != seq) {
		return nil, syscall.EADDRINUSE // it listens there itself; only the daemon before us can have answered this very query
	}
	q.address.As = c.As
	g := l.group(c.Group)
	s := g.shared[q.key]
	if s == nil {
		s = l.newShared(g, q.key, q.address)
		s.slots = c.Balance == api.Reuseport && q.address.Kind == listen.TCP
	}
	if s.socketFor(c.Slot) == nil {
		if err := l.bind(s, c.Slot, q.address); err != nil {
			return nil, err
		}
	}
	g.shared[q.key] = s
	if string(s.data) == "null" {
		s.data = q.data
	}
	if known < 0 {
		c.notes.Keys = append(c.notes.Keys, noted{Key: q.key, Index: q.index, Seq: seq, Data: s.data})
		l.note(c)
		s.join(c)
	}
	return s, nil
}

func (l *loop) newShared(g *group, key string, a listen.Address) *shared {
	quote, _ := json.Marshal(key) // a string
	return &shared{group: g, key: key, quote: quote, kind: a.Kind, path: a.Path, as: a.As, data: json.RawMessage("null")}
}

// join makes a worker one of those who listen.
func (s *shared) join(c *channel) {
	handed := s.slots || c.Balance != api.RoundRobin || s.kind == listen.UDP
	s.members = append(s.members, &member{c: c, slot: c.Slot, handed: handed})
}

// socketFor is the socket of a slot, or the one for all.
func (s *shared) socketFor(slot int) *socket {
	for _, k := range s.sockets {
		if k.slot < 0 || k.slot == slot {
			return k
		}
	}
	return nil
}

// bind opens a socket and puts it on the shelf before anybody hears of it.
func (l *loop) bind(s *shared, slot int, a listen.Address) error {
	if !s.slots {
		slot = -1
	} else {
		if len(s.sockets) == 0 && a.Port != 0 {
			// SO_REUSEPORT would let us in beside any other program of the
			// same user.
			if err := listen.Taken(a); err != nil {
				return err
			}
		}
		a.Reuseport = true
		if s.name != nil {
			a.Port = s.name.Port // also where any would do: all slots have one
		}
	}
	fd, err := listen.Open(a)
	if err != nil {
		return err
	}
	name := socketName{group: s.group.name, key: s.key, slot: slot, path: a.Path}.String()
	err = l.opts.Shelf.Hold(name, fd)
	_ = unix.Close(fd)
	if err != nil {
		return err
	}
	own, ok := l.opts.Shelf.Held(name)
	if !ok {
		return syscall.EBADF
	}
	s.add(slot, own)
	return nil
}

func (s *shared) add(slot, fd int) {
	s.sockets = append(s.sockets, &socket{of: s, slot: slot, fd: fd})
	if s.name == nil && s.kind != listen.Unix {
		if host, family, port, err := listen.Name(fd); err == nil {
			s.name = &sockname{Address: host, Family: family, Port: port}
		}
	}
}

// adoptSockets takes over what the daemon before us listened on.
func (l *loop) adoptSockets(names []string) {
	for _, text := range names {
		name, ok := parseSocketName(text)
		if !ok {
			continue
		}
		fd, ok := l.opts.Shelf.Held(text)
		if !ok {
			continue
		}
		g := l.group(name.group)
		s := g.shared[name.key]
		if s == nil {
			a := listen.Address{Path: name.path}
			if name.path != "" {
				a.Kind = listen.Unix
			}
			if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil && kind == unix.SOCK_DGRAM {
				a.Kind = listen.UDP
			}
			s = l.newShared(g, name.key, a)
			s.slots = name.slot >= 0
			g.shared[name.key] = s
		}
		s.add(name.slot, fd)
		l.settle(s)
	}
}

// rejoin makes a worker a member of what it had under the daemon before us.
func (l *loop) rejoin(c *channel) {
	if c.Group == "" {
		return
	}
	g := l.group(c.Group)
	for _, n := range c.notes.Keys {
		s := g.shared[n.Key]
		if s == nil {
			continue // its socket was closed while it ended
		}
		if string(s.data) == "null" && n.Data != nil {
			s.data = n.Data
		}
		s.as = c.As
		s.join(c)
		l.settle(s)
	}
}

// settle makes sure that somebody accepts from each socket of an address, and
// that one without members does not stay for ever.
func (l *loop) settle(s *shared) {
	for _, k := range s.sockets {
		ours := s.kind != listen.UDP && s.takes(k)
		switch {
		case ours && !k.taken:
			k.taken, k.more = true, true
			// Told once for each connection: while nobody is free they stay
			// where they are, and cost nothing.
			if err := l.watch(k.fd, unix.EPOLLIN|unix.EPOLLET, k); err != nil {
				l.opts.Log.Error("accept connections", "app", s.group.name, "address", s.key, "err", err)
				k.taken = false
			}
		case !ours && k.taken:
			k.taken = false
			l.unwatch(k.fd)
		}
	}
	if len(s.members) == 0 {
		l.timers.after(lingering, func() {
			if len(s.members) == 0 && s.group.shared[s.key] == s {
				l.unbind(s)
			}
		})
		return
	}
	l.deal(s)
}

// takes tells whether the daemon accepts from a socket: for members that wait
// for what it hands them, and in the place of one that is gone.
func (s *shared) takes(k *socket) bool {
	for _, m := range s.members {
		switch {
		case k.slot < 0 && !m.handed:
			return true
		case k.slot >= 0 && m.slot == k.slot:
			return false
		}
	}
	return k.slot >= 0 && len(s.members) > 0
}

// leave takes a worker off an address.
func (l *loop) leave(c *channel, key string) {
	c.notes.Keys = slices.DeleteFunc(c.notes.Keys, func(n noted) bool { return n.Key == key })
	l.note(c)
	l.part(c, key)
}

// part lets a worker have no more of the connections to an address.
func (l *loop) part(c *channel, key string) {
	g := l.groups[c.Group]
	if g == nil || g.shared[key] == nil {
		return
	}
	s := g.shared[key]
	s.members = slices.DeleteFunc(s.members, func(m *member) bool { return m.c == c })
	l.settle(s)
}

// partAll is part for all addresses of a worker.
func (l *loop) partAll(c *channel) {
	for _, n := range slices.Clone(c.notes.Keys) {
		l.part(c, n.Key)
	}
}

// leaveAll is for a worker that has ended. What it did not answer for goes to
// others.
func (l *loop) leaveAll(c *channel) {
	l.partAll(c)
	flights := c.flights
	c.flights = nil
	for _, f := range flights {
		l.offer(f)
	}
}

// release is Hub.Release.
func (l *loop) release(name string) {
	g := l.groups[name]
	if g == nil {
		return
	}
	for _, s := range g.shared {
		l.unbind(s)
	}
	delete(l.groups, name)
}

// unbind closes the sockets of an address.
func (l *loop) unbind(s *shared) {
	s.dropFlights()
	for _, k := range s.sockets {
		if k.taken {
			l.unwatch(k.fd)
		}
		l.opts.Shelf.Drop(socketName{group: s.group.name, key: s.key, slot: k.slot, path: s.path}.String())
	}
	s.sockets, s.members = nil, nil
	delete(s.group.shared, s.key)
	if s.path != "" {
		if err := listen.Remove(s.path, s.as); err != nil && !errors.Is(err, os.ErrNotExist) {
			l.opts.Log.Warn("remove a unix socket", "app", s.group.name, "err", err)
		}
	}
}

// socketName is the name of a socket on the shelf.
type socketName struct {
	group, key string
	slot       int // -1: for all
	path       string
}

func (n socketName) String() string {
	text, _ := json.Marshal([]string{n.group, n.key, strconv.Itoa(n.slot), n.path}) // strings
	return socketPrefix + string(text)
}

const socketPrefix = "listen "

func parseSocketName(text string) (n socketName, ok bool) {
	var parts []string
	if len(text) < len(socketPrefix) || text[:len(socketPrefix)] != socketPrefix ||
		json.Unmarshal([]byte(text[len(socketPrefix):]), &parts) != nil || len(parts) != 4 {
		return n, false
	}
	slot, err := strconv.Atoi(parts[2])
	return socketName{group: parts[0], key: parts[1], slot: slot, path: parts[3]}, err == nil
}
