package collect

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/console"
	"tend/internal/testkit"
)

// consoled is a Collector whose lines go to a console as well.
func consoled(t *testing.T) (*Collector, *os.File, chan struct{}) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "console")
	fifo, err := console.Make(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fifo.Close() })
	gone := make(chan struct{})
	c := runWith(t, testkit.NewShelf(t), func(c *Collector) {
		if err := c.Console(path, func() { close(gone) }); err != nil {
			t.Fatal(err)
		}
	})
	return c.Collector, fifo, gone
}

// isFull tells whether a fifo, open for both, takes no more.
func isFull(t *testing.T, fifo *os.File) (full bool) {
	t.Helper()
	conn, err := fifo.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = conn.Control(func(fd uintptr) {
		look := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		_, _ = unix.Poll(look, 0)
		full = look[0].Revents&unix.POLLOUT == 0
	})
	if err != nil {
		t.Fatal(err)
	}
	return full
}

// TestConsoleGetsWhatTheFilesGet, of each source, and the last line of one that
// ends in the middle of it, however late it is read.
func TestConsoleGetsWhatTheFilesGet(t *testing.T) {
	c, fifo, _ := consoled(t)
	var want [2]bytes.Buffer
	var paths [2]string
	for i, kind := range []string{"out", "err"} {
		fd, app := pipe(t)
		paths[i] = filepath.Join(t.TempDir(), kind)
		s := Stream{Key: kind, FD: fd, Paths: []string{paths[i]}, Shape: Shape{Type: kind, ID: 4, App: "api"}}
		if err := c.Add(s); err != nil {
			t.Fatal(err)
		}
		for n := range 200_000 { // more than the fifo and all pipes hold
			fmt.Fprintf(&want[i], "%s %d\n", kind, n)
		}
		want[i].WriteString("the end")
		go func() {
			_, _ = app.Write(want[i].Bytes())
			app.Close()
		}()
	}
	testkit.WaitFor(t, 10*time.Second, "the fifo is full: the reader is late", func() bool { return isFull(t, fifo) })
	var got [2]bytes.Buffer
	r := console.NewReader(fifo)
	for got[0].Len() <= want[0].Len() || got[1].Len() <= want[1].Len() {
		_ = fifo.SetReadDeadline(time.Now().Add(10 * time.Second))
		l, err := r.Next()
		if err != nil {
			t.Fatalf("after %d and %d bytes: %v", got[0].Len(), got[1].Len(), err)
		}
		i := 0
		if l.Err {
			i = 1
		}
		if l.ID != 4 || l.App != "api" {
			t.Fatalf("from %+v", l.Source)
		}
		got[i].Write(l.Text)
	}
	for i := range want {
		if all := want[i].String() + "\n"; got[i].String() != all {
			t.Errorf("console %d: got %d bytes, want %d", i, got[i].Len(), len(all))
		}
		file, err := os.ReadFile(paths[i])
		if text := strings.TrimSuffix(string(file), "\n"); err != nil || text != want[i].String() {
			t.Errorf("file %d: %v, got %d bytes, want %d", i, err, len(text), want[i].Len())
		}
	}
	for deadline := time.Now().Add(10 * time.Second); !c.Drained(); {
		if time.Now().After(deadline) {
			t.Fatal("it is never drained")
		}
	}
}

// TestConsoleWithoutAReader is told of, once, and the files go on.
func TestConsoleWithoutAReader(t *testing.T) {
	c, fifo, gone := consoled(t)
	fd, app := pipe(t)
	path := filepath.Join(t.TempDir(), "log")
	if err := c.Add(Stream{Key: "a", FD: fd, Paths: []string{path}, Shape: Shape{Type: "out"}}); err != nil {
		t.Fatal(err)
	}
	fifo.Close()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody is told that the reader has left")
	}
	if _, err := app.WriteString("a line\n"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if text, _ := os.ReadFile(path); string(text) == "a line\n" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the file has no line")
		}
	}
}

// TestConsoleThatIsNone is refused.
func TestConsoleThatIsNone(t *testing.T) {
	c := New(nil, nil, nil)
	path := filepath.Join(t.TempDir(), "console")
	if err := c.Console(path, nil); err == nil {
		t.Error("what is not there is taken")
	}
	fifo, err := console.Make(path)
	if err != nil {
		t.Fatal(err)
	}
	fifo.Close()
	if err := c.Console(path, nil); err == nil {
		t.Error("a fifo without a reader is taken")
	}
}
