package logs

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var epoch = time.UnixMilli(1_800_000_000_000)

func after(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// entries is what stands in the times of a log, as milliseconds after epoch and
// offsets.
func entries(t testing.TB, log string) [][2]int64 {
	t.Helper()
	b, err := os.ReadFile(timesPath(log))
	if err != nil {
		t.Fatal(err)
	}
	var got [][2]int64
	for ; len(b) >= entrySize; b = b[entrySize:] {
		e := readEntry(b)
		got = append(got, [2]int64{e.at - epoch.UnixMilli(), e.offset})
	}
	return got
}

func TestTimesAreNoted(t *testing.T) {
	log := logIn(t)
	w := newTimes(log, slog.New(slog.DiscardHandler))
	check := func(when string, want ...[2]int64) {
		t.Helper()
		if diff := cmp.Diff(entries(t, log), want); diff != "" {
			t.Errorf("%s: got (-), want (+):\n%s", when, diff)
		}
	}
	w.note(after(0), 0)
	w.note(after(999), 50)
	w.note(after(1000), 80)
	check("once a second", [2]int64{0, 0}, [2]int64{1000, 80})
	w.close()
	torn, err := os.OpenFile(timesPath(log), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = torn.WriteString("torn")
	_ = torn.Close()
	w = newTimes(log, slog.New(slog.DiscardHandler))
	w.note(after(1500), 90)
	w.note(after(2500), 90)
	check("behind a torn entry", [2]int64{0, 0}, [2]int64{1000, 80}, [2]int64{2500, 90})
	w.note(after(2600), 10)
	check("of a log that was emptied", [2]int64{2600, 10})
	w.note(after(1000), 20)
	check("by a clock that went back", [2]int64{1000, 20})

	to := filepath.Join(filepath.Dir(log), "api-out__1.log")
	w.rename(to)
	w.note(after(1001), 0)
	check("of the next log", [2]int64{1001, 0})
	if got := entries(t, to+".gz"); len(got) != 1 || got[0] != [2]int64{1000, 20} {
		t.Errorf("the old times are %v", got)
	}
	w.close()
	dropTimes(to + ".zst")
	if _, err := os.Stat(timesPath(to)); !os.IsNotExist(err) {
		t.Errorf("the times of a removed log: %v", err)
	}
}

func TestTimesThatCannotBeNotedAreToldOnce(t *testing.T) {
	log := logIn(t)
	if err := os.MkdirAll(timesPath(log), 0o700); err != nil { // no file
		t.Fatal(err)
	}
	var text bytes.Buffer
	w := newTimes(log, slog.New(slog.NewTextHandler(&text, nil)))
	for i := range 5 {
		w.note(after(2000*i), int64(i))
	}
	if n := strings.Count(text.String(), "\n"); n != 1 {
		t.Errorf("it was told %d times: %s", n, text.String())
	}
	text.Reset()
	gone := newTimes(filepath.Join(t.TempDir(), "moved", "log"), slog.New(slog.NewTextHandler(&text, nil)))
	gone.note(after(0), 0)
	if _, err := os.Stat(filepath.Dir(gone.path)); !os.IsNotExist(err) || text.Len() > 0 {
		t.Errorf("of a log that was moved away: %v, %s", err, text.String())
	}
}

// What was written since a time is found, with at most a second more before it.
func TestTimetable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		log := logIn(t)
		put(t, log, "")
		w := newTimes(log, slog.New(slog.DiscardHandler))
		defer w.close()
		type write struct{ at, offset int }
		var writes []write
		at, offset := 0, 0
		for range rapid.IntRange(1, 60).Draw(rt, "writes") {
			at += rapid.IntRange(0, 3000).Draw(rt, "pause")
			writes = append(writes, write{at, offset})
			w.note(after(at), int64(offset))
			offset += rapid.IntRange(1, 100).Draw(rt, "bytes")
		}
		table := openTimetable(log)
		defer table.close()
		since := rapid.IntRange(-100, at).Draw(rt, "since")
		got := int(table.offsetAt(after(since)))
		for _, w := range writes {
			if w.at >= since && w.offset < got {
				rt.Fatalf("what was written at %d is left out of what is since %d", w.at, since)
			}
			if w.at+1000 <= since && w.offset >= got && since >= 0 {
				rt.Fatalf("what was written at %d is in what is since %d", w.at, since)
			}
		}
		end := int(min(table.endAt(after(since)), maxOffset-1))
		for _, w := range writes {
			if w.at <= since && w.offset >= end || w.at > since+1000 && w.offset < end {
				rt.Fatalf("what was written at %d, and what is until %d ends at %d", w.at, since, end)
			}
		}
		clock := newClock(table, 0)
		for _, w := range writes {
			if d := after(w.at).Sub(clock.at(int64(w.offset))); d < 0 || d >= time.Second {
				rt.Fatalf("what was written at %d is told as %v off", w.at, d)
			}
		}
	})
}

