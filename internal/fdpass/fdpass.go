// Package fdpass sends packets with file descriptors between two processes
// over a socketpair (SCM_RIGHTS, unix(7)). It keeps the borders of packets and
// knows nothing of what they mean.
package fdpass

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// MaxFDs is how many descriptors one packet may carry: SCM_MAX_FD is 253 on
// Linux, and nobody here needs as many.
const MaxFDs = 16

// Conn is one end of a socketpair. Send may be called by many goroutines at
// once, Recv by one.
type Conn struct {
	fd  int
	f   *os.File // owns fd and has it in the runtime's poller
	raw syscall.RawConn
	oob []byte
}

// NewConn takes over fd, which must be an end of a Pair.
func NewConn(fd int) (*Conn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("set nonblock", err)
	}
	unix.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "fdpass")
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &Conn{fd: fd, f: f, raw: raw, oob: make([]byte, unix.CmsgSpace(MaxFDs*4))}, nil
}

// FD is the descriptor below, for a process that is about to exec. It must not
// be closed; os.File's own Fd would make it blocking for both processes.
func (c *Conn) FD() int { return c.fd }

// Close closes the connection; a Recv that waits returns an error.
func (c *Conn) Close() error { return c.f.Close() }

// Send sends one packet with copies of fds; the caller keeps its own. It
// waits while the peer does not read.
func (c *Conn) Send(data []byte, fds ...int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	var sendErr error
	err := c.raw.Write(func(fd uintptr) bool {
		for {
			sendErr = unix.Sendmsg(int(fd), data, oob, nil, unix.MSG_NOSIGNAL)
			if !errors.Is(sendErr, unix.EINTR) {
				return !errors.Is(sendErr, unix.EAGAIN)
			}
		}
	})
	if err == nil {
		err = os.NewSyscallError("sendmsg", sendErr)
	}
	return err
}

// Recv waits for a packet, puts it into buf and returns its length and its
// descriptors, which the caller owns and which are closed on exec. It returns
// io.EOF when the peer is gone, and an error for a packet larger than buf.
func (c *Conn) Recv(buf []byte) (n int, fds []int, err error) {
	var oobn, flags int
	var recvErr error
	err = c.raw.Read(func(fd uintptr) bool {
		for {
			n, oobn, flags, _, recvErr = unix.Recvmsg(int(fd), buf, c.oob, recvFlags)
			// A peer that died with packets of ours unread shows as
			// ECONNRESET, once and ahead of what it sent before: that is
			// still to be read.
			if !errors.Is(recvErr, unix.EINTR) && !errors.Is(recvErr, unix.ECONNRESET) {
				return !errors.Is(recvErr, unix.EAGAIN)
			}
		}
	})
	switch {
	case err != nil:
		return 0, nil, err
	case recvErr != nil:
		return 0, nil, os.NewSyscallError("recvmsg", recvErr)
	case n == 0:
		return 0, nil, io.EOF
	}
	if fds, err = ParseRights(c.oob[:oobn]); err != nil {
		return 0, nil, err
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		CloseAll(fds)
		return 0, nil, os.NewSyscallError("recvmsg", unix.EMSGSIZE)
	}
	return n, fds, nil
}

// ParseRights is the descriptors in the control data of a recvmsg(2). The caller
// owns them; they are closed on exec.
func ParseRights(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, os.NewSyscallError("parse control message", err)
	}
	var fds []int
	for i := range msgs {
		got, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue // credentials or the like: not asked for, not ours
		}
		fds = append(fds, got...)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd) // where MSG_CMSG_CLOEXEC did not do it
	}
	return fds, nil
}

// CloseAll closes every descriptor of fds.
func CloseAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd) // nothing is written through them that could be lost
	}
}
