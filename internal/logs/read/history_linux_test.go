package read

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tend/internal/logs"
	"tend/internal/logs/logstest"
)

func all(t testing.TB, path string, q Query) []string {
	t.Helper()
	var got []string
	if err := History(t.Context(), File{Path: path}, q, func(l Line) error { got = append(got, string(l.Text)); return nil }); err != nil {
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
		logstest.Put(t, path, p.text)
		w := logs.NewTimes(path, slog.New(slog.DiscardHandler))
		for j := range 3 { // a line each ten seconds
			w.Note(now.Add(-p.age+time.Duration(j-2)*10*time.Second), int64(3*j))
		}
		at := now.Add(-p.age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		if p.end == "" {
			w.Close()
			break
		}
		to := moveAside(t, path, fmt.Sprint(i))
		w.Rename(to)
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
		"as many as a number can be":  {Query{Lines: math.MaxInt, Keep: b}, "a2 b2 c2"},
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

// Damage to what was put aside keeps nothing else back.
func TestHistoryOfDamagedFiles(t *testing.T) {
	path := aged(t, time.Now())
	parts, err := logs.Rotated(path)
	if err != nil || len(parts) != 2 {
		t.Fatalf("%v, %v", parts, err)
	}
	logstest.Put(t, parts[0].Path, "no archive")
	text, err := os.ReadFile(parts[1].Path)
	if err != nil {
		t.Fatal(err)
	}
	logstest.Put(t, parts[1].Path, string(text[:len(text)-6])) // all lines, and half the end of a gzip file
	for name, tt := range map[string]struct {
		q    Query
		want string
		bad  []string // of the parts
	}{
		"all":                 {Query{Lines: -1}, "b1 b2 b3 c1 c2 c3", []string{parts[0].Path, parts[1].Path}},
		"enough before it":    {Query{Lines: 2}, "c2 c3", nil},
		"the last, behind it": {Query{Lines: 4}, "b3 c1 c2 c3", []string{parts[1].Path}},
		"more than there are": {Query{Lines: 50}, "b1 b2 b3 c1 c2 c3", []string{parts[1].Path, parts[0].Path}},
		"those that match": {
			Query{Lines: 50, Keep: func(b []byte) bool { return b[0] == 'c' }},
			"c1 c2 c3",
			[]string{parts[1].Path, parts[0].Path},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := History(t.Context(), File{Path: path}, tt.q, func(l Line) error { got = append(got, string(l.Text)); return nil })
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			var bad Unread
			if unread, ok := errors.AsType[*Unread](err); ok {
				bad = *unread
			} else if err != nil {
				t.Fatal(err)
			}
			if len(bad.Parts) != len(tt.bad) {
				t.Fatalf("unread: %v, want %v", bad.Parts, tt.bad)
			}
			for i, part := range bad.Parts {
				if !strings.Contains(part.Error(), tt.bad[i]) {
					t.Errorf("unread: %v, want %s", part, tt.bad[i])
				}
			}
		})
	}
}

// Who has seen enough does not wait for the rest, be it that none of it matches.
func TestHistoryEndsWithItsContext(t *testing.T) {
	path := logIn(t)
	logstest.Put(t, path, strings.Repeat("x\n", blockSize))
	pack(t, moveAside(t, path, "0001"), ".gz")
	for name, lines := range map[string]int{"all": -1, "the last": 10} {
		ctx, enough := context.WithCancel(t.Context())
		looked := 0
		none := func([]byte) bool { enough(); looked++; return false }
		err := History(ctx, File{Path: path}, Query{Lines: lines, Keep: none}, func(Line) error { return nil })
		if !errors.Is(err, context.Canceled) || looked > blockSize/2 {
			t.Errorf("%s: %v after %d lines, want %v after a block", name, err, looked, context.Canceled)
		}
	}
}

// What was noted may be half a line: it belongs to when it began.
func TestHistoryBeginsAndEndsWithALine(t *testing.T) {
	path := logIn(t)
	logstest.Put(t, path, "first\nsecond\nthird\n")
	w := logs.NewTimes(path, slog.New(slog.DiscardHandler))
	defer w.Close()
	now := time.Now()
	w.Note(now.Add(-30*time.Second), 0)
	w.Note(now.Add(-20*time.Second), 3)  // in the first
	w.Note(now.Add(-10*time.Second), 15) // in the third
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
	if err := os.RemoveAll(filepath.Join(filepath.Dir(path), ".tend")); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(all(t, path, Query{Lines: -1, Since: time.Now().Add(-605 * time.Second)}), " ")
	if got != "b1 b2 b3 c1 c2 c3" {
		t.Errorf("got %q", got)
	}
}

// The last minute of a gigabyte takes less than a second of a processor. The
// files are sparse: what must not be read would be read as fast.
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
		w := logs.NewTimes(path, slog.New(slog.DiscardHandler))
		for s := range 600 {
			w.Note(now.Add(time.Duration((i-parts+1)*600+s-600)*time.Second), int64(s*part/600))
		}
		w.Close()
		at := now.Add(time.Duration((i-parts+1)*600) * time.Second)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		if i < parts-1 {
			w.Rename(moveAside(t, path, fmt.Sprint(i)))
		}
	}
	before := cpuTime(t)
	n := len(all(t, path, Query{Lines: -1, Since: now.Add(-time.Minute)}))
	took := cpuTime(t) - before
	t.Logf("%d lines in %v", n, took)
	if n < 1000 || n > 1100 || took > time.Second {
		t.Errorf("%d lines in %v", n, took)
	}
}
