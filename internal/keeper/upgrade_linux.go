package keeper

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/internal/fdpass"
	"tend/internal/keeper/wire"
)

// upgrade becomes another binary in place: same pid, so that children stay
// children, and same descriptors. It returns only when that fails, and then
// nothing has changed.
func (k *Keeper) upgrade(f wire.Frame) error {
	m, err := wire.ParseUpgrade(f.Body)
	if err != nil {
		return err
	}
	if m.Keeper == "" || m.Keeper[0] != '/' || m.Daemon == "" || m.Daemon[0] != '/' {
		return errPath
	}
	state, fds := k.state(f.ID, m.Daemon)
	fd, err := unix.MemfdCreate("tend-keeper", 0) // kept over exec
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	for b := state; len(b) > 0; {
		n, err := unix.Write(fd, b)
		if err != nil {
			fdpass.CloseAll([]int{fd})
			return os.NewSyscallError("write memfd", err)
		}
		b = b[n:]
	}
	setCloseOnExec(fds, false)
	err = syscall.Exec(m.Keeper, []string{"tend-keeper", "resume", "--home=" + k.home, "--fd=" + strconv.Itoa(fd)}, os.Environ())
	setCloseOnExec(fds, true)
	fdpass.CloseAll([]int{fd})
	return &os.PathError{Op: "exec", Path: m.Keeper, Err: err}
}

// state is everything that the keeper knows, as frames, and the descriptors
// that go with it.
func (k *Keeper) state(request uint64, daemonPath string) (state []byte, fds []int) {
	self := wire.Self{
		Request: request, Seq: k.seq, Conn: k.daemon.conn.FD(),
		Daemon: k.daemon.pid, PidFD: k.daemon.pidfd, Path: daemonPath, Quit: k.quit,
	}
	fds = append(fds, self.Conn, self.PidFD)
	state = wire.AppendFrame(state, wire.Frame{Kind: wire.KindSelf, Body: self.Append(nil)})
	for _, c := range k.children {
		fds = append(fds, c.pidfd)
		state = wire.AppendFrame(state, wire.Frame{Kind: wire.KindChild, Body: c.message().Append(nil)})
	}
	for name, fd := range k.shelf {
		fds = append(fds, fd)
		state = wire.AppendFrame(state, wire.Frame{Kind: wire.KindHold, Body: wire.Held{Name: name, FD: fd}.Append(nil)})
	}
	for _, e := range k.exits {
		state = wire.AppendFrame(state, wire.Frame{Kind: wire.KindExit, Body: e.Append(nil)})
	}
	return state, fds
}

// restore is the other side of state.
func (k *Keeper) restore(state []byte) error {
	for len(state) > 0 {
		f, rest, err := wire.CutFrame(state)
		if err != nil {
			return err
		}
		state = rest
		if err := k.restoreFrame(f); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) restoreFrame(f wire.Frame) error {
	switch f.Kind { //nolint:exhaustive // what an older keeper would not know, a newer one may leave out
	case wire.KindSelf:
		m, err := wire.ParseSelf(f.Body)
		if err != nil {
			return err
		}
		return k.restoreSelf(m)
	case wire.KindChild:
		m, err := wire.ParseChild(f.Body)
		if err != nil {
			return err
		}
		unix.CloseOnExec(m.FD)
		return k.take(m, m.FD)
	case wire.KindHold:
		m, err := wire.ParseHeld(f.Body)
		if err != nil {
			return err
		}
		unix.CloseOnExec(m.FD)
		k.shelf[m.Name] = m.FD
	case wire.KindExit:
		m, err := wire.ParseExit(f.Body)
		if err != nil {
			return err
		}
		k.exits = append(k.exits, m)
	}
	return nil
}

func (k *Keeper) restoreSelf(m wire.Self) error {
	conn, err := wire.NewConn(m.Conn)
	if err != nil {
		return err
	}
	unix.CloseOnExec(m.PidFD)
	k.seq, k.quit = m.Seq, m.Quit
	k.daemon = daemon{path: m.Path, pid: m.Daemon, pidfd: m.PidFD, conn: conn, ready: true}
	if !isChild(m.PidFD) {
		if err := k.watch.add(m.PidFD, m.Daemon); err != nil {
			return err
		}
	}
	go k.read(conn)
	k.send(wire.Frame{Kind: wire.KindOK, ID: m.Request})
	return nil
}

func setCloseOnExec(fds []int, on bool) {
	flag := 0
	if on {
		flag = unix.FD_CLOEXEC
	}
	for _, fd := range fds {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, flag) // fails for a closed descriptor only
	}
}
