package supervisor

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"tend/internal/app"
	"tend/internal/keeper/remote"
	"tend/internal/keeper/wire"
	"tend/internal/lifecycle"
	"tend/internal/logs/collect"
	"tend/internal/nodeipc"
	"tend/internal/store"
	"tend/internal/sysinfo"
)

// adoption is the first message of a supervisor: what the journal knew and
// what the keeper holds become the table.
type adoption struct {
	records   []store.Record
	inventory remote.Inventory
}

func (m adoption) handle(s *Supervisor) {
	children := map[string]wire.Child{}
	for _, c := range m.inventory.Children {
		children[c.Key] = c
	}
	exits := map[string]wire.Exit{}
	for _, e := range m.inventory.Exits {
		exits[e.Key] = e
	}
	s.seat(m.records)
	for _, c := range children {
		if s.keys[c.Key] == nil {
			s.adoptUnknown(c)
		}
	}
	s.drainStrangers(m.inventory.Held, s.collectEarlier()) // before launches with new keys make strangers of old ones
	all := slices.Clone(s.list)
	for _, in := range s.list {
		all = append(all, in.hidden...) // what becomes of them depends on these
	}
	// After a start of the machine this is the order in which they start.
	slices.SortStableFunc(all, func(a, b *instance) int { return app.Priority(a.rec.Spec) - app.Priority(b.rec.Spec) })
	for _, in := range all {
		s.adopt(in, children, exits)
	}
	for _, in := range all {
		s.recall(in)
		s.attend(in)
		if in.rec.Worker != 0 && !atWork(&in.rec) {
			s.release(in.rec.Spec.Name)
		}
	}
	for _, e := range m.inventory.Exits {
		s.opts.Keeper.Ack(e.Seq)
	}
}

// recall takes up what a process said to a daemon that died before it could
// write down what that means, as far as the channel knows it.
func (s *Supervisor) recall(in *instance) {
	st := s.opts.Channels.Status(in.rec.Key)
	if st.Ready {
		heard{in.rec.Key, nodeipc.Ready}.handle(s)
	}
	if st.Listening {
		heard{in.rec.Key, nodeipc.Listening}.handle(s)
	}
}

// seat gives instances their places, and hides behind them who is to have the
// place, or had it.
func (s *Supervisor) seat(records []store.Record) {
	var hidden []*instance
	for _, rec := range records {
		switch in := s.newInstance(rec); {
		case rec.Role != store.Current:
			hidden = append(hidden, in)
		case s.table[rec.ID] != nil:
			s.opts.Log.Error("two instances have one id in the journal", "app", rec.Spec.Name, "instance", rec.ID)
			s.setRole(in, store.Retired)
			hidden = append(hidden, in)
		default:
			s.insert(in)
		}
	}
	slices.SortStableFunc(hidden, func(a, b *instance) int { return int(a.rec.Role - b.rec.Role) })
	for _, in := range hidden {
		switch of := s.table[in.rec.ID]; {
		case of != nil:
			s.join(of, in)
		case in.rec.Role == store.Successor && in.rec.Life.Want != lifecycle.WantRemoved:
			s.setRole(in, store.Current) // it was just to take the place
			s.insert(in)
		default:
			s.setRole(in, store.Retired)
			s.insert(in)
		}
	}
}

// adopt takes up the life of one instance where the last daemon left it.
func (s *Supervisor) adopt(in *instance, children map[string]wire.Child, exits map[string]wire.Exit) {
	life := &in.rec.Life
	c, running := children[in.rec.Key]
	e, ended := exits[in.rec.Key]
	alive := running || ended || in.rec.Proc.Alive()
	lost := in.rec.Proc.PID == 0 && !life.Ended && (life.State == lifecycle.Launching || life.State == lifecycle.Stopping)
	if life.Live != 0 && !alive && lost {
		s.findStray(in, life.Live) // and launch
		return
	}
	s.collect(in, in.rec.Key) // also of a launch that is over: its last words may be in the pipe
	if in.rec.Key != "" {
		s.connect(in) // and in the channel
		if !alive {
			s.hangUp(in.rec.Key)
		}
	}
	switch {
	case life.Live == 0:
		s.step(in, lifecycle.Adopted{})
	case running || ended:
		if running {
			in.rec.Proc = sysinfo.Identity{PID: c.PID, Start: c.Start, Boot: s.boot}
			s.roots.add(c.PID)
			if in.of == nil {
				s.writePidFile(in) // who died may not have come to that
			}
		}
		s.changed(in)
		s.step(in, lifecycle.Adopted{Alive: true})
		if ended {
			s.step(in, lifecycle.Exited{Launch: in.rec.KeyLaunch, Exit: exitOf(e)})
		}
	case alive:
		s.adoptForeign(in)
	case life.State != lifecycle.Online && life.State != lifecycle.Launching: // its end was ordered
		s.step(in, lifecycle.Adopted{})
	case in.rec.Proc.Boot != s.boot && in.rec.Role != store.Current:
		life.State, life.Live, life.Ended = lifecycle.Stopped, 0, false
		s.step(in, lifecycle.Remove{})
	case in.rec.Proc.Boot != s.boot:
		// The machine was started anew. That is nobody's crash: it counts as
		// a first start.
		life.State, life.Live, life.Ended = lifecycle.Stopped, 0, false
		in.asked = "the machine was started anew"
		s.step(in, lifecycle.Start{})
	default:
		s.step(in, lifecycle.Exited{Launch: life.Live, Exit: lifecycle.Exit{Unknown: true}})
	}
}

