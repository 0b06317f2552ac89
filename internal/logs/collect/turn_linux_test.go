package collect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tend/api"
	"tend/internal/testkit"
)

// A log whose name is as long as names may be has no room for a date in it.
func TestALogThatCannotBePutAsideGoesOn(t *testing.T) {
	const longest = 255
	c := run(t)
	path := filepath.Join(t.TempDir(), strings.Repeat("x", longest-len(".log"))+".log")
	r, w := pipe(t)
	add(t, c, Stream{Key: "x", FD: r, Paths: []string{path}, Rotation: &api.Rotation{MaxSize: 2, Retain: 1}})
	var want strings.Builder
	for _, line := range []string{"one\n", "two\n", "three\n"} {
		want.WriteString(line)
		if _, err := w.WriteString(line); err != nil {
			t.Fatal(err)
		}
		awaitContent(t, path, want.String())
	}
	testkit.WaitFor(t, 20*time.Second, "it to be told, once", func() bool { return strings.Count(strings.Join(c.log.Messages(), "\n"), "rotate log") == 1 })
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) > 2 { // and the directory of times
		t.Errorf("%v, %v", names, err)
	}
}
