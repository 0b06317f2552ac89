package read

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"tend/internal/logs/logstest"
)

// soon bounds the wait for what happens at once.
const soon = 20 * time.Second

// live is a Follower at work on real files, told by the system.
type live struct {
	*Follower

	t      teller
	stop   context.CancelCauseFunc
	ended  chan error
	lines  chan string
	pause  chan struct{} // closed: the sink takes lines
	last   Position      // of the last line, after end
	paused bool
}

// teller is what of a test, or of a property, tells that it failed.
type teller interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

func follower(t testing.TB, files ...File) *Follower {
	t.Helper()
	f, err := NewFollower(files)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// told is a watch that ends no wait by the clock: what a Follower with it sees,
// somebody told it.
type told struct{ watch }

func (w told) until(time.Time) { w.watch.until(time.Time{}) }

// onlyTold has a Follower look at nothing that it is not told of.
func onlyTold(f *Follower) *Follower {
	f.look = func() watch { return told{newWatch()} }
	return f
}

// attend has a Follower run, whose sink takes nothing before start.
func attend(t testing.TB, f *Follower) *live {
	t.Helper()
	ctx, stop := context.WithCancelCause(context.WithoutCancel(t.Context()))
	l := &live{Follower: f, t: t, stop: stop, ended: make(chan error, 1), lines: make(chan string, 1<<20), pause: make(chan struct{}), paused: true}
	if len(f.files) == 1 {
		l.last = f.Position(0)
	}
	go func() { l.ended <- f.Run(ctx, l) }()
	t.Cleanup(l.end)
	return l
}

func (l *live) Line(line Line) error {
	<-l.pause
	l.lines <- string(line.Text)
	l.last = line.Position()
	return nil
}

func (l *live) Flush() error { return nil }

func (l *live) start() *live {
	if l.paused {
		l.paused = false
		close(l.pause)
	}
	return l
}

// end ends it and waits.
func (l *live) end() {
	if l.stop == nil {
		return
	}
	l.start()
	l.stop(errEnough)
	l.stop = nil
	if err := <-l.ended; !errors.Is(err, errEnough) {
		l.t.Errorf("follow: %v, want %v", err, errEnough)
	}
}

// next is the next n lines.
func (l *live) next(n int) []string {
	var got []string
	limit := time.After(soon)
	for range n {
		select {
		case line := <-l.lines:
			got = append(got, line)
		case <-limit:
			l.t.Fatalf("%d lines came, want %d; the last: %.200q", len(got), n, got[max(0, len(got)-3):])
		}
	}
	return got
}

func (l *live) takes(want ...string) {
	l.t.Helper()
	if diff := cmp.Diff(l.next(len(want)), want); diff != "" {
		l.t.Fatalf("got (-), want (+):\n%.2000s", diff)
	}
}

// moveAside puts a log aside as a rotation does, and gives its name.
func moveAside(t testing.TB, path, date string) string {
	t.Helper()
	to := strings.TrimSuffix(path, ".log") + "__2026-11-" + date + ".log"
	if err := os.Rename(path, to); err != nil {
		t.Fatal(err)
	}
	return to
}

// pack compresses a file as a rotation does: with the times of the original,
// which goes at last.
func pack(t testing.TB, path, end string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(path + ".tmp")
	if err != nil {
		t.Fatal(err)
	}
	if end == ".gz" {
		w := gzip.NewWriter(out)
		_, err = w.Write(text)
		err = errors.Join(err, w.Close())
	} else {
		w, werr := zstd.NewWriter(out)
		if werr != nil {
			t.Fatal(werr)
		}
		_, err = w.Write(text)
		err = errors.Join(err, w.Close())
	}
	err = errors.Join(err, out.Close(), os.Chtimes(path+".tmp", info.ModTime(), info.ModTime()),
		os.Rename(path+".tmp", path+end), os.Remove(path))
	if err != nil {
		t.Fatal(err)
	}
}

func logIn(t testing.TB) string { t.Helper(); return filepath.Join(t.TempDir(), "api-out.log") }

func TestFollowerIsTold(t *testing.T) {
	path := logIn(t)
	logstest.Put(t, path, "old\n")
	l := attend(t, onlyTold(follower(t, File{Path: path}))).start()
	for i := range 20 {
		line := fmt.Sprint("line ", i)
		appendTo(t, path, line+"\n")
		l.takes(line)
	}
	moveAside(t, path, "1")
	logstest.Put(t, path, "new\n")
	l.takes("new")
	appendTo(t, path, "newer\n")
	l.takes("newer")
}

func TestFollowerHasNoGapBehindItsHistory(t *testing.T) {
	path := logIn(t)
	logstest.Put(t, path, "a\nb\nc\nhal")
	f := follower(t, File{Path: path}, File{Path: path + ".missing"})
	appendTo(t, path, "f\nd\n")
	var got []string
	for i := range 2 {
		err := f.History(t.Context(), i, Query{Lines: 2}, func(l Line) error { got = append(got, string(l.Text)); return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	got = append(got, attend(t, f).start().next(2)...)
	if diff := cmp.Diff(got, []string{"b", "c", "half", "d"}); diff != "" {
		t.Errorf("got (-), want (+):\n%s", diff)
	}
}

func TestFollowerAddsLogs(t *testing.T) {
	path := logIn(t)
	l := attend(t, follower(t)).start()
	l.Add(File{Path: path, Since: time.Now()})
	l.Add(File{Path: path, Since: time.Now()}) // once is enough
	logstest.Put(t, path, "one\n")
	l.takes("one")
	other := path + "2"
	logstest.Put(t, other, "early\n")
	l.Add(File{Path: other, Since: time.Now().Add(-time.Minute)})
	l.takes("early")
	appendTo(t, other, "late\n")
	l.takes("late")
}

func TestALogThatWasMovedIsFollowedUntilItsWriterOpensTheNext(t *testing.T) {
	path := logIn(t)
	logstest.Put(t, path, "")
	l := attend(t, onlyTold(follower(t, File{Path: path}))).start()
	for i := range 5 {
		old := fmt.Sprint(path, ".", i)
		if err := os.Rename(path, old); err != nil {
			t.Fatal(err)
		}
		appendTo(t, old, "a\n")
		l.takes("a")
		logstest.Put(t, path, "") // logrotate's create
		appendTo(t, old, "b\n")
		l.takes("b")
		<-time.After(5 * followRest) // what was told of b is forgotten
		appendTo(t, path, "c\n")
		l.takes("c")
	}
}

// A reader that slept through several rotations still gets every line.
func TestFollowerCatchesUpWithRotations(t *testing.T) {
	for _, end := range []string{"", ".gz", ".zst"} {
		t.Run("as "+end, func(t *testing.T) {
			path := logIn(t)
			logstest.Put(t, path, "start\n")
			l := attend(t, follower(t, File{Path: path}))
			var want []string
			for i := range 4 {
				var text strings.Builder
				for j := range 1000 {
					want = append(want, fmt.Sprintf("%d line %d", i, j))
					text.WriteString(want[len(want)-1] + "\n")
				}
				if i == 0 {
					appendTo(t, path, text.String())
				} else {
					logstest.Put(t, path, text.String())
				}
				if i < 3 {
					to := moveAside(t, path, fmt.Sprint(i))
					if end != "" {
						pack(t, to, end)
					}
				}
			}
			l.start().takes(want...)
		})
	}
}

func TestCopyAndTruncate(t *testing.T) {
	path := logIn(t)
	logstest.Put(t, path, "a\n")
	l := attend(t, follower(t, File{Path: path}))
	appendTo(t, path, "b\nc\n")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	logstest.Put(t, filepath.Join(filepath.Dir(path), "api-out__2026-11-22_10-00-00.log"), string(text))
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, "d\n")
	l.start().takes("b", "c", "d")
}

func TestAnEmptiedLogThatHasGrownBeyondItsOldLength(t *testing.T) {
	path := logIn(t)
	logstest.Put(t, path, "")
	l := attend(t, follower(t, File{Path: path})).start()
	appendTo(t, path, "first\n")
	l.takes("first")
	logstest.Put(t, path, "another\nand more\n") // emptied and written in one go
	l.takes("another", "and more")
}

func TestLinesAsTheyAre(t *testing.T) {
	path := logIn(t)
	logstest.Put(t, path, "")
	l := attend(t, follower(t, File{Path: path})).start()
	long := strings.Repeat("0123456789", maxLine)
	appendTo(t, path, "\xff\xfe bytes \x00\n"+long+"\nend\n")
	l.takes("\xff\xfe bytes \x00")
	if got := strings.Join(l.next(10), ""); got != long {
		t.Errorf("a line of %d bytes came as %d", len(long), len(got))
	}
	l.takes("end")
	var got []string
	if err := History(t.Context(), File{Path: path}, Query{Lines: -1}, func(l Line) error { got = append(got, string(l.Text)); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := "\xff\xfe bytes \x00" + long + "end"; strings.Join(got, "") != want || len(got) != 12 {
		t.Errorf("the history has %d pieces", len(got))
	}
}

// The pieces of a long line have whole characters, wherever a block ends.
func TestPiecesOfLinesHoldWholeCharacters(t *testing.T) {
	for name, long := range map[string]string{
		"of two bytes":    "x" + strings.Repeat("é", maxLine),
		"of three bytes":  strings.Repeat("語", maxLine),
		"of four bytes":   "xx" + strings.Repeat("😀", maxLine),
		"that are broken": strings.Repeat("\xbf", 3*maxLine),
	} {
		path := logIn(t)
		logstest.Put(t, path, long+"\nend\n")
		pieces := all(t, path, Query{Lines: -1})
		if got := strings.Join(pieces, ""); got != long+"end" {
			t.Errorf("%s: %d bytes came as %d", name, len(long), len(got))
		}
		for i, piece := range pieces {
			if len(piece) > maxLine || utf8.ValidString(long) && !utf8.ValidString(piece) {
				t.Errorf("%s: piece %d of %d bytes begins %q and ends %q", name, i, len(piece), piece[:4], piece[len(piece)-4:])
			}
		}
	}
}

// A quiet log costs next to nothing: 200 apps are less than 5 % of a core.
func TestFollowingQuietLogsIsCheap(t *testing.T) {
	dir := t.TempDir()
	var files []File
	for i := range 400 {
		path := filepath.Join(dir, fmt.Sprintf("app-%d.log", i))
		logstest.Put(t, path, "line\n")
		files = append(files, File{Path: path})
	}
	l := attend(t, follower(t, files...)).start()
	appendTo(t, files[399].Path, "ready\n")
	l.takes("ready")
	debug.FreeOSMemory() // what other tests left is not to be swept meanwhile
	before, began := cpuTime(t), time.Now()
	<-time.After(3 * time.Second)
	used, took := cpuTime(t)-before, time.Since(began)
	if used > took/20 {
		t.Errorf("%v of CPU in %v", used, took)
	}
	t.Logf("%v of CPU in %v", used, took)
}

// Whatever happens to a log, history and what follows give each line once, in
// order, also to readers that come back with the position of the last line.
func TestEachLineOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		path := filepath.Join(t.TempDir(), "api-out.log")
		w := &scribe{t: t, path: path}
		w.write(rapid.IntRange(0, 30).Draw(rt, "before"))
		for i := range rapid.IntRange(0, 2).Draw(rt, "rotated before") {
			w.rotate(rapid.SampledFrom([]string{"", ".gz", ".zst"}).Draw(rt, "as"))
			w.write(rapid.IntRange(1, 30).Draw(rt, fmt.Sprint("then ", i)))
		}
		f := follower(t, File{Path: path})
		var got []string
		if err := f.History(t.Context(), 0, Query{Lines: -1}, func(l Line) error { got = append(got, string(l.Text)); return nil }); err != nil {
			rt.Fatal(err)
		}
		l := attend(t, f)
		l.t = rt
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0, 1:
				w.write(rapid.IntRange(1, 2000).Draw(rt, "lines"))
			case 2:
				w.rotate(rapid.SampledFrom([]string{"", ".gz", ".zst"}).Draw(rt, "as"))
			case 3: // emptied; what nobody has read is gone, so all is read first
				got = append(got, l.start().next(len(w.lines)-len(got))...)
				if err := os.Truncate(path, 0); err != nil && !os.IsNotExist(err) {
					rt.Fatal(err)
				}
			case 4:
				l.start()
			case 5: // the reader dies, having read all or not
				l.start()
				got = append(got, l.next(rapid.IntRange(0, len(w.lines)-len(got)).Draw(rt, "read"))...)
				l.end()
				for len(l.lines) > 0 {
					got = append(got, <-l.lines)
				}
				last := l.last
				p, err := ParsePosition(last.String())
				if err != nil || p != last || !p.Of(path) {
					rt.Fatalf("position %v read as %v, %v", last, p, err)
				}
				l = attend(t, follower(t, File{Path: path, After: &p}))
				l.t = rt
			}
		}
		got = append(got, l.start().next(len(w.lines)-len(got))...)
		l.end()
		if len(l.lines) > 0 {
			rt.Fatalf("too much: %q", <-l.lines)
		}
		if !slices.Equal(got, w.lines) {
			rt.Fatalf("got (-), want (+):\n%.3000s", cmp.Diff(got, w.lines))
		}
	})
}

// scribe writes numbered lines.
type scribe struct {
	t     testing.TB
	path  string
	lines []string
	n     int
}

func (s *scribe) write(n int) {
	var text strings.Builder
	for range n {
		s.lines = append(s.lines, fmt.Sprintf("line %d %s", len(s.lines), strings.Repeat("x", len(s.lines)%90)))
		text.WriteString(s.lines[len(s.lines)-1] + "\n")
	}
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text.String()); err != nil {
		s.t.Fatal(err)
	}
}

// rotate puts the log aside, if it is there.
func (s *scribe) rotate(end string) {
	if _, err := os.Stat(s.path); err != nil {
		return
	}
	s.n++
	to := moveAside(s.t, s.path, fmt.Sprintf("%04d", s.n))
	if end != "" {
		pack(s.t, to, end)
	}
}

// cpuTime is what this process used so far.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
