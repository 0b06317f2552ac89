package fanout

import (
	"os"

	"golang.org/x/sys/unix"
)

// Create makes the memory of a ring, of at least 4 KiB, closed on exec. It is
// all zeros, and takes a page only when something is written there.
func Create(size int) (fd int, err error) {
	fd, err = unix.MemfdCreate("tend-notices", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	err = os.NewSyscallError("ftruncate", unix.Ftruncate(fd, int64(size)))
	if err == nil {
		// A map of it stays as long as it is: nobody can cut it short under us.
		const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		err = os.NewSyscallError("seal", err)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
