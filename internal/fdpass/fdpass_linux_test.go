package fdpass

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tend/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is both ends of a connection.
func pair(t *testing.T) (a, b *Conn) {
	t.Helper()
	x, y, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	conns := [2]*Conn{}
	for i, fd := range []int{x, y} {
		if conns[i], err = NewConn(fd); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conns[i].Close() }) // some tests close one themselves
	}
	return conns[0], conns[1]
}

func TestPacketsKeepTheirBorders(t *testing.T) {
	a, b := pair(t)
	packets := []string{"one", "two and more", strings.Repeat("x", 32<<10)}
	for _, p := range packets {
		if err := a.Send([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 64<<10)
	for _, want := range packets {
		n, fds, err := b.Recv(buf)
		if err != nil || string(buf[:n]) != want || len(fds) > 0 {
			t.Errorf("%d bytes, descriptors %v, %v; want %d bytes", n, fds, err, len(want))
		}
	}
}

func TestDescriptorsArrive(t *testing.T) {
	for name, count := range map[string]int{"one": 1, "a few": 3, "the most": MaxFDs} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			var readers, writers []int
			for range count {
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				defer w.Close()
				readers, writers = append(readers, int(r.Fd())), append(writers, int(w.Fd()))
			}
			if err := a.Send([]byte("pipes"), writers...); err != nil {
				t.Fatal(err)
			}
			_, got, err := b.Recv(make([]byte, 16))
			if err != nil || len(got) != count {
				t.Fatalf("%v, %v; want %d descriptors", got, err, count)
			}
			defer CloseAll(got)
			for i, fd := range got {
				if _, err := unix.Write(fd, []byte{byte(i)}); err != nil {
					t.Fatal(err)
				}
				buf := make([]byte, 8)
				if n, err := unix.Read(readers[i], buf); err != nil || n != 1 || buf[0] != byte(i) {
					t.Errorf("descriptor %d is another's, or not in its place: %v, %v", i, buf[:n], err)
				}
				flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
				if err != nil || flags&unix.FD_CLOEXEC == 0 {
					t.Errorf("descriptor %d would be inherited: flags %d, %v", i, flags, err)
				}
			}
		})
	}
}

// TestNothingIsInherited starts a program while both ends and a descriptor
// that came are open: it must see its own three only.
func TestNothingIsInherited(t *testing.T) {
	a, b := pair(t)
	if err := a.Send([]byte("x"), a.FD()); err != nil {
		t.Fatal(err)
	}
	_, fds, err := b.Recv(make([]byte, 8))
	if err != nil {
		t.Fatal(err)
	}
	defer CloseAll(fds)
	out, err := exec.Command("sh", "-c", "for f in /proc/$$/fd/*; do echo ${f##*/}=$(readlink $f); done").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "socket:") {
		t.Errorf("a program inherited a socket:\n%s", out)
	}
}

