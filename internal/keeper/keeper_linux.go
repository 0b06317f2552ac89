package keeper

import (
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/fdpass"
	"tend/internal/keeper/wire"
)

// Keeper is the state of a keeper. One goroutine, Run, owns all of it; the
// others only tell it that something is to be read.
type Keeper struct {
	exe    string // our own binary
	home   string // where the daemon writes its log
	daemon daemon
	ready  int // told once when the daemon serves or will not; -1: nobody asks

	children map[string]*child // by key
	byPID    map[int]*child
	exits    []wire.Exit // not acknowledged, in order
	seq      uint64
	shelf    map[string]int
	watch    *watcher
	quit     bool // the daemon said that it will not come back

	frames chan incoming
	gone   chan int // pids that are not our children and ended
	again  <-chan time.Time
}

// child is a process that the keeper holds for the daemon.
type child struct {
	key     string
	pid     int
	start   uint64
	pidfd   int
	tag     []byte
	foreign bool // not our child: a keeper before us started it
}

// incoming is what a reader got from a daemon's connection. The reader waits
// for next before it reads on, so that nothing is in its hands when the keeper
// becomes another binary.
type incoming struct {
	from  *wire.Conn
	frame wire.Frame
	err   error
	next  chan<- struct{}
}

func newKeeper(exe, home string) (*Keeper, error) {
	k := &Keeper{
		exe: exe, home: home, ready: -1,
		children: map[string]*child{},
		byPID:    map[int]*child{},
		shelf:    map[string]int{},
		frames:   make(chan incoming),
		gone:     make(chan int),
	}
	// Processes that their parents left become our children: they are
	// reaped, and the daemon finds them below us (prctl(2)).
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", err)
	}
	var err error
	k.watch, err = newWatcher(k.gone)
	return k, err
}

// run is the keeper's life. It returns nil when it is over: the daemon has
// quit, or never came up.
func (k *Keeper) run() error {
	sigs := make(chan os.Signal, 8) // SIGCHLD may be dropped: one is as good as many
	// SIGHUP and SIGINT also because whoever started us may ignore them
	// (nohup, a shell's background job), and apps would inherit that: a signal
	// that is caught has its default again after exec (signal(7)).
	signal.Notify(sigs, unix.SIGCHLD, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP)
	k.reap() // what ended while another binary stood here
	for {
		if k.quit && k.daemon.pid == 0 && k.daemon.conn == nil {
			return nil
		}
		select {
		case sig := <-sigs:
			switch {
			case sig == unix.SIGCHLD:
				k.reap()
			case sig != unix.SIGHUP && k.daemon.pid != 0:
				// To end in order is the daemon's business.
				_ = unix.PidfdSendSignal(k.daemon.pidfd, sig.(syscall.Signal), nil, 0) // always one on unix; gone already is fine
			}
		case pid := <-k.gone:
			k.foreignExit(pid)
		case in := <-k.frames:
			k.receive(in)
		case <-k.again:
			k.again = nil
			k.startDaemon()
		}
	}
}

func (k *Keeper) receive(in incoming) {
	current := in.from == k.daemon.conn
	switch {
	case in.err != nil && current:
		k.closeConn()
		if k.daemon.pid == 0 {
			k.nextDaemon() // it ended before, and now all it said was heard
			return
		}
		// A daemon that closed its connection is of no use any more; its end
		// comes in as an exit, and then another one is started.
		_ = unix.PidfdSendSignal(k.daemon.pidfd, unix.SIGKILL, nil, 0)
	case in.err != nil:
		// The reader of a daemon that is gone has ended.
	case current:
		k.handle(in.frame)
		in.next <- struct{}{}
	default:
		fdpass.CloseAll(in.frame.FDs) // the last words of a daemon that is gone
		in.next <- struct{}{}
	}
}

// handle carries out one frame of the daemon. Descriptors that are not kept
// are closed.
func (k *Keeper) handle(f wire.Frame) {
	keep := 0 // how many of f.FDs found a place
	var err error
	switch f.Kind {
	case wire.KindHello:
		err = k.hello(f, &keep)
	case wire.KindSpawn:
		var m wire.Spawn
		if m, err = wire.ParseSpawn(f.Body); err == nil {
			err = k.spawn(f, m)
		}
	case wire.KindAck:
		var m wire.Seq
		if m, err = wire.ParseSeq(f.Body); err == nil {
			k.ack(m.Seq)
		}
	case wire.KindList:
		k.list(f.ID)
	case wire.KindChild:
		err = k.adopt(f, &keep)
	case wire.KindHold:
		err = k.hold(f, &keep)
	case wire.KindDrop:
		var m wire.Held
		if m, err = wire.ParseHeld(f.Body); err == nil {
			k.drop(m.Name)
		}
	case wire.KindReady:
		k.daemon.ready = true
		k.tellReady("ready\n")
	case wire.KindUpgrade:
		err = k.upgrade(f)
	case wire.KindQuit:
		k.quit = true
		k.send(wire.Frame{Kind: wire.KindOK, ID: f.ID})
	case wire.KindSpawned, wire.KindFailed, wire.KindExit, wire.KindEnd, wire.KindOK, wire.KindSelf:
		// A keeper says these and is never told them.
	}
	fdpass.CloseAll(f.FDs[keep:])
	if err != nil {
		k.fail(f.ID, err)
	}
}

