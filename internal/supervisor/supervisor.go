// Package supervisor is the one owner of every instance. One goroutine holds
// the table: it takes orders, exits and timers from its mailbox, asks the
// policy of package lifecycle what they mean, writes that down, carries it out
// and publishes a view. Readers load the view and cost it nothing; work that
// may wait is done aside and comes back as a message.
//
// It starts no process itself (the keeper does), copies no output (logs does)
// and speaks no protocol (the edges do).
package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"tend/api"
	"tend/internal/home"
	"tend/internal/keeper/remote"
	"tend/internal/keeper/wire"
	"tend/internal/lifecycle"
	"tend/internal/logs/collect"
	"tend/internal/store"
	"tend/internal/sysinfo"
)

// keeper is what the supervisor needs of the keeper.
type keeper interface {
	Spawn(m wire.Spawn, done func(wire.Child, error))
	Signal(key string, sig syscall.Signal, group bool) error
	Ack(seq uint64)
	Held(name string) (fd int, ok bool)
	Drop(name string)
	Adopt(key string, pid int, start uint64) error
	PID() (pid int, exe string)
}

var _ keeper = (*remote.Keeper)(nil)

// collector is what the supervisor needs of the logs.
type collector interface {
	Add(s collect.Stream) error
	Discard(key string)
}

// Options are what a supervisor works with.
type Options struct {
	Home     home.Dir
	Keeper   keeper
	Logs     collector
	Store    *store.Store
	Scan     *sysinfo.Scanner
	Log      *slog.Logger
	Channels channels // nil: no process can be spoken to
	Notices  notices  // nil: nobody listens
	// Preload is the path of the script that a worker of a cluster loads
	// before the app, which it makes sure is there; nil, or "": none.
	Preload func() string
	Watch   watcher // nil: no file is watched
	// Resident is the resident memory of a process, exact where it is above
	// some bytes; nil: sysinfo's.
	Resident func(p sysinfo.Root, above int64) (int64, error)
	// RunTime is how long a process has been on a processor, and its state;
	// nil: sysinfo's.
	RunTime func(pid int) (ns uint64, state byte, err error)
}

// Supervisor is the owner of the table.
type Supervisor struct {
	opts  Options
	boot  string
	host  string // name of this machine
	mail  mailbox
	view  atomic.Pointer[View]
	whole chan struct{} // closed when all that the last daemon left was taken up
	// roots are the pids of the first process of every instance, for those
	// who look at the process table aside.
	roots pidSet
	// aside does what may wait; Run sets it, and waits for all of it.
	aside func(work func(ctx context.Context))
	// spawns prepares launches aside, one after the other: opening files takes
	// longer than all else.
	spawns line
	// learning looks aside at what was launched; nodes is for it alone.
	learning line
	nodes    nodes
	// seeking has a place for each launch that looks for its secrets.
	seeking chan struct{}
	// limited holds a token when there is a memory limit to look at.
	limited chan struct{}

	// What follows belongs to Run.

	list   []*instance          // by id, ascending
	table  map[int]*instance    // by id
	serial map[uint64]*instance // these, and those hidden behind them
	keys   map[string]*instance // the same, by the key of the current launch
	nextID int
	lost   int      // launches of which nobody knows yet what became
	stale  bool     // the view is older than the table
	later  []func() // answers, which wait for the view that they are about
	ending bool     // every app is being ended: nothing triggers any more

	watched  map[string]*watched // by their key
	owned    []string            // files that are nobody's change, as they were told last
	cronAt   time.Time           // when the timer goes off; zero: there is none
	cronBusy map[string]bool     // names that a schedule restarts right now
	weights  map[int]*weight     // by id
}

// New makes a supervisor with what the journal and the keeper know: the table
// as it was when the last daemon died. Nothing is carried out before Run.
func New(opts Options, records []store.Record, inv remote.Inventory) (*Supervisor, error) {
	boot, err := sysinfo.BootID()
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	if opts.Channels == nil {
		opts.Channels = noChannels{}
	}
	if opts.Resident == nil {
		opts.Resident = sysinfo.Resident
	}
	if opts.RunTime == nil {
		opts.RunTime = sysinfo.RunTime
	}
	s := &Supervisor{
		opts: opts, boot: boot, host: host, whole: make(chan struct{}),
		table:   map[int]*instance{},
		serial:  map[uint64]*instance{},
		keys:    map[string]*instance{},
		seeking: make(chan struct{}, seekers),
		nodes:   nodes{},
		limited: make(chan struct{}, 1),
		watched: map[string]*watched{}, cronBusy: map[string]bool{}, weights: map[int]*weight{},
	}
	s.mail.init()
	s.roots.init()
	s.mail.post(adoption{records: records, inventory: inv})
	return s, nil
}

