package logs

import (
	"bytes"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var epoch = time.UnixMilli(1_800_000_000_000)

func logIn(t testing.TB) string { t.Helper(); return filepath.Join(t.TempDir(), "api-out.log") }

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
	w := NewTimes(log, slog.New(slog.DiscardHandler))
	check := func(when string, want ...[2]int64) {
		t.Helper()
		if diff := cmp.Diff(entries(t, log), want); diff != "" {
			t.Errorf("%s: got (-), want (+):\n%s", when, diff)
		}
	}
	w.Note(after(0), 0)
	w.Note(after(999), 50)
	w.Note(after(1000), 80)
	check("once a second", [2]int64{0, 0}, [2]int64{1000, 80})
	w.Close()
	torn, err := os.OpenFile(timesPath(log), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = torn.WriteString("torn")
	_ = torn.Close()
	w = NewTimes(log, slog.New(slog.DiscardHandler))
	w.Note(after(1500), 90)
	w.Note(after(2500), 90)
	check("behind a torn entry", [2]int64{0, 0}, [2]int64{1000, 80}, [2]int64{2500, 90})
	w.Note(after(2600), 10)
	check("of a log that was emptied", [2]int64{2600, 10})
	w.Note(after(1000), 20)
	check("by a clock that went back", [2]int64{1000, 20})

	to := filepath.Join(filepath.Dir(log), "api-out__1.log")
	w.Rename(to)
	w.Note(after(1001), 0)
	check("of the next log", [2]int64{1001, 0})
	if got := entries(t, to+".gz"); len(got) != 1 || got[0] != [2]int64{1000, 20} {
		t.Errorf("the old times are %v", got)
	}
	w.Close()
	DropTimes(to + ".zst")
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
	w := NewTimes(log, slog.New(slog.NewTextHandler(&text, nil)))
	for i := range 5 {
		w.Note(after(2000*i), int64(i))
	}
	if n := strings.Count(text.String(), "\n"); n != 1 {
		t.Errorf("it was told %d times: %s", n, text.String())
	}
	text.Reset()
	gone := NewTimes(filepath.Join(t.TempDir(), "moved", "log"), slog.New(slog.NewTextHandler(&text, nil)))
	gone.Note(after(0), 0)
	if _, err := os.Stat(filepath.Dir(gone.path)); !os.IsNotExist(err) || text.Len() > 0 {
		t.Errorf("of a log that was moved away: %v, %s", err, text.String())
	}
}

// What was written since a time is found, with at most a second more before it.
func TestTimetable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		log := logIn(t)
		w := NewTimes(log, slog.New(slog.DiscardHandler))
		defer w.Close()
		type write struct{ at, offset int }
		var writes []write
		at, offset := 0, 0
		for range rapid.IntRange(1, 60).Draw(rt, "writes") {
			at += rapid.IntRange(0, 3000).Draw(rt, "pause")
			writes = append(writes, write{at, offset})
			w.Note(after(at), int64(offset))
			offset += rapid.IntRange(1, 100).Draw(rt, "bytes")
		}
		table := OpenTimetable(log)
		defer table.Close()
		since := rapid.IntRange(-100, at).Draw(rt, "since")
		got := int(table.OffsetAt(after(since)))
		for _, w := range writes {
			if w.at >= since && w.offset < got {
				rt.Fatalf("what was written at %d is left out of what is since %d", w.at, since)
			}
			if w.at+1000 <= since && w.offset >= got && since >= 0 {
				rt.Fatalf("what was written at %d is in what is since %d", w.at, since)
			}
		}
		end := int64(math.MaxInt64)
		if at, known := table.EndAt(after(since)); known {
			end = at
		}
		for _, w := range writes {
			if w.at <= since && int64(w.offset) >= end || w.at > since+1000 && int64(w.offset) < end {
				rt.Fatalf("what was written at %d, and what is until %d ends at %d", w.at, since, end)
			}
		}
		clock := table.Clock(0)
		for _, w := range writes {
			if d := after(w.at).Sub(clock.At(int64(w.offset))); d < 0 || d >= time.Second {
				rt.Fatalf("what was written at %d is told as %v off", w.at, d)
			}
		}
	})
}
