package collect

import (
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/logs/logstest"
)

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A fifo takes the place of a file. Whoever reads it is slower than we are at
// times, which is no trouble to tell of.
func TestAFifoGetsEveryByteInTime(t *testing.T) {
	path := fifo(t)
	const size = 16 << 20
	var got [sha256.Size]byte
	var wg sync.WaitGroup
	wg.Go(func() {
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		hash := sha256.New()
		_, _ = io.Copy(hash, f)
		hash.Sum(got[:0])
	})
	var checked Fifos
	for end := time.Now().Add(20 * time.Second); len(checked) == 0; {
		var err error
		if checked, err = Check([]string{path}, nil); err != nil && time.Now().After(end) {
			t.Fatal(err)
		}
	}
	c := run(t)
	fd, w := pipe(t)
	beside := filepath.Join(t.TempDir(), "beside")
	add(t, c, Stream{Key: "x", FD: fd, Paths: []string{beside, path}})
	checked.Close()
	c.wait(func(l *loop) {
		if first := l.byKey["x"].outs[0].path; first != path {
			t.Errorf("%s is written to first, and would be cut off for each try of the fifo", first)
		}
	})
	began := time.Now()
	want := chunks(t, w, "x", size)
	// With the pauses of a file that does not work it would take longer than this test may.
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	w.Close()
	<-c.closed
	wg.Wait()
	if got != want {
		t.Error("what was read is not what was written")
	}
	if sumOf(t, beside) != want {
		t.Error("the file beside it is not what was written")
	}
	if err := c.Truncate([]string{path}); err != nil {
		t.Error(err)
	}
	if got := c.log.Messages(); len(got) > 0 {
		t.Errorf("logged %q", got)
	}
}

// Who read a fifo may go with the daemon, and come back later than it.
func TestAFifoWaitsForItsReader(t *testing.T) {
	path := fifo(t)
	c := run(t)
	fd, w := pipe(t)
	add(t, c, Stream{Key: "x", FD: fd, Paths: []string{path}, Shape: Shape{Date: "[at]"}})
	if _, err := w.WriteString("one\ntwo"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	awaitTrouble(t, c)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "at: one\nat: two\n" {
		t.Errorf("%q, %v", text, err)
	}
	if key := <-c.closed; key != "x" {
		t.Errorf("closed %s", key)
	}
}

// A file that is not there cannot be made on a full disk.
func TestAFileThatCannotBeMadeIsMadeLater(t *testing.T) {
	dir := smallDisk(t, "nr_inodes=3")
	ballast, path := filepath.Join(dir, "ballast"), filepath.Join(dir, "log")
	for _, name := range []string{ballast, ballast + "2"} {
		logstest.Put(t, name, "")
	}
	c := run(t)
	fd, w := pipe(t)
	add(t, c, Stream{Key: "x", FD: fd, Paths: []string{path}})
	if _, err := w.WriteString("one\n"); err != nil {
		t.Fatal(err)
	}
	awaitTrouble(t, c)
	for _, name := range []string{ballast, ballast + "2"} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	awaitContent(t, path, "one\n")
}
