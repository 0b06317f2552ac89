package collect

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tend/internal/testkit"
)

func TestDroppedLinesAreToldOfThoughNoneFollows(t *testing.T) {
	c := run(t)
	r, w := pipe(t)
	path := filepath.Join(t.TempDir(), "app.log")
	add(t, c, Stream{Key: "app", FD: r, Paths: []string{path}, Shape: Shape{Rate: 1}})
	if _, err := w.WriteString("1\n2\n3\nbegun"); err != nil {
		t.Fatal(err)
	}
	const want = "1\n[tend] 2 lines dropped: more than 1 a second\n"
	testkit.WaitFor(t, 20*time.Second, "somebody says so", func() bool { b, _ := os.ReadFile(path); return string(b) == want })
}

// A daemon dies over a line that comes out of no block, when another stream's
// block is still on the slate.
func TestADeathOverTheLastLine(t *testing.T) {
	shelf, dir := testkit.NewShelf(t), t.TempDir()
	other, ended := filepath.Join(dir, "other.log"), filepath.Join(dir, "ended.log")
	c := runOn(t, shelf)
	r, w := pipe(t)
	add(t, c, Stream{Key: "other", FD: r, Paths: []string{other}})
	if _, err := w.WriteString("another's\n"); err != nil {
		t.Fatal(err)
	}
	testkit.WaitFor(t, 20*time.Second, "the block of another", func() bool { b, _ := os.ReadFile(other); return len(b) > 0 })
	r, w = pipe(t)
	add(t, c, Stream{Key: "ended", FD: r, Paths: []string{ended}, Shape: Shape{Date: "[at]"}})
	if _, err := w.WriteString("one\ntwo"); err != nil {
		t.Fatal(err)
	}
	testkit.WaitFor(t, 20*time.Second, "the first line", func() bool { b, _ := os.ReadFile(ended); return len(b) > 0 })
	c.stop()

	file, err := openFile(ended, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer file.close()
	mem, err := openRest(shelf, "ended")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.close()
	l := &loop{c: New(slog.New(slog.DiscardHandler), shelf, func(string) {})}
	if err := l.begin(); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }() // the file has no times, over which it dies when it has written
		l.last(&stream{Stream: Stream{Key: "ended"}, outs: []out{{file: file}}, rest: mem, framed: true, shaper: newShaper(Shape{Date: "[at]"})})
	}()
	if l.slate.phase() != phaseWriting {
		t.Fatalf("it did not die over it: phase %d", l.slate.phase())
	}

	_ = w.Close()
	c = runOn(t, shelf)
	add(t, c, Stream{Key: "ended", FD: r, Paths: []string{ended}, Shape: Shape{Date: "[at]"}})
	if key := <-c.closed; key != "ended" {
		t.Fatalf("%s was closed", key)
	}
	if b, _ := os.ReadFile(ended); string(b) != "at: one\nat: two\n" {
		t.Errorf("%q", b)
	}
}
