package keeper

import (
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/fdpass"
	"tend/internal/keeper/wire"
)

// daemon is the daemon that the keeper serves now.
type daemon struct {
	path    string // its binary
	pid     int    // 0: none
	pidfd   int
	conn    *wire.Conn
	started time.Time
	ready   bool // it said that it serves
	crashed bool // the last one did
	crashes int  // in a row
}

const (
	// A daemon that lived this long before it crashed has recovered from
	// whatever made the last one crash.
	daemonSteady = 10 * time.Second
	// The wait before the second crash in a row is answered doubles up to the
	// last of these.
	firstDelay = 50 * time.Millisecond
	lastDelay  = 5 * time.Second
)

// startDaemon starts the daemon on a new connection, or tries again later.
func (k *Keeper) startDaemon() {
	err := k.tryStartDaemon()
	if err == nil {
		return
	}
	k.log("start the daemon " + k.daemon.path + ": " + err.Error())
	k.daemonFailed()
}

func (k *Keeper) tryStartDaemon() error {
	ours, theirs, err := fdpass.Pair()
	if err != nil {
		return err
	}
	defer fdpass.CloseAll([]int{theirs})
	conn, err := wire.NewConn(ours)
	if err != nil {
		fdpass.CloseAll([]int{ours})
		return err
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer fdpass.CloseAll([]int{null})
	log, err := k.openLog()
	if err != nil {
		log = null // a full or broken disk must not keep the daemon away
	} else {
		defer fdpass.CloseAll([]int{log})
	}
	pidfd := -1
	pid, err := syscall.ForkExec(k.daemon.path, []string{"tend-daemon", "--keeper-fd=3"}, &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(),
		Files: []uintptr{uintptr(null), uintptr(log), uintptr(log), uintptr(theirs)},
		Sys:   &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd},
	})
	if err != nil {
		_ = conn.Close()
		return err
	}
	k.daemon.pid, k.daemon.pidfd, k.daemon.conn = pid, pidfd, conn
	k.daemon.started, k.daemon.ready, k.daemon.crashed = time.Now(), false, false
	go k.read(conn)
	return nil
}

// read hands what a daemon says to run, one frame at a time, until the
// connection ends.
func (k *Keeper) read(conn *wire.Conn) {
	next := make(chan struct{})
	for {
		f, err := conn.Read()
		k.frames <- incoming{from: conn, frame: f, err: err, next: next}
		if err != nil {
			return
		}
		<-next
	}
}

// daemonEnded notes the end of the daemon. What it said before is still in its
// connection, descriptors among it that nobody else holds: the next daemon is
// started when all of that was heard.
func (k *Keeper) daemonEnded(known bool, status uint32) {
	k.watch.remove(k.daemon.pidfd)
	fdpass.CloseAll([]int{k.daemon.pidfd})
	k.daemon.pid, k.daemon.pidfd = 0, -1
	ws := unix.WaitStatus(status)
	// A daemon that served and was killed from outside, or left on purpose,
	// has not crashed.
	k.daemon.crashed = !k.daemon.ready || known && !(ws.Signaled() && ws.Signal() == unix.SIGKILL) && !(ws.Exited() && ws.ExitStatus() == 0)
	if !k.quit {
		k.log("the daemon ended: " + describe(ws, known))
	}
	if k.daemon.conn == nil {
		k.nextDaemon()
	}
}

// nextDaemon starts the next daemon: at once, or with growing waits while they
// crash one after the other.
func (k *Keeper) nextDaemon() {
	switch {
	case k.quit:
	case k.daemon.path == "":
		k.quit = true // it ended before it could tell us anything
	case k.daemon.crashed:
		k.daemonFailed()
	default:
		k.daemon.crashes = 0
		k.startDaemon()
	}
}

// daemonFailed counts a daemon that crashed or did not start. The very first
// daemon of a keeper that holds nothing is not tried again: whoever started
// us waits for an answer.
func (k *Keeper) daemonFailed() {
	if k.ready >= 0 && len(k.children) == 0 {
		k.tellReady("failed\n")
		k.quit = true
		return
	}
	if time.Since(k.daemon.started) > daemonSteady {
		k.daemon.crashes = 0
	}
	delay := time.Duration(0)
	if n := k.daemon.crashes; n > 0 {
		delay = min(firstDelay<<min(n-1, 10), lastDelay)
	}
	k.daemon.crashes++
	k.again = time.After(delay)
}

func (k *Keeper) closeConn() {
	if k.daemon.conn != nil {
		_ = k.daemon.conn.Close() // nothing of ours is in it
		k.daemon.conn = nil
	}
}

// tellReady answers whoever started the keeper and waits.
func (k *Keeper) tellReady(text string) {
	if k.ready >= 0 {
		_, _ = unix.Write(k.ready, []byte(text)) // it may have stopped waiting
		fdpass.CloseAll([]int{k.ready})
		k.ready = -1
	}
}

func describe(ws unix.WaitStatus, known bool) string {
	switch {
	case !known:
		return "its exit status is unknown"
	case ws.Signaled():
		return "signal " + strconv.Itoa(int(ws.Signal()))
	default:
		return "exit status " + strconv.Itoa(ws.ExitStatus())
	}
}
