// Package remote is the daemon's side of the keeper: it asks for processes,
// gets told of their ends, and has a copy of everything that the keeper holds.
// When the keeper dies it starts another and hands it all over.
//
// It keeps no policy: what an exit means is the supervisor's business.
package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/internal/fdpass"
	"tend/internal/keeper/wire"
)

// Options say how a new keeper is started when the old one dies.
type Options struct {
	Home   string // absolute
	Daemon string // the daemon's own binary, for the keeper to start again
	Log    *slog.Logger
	// OnExit is told of every exit, also one that was told before and not
	// acknowledged. It must not block and must not call back.
	OnExit func(wire.Exit)
}

// Keeper is the daemon's end of the connection. Its methods may be called by
// many goroutines.
type Keeper struct {
	opts Options

	mu       sync.Mutex
	conn     *wire.Conn // nil while there is no keeper
	pid      int
	exe      string
	level    wire.Level // what the keeper understands
	seq      uint64     // the last exit seen
	lastID   uint64
	calls    map[uint64]func(wire.Frame, error) // that wait for their answer
	children map[string]child
	shelf    map[string]int
	started  *os.Process // the keeper, when it is a child of ours
	settled  bool        // the keeper holds everything
	quit     bool        // the keeper was told to
}

type child struct {
	wire.Child

	pidfd int
}

// ErrLost is the answer to a request whose keeper died: it may have been
// carried out or not.
var ErrLost = errors.New("the keeper died before it answered")

// ErrOld is the answer for a process that the keeper would start in another way
// than asked, for it is of an older version.
var ErrOld = errors.New("the keeper that runs is of an older version, which knows no limits and no umask")

// RefusedError is the keeper's no.
type RefusedError struct {
	Errno syscall.Errno // 0 when it was not the kernel that refused
	Text  string
}

// Error is the keeper's text.
func (e *RefusedError) Error() string { return e.Text }

