package httpapi

import (
	"net"

	"golang.org/x/sys/unix"
)

// credentials are the user and the process at the other end, as the kernel saw
// them when it connected (SO_PEERCRED, unix(7)).
func credentials(c net.Conn) (uid, pid int, ok bool) {
	uc, isUnix := c.(*net.UnixConn)
	if !isUnix {
		return -1, 0, false
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return -1, 0, false
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || credErr != nil {
		return -1, 0, false
	}
	return int(cred.Uid), int(cred.Pid), true
}
