package supervisor

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestAnAppThatChangesItsOwnFiles is restarted ever more rarely.
func TestAnAppThatChangesItsOwnFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		path func(n int) string
		note string
	}{
		"the same": {func(int) string { return "/x/data.db" }, "/x/data.db changes each time it starts"},
		"another each time": {
			func(n int) string { return fmt.Sprintf("/x/data.%d", n) },
			"each time it starts a file changes, the last was /x/data.59,",
		},
	} {
		t.Run(name, func(t *testing.T) { changesItsOwn(t, tt.path, tt.note) })
	}
}

func changesItsOwn(t *testing.T, path func(n int) string, note string) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", watching(0)))
		key := w.f.keys()[0]
		began := time.Now()
		for n := range 60 {
			before := len(w.k.asks())
			w.change(path(n))
			for time.Since(began) < time.Hour && len(w.k.asks()) == before {
				time.Sleep(10 * time.Millisecond)
				synctest.Wait()
			}
			time.Sleep(200 * time.Millisecond)
		}
		if took := time.Since(began); took < 15*time.Minute {
			t.Errorf("60 restarts in %v", took)
		}
		if r := w.row(0).Reason; !strings.Contains(r, note) {
			t.Errorf("the reason is %q", r)
		}
		time.Sleep(quickly + time.Second)
		before := len(w.k.asks())
		w.FilesChanged(key, path(60))
		synctest.Wait()
		if len(w.k.asks()) == before || w.row(0).Reason != "" {
			t.Errorf("a change after a calm time waits, or the note stays: %q", w.row(0).Reason)
		}
	})
}

func TestPatienceGrowsAndEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w watched
		now := time.Unix(0, 0)
		last, path, row := time.Duration(0), "/a", 0
		for range rapid.IntRange(1, 60).Draw(t, "changes") {
			calm := rapid.IntRange(0, 9).Draw(t, "calm") == 0
			other := rapid.IntRange(0, 9).Draw(t, "other") == 0
			if row++; calm {
				now, row = now.Add(quickly+time.Second), 1
			}
			if other {
				path += "a"
			}
			d := w.patience(path, now)
			switch {
			case d > quickMost, d < 0:
				t.Fatalf("%v", d)
			case calm && d != 0:
				t.Fatalf("%v after a calm time", d)
			case other && (d != 0) != (row > rowFree):
				t.Fatalf("%v for another file, after %d in a row", d, row)
			case !calm && !other && d < last:
				t.Fatalf("%v after %v", d, last)
			}
			last, w.renewed = d, now
		}
	})
}