// send tells the daemon something. When that fails the daemon is dying, and
// whoever comes next asks for the list.
func (k *Keeper) send(f wire.Frame) {
	if k.daemon.conn == nil {
		return
	}
	if err := k.daemon.conn.Write(f); err != nil {
		k.log("tell the daemon: " + err.Error())
	}
}

func (k *Keeper) fail(id uint64, err error) {
	m := wire.Failed{Text: err.Error()}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		m.Errno = int(errno)
	}
	k.send(wire.Frame{Kind: wire.KindFailed, ID: id, Body: m.Append(nil)})
}

func (k *Keeper) hello(f wire.Frame, keep *int) error {
	m, err := wire.ParseHello(f.Body)
	if err != nil {
		return err
	}
	if m.Daemon != "" {
		k.daemon.path = m.Daemon
	}
	if len(f.FDs) > 0 { // a daemon that started us tells who it is
		*keep = 1
		k.daemon.pid, k.daemon.pidfd = m.PID, f.FDs[0]
		k.daemon.ready = true
		k.seq = max(k.seq, m.Seq)
		if err := k.watch.add(k.daemon.pidfd, m.PID); err != nil {
			return err
		}
	}
	reply := wire.Hello{PID: os.Getpid(), Daemon: k.daemon.path, Keeper: k.exe, Seq: k.seq, Level: wire.LevelLimits}
	k.send(wire.Frame{Kind: wire.KindHello, ID: f.ID, Body: reply.Append(nil)})
	return nil
}

// list tells everything that is kept.
func (k *Keeper) list(id uint64) {
	for _, c := range k.children {
		k.send(wire.Frame{Kind: wire.KindChild, ID: id, Body: c.message().Append(nil), FDs: []int{c.pidfd}})
	}
	for name, fd := range k.shelf {
		k.send(wire.Frame{Kind: wire.KindHold, ID: id, Body: wire.Held{Name: name}.Append(nil), FDs: []int{fd}})
	}
	for _, e := range k.exits {
		k.send(wire.Frame{Kind: wire.KindExit, ID: id, Body: e.Append(nil)})
	}
	k.send(wire.Frame{Kind: wire.KindEnd, ID: id})
}

func (c *child) message() wire.Child {
	return wire.Child{Key: c.key, PID: c.pid, Start: c.start, Tag: c.tag, FD: c.pidfd}
}

func (k *Keeper) hold(f wire.Frame, keep *int) error {
	m, err := wire.ParseHeld(f.Body)
	if err != nil {
		return err
	}
	if len(f.FDs) == 0 {
		return errNoFD
	}
	*keep = 1
	k.put(m.Name, f.FDs[0])
	if f.ID != 0 {
		k.send(wire.Frame{Kind: wire.KindOK, ID: f.ID})
	}
	return nil
}

// put puts fd on the shelf, in place of what has the name.
func (k *Keeper) put(name string, fd int) {
	k.drop(name)
	k.shelf[name] = fd
}

func (k *Keeper) drop(name string) {
	if fd, ok := k.shelf[name]; ok {
		delete(k.shelf, name)
		fdpass.CloseAll([]int{fd})
	}
}

// log writes a line as the daemon's log has them.
func (k *Keeper) log(text string) {
	b := append([]byte("time="), time.Now().Format(time.RFC3339Nano)...)
	b = append(b, " level=WARN msg="...)
	b = strconv.AppendQuote(b, text)
	b = append(b, " from=keeper\n"...)
	k.catchUp()
	_, _ = os.Stderr.Write(b) // there is nowhere else to say it
}

// catchUp makes stderr, which is the daemon's log, the one that has the name
// now: the daemon puts it aside when it has grown.
func (k *Keeper) catchUp() {
	log, err := k.openLog()
	if err != nil {
		return // the old one is better than none
	}
	_ = unix.Dup3(log, unix.Stderr, 0)
	fdpass.CloseAll([]int{log})
}

func (k *Keeper) openLog() (int, error) {
	return unix.Open(k.home+"/tend.log", unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
}

var (
	errNoFD = errors.New("no descriptor came with the frame")
	errSlot = errors.New("unknown kind of descriptor for the new process, or one that did not come with the frame")
	errPath = errors.New("no path of the program, or not absolute")
)
