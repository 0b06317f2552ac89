package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"tend/internal/app"
	"tend/internal/keeper/wire"
	"tend/internal/lifecycle"
	"tend/internal/sysinfo"
)

// target is what work aside needs to know of a launch.
type target struct {
	serial uint64
	launch uint64
	key    string
	root   int    // pid of its first process; 0: not known, or of another boot
	start  uint64 // its start, see sysinfo.Identity
	tree   bool
	group  bool // of the tree only what is in its group
	signal syscall.Signal
}

func (s *Supervisor) targetOf(in *instance) target {
	sig, err := app.Signal(in.rec.Spec.StopSignal)
	if err != nil {
		sig = syscall.SIGINT // validated; a journal of another version may differ
	}
	t := target{
		serial: in.rec.Serial, launch: in.rec.Life.Live, key: in.rec.Key,
		tree: in.rec.Spec.TreeKill, group: in.rec.Spec.GroupKill, signal: sig,
	}
	if in.rec.Proc.Boot == s.boot {
		t.root, t.start = in.rec.Proc.PID, in.rec.Proc.Start
	}
	return t
}

// signal asks a launch to stop: first what its first process started outside
// its process group, deepest first, then the group. Before the process is known nothing is done
// and nothing answered; its Spawned brings the effect again.
func (s *Supervisor) signal(in *instance) {
	t := s.targetOf(in)
	if t.root == 0 {
		return
	}
	if in.rec.Worker != 0 {
		s.opts.Channels.Retire(t.key)
	}
	byMessage := in.rec.Spec.ShutdownMessage && s.opts.Channels.Status(t.key).Open
	limit := max(in.policy.KillTimeout, sayLimit)
	s.aside(func(ctx context.Context) {
		if byMessage && s.sayShutdown(ctx, t.key, limit) {
			s.mail.post(asked{t.serial, t.launch, map[int]uint64{}})
			return
		}
		done := map[int]uint64{}
		members := s.members(ctx, t)
		for _, p := range members {
			if p.PGID != t.root {
				s.send(p, t.signal)
				done[p.PID] = p.Start
			}
		}
		if s.sendRoot(t, t.signal) { // and the rest of its group, at once
			for _, p := range members {
				done[p.PID] = p.Start
			}
		}
		s.mail.post(asked{t.serial, t.launch, done})
	})
}

// sayLimit is how long an app that does not read may keep the message that it
// is to end waiting, at least.
const sayLimit = 100 * time.Millisecond

// sayShutdown asks an app to end by a message, as PM2 does under
// shutdown_with_message.
func (s *Supervisor) sayShutdown(ctx context.Context, key string, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := s.opts.Channels.Send(ctx, key, []byte(`"shutdown"`))
	if err != nil {
		s.opts.Log.Warn("send the shutdown message; a signal goes in its place", "key", key, "err", err)
	}
	return err == nil
}

// kill ends a launch and all it started.
func (s *Supervisor) kill(in *instance) {
	t := s.targetOf(in)
	if t.root == 0 {
		return
	}
	s.opts.Log.Warn("kill: it did not stop in time", "app", in.rec.Spec.Name, "instance", in.rec.ID, "pid", t.root)
	s.aside(func(ctx context.Context) {
		s.sendRoot(t, syscall.SIGKILL) // first: it must not start more
		for _, p := range s.members(ctx, t) {
			s.send(p, syscall.SIGKILL)
		}
	})
}

// sweep asks what a launch left behind to stop too, and waits for its end.
func (s *Supervisor) sweep(in *instance) {
	t, signaled := s.targetOf(in), in.signaled
	s.aside(func(ctx context.Context) {
		for {
			left := s.members(ctx, t)
			if ctx.Err() != nil {
				return
			}
			if len(left) == 0 {
				s.mail.post(happened{t.serial, lifecycle.Swept{Launch: t.launch}})
				return
			}
			for _, p := range left {
				if start, ok := signaled[p.PID]; !ok || start != p.Start {
					s.send(p, t.signal)
					if signaled == nil {
						signaled = map[int]uint64{}
					}
					signaled[p.PID] = p.Start
				}
			}
			for _, p := range left {
				if err := sysinfo.WaitGone(ctx, p); err != nil {
					s.opts.Log.Error("wait for a process", "pid", p.PID, "err", err)
					return
				}
			}
		}
	})
}

