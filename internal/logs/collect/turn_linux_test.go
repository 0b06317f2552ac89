package collect

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tend/api"
	"tend/internal/logs/logstest"
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

// A log is put aside at its time also where nothing is written then, and what
// comes later is not in it.
func TestAQuietLogIsPutAsideInTime(t *testing.T) {
	c := run(t)
	path := filepath.Join(t.TempDir(), "log")
	r, w := pipe(t)
	add(t, c, Stream{Key: "x", FD: r, Paths: []string{path}, Rotation: &api.Rotation{Interval: "* * * * * *", Retain: -1}})
	var want []string
	for _, line := range []string{"one\n", "two\n"} {
		if _, err := w.WriteString(line); err != nil {
			t.Fatal(err)
		}
		want = append(want, line)
		testkit.WaitFor(t, 20*time.Second, "it to be put aside", func() bool { return slices.Equal(logstest.Aside(t, path), want) })
		awaitContent(t, path, "")
	}
}

// Nothing is put aside of a log that has been empty for a while, nor the first
// line that it gets.
func TestAnEmptyLogIsNotDue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := openFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	l := &loop{c: New(slog.New(slog.DiscardHandler), testkit.NewShelf(t), func(string) {}), files: map[string]*file{path: f}}
	l.govern(f, &api.Rotation{Interval: "0 0 * * *", Retain: -1}, "")
	first := f.until
	now := first.Add(36 * time.Hour)
	l.turnDue(now)
	if want := f.care.Rule.Next(now); !f.until.Equal(want) || !l.turnAt.Equal(want) {
		t.Errorf("it is due at %v and looked at at %v, want %v", f.until, l.turnAt, want)
	}
	if names := logstest.Names(t, filepath.Dir(path)); len(names) != 1 {
		t.Errorf("there are %v", names)
	}
}

// Who may read a log may do so when it was put aside too.
func TestTheNextLogIsLikeTheOneBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	logstest.Put(t, path, "")
	const mode, nobody = 0o664, 65534
	root := os.Geteuid() == 0
	if root {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	c := run(t)
	r, w := pipe(t)
	add(t, c, Stream{Key: "x", FD: r, Paths: []string{path}, Rotation: &api.Rotation{MaxSize: 2, Retain: -1}})
	if _, err := w.WriteString("one\n"); err != nil {
		t.Fatal(err)
	}
	testkit.WaitFor(t, 20*time.Second, "it to be put aside", func() bool { return len(logstest.Aside(t, path)) == 1 })
	c.stop() // whatever it does to the new one is done
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); info.Mode() != mode || root && (st.Uid != nobody || st.Gid != nobody) {
		t.Errorf("%v, it belongs to %d:%d", info.Mode(), st.Uid, st.Gid)
	}
}

// One file may have two paths, through a link to its directory. What is put
// aside by one of them is not written to by the other.
func TestALogWithTwoPathsIsPutAsideForBoth(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	path, other := filepath.Join(dir, "real", "log"), filepath.Join(dir, "link", "log")
	c := run(t)
	r, w := pipe(t)
	r2, w2 := pipe(t)
	add(t, c, Stream{Key: "x", FD: r, Paths: []string{path}, Rotation: &api.Rotation{MaxSize: 2, Retain: -1}})
	add(t, c, Stream{Key: "y", FD: r2, Paths: []string{other}, Rotation: &api.Rotation{Off: true}})
	if _, err := w.WriteString("one\n"); err != nil {
		t.Fatal(err)
	}
	testkit.WaitFor(t, 20*time.Second, "it to be put aside", func() bool { return len(logstest.Aside(t, path)) == 1 })
	if _, err := w2.WriteString("two\n"); err != nil {
		t.Fatal(err)
	}
	awaitContent(t, path, "two\n")
}