func all(t testing.TB, path string, q Query) []string {
	t.Helper()
	var got []string
	if err := History(File{Path: path}, q, func(l Line) error { got = append(got, string(l.Text)); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

// aged is a log that was put aside twice, an hour ago and ten minutes ago, and
// has times.
func aged(t testing.TB, now time.Time) string {
	t.Helper()
	path := logIn(t)
	parts := []struct {
		age  time.Duration
		end  string
		text string
	}{{time.Hour, ".zst", "a1\na2\na3\n"}, {10 * time.Minute, ".gz", "b1\nb2\nb3\n"}, {time.Minute, "", "c1\nc2\nc3\n"}}
	for i, p := range parts {
		put(t, path, p.text)
		w := newTimes(path, slog.New(slog.DiscardHandler))
		for j := range 3 { // a line each ten seconds
			w.note(now.Add(-p.age+time.Duration(j-2)*10*time.Second), int64(3*j))
		}
		at := now.Add(-p.age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		if p.end == "" {
			w.close()
			break
		}
		to := moveAside(t, path, fmt.Sprint(i))
		w.rename(to)
		pack(t, to, p.end)
	}
	return path
}

func TestHistory(t *testing.T) {
	now := time.Now()
	path := aged(t, now)
	b := func(line []byte) bool { return bytes.HasSuffix(line, []byte("2")) }
	for name, tt := range map[string]struct {
		q    Query
		want string
	}{
		"all":                         {Query{Lines: -1}, "a1 a2 a3 b1 b2 b3 c1 c2 c3"},
		"none":                        {Query{}, ""},
		"the last":                    {Query{Lines: 2}, "c2 c3"},
		"the last, across files":      {Query{Lines: 5}, "b2 b3 c1 c2 c3"},
		"more than there are":         {Query{Lines: 50}, "a1 a2 a3 b1 b2 b3 c1 c2 c3"},
		"those that match":            {Query{Lines: -1, Keep: b}, "a2 b2 c2"},
		"the last that match":         {Query{Lines: 2, Keep: b}, "b2 c2"},
		"since a time in the last":    {Query{Lines: -1, Since: now.Add(-75 * time.Second)}, "c2 c3"},
		"since a time in one before":  {Query{Lines: -1, Since: now.Add(-605 * time.Second)}, "b3 c1 c2 c3"},
		"until a time":                {Query{Lines: -1, Until: now.Add(-615 * time.Second)}, "a1 a2 a3 b1"},
		"between two times":           {Query{Lines: -1, Since: now.Add(-615 * time.Second), Until: now.Add(-75 * time.Second)}, "b2 b3 c1"},
		"the last of between two":     {Query{Lines: 1, Since: now.Add(-615 * time.Second), Until: now.Add(-75 * time.Second)}, "c1"},
		"since a time without a line": {Query{Lines: -1, Since: now.Add(-time.Second)}, ""},
		"since before everything":     {Query{Lines: -1, Since: now.Add(-2 * time.Hour)}, "a1 a2 a3 b1 b2 b3 c1 c2 c3"},
		"the last match since a time": {Query{Lines: 1, Since: now.Add(-605 * time.Second), Keep: b}, "c2"},
		"all matches of none":         {Query{Lines: -1, Keep: func([]byte) bool { return false }}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(all(t, path, tt.q), " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// What was noted may be half a line: it belongs to when it began.
func TestHistoryBeginsAndEndsWithALine(t *testing.T) {
	path := logIn(t)
	put(t, path, "first\nsecond\nthird\n")
	w := newTimes(path, slog.New(slog.DiscardHandler))
	defer w.close()
	now := time.Now()
	w.note(now.Add(-30*time.Second), 0)
	w.note(now.Add(-20*time.Second), 3)  // in the first
	w.note(now.Add(-10*time.Second), 15) // in the third
	for name, tt := range map[string]struct {
		q    Query
		want string
	}{
		"since": {Query{Lines: -1, Since: now.Add(-25 * time.Second)}, "second third"},
		"until": {Query{Lines: -1, Until: now.Add(-25 * time.Second)}, "first"},
		"both":  {Query{Lines: -1, Since: now.Add(-25 * time.Second), Until: now.Add(-15 * time.Second)}, "second third"},
	} {
		if got := strings.Join(all(t, path, tt.q), " "); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

// Without times a file counts whole where it was written to since.
func TestHistoryWithoutTimes(t *testing.T) {
	path := aged(t, time.Now())
	if err := os.RemoveAll(filepath.Join(filepath.Dir(path), timesDir)); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(all(t, path, Query{Lines: -1, Since: time.Now().Add(-605 * time.Second)}), " ")
	if got != "b1 b2 b3 c1 c2 c3" {
		t.Errorf("got %q", got)
	}
}

// The last minute of a gigabyte is there in less than a second. The files are
// sparse: what must not be read would be read as fast.
func TestTheLastMinuteOfAGigabyte(t *testing.T) {
	path := logIn(t)
	now := time.Now()
	const part, parts = 100 << 20, 10
	line := strings.Repeat("x", 99) + "\n"
	for i := range parts {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(part - 1000*int64(len(line))); err != nil {
			t.Fatal(err)
		}
		_, _ = f.Seek(0, 2)
		_, _ = f.WriteString("\n" + strings.Repeat(line, 1000))
		_ = f.Close()
		w := newTimes(path, slog.New(slog.DiscardHandler))
		for s := range 600 {
			w.note(now.Add(time.Duration((i-parts+1)*600+s-600)*time.Second), int64(s*part/600))
		}
		w.close()
		at := now.Add(time.Duration((i-parts+1)*600) * time.Second)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		if i < parts-1 {
			w.rename(moveAside(t, path, fmt.Sprint(i)))
		}
	}
	began := time.Now()
	n := len(all(t, path, Query{Lines: -1, Since: now.Add(-time.Minute)}))
	took := time.Since(began)
	t.Logf("%d lines in %v", n, took)
	if n < 1000 || n > 1100 || took > time.Second {
		t.Errorf("%d lines in %v", n, took)
	}
}