// members are the processes of a launch beside its first one, as they are now.
func (s *Supervisor) members(ctx context.Context, t target) []sysinfo.Proc {
	if !t.tree || t.root == 0 {
		return nil
	}
	table, err := s.opts.Scan.Scan(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.opts.Log.Error("look at the processes", "err", err)
		}
		return nil
	}
	root := t.root
	if p, there := table.Get(root); there && p.Start != t.start {
		root = 0 // its pid went to a stranger, so nobody was left in its session
	}
	keeper, _ := s.opts.Keeper.PID()
	members := table.Members(root, t.key, []int{keeper, 1}, s.roots.has)
	if t.group {
		members = slices.DeleteFunc(members, func(p sysinfo.Proc) bool { return p.PGID != t.root })
	}
	return members
}

func (s *Supervisor) send(p sysinfo.Proc, sig syscall.Signal) {
	if err := sysinfo.SignalProcess(p, sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.opts.Log.Warn("signal", "pid", p.PID, "signal", app.SignalName(sig), "err", err)
	}
}

// sendRoot signals the first process, with its group where the tree is meant,
// and tells whether it was there to be signalled.
func (s *Supervisor) sendRoot(t target, sig syscall.Signal) bool {
	err := s.opts.Keeper.Signal(t.key, sig, t.tree)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.opts.Log.Warn("signal", "pid", t.root, "signal", app.SignalName(sig), "err", err)
	}
	return err == nil
}

// findStray deals with a launch whose keeper died before it answered: the
// process may be there, unknown to the new keeper. It is taken over, or ended
// and launched again where it cannot be, so that no two ever run.
func (s *Supervisor) findStray(in *instance, launch uint64) {
	serial, key := in.rec.Serial, in.rec.Key
	s.lost++
	s.aside(func(ctx context.Context) {
		c, err := s.takeStray(ctx, key)
		switch {
		case ctx.Err() != nil: // the next daemon looks again
		case errors.Is(err, errNoStray):
			s.mail.post(found{respawn{serial, launch}})
		default: // it is there, or nobody can tell: then it is not started blindly
			s.mail.post(found{spawned{serial, launch, c, err, nil}})
		}
	})
}

var errNoStray = errors.New("no process of the launch is there")

// takeStray takes over the process of a launch that nobody answered for. What
// the launch left without its first process is ended.
func (s *Supervisor) takeStray(ctx context.Context, key string) (wire.Child, error) {
	for empty := 0; ; {
		table, err := s.opts.Scan.Scan(ctx)
		if err != nil {
			return wire.Child{}, fmt.Errorf("look for its process: %w", err)
		}
		strays := table.FindByUnique(key)
		if len(strays) == 0 {
			// A process in the middle of execve(2) has no environment to be
			// read: one look that finds nothing is not enough.
			if empty++; empty < 2 {
				continue
			}
			return wire.Child{}, errNoStray
		}
		if root, ok := first(strays); ok {
			err := s.opts.Keeper.Adopt(key, root.PID, root.Start)
			if err == nil {
				return wire.Child{Key: key, PID: root.PID, Start: root.Start}, nil
			}
			s.opts.Log.Error("take over the process of a lost launch", "pid", root.PID, "err", err)
		}
		for _, p := range strays {
			s.send(p, syscall.SIGKILL)
		}
		for _, p := range strays {
			if err := sysinfo.WaitGone(ctx, p); err != nil {
				return wire.Child{}, fmt.Errorf("wait for the end of its process: %w", err)
			}
		}
	}
}

// found is what became of a lost launch.
type found struct{ message }

func (m found) handle(s *Supervisor) {
	s.lost--
	m.message.handle(s)
}

// first is the process that the keeper started: it leads its session.
func first(strays []sysinfo.Proc) (sysinfo.Proc, bool) {
	for _, p := range strays {
		if p.SID == p.PID {
			return p, true
		}
	}
	return sysinfo.Proc{}, false
}

// respawn asks again for a launch of which nothing is there.
type respawn struct{ serial, launch uint64 }

func (m respawn) handle(s *Supervisor) {
	in := s.serial[m.serial]
	if in == nil || in.rec.Life.Live != m.launch {
		return
	}
	if in.rec.Life.State == lifecycle.Stopping {
		s.collect(in, in.rec.Key) // what it wrote before it ended, if it ever began
		s.step(in, lifecycle.SpawnFailed{Launch: m.launch, Reason: "it was stopped before it started"})
		return
	}
	s.spawn(in, m.launch)
}