// Unwrap gives the errno, so that errors.Is sees fs.ErrNotExist and the like.
func (e *RefusedError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// Inventory is what a keeper held when the daemon came.
type Inventory struct {
	Children []wire.Child
	Exits    []wire.Exit
	Held     []string // names on the shelf
}

// New talks to the keeper at the other end of fd, which it takes over, and
// asks for everything it holds.
func New(fd int, opts Options) (*Keeper, Inventory, error) {
	conn, err := wire.NewConn(fd)
	if err != nil {
		return nil, Inventory{}, fmt.Errorf("connect to the keeper: %w", err)
	}
	k := &Keeper{
		opts: opts, conn: conn,
		calls:    map[uint64]func(wire.Frame, error){},
		children: map[string]child{},
		shelf:    map[string]int{},
	}
	inv, err := k.inventory()
	if err != nil {
		return nil, Inventory{}, fmt.Errorf("ask the keeper what it holds: %w", err)
	}
	k.settled = true
	return k, inv, nil
}

// inventory runs before Run, with the connection to itself.
func (k *Keeper) inventory() (Inventory, error) {
	var inv Inventory
	hello := wire.Hello{PID: os.Getpid()}
	if err := k.conn.Write(wire.Frame{Kind: wire.KindHello, Body: hello.Append(nil)}); err != nil {
		return inv, err
	}
	if err := k.conn.Write(wire.Frame{Kind: wire.KindList}); err != nil {
		return inv, err
	}
	for {
		f, err := k.conn.Read()
		if err != nil {
			return inv, err
		}
		switch f.Kind { //nolint:exhaustive // a newer keeper may say more
		case wire.KindHello:
			m, err := wire.ParseHello(f.Body)
			if err != nil {
				return inv, err
			}
			k.pid, k.exe, k.seq, k.level = m.PID, m.Keeper, m.Seq, m.Level
		case wire.KindChild:
			m, err := wire.ParseChild(f.Body)
			if err != nil || len(f.FDs) != 1 {
				return inv, errors.Join(err, errFrame)
			}
			k.children[m.Key] = child{Child: m, pidfd: f.FDs[0]}
			inv.Children = append(inv.Children, m)
		case wire.KindHold:
			m, err := wire.ParseHeld(f.Body)
			if err != nil || len(f.FDs) != 1 {
				return inv, errors.Join(err, errFrame)
			}
			k.shelf[m.Name] = f.FDs[0]
			inv.Held = append(inv.Held, m.Name)
		case wire.KindExit:
			// An exit that comes in while the list is told comes twice or
			// only here; either way it is in the list of this function.
			m, err := wire.ParseExit(f.Body)
			if err != nil {
				return inv, err
			}
			inv.Exits = append(inv.Exits, m)
		case wire.KindEnd:
			return inv, nil
		}
	}
}

var errFrame = errors.New("a frame of the keeper has the wrong descriptors")

// PID is the keeper's pid, and Exe its binary.
func (k *Keeper) PID() (pid int, exe string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pid, k.exe
}

func (k *Keeper) current() *wire.Conn {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.conn
}

func (k *Keeper) hear(conn *wire.Conn) error {
	for {
		f, err := conn.Read()
		if err != nil {
			return err
		}
		k.receive(f)
	}
}

func (k *Keeper) receive(f wire.Frame) {
	if f.Kind == wire.KindExit {
		m, err := wire.ParseExit(f.Body)
		if err != nil {
			k.opts.Log.Error("the keeper sent an exit that cannot be read", "err", err)
			return
		}
		k.mu.Lock()
		k.seq = max(k.seq, m.Seq)
		k.forget(m.Key)
		k.mu.Unlock()
		k.opts.OnExit(m)
		return
	}
	k.mu.Lock()
	done := k.calls[f.ID]
	delete(k.calls, f.ID)
	if f.Kind == wire.KindSpawned {
		k.learn(f)
	} else {
		fdpass.CloseAll(f.FDs)
	}
	k.mu.Unlock()
	if done == nil {
		return
	}
	if f.Kind != wire.KindFailed {
		done(f, nil)
		return
	}
	m, err := wire.ParseFailed(f.Body)
	if err == nil {
		err = &RefusedError{Errno: syscall.Errno(m.Errno), Text: m.Text} //nolint:gosec // a small positive number
	}
	done(f, err)
}

// learn takes over the pidfd of a new process.
func (k *Keeper) learn(f wire.Frame) {
	m, err := wire.ParseChild(f.Body)
	if err != nil || len(f.FDs) == 0 {
		fdpass.CloseAll(f.FDs)
		return
	}
	k.forget(m.Key)
	k.children[m.Key] = child{Child: m, pidfd: f.FDs[0]}
	fdpass.CloseAll(f.FDs[1:])
}

func (k *Keeper) forget(key string) {
	if c, ok := k.children[key]; ok {
		delete(k.children, key)
		fdpass.CloseAll([]int{c.pidfd})
	}
}

func (k *Keeper) put(name string, fd int) {
	if old, ok := k.shelf[name]; ok {
		fdpass.CloseAll([]int{old})
	}
	k.shelf[name] = fd
}

// ask sends a request; done is called once with the answer, from Run.
func (k *Keeper) ask(kind wire.Kind, body []byte, fds []int, done func(wire.Frame, error)) {
	k.mu.Lock()
	k.lastID++
	id, conn := k.lastID, k.conn
	k.calls[id] = done
	k.mu.Unlock()
	// Not under the lock: the keeper may be waiting for us to read. A write
	// that fails means that the keeper is dying: Run notices, and replace
	// answers every call that waits.
	_ = conn.Write(wire.Frame{Kind: kind, ID: id, Body: body, FDs: fds})
}

// tell sends what needs no answer.
func (k *Keeper) tell(kind wire.Kind, body []byte, fds ...int) {
	_ = k.current().Write(wire.Frame{Kind: kind, Body: body, FDs: fds}) // as in ask
}

// Spawn asks for a process. done is called once and must not block: with the
// process, with a *RefusedError, with ErrOld, or with ErrLost.
//
// The pipes and sockets are made here, so that our ends are held by two
// processes from the beginning: whichever dies, no process at the other end
// notices.
func (k *Keeper) Spawn(m wire.Spawn, done func(wire.Child, error)) {
	k.mu.Lock()
	c, there := k.children[m.Key]
	old := k.level < m.Needs()
	k.mu.Unlock()
	switch {
	case there:
		done(c.Child, nil)
		return
	case old:
		done(wire.Child{Key: m.Key}, ErrOld)
		return
	}
	var fds, theirs []int
	var names []string
	defer func() { fdpass.CloseAll(theirs) }()
	for n, slot := range m.Slots {
		if slot == wire.SlotNull {
			continue
		}
		ours, its, err := ends(slot)
		if err != nil {
			k.discard(names)
			done(wire.Child{Key: m.Key}, err)
			return
		}
		fds, theirs, names = append(fds, its, ours), append(theirs, its), append(names, wire.PipeName(m.Key, n))
		k.mu.Lock()
		k.put(names[len(names)-1], ours)
		k.mu.Unlock()
	}
	k.ask(wire.KindSpawn, m.Append(nil), fds, func(f wire.Frame, err error) {
		if _, refused := errors.AsType[*RefusedError](err); refused {
			k.discard(names)
		}
		if err != nil {
			done(wire.Child{Key: m.Key}, err)
			return
		}
		c, err := wire.ParseChild(f.Body)
		done(c, err)
	})
}

// discard takes descriptors off our own shelf that the keeper does not have.
func (k *Keeper) discard(names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range names {
		if fd, ok := k.shelf[name]; ok {
			delete(k.shelf, name)
			fdpass.CloseAll([]int{fd})
		}
	}
}

// Ack says that the exit of that number is dealt with, for ever.
func (k *Keeper) Ack(seq uint64) { k.tell(wire.KindAck, wire.Seq{Seq: seq}.Append(nil)) }

// Ready says that the daemon serves.
func (k *Keeper) Ready() { k.tell(wire.KindReady, nil) }

// Quit says that the daemon leaves and is not to be started again. The keeper
// ends after the daemon; one that ends before is not replaced any more.
func (k *Keeper) Quit(ctx context.Context) error {
	k.mu.Lock()
	k.quit = true
	k.mu.Unlock()
	return k.wait(ctx, wire.KindQuit, nil)
}

// Upgrade makes the keeper become the binary at the path keeper, and start the
// one at daemon from now on. Until it returns nothing else may be asked.
func (k *Keeper) Upgrade(ctx context.Context, keeper, daemon string) error {
	return k.wait(ctx, wire.KindUpgrade, wire.Upgrade{Keeper: keeper, Daemon: daemon}.Append(nil))
}

// wait asks and waits for the answer.
func (k *Keeper) wait(ctx context.Context, kind wire.Kind, body []byte) error {
	answer := make(chan error, 1)
	k.ask(kind, body, nil, func(_ wire.Frame, err error) { answer <- err })
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Hold puts a copy of fd on the shelf, here and at the keeper.
func (k *Keeper) Hold(name string, fd int) error {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("dup", err)
	}
	k.mu.Lock()
	k.put(name, own)
	k.mu.Unlock()
	k.tell(wire.KindHold, wire.Held{Name: name}.Append(nil), own)
	return nil
}

// Held is the descriptor of that name. It stays ours: whoever needs it past a
// Drop makes a copy.
func (k *Keeper) Held(name string) (int, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fd, ok := k.shelf[name]
	return fd, ok
}

// Drop takes a descriptor off the shelf, here and at the keeper.
func (k *Keeper) Drop(name string) {
	k.mu.Lock()
	fd, ok := k.shelf[name]
	delete(k.shelf, name)
	k.mu.Unlock()
	if ok {
		fdpass.CloseAll([]int{fd})
		k.tell(wire.KindDrop, wire.Held{Name: name}.Append(nil))
	}
}

// Adopt has the keeper watch a process that is nobody's child here: one that
// survived a keeper and a daemon both.
func (k *Keeper) Adopt(key string, pid int, start uint64) error {
	pidfd, err := openPidfd(pid)
	if err != nil {
		return err
	}
	c := wire.Child{Key: key, PID: pid, Start: start}
	k.mu.Lock()
	k.forget(key)
	k.children[key] = child{Child: c, pidfd: pidfd}
	k.mu.Unlock()
	k.tell(wire.KindChild, c.Append(nil), pidfd)
	return nil
}

// Signal signals the process of that key, through its pidfd: never another
// process that got its pid. With group its whole process group is signalled in
// one step, so that what is being forked at the moment is not missed.
// os.ErrProcessDone when the process has ended.
func (k *Keeper) Signal(key string, sig syscall.Signal, group bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.children[key]
	if !ok {
		return os.ErrProcessDone
	}
	if group {
		return signalGroup(c.pidfd, c.PID, sig)
	}
	return signalPidfd(c.pidfd, sig)
}
