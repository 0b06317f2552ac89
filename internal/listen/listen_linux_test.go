package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tend/internal/testkit"
)

// open opens what is to be closed at the end.
func open(t *testing.T, a Address) int {
	t.Helper()
	fd, err := Open(a)
	if err != nil {
		t.Fatalf("open %+v: %v", a, err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func portOf(t *testing.T, fd int) int {
	t.Helper()
	_, _, port, err := Name(fd)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func option(t *testing.T, fd, level, name int) int {
	t.Helper()
	n, err := unix.GetsockoptInt(fd, level, name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func needIPv6(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	l.Close()
}

// dialed tells whether a client reaches the address.
func dialed(network, address string) error {
	conn, err := net.Dial(network, address)
	if err == nil {
		err = conn.Close()
	}
	return err
}

func TestTCP(t *testing.T) {
	needIPv6(t)
	for name, tt := range map[string]struct {
		address      Address
		host, family string
		v4, v6       bool // a client reaches it
	}{
		"no host is both families":   {Address{}, "::", "IPv6", true, true},
		"no host, but IPv6 alone":    {Address{V6Only: true}, "::", "IPv6", false, true},
		"all of IPv6, with IPv4":     {Address{Host: "::"}, "::", "IPv6", true, true},
		"all of IPv6 alone":          {Address{Host: "::", V6Only: true}, "::", "IPv6", false, true},
		"all of IPv4":                {Address{Host: "0.0.0.0"}, "0.0.0.0", "IPv4", true, false},
		"loopback":                   {Address{Host: "127.0.0.1"}, "127.0.0.1", "IPv4", true, false},
		"loopback of IPv6":           {Address{Host: "::1"}, "::1", "IPv6", false, true},
		"IPv6 alone means not IPv4":  {Address{Host: "127.0.0.1", V6Only: true}, "127.0.0.1", "IPv4", true, false},
		"loopback, with a zone":      {Address{Host: "::1%lo"}, "::1", "IPv6", false, true},
		"loopback, a zone by number": {Address{Host: "::1%1"}, "::1", "IPv6", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			fd := open(t, tt.address)
			host, family, port, err := Name(fd)
			if err != nil || host != tt.host || family != tt.family || port == 0 {
				t.Errorf("it is %s, %s, %d, %v; want %s, %s", host, family, port, err, tt.host, tt.family)
			}
			for address, want := range map[string]bool{"127.0.0.1": tt.v4, "::1": tt.v6} {
				err := dialed("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
				if (err == nil) != want || err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("a client of %s: %v, want it to be reached: %v", address, err, want)
				}
			}
			if option(t, fd, unix.SOL_SOCKET, unix.SO_REUSEADDR) != 1 || option(t, fd, unix.SOL_SOCKET, unix.SO_REUSEPORT) != 0 {
				t.Error("its options are not those of libuv")
			}
			if option(t, fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN) != 1 {
				t.Error("it does not listen")
			}
		})
	}
}

// TestLinkLocal needs an address that means nothing without its zone.
func TestLinkLocal(t *testing.T) {
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			ip, err := netip.ParsePrefix(a.String())
			if err != nil || !ip.Addr().Is6() || !ip.Addr().IsLinkLocalUnicast() {
				continue
			}
			fd := open(t, Address{Host: ip.Addr().WithZone(i.Name).String()})
			if host, _, _, _ := Name(fd); host != ip.Addr().String() {
				t.Errorf("it is %s, want %s", host, ip.Addr())
			}
			return
		}
	}
	t.Skip("no interface has a link-local address")
}

func TestPort(t *testing.T) {
	first := portOf(t, open(t, Address{Host: "127.0.0.1"}))
	second := portOf(t, open(t, Address{Host: "127.0.0.1"}))
	if first == second {
		t.Errorf("any port is %d twice", first)
	}
	free := open(t, Address{Host: "127.0.0.1"})
	port := portOf(t, free)
	_ = unix.Close(free)
	if got := portOf(t, open(t, Address{Host: "127.0.0.1", Port: port})); got != port {
		t.Errorf("port %d is %d", port, got)
	}
}

// TestNoPortWaitsForTheDead closes a connection first, which leaves its port in
// TIME_WAIT.
func TestNoPortWaitsForTheDead(t *testing.T) {
	fd := open(t, Address{Host: "127.0.0.1"})
	port := portOf(t, fd)
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	accepted, _, err := unix.Accept(fd)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(accepted)
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still there")
	}
	_ = conn.Close()
	_ = unix.Close(fd)
	open(t, Address{Host: "127.0.0.1", Port: port})
}

func TestRefused(t *testing.T) {
	taken := portOf(t, open(t, Address{}))
	shared := portOf(t, open(t, Address{Reuseport: true}))
	datagrams := portOf(t, open(t, Address{Kind: UDP, Host: "127.0.0.1"}))
	dir := testkit.Home(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	dead := filepath.Join(dir, "dead")
	leaveDead(t, dead)
	if err := os.Symlink(dead, link); err != nil {
		t.Fatal(err)
	}
	live := filepath.Join(dir, "live")
	open(t, Address{Kind: Unix, Path: live})
	for name, tt := range map[string]struct {
		address Address
		want    syscall.Errno
	}{
		"a port that is taken":                     {Address{Port: taken}, syscall.EADDRINUSE},
		"taken for one address":                    {Address{Host: "127.0.0.1", Port: taken}, syscall.EADDRINUSE},
		"shared by him, not by us":                 {Address{Port: shared}, syscall.EADDRINUSE},
		"shared by us, not by him":                 {Address{Port: taken, Reuseport: true}, syscall.EADDRINUSE},
		"datagrams on a taken port":                {Address{Kind: UDP, Host: "127.0.0.1", Port: datagrams}, syscall.EADDRINUSE},
		"datagrams that would share it":            {Address{Kind: UDP, Host: "127.0.0.1", Port: datagrams, ReuseAddr: true}, syscall.EADDRINUSE},
		"an address of another machine":            {Address{Host: "192.0.2.1"}, syscall.EADDRNOTAVAIL},
		"an address of another machine, datagrams": {Address{Kind: UDP, Host: "192.0.2.1"}, syscall.EADDRNOTAVAIL},
		"a name for a host":                        {Address{Host: "localhost"}, syscall.EINVAL},
		"a negative port":                          {Address{Port: -1}, syscall.EINVAL},
		"a port that is too large":                 {Address{Port: 65536}, syscall.EINVAL},
		"no path":                                  {Address{Kind: Unix}, syscall.EINVAL},
		"a path from here":                         {Address{Kind: Unix, Path: "here"}, syscall.EINVAL},
		"an abstract path":                         {Address{Kind: Unix, Path: "@x"}, syscall.EINVAL},
		"a path with a zero":                       {Address{Kind: Unix, Path: dir + "/a\x00b"}, syscall.EINVAL},
		"a path in nothing":                        {Address{Kind: Unix, Path: dir + "/no/a"}, syscall.EACCES},
		"a long path in nothing":                   {Address{Kind: Unix, Path: dir + "/" + strings.Repeat("n", 120) + "/a"}, syscall.EACCES},
		"a path whose end is too long":             {Address{Kind: Unix, Path: dir + "/" + strings.Repeat("n", 108)}, syscall.ENAMETOOLONG},
		"a path that is a file":                    {Address{Kind: Unix, Path: file}, syscall.EADDRINUSE},
		"a path that is a directory":               {Address{Kind: Unix, Path: dir}, syscall.EADDRINUSE},
		"a link to a dead socket":                  {Address{Kind: Unix, Path: link}, syscall.EADDRINUSE},
		"a path that somebody listens on":          {Address{Kind: Unix, Path: live}, syscall.EADDRINUSE},
	} {
		t.Run(name, func(t *testing.T) {
			before := testkit.Descriptors(t)
			fd, err := Open(tt.address)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %d, %v; want %v", fd, err, tt.want)
			}
			if after := testkit.Descriptors(t); after != before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("the file in the way holds %q, %v", text, err)
	}
	if err := dialed("unix", live); err != nil {
		t.Errorf("the socket that was listened on: %v", err)
	}
	for _, path := range []string{dead, link} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestPrivilegedPort(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may listen anywhere")
	}
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err != nil || strings.TrimSpace(string(text)) != "1024" {
		t.Skip("everybody may listen on low ports here")
	}
	if _, err := Open(Address{Host: "127.0.0.1", Port: 81}); !errors.Is(err, syscall.EACCES) {
		t.Errorf("got %v, want EACCES", err)
	}
}

func TestReuseport(t *testing.T) {
	first := open(t, Address{Host: "127.0.0.1", Reuseport: true})
	a := Address{Host: "127.0.0.1", Port: portOf(t, first), Reuseport: true}
	open(t, a)
	open(t, a)
}

func TestTaken(t *testing.T) {
	free := open(t, Address{})
	port := portOf(t, free)
	_ = unix.Close(free)
	for name, reuseport := range map[string]bool{"alone": false, "shared": true} {
		t.Run(name, func(t *testing.T) {
			a := Address{Port: port, Reuseport: true}
			before := testkit.Descriptors(t)
			if err := Taken(a); err != nil {
				t.Errorf("port %d is free, and: %v", port, err)
			}
			fd := open(t, Address{Port: port, Reuseport: reuseport}) // also: Taken left nothing behind
			if err := Taken(a); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("port %d is taken, and: %v", port, err)
			}
			_ = unix.Close(fd)
			if after := testkit.Descriptors(t); after != before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
}

func TestUDP(t *testing.T) {
	for name, tt := range map[string]struct{ first, second Address }{
		"with the address": {Address{ReuseAddr: true}, Address{ReuseAddr: true}},
		"with the port":    {Address{Reuseport: true}, Address{Reuseport: true}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.first.Kind, tt.first.Host = UDP, "127.0.0.1"
			tt.second.Kind, tt.second.Host = UDP, "127.0.0.1"
			tt.second.Port = portOf(t, open(t, tt.first))
			open(t, tt.second)
		})
	}
	fd := open(t, Address{Kind: UDP, Host: "127.0.0.1"})
	if option(t, fd, unix.SOL_SOCKET, unix.SO_REUSEADDR) != 0 || option(t, fd, unix.SOL_SOCKET, unix.SO_TYPE) != unix.SOCK_DGRAM {
		t.Error("its options are not those of libuv")
	}
	conn, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", portOf(t, fd)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 9)
	if n, _, err := unix.Recvfrom(fd, got, 0); err != nil || string(got[:n]) != "hello" {
		t.Errorf("got %q, %v", got[:max(n, 0)], err)
	}
}

func TestUDPOfBothFamilies(t *testing.T) {
	needIPv6(t)
	for _, only := range []bool{false, true} {
		fd := open(t, Address{Kind: UDP, Host: "::", V6Only: only})
		if got := option(t, fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); got != number(only) {
			t.Errorf("IPV6_V6ONLY is %d, want %v", got, only)
		}
	}
}

// leaveDead leaves a socket that nobody listens on.
func leaveDead(t *testing.T, path string) {
	t.Helper()
	fd, err := Open(Address{Kind: Unix, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(fd)
}

func TestUnix(t *testing.T) {
	dir := testkit.Home(t)
	for name, path := range map[string]string{
		"short":                  "a",
		"as long as may be":      strings.Repeat("b", longestPath-len(dir)-1),
		"one longer":             strings.Repeat("c", longestPath-len(dir)),
		"in a deep directory":    strings.Repeat("d", 100) + "/" + strings.Repeat("e", 100) + "/a",
		"with a space and a nut": "ü x",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			before := testkit.Descriptors(t)
			leaveDead(t, path) // and then take its place
			fd := open(t, Address{Kind: Unix, Path: path})
			if fi, err := os.Lstat(path); err != nil || fi.Mode().Type() != fs.ModeSocket {
				t.Fatalf("%v, %v", fi, err)
			}
			if _, err := Open(Address{Kind: Unix, Path: path}); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("one that is listened on was opened again: %v", err)
			}
			if after := testkit.Descriptors(t); after != before+1 {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
			client, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(client)
			if err := atPath(path, func(to *unix.SockaddrUnix) error { return unix.Connect(client, to) }); err != nil {
				t.Errorf("a client: %v", err)
			}
			if _, _, _, err := Name(fd); err == nil {
				t.Error("it has a port")
			}
		})
	}
}

// TestUnixFullOfClients is of a live socket that takes no more connections.
func TestUnixFullOfClients(t *testing.T) {
	path := filepath.Join(testkit.Home(t), "a")
	open(t, Address{Kind: Unix, Path: path, Backlog: 1})
	for full := false; !full; {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		full = errors.Is(unix.Connect(fd, &unix.SockaddrUnix{Name: path}), unix.EAGAIN)
	}
	if _, err := Open(Address{Kind: Unix, Path: path}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v, want EADDRINUSE", err)
	}
}

func TestUnixRights(t *testing.T) {
	dir := testkit.Home(t)
	before := syscall.Umask(0o077)
	defer syscall.Umask(before)
	for name, tt := range map[string]struct {
		readable, writable bool
		want               fs.FileMode
	}{
		"nobody":          {false, false, 0o700},
		"all may read":    {true, false, 0o744},
		"all may write":   {false, true, 0o722},
		"all may do both": {true, true, 0o766},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, fmt.Sprint(tt.readable, tt.writable))
			open(t, Address{Kind: Unix, Path: path, Readable: tt.readable, Writable: tt.writable})
			fi, err := os.Stat(path)
			if err != nil || fi.Mode().Perm() != tt.want {
				t.Errorf("rights %v, %v; want %v", fi.Mode().Perm(), err, tt.want)
			}
		})
	}
}

// TestBacklog asks the kernel how many connections may wait: tcpi_sacked is
// that, of a socket that listens (tcp_get_info in net/ipv4/tcp.c).
func TestBacklog(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		t.Skip(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for backlog, want := range map[int]int{0: 511, -1: 511, 1: 1, 7: 7, 1000: 1000} {
		fd := open(t, Address{Host: "127.0.0.1", Backlog: backlog})
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := int(info.Sacked), min(want, most); got != want {
			t.Errorf("backlog %d: %d may wait, want %d", backlog, got, want)
		}
	}
}

func TestDescriptors(t *testing.T) {
	dir := testkit.Home(t)
	for name, a := range map[string]Address{
		"TCP": {Host: "127.0.0.1"}, "UDP": {Kind: UDP, Host: "127.0.0.1"}, "unix": {Kind: Unix, Path: filepath.Join(dir, "a")},
	} {
		t.Run(name, func(t *testing.T) {
			fd := open(t, a)
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("it is open in children: flags %x, %v", flags, err)
			}
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
				t.Errorf("it blocks: flags %x, %v", flags, err)
			}
		})
	}
	if _, _, _, err := Name(-1); err == nil {
		t.Error("no descriptor has a name")
	}
}