// adoptForeign keeps a process that survived keeper and daemon both. Nobody
// reads its output any more, but it runs, and starting it a second time would
// be worse.
func (s *Supervisor) adoptForeign(in *instance) {
	p := in.rec.Proc
	if err := s.opts.Keeper.Adopt(in.rec.Key, p.PID, p.Start); err != nil {
		s.opts.Log.Error("adopt process", "app", in.rec.Spec.Name, "instance", in.rec.ID, "pid", p.PID, "err", err)
		s.step(in, lifecycle.Exited{Launch: in.rec.Life.Live, Exit: lifecycle.Exit{Unknown: true}})
		return
	}
	s.roots.add(p.PID)
	in.rec.Proc.Boot = s.boot // a daemon that was told to end has left it out
	s.opts.Log.Warn("adopted a process whose output cannot be collected before it is restarted: keeper and daemon both had died",
		"app", in.rec.Spec.Name, "instance", in.rec.ID, "pid", p.PID)
	s.step(in, lifecycle.Adopted{Alive: true})
}

// adoptUnknown makes an instance of a process that the journal does not know,
// from what the keeper kept with it.
func (s *Supervisor) adoptUnknown(c wire.Child) {
	var t tag
	if err := json.Unmarshal(c.Tag, &t); err != nil || t.Spec == nil {
		s.opts.Log.Error("the keeper holds a process that nothing is known of", "pid", c.PID, "key", c.Key)
		return
	}
	if s.table[t.ID] != nil {
		t.ID = s.nextID
	}
	now := time.Now()
	in := s.newInstance(store.Record{
		Serial: s.opts.Store.Serial(), ID: t.ID, Index: t.Index,
		Spec: t.Spec, Inherited: s.opts.Store.Intern(app.Heritage(t.Spec, environOf(c.PID))),
		Life: lifecycle.Instance{
			State: lifecycle.Online, Want: lifecycle.WantRunning, Launch: 1, Live: 1, Created: now, Started: now,
		},
		Key: c.Key, KeyLaunch: 1,
	})
	s.insert(in)
	s.opts.Log.Warn("adopted a process that the journal does not know", "app", t.Spec.Name, "instance", t.ID, "pid", c.PID)
}

// environOf is the environment that a process was started with.
func environOf(pid int) map[string]string {
	env := map[string]string{}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return env
	}
	for entry := range strings.SplitSeq(string(b), "\x00") {
		if k, v, ok := strings.Cut(entry, "="); ok {
			env[k] = v
		}
	}
	return env
}

// collectEarlier goes on with the output of launches that were over when the
// last daemon died, and gives their keys.
func (s *Supervisor) collectEarlier() map[string]bool {
	earlier := map[string]bool{}
	for _, in := range s.serial {
		for _, key := range in.rec.Earlier {
			s.collect(in, key)
			earlier[key] = true
		}
	}
	return earlier
}

// drainStrangers reads and drops what comes from pipes of launches that are
// over, and of no instance any more: whoever still holds them (a process that outlived its app) must not
// block, nor die of a closed pipe. Nothing more is said to them.
func (s *Supervisor) drainStrangers(held []string, earlier map[string]bool) {
	for _, name := range held {
		key, n, ok := strings.Cut(name, "/")
		if !ok || s.keys[key] != nil {
			continue
		}
		switch {
		case n == "1", n == "2":
			if earlier[key] {
				continue
			}
		case n == "0", n == "3", name == nodeipc.InboxName(key):
			s.hangUp(key)
			continue
		default: // none of ours
			continue
		}
		if fd, ok := s.opts.Keeper.Held(name); ok {
			if err := s.opts.Logs.Add(collect.Stream{Key: name, FD: fd}); err != nil {
				s.opts.Log.Error("discard output", "key", key, "fd", n, "err", err)
			}
		}
	}
}
