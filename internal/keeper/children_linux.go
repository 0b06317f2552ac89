package keeper

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/fdpass"
	"tend/internal/keeper/wire"
)

// spawn starts a process and answers with its pid and pidfd.
func (k *Keeper) spawn(f wire.Frame, m wire.Spawn) error {
	if c, ok := k.children[m.Key]; ok {
		k.answerSpawn(f.ID, c) // asked again by a daemon that did not hear us
		return nil
	}
	if m.Path == "" || m.Path[0] != '/' {
		return errPath
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/dev/null", Err: err}
	}
	defer fdpass.CloseAll([]int{null})
	files, pipes, err := slots(m.Slots, f.FDs, null)
	if err != nil {
		return err
	}
	// On the shelf before the process is there: whatever it writes is kept.
	for n, fd := range pipes {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("dup", err)
		}
		k.put(wire.PipeName(m.Key, n), own)
	}

	pidfd := -1
	pid, err := fork(m, f.Body, files, &pidfd)
	if err != nil {
		for n := range pipes {
			k.drop(wire.PipeName(m.Key, n))
		}
		return err
	}

	// pidfd is -1 where the kernel or a sandbox lacks it; without it nothing
	// else here works either, so there is no second way.
	c := &child{key: m.Key, pid: pid, pidfd: pidfd, tag: m.Tag}
	c.start, _ = startTicks(pid) // the process is ours to reap: it is still there
	k.children[c.key], k.byPID[pid] = c, c
	k.answerSpawn(f.ID, c)
	return nil
}

func (k *Keeper) answerSpawn(id uint64, c *child) {
	k.send(wire.Frame{Kind: wire.KindSpawned, ID: id, Body: c.message().Append(nil), FDs: []int{c.pidfd}})
}

// slots finds what a new process gets as descriptors 0, 1, 2, ... among fds,
// and our ends of its pipes and sockets, by the number of the descriptor.
func slots(list []wire.Slot, fds []int, null int) (files []uintptr, pipes map[int]int, err error) {
	pipes = map[int]int{}
	for n, s := range list {
		switch s {
		case wire.SlotNull:
			files = append(files, uintptr(null))
		case wire.SlotPipe, wire.SlotInput, wire.SlotChannel:
			if len(fds) < 2 {
				return nil, nil, errSlot
			}
			files = append(files, uintptr(fds[0]))
			pipes[n] = fds[1]
			fds = fds[2:]
		default:
			return nil, nil, errSlot
		}
	}
	return files, pipes, nil
}

// adopt takes a process that a keeper before us started. It is not our child:
// its end is seen through its pidfd.
func (k *Keeper) adopt(f wire.Frame, keep *int) error {
	m, err := wire.ParseChild(f.Body)
	if err != nil {
		return err
	}
	if len(f.FDs) == 0 {
		return errNoFD
	}
	*keep = 1
	return k.take(m, f.FDs[0])
}

func (k *Keeper) take(m wire.Child, pidfd int) error {
	c := &child{key: m.Key, pid: m.PID, start: m.Start, pidfd: pidfd, tag: m.Tag}
	c.foreign = !isChild(c.pidfd)
	k.children[c.key], k.byPID[c.pid] = c, c
	if c.foreign {
		return k.watch.add(c.pidfd, c.pid)
	}
	return nil
}

// isChild tells whether we may wait for the process: waitid(2) on the pidfd
// fails with ECHILD for anybody else's.
func isChild(pidfd int) bool {
	err := unix.Waitid(unix.P_PIDFD, pidfd, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil
}

// reap collects every child that ended: apps, the daemon, and orphans that
// became ours.
func (k *Keeper) reap() {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		k.ended(pid, true, uint32(ws))
	}
}

// foreignExit is the end of a process that is not our child.
func (k *Keeper) foreignExit(pid int) {
	var pidfd int
	var start uint64
	switch c, ok := k.byPID[pid]; {
	case ok:
		pidfd, start = c.pidfd, c.start
	case pid == k.daemon.pid:
		pidfd = k.daemon.pidfd
	default:
		return
	}
	status, known := exitStatus(pid, start, pidfd)
	k.ended(pid, known, status)
}

func (k *Keeper) ended(pid int, known bool, status uint32) {
	if pid == k.daemon.pid {
		k.daemonEnded(known, status)
		return
	}
	c, ok := k.byPID[pid]
	if !ok {
		return // an orphan of some app: nobody asks for it
	}
	delete(k.byPID, pid)
	delete(k.children, c.key)
	if c.foreign {
		k.watch.remove(c.pidfd)
	}
	fdpass.CloseAll([]int{c.pidfd})
	k.seq++
	e := wire.Exit{
		Seq: k.seq, Key: c.key, PID: pid, Known: known, Status: status,
		At: uint64(time.Now().UnixNano()), //nolint:gosec // after 1970
	}
	k.exits = append(k.exits, e)
	k.send(wire.Frame{Kind: wire.KindExit, Body: e.Append(nil)})
}

func (k *Keeper) ack(seq uint64) {
	for i, e := range k.exits {
		if e.Seq == seq {
			k.exits = append(k.exits[:i], k.exits[i+1:]...)
			return
		}
	}
}