// Run is the supervisor's life. It returns when ctx ends and everything it
// started has ended; no app is touched by that.
func (s *Supervisor) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	s.aside = func(work func(context.Context)) { working.Go(func() { work(ctx) }) }
	working.Go(func() { s.weigh(ctx) })
	entered := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.mail.ready:
		}
		for _, m := range s.mail.take() {
			m.handle(s)
		}
		if s.stale {
			s.syncTriggers()
		}
		s.publish()
		if s.lost == 0 && !entered {
			entered = true
			close(s.whole)
		}
		for _, answer := range s.later {
			answer()
		}
		s.later = nil
	}
}

// reply sends an answer once the view shows what it answers. send must not
// wait.
func (s *Supervisor) reply(send func()) { s.later = append(s.later, send) }

// Exited tells of the end of a process. It does not block.
func (s *Supervisor) Exited(e wire.Exit) { s.mail.post(exited{e}) }

// Measured tells what the processes use, and returns when the view shows it.
func (s *Supervisor) Measured(ctx context.Context, use map[int]sysinfo.Usage) error {
	return s.ask(ctx, func(s *Supervisor) { s.measured(use) })
}

// Whole is closed when the supervisor has taken up what the last daemon left.
// Before that nobody should be let in: the view would be empty.
func (s *Supervisor) Whole() <-chan struct{} { return s.whole }

// View is the table as it is now.
func (s *Supervisor) View() *View {
	if v := s.view.Load(); v != nil {
		return v
	}
	return &View{}
}

// message is what the mailbox holds. Handling one must not wait.
type message interface{ handle(s *Supervisor) }

type (
	exited struct{ exit wire.Exit }
	// happened is an event for the instance of that serial, from a timer or
	// from work done aside.
	happened struct {
		serial uint64
		event  lifecycle.Event
	}
	// spawned is the keeper's answer to the spawning of a launch.
	spawned struct {
		serial uint64
		launch uint64
		child  wire.Child
		err    error
		fifos  collect.Fifos // of its output
	}
	// asked tells that a launch was signalled, and which processes beside its
	// first one were.
	asked struct {
		serial   uint64
		launch   uint64
		signaled map[int]uint64 // pid to start ticks
	}
)

func (m happened) handle(s *Supervisor) {
	if in := s.serial[m.serial]; in != nil {
		s.step(in, m.event)
	}
}

func (s *Supervisor) measured(use map[int]sysinfo.Usage) {
	for _, in := range s.table {
		if u, ok := use[in.rec.Proc.PID]; ok && u != in.use && in.rec.Life.Live != 0 {
			in.use = u
			in.row = nil
			s.stale = true
		}
	}
}

func (m exited) handle(s *Supervisor) {
	in := s.keys[m.exit.Key]
	if in == nil || in.rec.KeyLaunch != in.rec.Life.Live {
		s.opts.Keeper.Ack(m.exit.Seq) // dealt with, and written down, before
		return
	}
	s.roots.remove(in.rec.Proc.PID)
	if in.of == nil {
		s.removePidFile(in)
	}
	exit := exitOf(m.exit)
	in.use = sysinfo.Usage{}
	s.opts.Log.Info("process ended", "app", in.rec.Spec.Name, "instance", in.rec.ID, "pid", m.exit.PID,
		"code", exit.Code, "signal", exit.Signal, "unknown", exit.Unknown, "asked_to", in.rec.Life.State == lifecycle.Stopping)
	s.step(in, lifecycle.Exited{Launch: in.rec.KeyLaunch, Exit: exit})
	s.opts.Keeper.Ack(m.exit.Seq)
}

func exitOf(e wire.Exit) lifecycle.Exit {
	ws := syscall.WaitStatus(e.Status)
	switch {
	case !e.Known:
		return lifecycle.Exit{Happened: true, Unknown: true}
	case ws.Signaled():
		return lifecycle.Exit{Happened: true, Signal: int(ws.Signal())}
	default:
		return lifecycle.Exit{Happened: true, Code: ws.ExitStatus()}
	}
}

