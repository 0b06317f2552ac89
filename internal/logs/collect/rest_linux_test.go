package collect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/testkit"
)

// held is how much memory a rest takes.
func held(t *testing.T, shelf *testkit.Shelf, key string) int64 {
	t.Helper()
	fd, ok := shelf.Held(restName(key))
	var st unix.Stat_t
	if !ok || unix.Fstat(fd, &st) != nil {
		t.Fatalf("%s has no rest", key)
	}
	return 512 * st.Blocks
}

// A long line takes memory until it is over, also where it began under another
// collector.
func TestTheMemoryOfALongLineIsGivenBack(t *testing.T) {
	for name, dies := range map[string]bool{"by the same": false, "by the next": true} {
		t.Run(name, func(t *testing.T) {
			shelf, path := testkit.NewShelf(t), filepath.Join(t.TempDir(), "log")
			fd, w := pipe(t)
			stream := Stream{Key: "x", FD: fd, Paths: []string{path}, Shape: Shape{Date: "[at]"}}
			c := runOn(t, shelf)
			add(t, c, stream)
			long := strings.Repeat("long", 900_000/4)
			if _, err := w.WriteString("one\n" + long); err != nil {
				t.Fatal(err)
			}
			testkit.WaitFor(t, 20*time.Second, "most of a line", func() bool { return held(t, shelf, "x") > 1<<20 })
			if dies {
				c.stop()
				c = runOn(t, shelf)
				add(t, c, stream)
			}
			if _, err := w.WriteString(" end\nbegun"); err != nil {
				t.Fatal(err)
			}
			awaitContent(t, path, "at: one\nat: "+long+" end\n")
			testkit.WaitFor(t, 20*time.Second, "its memory to be given back", func() bool { return held(t, shelf, "x") <= 2*keptHalf+3*int64(os.Getpagesize()) })
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			awaitContent(t, path, "at: one\nat: "+long+" end\nat: begun\n")
		})
	}
}
