package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what all threads of a process have used, in user space and in the
// kernel: utime + stime of proc_pid_stat(5), but in nanoseconds. A hundredth
// of a second, the unit there, is a lot for a manager that does nothing.
func cpuTime(pid int) (time.Duration, error) {
	// As clock_getcpuclockid(3) makes it of a pid: the scheduler's clock (2) of
	// a process.
	clock := ^int32(pid)<<3 | 2
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}