func (m spawned) handle(s *Supervisor) {
	defer m.fifos.Close()
	in := s.serial[m.serial]
	if in == nil || in.rec.Life.Live != m.launch {
		return
	}
	if m.err != nil {
		s.spawnFailed(in, m)
		return
	}
	in.rec.Proc = sysinfo.Identity{PID: m.child.PID, Start: m.child.Start, Boot: s.boot}
	in.use = sysinfo.Usage{}
	s.roots.add(m.child.PID)
	if in.of == nil {
		s.writePidFile(in)
	}
	s.collect(in, in.rec.Key)
	s.connect(in)
	s.learn(in)
	s.step(in, lifecycle.Spawned{Launch: m.launch})
}

func (s *Supervisor) spawnFailed(in *instance, m spawned) {
	if errors.Is(m.err, remote.ErrLost) {
		s.findStray(in, m.launch)
		return
	}
	reason, lasting := whyNot(in.spec, m.err)
	s.opts.Log.Error("start process", "app", in.rec.Spec.Name, "instance", in.rec.ID, "err", reason)
	s.step(in, lifecycle.SpawnFailed{Launch: m.launch, Reason: reason, Lasting: lasting})
}

func (m asked) handle(s *Supervisor) {
	in := s.serial[m.serial]
	if in == nil {
		return
	}
	in.signaled = m.signaled
	s.step(in, lifecycle.Asked{Launch: m.launch})
}

// step gives an instance an event, writes down what came of it, and carries
// it out, in this order: a daemon that dies in between is followed by one that
// carries out the same once more.
func (s *Supervisor) step(in *instance, ev lifecycle.Event) {
	was := in.rec
	life, effects := in.policy.Step(was.Life, ev, time.Now())
	if life == was.Life && len(effects) == 0 {
		return
	}
	in.rec.Life = life
	s.prepare(in, effects)
	s.changed(in)
	s.logStep(in, &was, ev)
	s.tellOf(in, &was, ev)
	if atWork(&was) && !atWork(&in.rec) {
		s.release(was.Spec.Name)
	}
	for _, e := range effects {
		s.carryOut(in, e)
	}
	if was.Life.Live != 0 && !was.Life.Ended && (life.Ended || life.Live != was.Life.Live) {
		s.hangUp(was.Key) // after the next launch: that is waited for
	}
	s.attend(in)
	s.answerWaiters(in)
	if in.of != nil {
		s.followed(in.of)
	}
}

// changed writes an instance down and marks it for the next view. A journal
// that cannot be written is the store's to report and to mend.
func (s *Supervisor) changed(in *instance) {
	_ = s.opts.Store.Put(in.rec)
	in.row = nil
	s.stale = true
}

// mailbox is a queue without an end that never makes a sender wait: the
// keeper's reader must not, for the keeper waits for it. What is in it is
// bounded by what was asked for.
type mailbox struct {
	ready chan struct{} // holds one token while there is something

	mu    sync.Mutex
	queue []message
}

func (m *mailbox) init() { m.ready = make(chan struct{}, 1) }

func (m *mailbox) post(msg message) {
	m.mu.Lock()
	m.queue = append(m.queue, msg)
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []message {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue
	m.queue = nil
	return q
}

// line does things one after the other, aside.
type line struct {
	mu      sync.Mutex
	waiting []func(context.Context)
	busy    bool
}

// do puts f at the end of the line; start starts work aside.
func (l *line) do(start func(func(context.Context)), f func(context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, f)
	if !l.busy {
		l.busy = true
		start(l.work)
	}
}

func (l *line) work(ctx context.Context) {
	for ctx.Err() == nil {
		l.mu.Lock()
		if len(l.waiting) == 0 {
			l.busy, l.waiting = false, nil
			l.mu.Unlock()
			return
		}
		f := l.waiting[0]
		l.waiting = l.waiting[1:]
		l.mu.Unlock()
		f(ctx)
	}
}

// pidSet is a set of pids that may be read by anybody.
type pidSet struct {
	mu  sync.RWMutex
	set map[int]struct{}
}

func (p *pidSet) init() { p.set = map[int]struct{}{} }

func (p *pidSet) add(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set[pid] = struct{}{}
}

func (p *pidSet) remove(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.set, pid)
}

func (p *pidSet) has(pid int) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, ok := p.set[pid]
	return ok
}

// stateOf is a state in the words of the API.
func stateOf(st lifecycle.State) api.State { return api.State(st.String()) }
