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
