package supervisor

import (
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tend/internal/keeper/remote"
	"tend/internal/keeper/wire"
	"tend/internal/lifecycle"
	"tend/internal/nodeipc"
	"tend/internal/store"
)

// fakeKeeper plays the keeper: its processes are entries of a map, with pids
// that the kernel gives to nobody. It checks what a supervisor must never do:
// ask for what is not in the journal, or for a second process of an instance.
type fakeKeeper struct {
	t *testing.T

	// How it behaves; set before it is used.

	// answer answers a Spawn, by run or without, now or later; nil: now.
	answer func(m wire.Spawn, done func(wire.Child, error))
	// hear is what a process does about a signal; nil: it ends of it at once.
	hear func(p fakeProc, sig syscall.Signal)
	// adopt answers Adopt.
	adopt func(key string, pid int, start uint64) error
	// frozen tells that the journal does not follow any more.
	frozen bool
	// dieAt is the number of the effect before which the daemon dies; 0: never.
	dieAt int

	channels *fakeChannels

	// memory is what a process holds; nil: next to nothing.
	memory func(pid int) int64

	mu      sync.Mutex
	looks   map[int]int // how often each process was looked at
	s       *Supervisor
	journal journal
	asked   []ask
	signals []sent
	live    map[string]fakeProc  // by key
	pending map[uint64]wire.Exit // exits that were not acknowledged
	acked   []uint64
	held    map[string]int
	seq     uint64
	pid     int
	daemons int // how many there were
	store   *store.Store
	effects int   // that were carried out for this daemon
	written int64 // of the journal, at the last of them
	dead    bool
}

type fakeProc struct {
	wire.Child

	id   string // pm_id
	name string
}

// ask is one Spawn and when it came.
type ask struct {
	wire.Spawn

	at time.Time
}

// sent is one signal and when it came.
type sent struct {
	key   string
	sig   syscall.Signal
	group bool // with all of its process group
	at    time.Time
}

// firstPid is above PID_MAX_LIMIT, 4 Mi (proc_sys_kernel(5)).
const firstPid = 5_000_000

func newKeeper(t *testing.T) *fakeKeeper {
	k := &fakeKeeper{
		t: t, live: map[string]fakeProc{}, pending: map[uint64]wire.Exit{}, held: map[string]int{}, pid: firstPid,
		looks: map[int]int{},
	}
	k.channels = newChannels(k)
	return k
}

func (k *fakeKeeper) attach(s *Supervisor, st *store.Store, path string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.s, k.store, k.journal = s, st, journal{path: path}
	k.daemons++
	k.effects, k.dead = 0, false
	k.channels.attach(s)
}

// effect counts what the daemon does to the world, and tells whether it still
// lives to do it.
func (k *fakeKeeper) effect() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead {
		return false
	}
	k.effects++
	if k.effects == k.dieAt {
		k.dead = true
		k.store.Freeze()
		return false
	}
	if k.dieAt > 0 {
		fi, err := os.Stat(k.journal.path)
		if err != nil {
			k.t.Error(err)
			return true
		}
		k.written = fi.Size()
	}
	return true
}

func (k *fakeKeeper) isDead() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dead
}

// take takes a descriptor of a process off the shelf.
func (k *fakeKeeper) take(key string, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.held, wire.PipeName(key, n))
}

func (k *fakeKeeper) Spawn(m wire.Spawn, done func(wire.Child, error)) {
	if !k.effect() {
		return
	}
	k.mu.Lock()
	k.asked = append(k.asked, ask{m, time.Now()})
	rec, written := k.journal.read(k.t)[m.Key]
	k.mu.Unlock()
	if !written || rec.Life.State != lifecycle.Launching && rec.Life.State != lifecycle.Stopping {
		k.t.Errorf("asked for launch %s before it was written down: %+v", m.Key, rec)
	}
	if k.answer != nil {
		k.answer(m, done)
		return
	}
	done(k.run(m), nil)
}

// run starts a process, or tells of the one that has the key.
func (k *fakeKeeper) run(m wire.Spawn) wire.Child {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p, ok := k.live[m.Key]; ok {
		return p.Child
	}
	p := fakeProc{Child: wire.Child{Key: m.Key, Tag: m.Tag}, id: variable(m, "pm_id"), name: variable(m, "name")}
	roles := k.journal.read(k.t)
	for key, other := range k.live {
		if other.id == p.id && roles[key].Role == store.Current && roles[m.Key].Role == store.Current {
			k.t.Errorf("instance %s would run twice", p.id)
		}
	}
	k.pid++
	p.PID, p.Start = k.pid, uint64(k.pid)
	k.live[m.Key] = p
	for n := range m.Slots {
		k.held[wire.PipeName(m.Key, n)] = 10*k.pid + n
	}
	if len(m.Slots) > nodeipc.ChannelSlot {
		k.channels.start(m.Key)
	}
	return p.Child
}

