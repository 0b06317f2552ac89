package wire

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// MemFile makes a file in memory that holds data and is closed on exec.
func MemFile(data []byte) (int, error) {
	fd, err := unix.MemfdCreate("tend", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err != nil {
			_ = unix.Close(fd)
			return -1, os.NewSyscallError("write memfd", err)
		}
		data = data[n:]
	}
	return fd, nil
}

// readFile reads size bytes from the start of fd.
func readFile(fd, size int) ([]byte, error) {
	b := make([]byte, size)
	for n := 0; n < size; {
		m, err := unix.Pread(fd, b[n:], int64(n))
		if err != nil {
			return nil, os.NewSyscallError("read memfd", err)
		}
		if m == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		n += m
	}
	return b, nil
}
