package collect

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"tend/internal/logs/logstest"
	"tend/internal/testkit"
)

func TestAFullFileHoldsItsStreamAndNoOther(t *testing.T) {
	c := run(t)
	dir := t.TempDir()
	link, good, beside := filepath.Join(dir, "link"), filepath.Join(dir, "good"), filepath.Join(dir, "beside")
	if err := os.Symlink("/dev/full", link); err != nil {
		t.Fatal(err)
	}
	full, fullW := pipe(t)
	full2, fullW2 := pipe(t)
	other, otherW := pipe(t)
	add(t, c, Stream{Key: "full", FD: full, Paths: []string{beside, link}})
	add(t, c, Stream{Key: "full2", FD: full2, Paths: []string{link}})
	add(t, c, Stream{Key: "good", FD: other, Paths: []string{good}})

	// Far more than the pipe holds: the app waits.
	const size = 4 << 20
	var want [sha256.Size]byte
	var wg sync.WaitGroup
	wg.Go(func() {
		want = chunks(t, fullW, "full", size)
		fullW.Close()
	})
	fmt.Fprintln(fullW2, "of the second stream")
	fullW2.Close()

	wantGood := chunks(t, otherW, "good", size)
	otherW.Close()
	if key := <-c.closed; key != "good" {
		t.Fatalf("closed %s, want good", key)
	}
	if got := sumOf(t, good); got != wantGood {
		t.Error("the good file is not what was written")
	}
	if diff := cmp.Diff(c.log.Messages(), []string{"log file does not work, output waits"}); diff != "" {
		t.Errorf("logged: got (-), want (+):\n%s", diff)
	}

	// The path gets a place with room.
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := c.Reopen(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	got := []string{<-c.closed, <-c.closed}
	slices.Sort(got)
	if diff := cmp.Diff(got, []string{"full", "full2"}); diff != "" {
		t.Errorf("closed: got (-), want (+):\n%s", diff)
	}
	if got := sumOf(t, beside); got != want {
		t.Error("the file beside the full one is not what was written")
	}
	merged, err := os.ReadFile(link)
	if err != nil {
		t.Fatal(err)
	}
	if rest := bytes.Replace(merged, []byte("of the second stream\n"), nil, 1); sha256.Sum256(rest) != want {
		t.Errorf("what waited is not what was written: %d bytes", len(merged))
	}
	if diff := cmp.Diff(c.log.Messages(), []string{"log file does not work, output waits", "log file works again"}); diff != "" {
		t.Errorf("logged: got (-), want (+):\n%s", diff)
	}
}

// smallDisk makes a file system that is in no directory but only in a
// descriptor of this process: however the test ends, it goes with it.
func smallDisk(t *testing.T, size string) (dir string) {
	t.Helper()
	mountPoint := t.TempDir()
	if err := unix.Mount("tend-test", mountPoint, "tmpfs", 0, size); err != nil {
		t.Skipf("a small disk needs the right to mount one: %v", err)
	}
	fd, err := unix.Open(mountPoint, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if uerr := unix.Unmount(mountPoint, unix.MNT_DETACH); uerr != nil {
		t.Error(uerr)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fmt.Sprintf("/proc/self/fd/%d", fd)
}

func TestAFullDiskIsTriedAgainByItself(t *testing.T) {
	dir := smallDisk(t, "size=128k")
	c := run(t)
	ballast, path := filepath.Join(dir, "ballast"), filepath.Join(dir, "log")
	logstest.Put(t, ballast, strings.Repeat("x", 64<<10))
	fd, w := pipe(t)
	add(t, c, Stream{Key: "x", FD: fd, Paths: []string{path}})
	var want [sha256.Size]byte
	var wg sync.WaitGroup
	wg.Go(func() {
		want = chunks(t, w, "x", 90<<10)
		w.Close()
	})
	for len(c.log.Messages()) == 0 {
		runtime.Gosched()
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	<-c.closed
	wg.Wait()
	if got := sumOf(t, path); got != want {
		t.Error("the file is not what was written")
	}
	if got := c.log.Messages(); len(got) != 2 {
		t.Errorf("logged %q, want one failure and one recovery", got)
	}
}

func TestTriesOfAFullFileGetRare(t *testing.T) {
	c := run(t)
	fd, w := pipe(t)
	add(t, c, Stream{Key: "x", FD: fd, Paths: []string{"/dev/full"}})
	fmt.Fprintln(w, "waits")
	for len(c.log.Messages()) == 0 {
		runtime.Gosched()
	}
	var got []time.Duration
	for range 7 {
		c.wait(func(l *loop) {
			for _, s := range l.stalled {
				got = append(got, s.pause)
			}
		})
		if err := c.Reopen(); err != nil { // a try, and in vain
			t.Fatal(err)
		}
	}
	// The timer may have added tries of its own, never taken one away.
	if len(got) != 7 || !slices.IsSorted(got) || got[0] < firstPause || got[6] != longPause {
		t.Errorf("pauses %v, want seven that grow from %v to %v", got, firstPause, longPause)
	}
}

// What waits for a file that never works again is let go when it is too much,
// and its writers go on.
func TestDiscard(t *testing.T) {
	for name, shape := range map[string]Shape{"raw": {}, "with dates, and a limit": {Date: "[at]", Rate: 1}} {
		t.Run(name, func(t *testing.T) {
			shelf := testkit.NewShelf(t)
			c := runOn(t, shelf)
			fd, w := pipe(t)
			add(t, c, Stream{Key: "x", FD: fd, Paths: []string{"/dev/full"}, Shape: shape})
			fmt.Fprint(w, "one\ntwo\nthree\nhalf a line")
			testkit.WaitFor(t, 20*time.Second, "the file to fail", func() bool { return len(c.log.Messages()) > 0 })
			c.Discard("y") // nobody has it
			c.Discard("x")
			// More than the pipe holds, so that it would block.
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			w.Close()
			<-c.closed
			want := []string{"log file does not work, output waits", "output is lost: too much waits for the files of its app"}
			if got := c.log.Messages(); !slices.Equal(got, want) {
				t.Errorf("logged %q, want %q", got, want)
			}
			if left := shelf.Names(); slices.ContainsFunc(left, func(name string) bool { return strings.HasPrefix(name, "x") }) {
				t.Errorf("on the shelf are still %q", left)
			}
		})
	}
}

// fullLog is the path of a log whose disk is full, and what makes room there.
func fullLog(t *testing.T) (path string, free func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "log")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	return path, func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitTrouble waits until a collector has told that a file does not work.
func awaitTrouble(t *testing.T, c *running) {
	t.Helper()
	testkit.WaitFor(t, 20*time.Second, "the file not to work", func() bool { return len(c.log.Messages()) > 0 })
}

// The collector dies while a disk is full, and there is room when the next one
// comes, which nothing else wakes.
func TestTheNextCollectorTriesAFullDiskByItself(t *testing.T) {
	path, free := fullLog(t)
	shelf := testkit.NewShelf(t)
	fd, w := pipe(t)
	c := runOn(t, shelf)
	add(t, c, Stream{Key: "x", FD: fd, Paths: []string{path}})
	fmt.Fprintln(w, "waits")
	awaitTrouble(t, c)
	c.stop()
	free()
	c = runOn(t, shelf)
	add(t, c, Stream{Key: "x", FD: fd, Paths: []string{path}})
	awaitContent(t, path, "waits\n")
}

func TestALastLineWaitsForAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	shelf := testkit.NewShelf(t)
	fd, w := pipe(t)
	stream := Stream{Key: "x", FD: fd, Paths: []string{path}, Shape: Shape{Date: "[at]"}}
	c := runOn(t, shelf)
	add(t, c, stream)
	fmt.Fprint(w, "one\ntwo")
	awaitContent(t, path, "at: one\n")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	if err := c.Reopen(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	awaitTrouble(t, c)
	c.stop() // and it outlives the collector
	if err := os.Rename(path+".old", path); err != nil {
		t.Fatal(err)
	}
	c = runOn(t, shelf)
	add(t, c, stream)
	<-c.closed
	awaitContent(t, path, "at: one\nat: two\n")
}

// Tries that fail count nothing twice and forget nothing, and neither does the
// next collector.
func TestDroppedLinesAreCountedThroughAFullDisk(t *testing.T) {
	path, free := fullLog(t)
	shelf := testkit.NewShelf(t)
	fd, w := pipe(t)
	stream := Stream{Key: "x", FD: fd, Paths: []string{path}, Shape: Shape{Rate: 1}}
	c := runOn(t, shelf)
	add(t, c, stream)
	fmt.Fprint(w, "1\n2\n3\n4\n")
	awaitTrouble(t, c)
	for range 3 {
		if err := c.Reopen(); err != nil { // a try, and in vain
			t.Fatal(err)
		}
	}
	free()
	if err := c.Reopen(); err != nil {
		t.Fatal(err)
	}
	const want = "1\n[tend] 3 lines dropped: more than 1 a second\n"
	awaitContent(t, path, want)
}

func TestDroppedLinesAreToldOfByTheNextCollector(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	shelf := testkit.NewShelf(t)
	fd, w := pipe(t)
	stream := Stream{Key: "x", FD: fd, Paths: []string{path}, Shape: Shape{Rate: 1}}
	c := runOn(t, shelf)
	add(t, c, stream)
	fmt.Fprint(w, "1\n2\n3\n4\n")
	awaitContent(t, path, "1\n")
	c.stop()
	c = runOn(t, shelf)
	add(t, c, stream)
	awaitContent(t, path, "1\n[tend] 3 lines dropped: more than 1 a second\n")
}
