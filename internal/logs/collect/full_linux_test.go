package collect

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tend/internal/testkit"
)

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
