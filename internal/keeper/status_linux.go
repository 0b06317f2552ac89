package keeper

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// statFields reads what follows the command name in /proc/PID/stat: element 0
// is field 3 of proc_pid_stat(5), the state.
func statFields(pid int) ([][]byte, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, err
	}
	// The name may hold spaces and brackets; nothing after it does.
	return bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]), nil
}

// startTicks is when a process started, field 22: with the pid its identity.
func startTicks(pid int) (uint64, error) {
	f, err := statFields(pid)
	if err != nil || len(f) < 20 {
		return 0, err
	}
	return strconv.ParseUint(string(f[19]), 10, 64)
}

// exitStatus is the wait(2) status of a process that ended and was never our
// child. While its parent has not reaped it, field 52 of its stat tells;
// afterwards Linux 6.15 and later tell through the pidfd (PIDFD_GET_INFO).
func exitStatus(pid int, start uint64, pidfd int) (status uint32, known bool) {
	f, err := statFields(pid)
	if err == nil && len(f) >= 50 && string(f[0]) == "Z" && string(f[19]) == strconv.FormatUint(start, 10) {
		if n, err := strconv.ParseUint(string(f[49]), 10, 32); err == nil {
			return uint32(n), true
		}
	}
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if unix.IoctlPidfdInfo(pidfd, &info) == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0 {
		return uint32(info.Exit_code), true //nolint:gosec // the bits of a wait status
	}
	return 0, false
}
