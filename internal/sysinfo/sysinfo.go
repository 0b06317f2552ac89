// Package sysinfo knows the processes of this machine: who they are, who
// descends from whom, what they use, and how to signal or await exactly one of
// them. It reads; of itself it keeps nothing but the last look, and it decides
// nothing.
//
// A pid is reused by the kernel as soon as it is free, so nothing here trusts
// a pid alone: see [Identity] and [Process].
package sysinfo

import "errors"

// Identity names one process for as long as the machine runs, and tells after
// a reboot that the process cannot be there any more.
type Identity struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start_ticks"` // clock ticks after the boot
	Boot  string `json:"boot_id"`
}

// Identify reads which process has this pid now. Where none has, the error is
// os.ErrProcessDone.
func Identify(pid int) (Identity, error) {
	boot, err := BootID()
	if err != nil {
		return Identity{}, err
	}
	p, err := readProc(pid)
	if err != nil {
		return Identity{}, err
	}
	return Identity{PID: pid, Start: p.Start, Boot: boot}, nil
}

// Alive tells whether that very process is still there and has not ended: a
// zombie is not alive.
func (id Identity) Alive() bool {
	p, err := current(id)
	return err == nil && !p.Ended()
}

func (id Identity) identity() Identity { return id }

// Proc is what one look saw of a process.
type Proc struct {
	PID, PPID, PGID, SID int
	State                byte   // 'R', 'S', 'D', 'Z', ... as proc_pid_stat(5) has them
	Threads              int    // of the process, the first one included
	Start                uint64 // clock ticks after the boot
	CPU                  uint64 // clock ticks used, by user and system, own only
	RSS                  int64  // resident bytes, shared ones included
}

// Ended tells that the process is over and only waits for its parent to
// notice. A process whose first thread has left others behind looks like a
// zombie too, but lives.
func (p Proc) Ended() bool {
	switch p.State {
	case 'Z':
		return p.Threads <= 1
	case 'X', 'x':
		return true
	}
	return false
}

func (p Proc) identity() Identity { return Identity{PID: p.PID, Start: p.Start} }

// Process is what names one process for sure: an [Identity], or a [Proc] of
// the boot that lasts.
type Process interface{ identity() Identity }

// errOther says that a pid has gone to another process.
var errOther = errors.New("the pid belongs to another process now")

// current reads the process that p names, or tells by errOther or
// os.ErrProcessDone that it is gone.
func current(p Process) (Proc, error) {
	id := p.identity()
	if id.Boot != "" {
		boot, err := BootID()
		if err != nil {
			return Proc{}, err
		}
		if boot != id.Boot {
			return Proc{}, errOther
		}
	}
	now, err := readProc(id.PID)
	if err != nil {
		return Proc{}, err
	}
	if now.Start != id.Start {
		return Proc{}, errOther
	}
	return now, nil
}
