package tidy

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// ownBinary is the program that runs, even if another has taken its path.
const ownBinary = "/proc/self/exe"

func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL} }

// stepBack lets everybody else go first, on the processor and on the disk.
// Both are properties of a thread (setpriority(2), ioprio_set(2)), and the
// runtime has several already: as a group they are reached all at once. Where
// it does not work, the child is only less polite.
func stepBack() {
	const (
		lowest      = 19
		ofGroup     = 2       // IOPRIO_WHO_PGRP
		idleIOClass = 3 << 13 // IOPRIO_CLASS_IDLE
	)
	_ = unix.Setpgid(0, 0)
	_ = unix.Setpriority(unix.PRIO_PGRP, 0, lowest)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ofGroup, 0, idleIOClass)
}
