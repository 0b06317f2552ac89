package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/fdpass"
	"tend/internal/keeper/wire"
)

// Run hears the keeper until ctx ends, and replaces it when it dies.
func (k *Keeper) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = k.current().Close() })
	defer stop()
	var telling sync.WaitGroup
	defer telling.Wait()
	for {
		conn := k.current()
		err := k.hear(conn)
		_ = conn.Close()
		k.mu.Lock()
		k.settled = false
		k.mu.Unlock()
		telling.Wait()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if k.leaving() {
			// Another would outlive us, and hold the lock of the home for nobody.
			<-ctx.Done()
			return ctx.Err()
		}
		pid, _ := k.PID()
		k.opts.Log.Warn("the keeper is gone, starting another", "pid", pid, "err", err)
		if err := k.replace(ctx); err != nil {
			return err
		}
		// Aside, for the new keeper may have something to say before it has
		// heard everything, and must not wait for us to listen.
		telling.Go(k.tellAll)
	}
}

// leaving tells whether the keeper was told to quit. Who still waits for what it
// was asked then waits in vain.
func (k *Keeper) leaving() bool {
	k.mu.Lock()
	quit, lost := k.quit, k.calls
	if quit {
		k.calls = map[uint64]func(wire.Frame, error){}
	}
	k.mu.Unlock()
	if quit {
		for _, done := range lost {
			done(wire.Frame{}, ErrLost)
		}
	}
	return quit
}

// replace starts a new keeper and hands it everything, again and again until
// it works or ctx ends.
func (k *Keeper) replace(ctx context.Context) error {
	const firstWait, lastWait = 20 * time.Millisecond, 5 * time.Second
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		err := k.handOver()
		if err == nil {
			return nil
		}
		k.opts.Log.Error("start a keeper", "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// handOver starts a new keeper and makes it ours. What it is to hold, tellAll
// tells it.
func (k *Keeper) handOver() error {
	self, err := openPidfd(os.Getpid())
	if err != nil {
		return err
	}
	defer fdpass.CloseAll([]int{self})
	conn, err := k.startKeeper()
	if err != nil {
		return err
	}
	hello, err := k.greet(conn, self)
	if err != nil {
		return fmt.Errorf("greet the new keeper: %w", errors.Join(err, conn.Close()))
	}
	k.mu.Lock()
	k.conn, k.pid, k.exe, k.level, k.settled = conn, hello.PID, hello.Keeper, hello.Level, false
	lost := k.calls
	k.calls = map[uint64]func(wire.Frame, error){}
	k.mu.Unlock()
	for _, done := range lost {
		done(wire.Frame{}, ErrLost)
	}
	return nil
}

// greet tells a new keeper who we are, and hears who it is.
func (k *Keeper) greet(conn *wire.Conn, self int) (wire.Hello, error) {
	k.mu.Lock()
	hello := wire.Hello{PID: os.Getpid(), Daemon: k.opts.Daemon, Seq: k.seq}
	k.mu.Unlock()
	if err := conn.Write(wire.Frame{Kind: wire.KindHello, Body: hello.Append(nil), FDs: []int{self}}); err != nil {
		return hello, err
	}
	f, err := conn.Read()
	if err != nil {
		return hello, err
	}
	fdpass.CloseAll(f.FDs)
	if f.Kind != wire.KindHello {
		return hello, errFrame
	}
	return wire.ParseHello(f.Body)
}

// tellAll hands everything to a new keeper. When that fails, the keeper is
// dying again, and Run notices.
func (k *Keeper) tellAll() {
	conn := k.current()
	k.mu.Lock()
	names := slices.Collect(maps.Keys(k.shelf))
	keys := slices.Collect(maps.Keys(k.children))
	k.mu.Unlock()
	for _, key := range keys {
		k.give(conn, wire.KindChild, func() (int, []byte, bool) {
			c, ok := k.children[key]
			return c.pidfd, c.Append(nil), ok
		})
	}
	for _, name := range names {
		k.give(conn, wire.KindHold, func() (int, []byte, bool) {
			fd, ok := k.shelf[name]
			return fd, wire.Held{Name: name}.Append(nil), ok
		})
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settled = conn == k.conn
}

// Settled tells whether the keeper holds everything: it does not while it is
// being replaced.
func (k *Keeper) Settled() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.settled
}

// give sends what find finds, where it is still there. find is called under
// the lock; what is sent is a copy, for the original may be dropped meanwhile.
func (k *Keeper) give(conn *wire.Conn, kind wire.Kind, find func() (fd int, body []byte, ok bool)) {
	k.mu.Lock()
	fd, body, ok := find()
	if ok {
		var err error
		fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		ok = err == nil
	}
	k.mu.Unlock()
	if !ok {
		return
	}
	_ = conn.Write(wire.Frame{Kind: kind, Body: body, FDs: []int{fd}}) // as in ask
	fdpass.CloseAll([]int{fd})
}

// startKeeper starts the keeper's binary on a new connection.
func (k *Keeper) startKeeper() (*wire.Conn, error) {
	ours, theirs, err := fdpass.Pair()
	if err != nil {
		return nil, err
	}
	conn, err := wire.NewConn(ours)
	if err != nil {
		fdpass.CloseAll([]int{ours, theirs})
		return nil, err
	}
	end := os.NewFile(uintptr(theirs), "keeper")
	defer end.Close()
	_, exe := k.PID()
	p, err := os.StartProcess(exe, []string{"tend-keeper", "adopt", "--home=" + k.opts.Home, "--fd=3"}, &os.ProcAttr{
		Dir: "/", Files: []*os.File{nil, os.Stderr, os.Stderr, end}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	old := k.started
	k.started = p
	if old != nil {
		_, _ = old.Wait() // its connection has ended, so it is ending: no zombie stays behind
	}
	return conn, nil
}
