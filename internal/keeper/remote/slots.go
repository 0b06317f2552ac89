package remote

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/internal/fdpass"
	"tend/internal/keeper/wire"
)

// ends makes what a slot stands for: the end that stays with us, which does not
// block, and the one of the process. That ours does not block is a property of
// this end alone: each is a file description of its own.
func ends(slot wire.Slot) (ours, its int, err error) {
	var p [2]int
	switch slot {
	case wire.SlotPipe:
		p, err = make2("pipe", unix.Pipe)
		ours, its = p[0], p[1]
	case wire.SlotInput:
		p, err = make2("pipe", unix.Pipe)
		ours, its = p[1], p[0]
	case wire.SlotChannel:
		p, err = make2("socketpair", pair)
		ours, its = p[0], p[1]
	default:
		return -1, -1, fmt.Errorf("there are no ends of slot %d", slot)
	}
	if err != nil {
		return -1, -1, err
	}
	if err := unix.SetNonblock(ours, true); err != nil {
		fdpass.CloseAll(p[:])
		return -1, -1, os.NewSyscallError("set nonblock", err)
	}
	return ours, its, nil
}

// make2 makes two descriptors that no process inherits.
func make2(call string, f func([]int) error) (p [2]int, err error) {
	syscall.ForkLock.RLock() // no process may inherit them in between
	defer syscall.ForkLock.RUnlock()
	if err := f(p[:]); err != nil {
		return p, os.NewSyscallError(call, err)
	}
	unix.CloseOnExec(p[0])
	unix.CloseOnExec(p[1])
	return p, nil
}

func pair(p []int) error {
	made, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	copy(p, made[:])
	return err
}
