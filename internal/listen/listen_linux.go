package listen

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// defaultBacklog is Node's.
const defaultBacklog = 511

// Open binds a socket to the address and, unless it is one for datagrams,
// listens. Errors are plain errnos in what they wrap: they are for the app.
func Open(a Address) (fd int, err error) {
	switch {
	case a.Kind == Unix:
		err = a.As.do(func() (err error) { fd, err = openUnix(a); return err })
		return fd, err
	case a.Host != "":
		return openInet(a, a.Host)
	}
	fd, err = openInet(a, "::")
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EINVAL) {
		return openInet(a, "0.0.0.0") // there is no IPv6 here
	}
	return fd, err
}

func openInet(a Address, host string) (fd int, err error) {
	ip, err := netip.ParseAddr(host)
	if err != nil || a.Port < 0 || a.Port > 0xffff {
		return -1, unix.EINVAL
	}
	var to unix.Sockaddr
	domain := unix.AF_INET
	if ip.Is4() {
		to = &unix.SockaddrInet4{Addr: ip.As4(), Port: a.Port}
	} else {
		domain = unix.AF_INET6
		to = &unix.SockaddrInet6{Addr: ip.As16(), Port: a.Port, ZoneId: zone(ip.Zone())}
	}
	kind := unix.SOCK_STREAM
	if a.Kind == UDP {
		kind = unix.SOCK_DGRAM
	}
	fd, err = unix.Socket(domain, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer closeUnless(&err, fd)
	options := []struct {
		level, name int
		on          bool
	}{
		// As libuv: a port in TIME_WAIT is free.
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, a.Kind == TCP || a.ReuseAddr},
		{unix.SOL_SOCKET, unix.SO_REUSEPORT, a.Reuseport},
	}
	for _, o := range options {
		if !o.on {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.name, 1); err != nil {
			return -1, err
		}
	}
	if domain == unix.AF_INET6 { // also where it is off: the machine's default may be on
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, number(a.V6Only)); err != nil {
			return -1, err
		}
	}
	if err := unix.Bind(fd, to); err != nil {
		return -1, err
	}
	if a.Kind == UDP {
		return fd, nil
	}
	return fd, unix.Listen(fd, backlog(a))
}

func backlog(a Address) int {
	if a.Backlog <= 0 {
		return defaultBacklog
	}
	return a.Backlog
}

func number(on bool) int {
	if on {
		return 1
	}
	return 0
}

// closeUnless closes fd when the function that opened it fails.
func closeUnless(err *error, fd int) {
	if *err != nil {
		_ = unix.Close(fd)
	}
}

func zone(name string) uint32 {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n)
	}
	if i, err := net.InterfaceByName(name); err == nil {
		return uint32(i.Index) //nolint:gosec // a small positive number
	}
	return 0
}

func openUnix(a Address) (fd int, err error) {
	if !filepath.IsAbs(a.Path) || strings.ContainsRune(a.Path, 0) { // the kernel would end it at the zero
		return -1, unix.EINVAL
	}
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer closeUnless(&err, fd)
	err = atPath(a.Path, func(to *unix.SockaddrUnix) error { return unix.Bind(fd, to) })
	if errors.Is(err, unix.EADDRINUSE) && removeDead(a) {
		err = atPath(a.Path, func(to *unix.SockaddrUnix) error { return unix.Bind(fd, to) })
	}
	if errors.Is(err, unix.ENOENT) {
		err = unix.EACCES // libuv says so on every system
	}
	if err != nil {
		return -1, err
	}
	if err := allow(a); err != nil {
		return -1, err
	}
	return fd, unix.Listen(fd, backlog(a))
}

// longestPath is what an address of a unix socket holds (unix(7)).
const longestPath = 107

// atPath calls f with the address of path. A longer one than an address holds
// is named by way of its directory.
func atPath(path string, f func(to *unix.SockaddrUnix) error) error {
	if len(path) <= longestPath {
		return f(&unix.SockaddrUnix{Name: path})
	}
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	short := "/proc/self/fd/" + strconv.Itoa(dir) + "/" + filepath.Base(path)
	if len(short) > longestPath {
		return unix.ENAMETOOLONG
	}
	return f(&unix.SockaddrUnix{Name: short})
}

// removeDead removes a socket of ours that nobody listens on any more: a
// manager that was killed together with its keeper leaves them behind, and an
// app could never listen there again.
func removeDead(a Address) bool {
	path := a.Path
	fi, err := os.Lstat(path)
	if err != nil || fi.Mode().Type() != fs.ModeSocket {
		return false
	}
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || int(st.Uid) != a.As.id() {
		return false
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	err = atPath(path, func(to *unix.SockaddrUnix) error { return unix.Connect(fd, to) })
	return errors.Is(err, unix.ECONNREFUSED) && os.Remove(path) == nil
}

// allow gives everybody the rights that were asked for (uv_pipe_chmod).
func allow(a Address) error {
	var more fs.FileMode
	if a.Readable {
		more |= 0o444
	}
	if a.Writable {
		more |= 0o222
	}
	if more == 0 {
		return nil
	}
	fi, err := os.Stat(a.Path)
	if err != nil {
		return err
	}
	return os.Chmod(a.Path, fi.Mode().Perm()|more)
}

// Name is what a TCP or UDP socket is bound to: an IP literal, "IPv4" or
// "IPv6", and the port.
func Name(fd int) (host, family string, port int, err error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return "", "", 0, err
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(name.Addr).String(), "IPv4", name.Port, nil
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(name.Addr).String(), "IPv6", name.Port, nil
	}
	return "", "", 0, unix.EAFNOSUPPORT
}

// Taken tells whether somebody listens on the TCP address already, also with
// SO_REUSEPORT, which would let us bind beside him without a word.
func Taken(a Address) error {
	a.Reuseport = false
	fd, err := Open(a)
	if err == nil {
		err = unix.Close(fd)
	}
	return err
}

// Remove removes the file of a unix socket, where it is one.
func Remove(path string, as *User) error {
	return as.do(func() error {
		fi, err := os.Lstat(path)
		if err != nil || fi.Mode().Type() != fs.ModeSocket {
			return err // something else took its place: not ours
		}
		return os.Remove(path)
	})
}

// do does f with the rights that the user has in the file system. They belong
// to the thread (setfsuid(2)).
func (u *User) do(f func() error) error {
	if u == nil || u.UID == os.Geteuid() {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	gid, _ := unix.SetfsgidRetGid(u.GID)
	defer unix.SetfsgidRetGid(gid) //nolint:errcheck // it cannot fail, and tells no failure
	uid, _ := unix.SetfsuidRetUid(u.UID)
	defer unix.SetfsuidRetUid(uid)                       //nolint:errcheck // as above
	if now, _ := unix.SetfsuidRetUid(-1); now != u.UID { // which tells who it is
		return unix.EPERM
	}
	return f()
}

func (u *User) id() int {
	if u == nil {
		return os.Geteuid()
	}
	return u.UID
}
