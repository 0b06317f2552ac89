package supervisor

import (
	"context"
	"errors"
	"slices"
	"time"

	"tend/api"
	"tend/internal/app"
	"tend/internal/keeper/wire"
	"tend/internal/lifecycle"
	"tend/internal/listen"
	"tend/internal/nodeipc"
	"tend/internal/store"
)

// channels is what the supervisor needs of the IPC channels of processes. None
// of it but Send may wait; what is heard comes back through Heard and Action.
type channels interface {
	// Open begins to speak over a channel.
	Open(c nodeipc.Channel) error
	Status(key string) nodeipc.Status
	// Send returns when the kernel has the message. Any goroutine may call it.
	Send(ctx context.Context, key string, message []byte) error
	// Retire gives the worker no connection any more.
	Retire(key string)
	// Drain is Retire, and the worker finishes what it has. News of Drained
	// follows once, whatever happens to the channel.
	Drain(key string, limit time.Duration)
	// Forget ends a channel whose process has ended, once what it said before
	// is heard.
	Forget(key string)
	// Release closes the sockets of a group of which no worker is to come.
	Release(group string)
}

// noChannels are those of a supervisor without: nobody can be spoken to.
type noChannels struct{}

var errNoChannel = errors.New("it has no IPC channel")

func (noChannels) Open(nodeipc.Channel) error                 { return errNoChannel }
func (noChannels) Status(string) nodeipc.Status               { return nodeipc.Status{} }
func (noChannels) Send(context.Context, string, []byte) error { return errNoChannel }
func (noChannels) Retire(string)                              {}
func (noChannels) Drain(string, time.Duration)                {}
func (noChannels) Forget(string)                              {}
func (noChannels) Release(string)                             {}

// inputSlot is the descriptor of a process that its standard input is.
const inputSlot = 0

// Heard tells what came over the channel of the process of that key. It does
// not block.
func (s *Supervisor) Heard(key string, n nodeipc.News) { s.mail.post(heard{key, n}) }

// Action tells that the process of that key registered an action. It does not
// block.
func (s *Supervisor) Action(key string, a api.Action) { s.mail.post(registered{key, a}) }

type (
	heard struct {
		key  string
		news nodeipc.News
	}
	registered struct {
		key    string
		action api.Action
	}
)

func (m heard) handle(s *Supervisor) {
	in := s.keys[m.key]
	if in == nil || in.rec.KeyLaunch != in.rec.Life.Live {
		return
	}
	switch m.news {
	case nodeipc.Ready, nodeipc.Listening, nodeipc.Online:
		if s.saysReady(in, m.news) {
			s.step(in, lifecycle.Ready{Launch: in.rec.Life.Live})
		}
	case nodeipc.Drained:
		s.drained(in)
	case nodeipc.Closed: // its end follows, if it is to
	}
}

// saysReady tells whether news means that a process that is waited for is
// ready: its own word where that was asked for. A successor has to listen where
// the one before it does, and to come up where that never listened.
func (s *Supervisor) saysReady(in *instance, n nodeipc.News) bool {
	switch {
	case in.rec.Spec.WaitReady:
		return n == nodeipc.Ready
	case in.rec.Role != store.Successor:
		return false
	case n == nodeipc.Online:
		return !s.opts.Channels.Status(in.of.rec.Key).Listening
	}
	return n == nodeipc.Listening
}

// The bounds of what is kept of an app's actions.
const (
	maxActions    = 256
	maxActionName = 256 // bytes, of its type too
)

func (m registered) handle(s *Supervisor) {
	in := s.keys[m.key]
	if in == nil || can(in, m.action.Name) {
		return
	}
	if len(in.rec.Actions) >= maxActions || max(len(m.action.Name), len(m.action.Type)) > maxActionName {
		s.opts.Log.Warn("an action is left out: there are too many, or its name is too long", "app", in.rec.Spec.Name,
			"instance", in.rec.ID)
		return
	}
	in.rec.Actions = append(slices.Clip(in.rec.Actions), m.action) // a copy: the store has the old list
	s.changed(in)
}

// can tells whether an instance has registered an action.
func can(in *instance, action string) bool {
	return slices.ContainsFunc(in.rec.Actions, func(a api.Action) bool { return a.Name == action })
}

// connect speaks over the channel of the current launch, if it has one.
func (s *Supervisor) connect(in *instance) {
	r := &in.rec
	fd, ok := s.opts.Keeper.Held(wire.PipeName(r.Key, nodeipc.ChannelSlot))
	if !ok {
		return
	}
	c := nodeipc.Channel{
		Key: r.Key, FD: fd, Slot: r.Index,
		Source: nodeipc.Source{ID: r.ID, Name: r.Spec.Name, Namespace: r.Spec.Namespace},
	}
	if r.Worker != 0 {
		c.Group, c.Balance = r.Spec.Name, app.BalanceOf(r.Spec, r.Inherited.Vars)
		c.Preloaded = preloads(r)
	}
	if r.Spec.UID != nil {
		c.As = &listen.User{UID: *r.Spec.UID, GID: -1}
		if r.Spec.GID != nil {
			c.As.GID = *r.Spec.GID
		}
	}
	if err := s.opts.Channels.Open(c); err != nil {
		s.opts.Log.Error("open the channel", "app", r.Spec.Name, "instance", r.ID, "err", err)
	}
}

// hangUp lets go of what a process that is over could be spoken to through.
func (s *Supervisor) hangUp(key string) {
	s.opts.Keeper.Drop(wire.PipeName(key, inputSlot))
	if s.holds(wire.PipeName(key, nodeipc.ChannelSlot)) || s.holds(nodeipc.InboxName(key)) {
		s.opts.Channels.Forget(key)
	}
}

// atWork tells whether a record is of a worker of a cluster that runs or is
// about to.
func atWork(r *store.Record) bool {
	return r.Worker != 0 && (r.Life.Live != 0 || r.Life.State == lifecycle.Waiting)
}

// release closes the sockets of an app in cluster mode that has no worker any
// more.
func (s *Supervisor) release(name string) {
	for _, in := range s.serial {
		if in.rec.Spec.Name == name && atWork(&in.rec) {
			return
		}
	}
	s.opts.Channels.Release(name)
}