func (k *fakeKeeper) Signal(key string, sig syscall.Signal, group bool) error {
	if !k.effect() {
		return nil
	}
	k.mu.Lock()
	k.signals = append(k.signals, sent{key, sig, group, time.Now()})
	p, ok := k.live[key]
	if ok && sig != syscall.SIGUSR2 && !k.frozen && k.journal.read(k.t)[key].Life.State < lifecycle.Stopping {
		k.t.Errorf("signalled %s before it was written down", key)
	}
	k.mu.Unlock()
	if !ok {
		return os.ErrProcessDone
	}
	if k.hear == nil {
		k.exit(key, uint32(sig))
	} else {
		k.hear(p, sig)
	}
	return nil
}

// exit ends a process with a status of wait(2), and tells.
func (k *fakeKeeper) exit(key string, status uint32) { k.endUnheard(key, status, 0) }

// endUnheard ends a process, and tells after a while.
func (k *fakeKeeper) endUnheard(key string, status uint32, after time.Duration) {
	k.mu.Lock()
	p, ok := k.live[key]
	if !ok {
		k.mu.Unlock()
		return
	}
	delete(k.live, key)
	k.channels.end(key)
	e := k.ended(p.Child, status)
	s := k.s
	k.mu.Unlock()
	if after > 0 {
		time.AfterFunc(after, func() { s.Exited(e) })
		return
	}
	s.Exited(e)
}

// ended is an exit that is kept until it is acknowledged.
func (k *fakeKeeper) ended(c wire.Child, status uint32) wire.Exit {
	k.seq++
	e := wire.Exit{Seq: k.seq, Key: c.Key, PID: c.PID, Known: true, Status: status}
	k.pending[k.seq] = e
	return e
}

func code(n int) uint32 { return uint32(n) << 8 }

func (k *fakeKeeper) Ack(seq uint64) {
	if !k.effect() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.pending, seq)
	k.acked = append(k.acked, seq)
}

func (k *fakeKeeper) Held(name string) (int, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fd, ok := k.held[name]
	return fd, ok
}

func (k *fakeKeeper) Drop(name string) {
	if !k.effect() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.held, name)
}

func (k *fakeKeeper) Adopt(key string, pid int, start uint64) error {
	if k.adopt == nil {
		k.t.Errorf("asked to adopt %d as %s", pid, key)
		return os.ErrProcessDone
	}
	return k.adopt(key, pid, start)
}

// runTime has each process boot: it runs from one look to the next.
func (k *fakeKeeper) runTime(pid int) (ns uint64, state byte, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.live {
		if p.PID == pid {
			k.looks[pid]++
			return uint64(k.looks[pid]) * uint64(settlePause), 'R', nil
		}
	}
	return 0, 0, os.ErrProcessDone
}

func (k *fakeKeeper) PID() (pid int, exe string) { return firstPid, "/opt/tend-keeper" }

// asks are the Spawns so far.
func (k *fakeKeeper) asks() []ask {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.asked)
}

// last is the latest Spawn.
func (k *fakeKeeper) last() ask {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked[len(k.asked)-1]
}

func (k *fakeKeeper) sent() []sent {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.signals)
}

// running is how many processes there are by pm_id.
func (k *fakeKeeper) running() map[string]int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := map[string]int{}
	for _, p := range k.live {
		n[p.id]++
	}
	return n
}

// boots says what workers tell when they are started from now on.
func (k *fakeKeeper) boots(tell func(key string) []word) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.channels.boot = tell
}

// alive is how many processes there are, those included that end.
func (k *fakeKeeper) alive() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.live)
}

// daemon is the number of the daemon that asks now.
func (k *fakeKeeper) daemon() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.daemons
}

// unread is how many exits were not acknowledged.
func (k *fakeKeeper) unread() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.pending)
}

// acks are the acknowledgements so far.
func (k *fakeKeeper) acks() []uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.acked)
}

// has tells whether the process of that key is there.
func (k *fakeKeeper) has(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.live[key]
	return ok
}

// inventory is what the keeper tells a new daemon.
func (k *fakeKeeper) inventory() remote.Inventory {
	k.mu.Lock()
	defer k.mu.Unlock()
	var inv remote.Inventory
	for _, p := range k.live {
		inv.Children = append(inv.Children, p.Child)
	}
	for _, seq := range slices.Sorted(maps.Keys(k.pending)) {
		inv.Exits = append(inv.Exits, k.pending[seq])
	}
	inv.Held = slices.Sorted(maps.Keys(k.held))
	return inv
}

// variable is a variable of a new process.
func variable(m wire.Spawn, name string) string {
	for _, entry := range m.Env {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			return v
		}
	}
	return ""
}