func TestTheSenderKeepsItsOwn(t *testing.T) {
	a, b := pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := a.Send([]byte("x"), int(w.Fd())); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("still open"); err != nil {
		t.Error(err)
	}
	w.Close()
	// The copy on its way keeps the pipe open until it is received and closed.
	_, fds, err := b.Recv(make([]byte, 8))
	if err != nil {
		t.Fatal(err)
	}
	CloseAll(fds)
	if got, err := io.ReadAll(r); err != nil || string(got) != "still open" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestALargePacketIsAnError(t *testing.T) {
	a, b := pair(t)
	before := testkit.Descriptors(t)
	if err := a.Send([]byte("too long for it"), a.FD()); err != nil {
		t.Fatal(err)
	}
	if err := a.Send([]byte("next")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4)
	if n, fds, err := b.Recv(buf); !errors.Is(err, unix.EMSGSIZE) || n != 0 || fds != nil {
		t.Errorf("%d bytes, descriptors %v, %v; want EMSGSIZE alone", n, fds, err)
	}
	if n, _, err := b.Recv(buf); err != nil || string(buf[:n]) != "next" {
		t.Errorf("%q, %v; want the packet after it", buf[:n], err)
	}
	if now := testkit.Descriptors(t); now != before {
		t.Errorf("%d descriptors are open, %d before", now, before)
	}
}

func TestTooManyDescriptorsAreAnError(t *testing.T) {
	a, b := pair(t)
	before := testkit.Descriptors(t)
	many := make([]int, MaxFDs+1)
	for i := range many {
		many[i] = a.FD()
	}
	if err := a.Send([]byte("x"), many...); err != nil {
		t.Fatal(err)
	}
	if _, fds, err := b.Recv(make([]byte, 8)); !errors.Is(err, unix.EMSGSIZE) || fds != nil {
		t.Errorf("descriptors %v, %v; want EMSGSIZE", fds, err)
	}
	if now := testkit.Descriptors(t); now != before {
		t.Errorf("%d descriptors are open, %d before", now, before)
	}
}

func TestThePeerIsGone(t *testing.T) {
	t.Run("and said everything", func(t *testing.T) {
		a, b := pair(t)
		if err := a.Send([]byte("last words")); err != nil {
			t.Fatal(err)
		}
		a.Close()
		buf := make([]byte, 16)
		if n, _, err := b.Recv(buf); err != nil || string(buf[:n]) != "last words" {
			t.Errorf("%q, %v; want its last words", buf[:n], err)
		}
		if _, _, err := b.Recv(buf); !errors.Is(err, io.EOF) {
			t.Errorf("%v, want io.EOF", err)
		}
		if err := b.Send([]byte("x")); !errors.Is(err, unix.EPIPE) {
			t.Errorf("send: %v, want EPIPE, and no signal", err)
		}
	})
	t.Run("and had not read", func(t *testing.T) {
		a, b := pair(t)
		if err := b.Send([]byte("unread")); err != nil {
			t.Fatal(err)
		}
		a.Close()
		if _, _, err := b.Recv(make([]byte, 16)); !errors.Is(err, io.EOF) {
			t.Errorf("%v, want io.EOF", err)
		}
	})
}

func TestCloseEndsARecvThatWaits(t *testing.T) {
	_, b := pair(t)
	got := make(chan error)
	go func() {
		_, _, err := b.Recv(make([]byte, 8))
		got <- err
	}()
	b.Close()
	select {
	case err := <-got:
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%v, want an error that is not the peer's end", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it still waits")
	}
}

// TestManySendersWaitForARead fills the socket's buffer from many goroutines:
// each waits, and no packet is cut or mixed with another.
func TestManySendersWaitForARead(t *testing.T) {
	a, b := pair(t)
	const senders, each, size = 8, 20, 16 << 10
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for range each {
				if err := a.Send(bytes.Repeat([]byte{byte('a' + s)}, size)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	buf := make([]byte, 2*size)
	count := map[byte]int{}
	for range senders * each {
		n, _, err := b.Recv(buf)
		if err != nil || n != size || bytes.Count(buf[:n], buf[:1]) != size {
			t.Fatalf("%d bytes of more than one sender: %v", n, err)
		}
		count[buf[0]]++
	}
	wg.Wait()
	for who, n := range count {
		if n != each {
			t.Errorf("%d packets of %c, want %d", n, who, each)
		}
	}
}

func TestNoDescriptorLeaks(t *testing.T) {
	before := testkit.Descriptors(t)
	for range 50 {
		x, y, err := Pair()
		if err != nil {
			t.Fatal(err)
		}
		a, err := NewConn(x)
		if err != nil {
			t.Fatal(err)
		}
		b, err := NewConn(y)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Send([]byte("x"), x, y); err != nil {
			t.Fatal(err)
		}
		_, fds, err := b.Recv(make([]byte, 1))
		if err != nil {
			t.Fatal(err)
		}
		CloseAll(fds)
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if now := testkit.Descriptors(t); now != before {
		t.Errorf("%d descriptors are open, %d before", now, before)
	}
}

func TestNewConnRefusesWhatIsNotOpen(t *testing.T) {
	if _, err := NewConn(1 << 20); !errors.Is(err, syscall.EBADF) {
		t.Errorf("%v, want EBADF", err)
	}
}
