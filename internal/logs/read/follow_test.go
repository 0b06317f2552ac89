package read

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/internal/logs/logstest"
)

// following is a Follower at work in a bubble, where time is exact.
type following struct {
	path string

	mu   sync.Mutex
	got  []string
	last Position
	more func(Line) error
}

// tick lets the follower look once more.
func tick() {
	time.Sleep(pollEvery)
	synctest.Wait()
}

// takes checks what came since the last check.
func (f *following) takes(t *testing.T, when string, want ...string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if diff := cmp.Diff(strings.Join(f.got, "|"), strings.Join(want, "|")); diff != "" {
		t.Errorf("%s: got (-), want (+):\n%.2000s", when, diff)
	}
	f.got = nil
}

// Line takes a line in.
func (f *following) Line(l Line) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, string(l.Text))
	f.last = l.Position()
	if f.more != nil {
		return f.more(l)
	}
	return nil
}

func (f *following) Flush() error { return nil }

// follow runs a story with a file that has the content "old\n" at first.
func follow(t *testing.T, story func(t *testing.T, f *following)) {
	synctest.Test(t, func(t *testing.T) {
		f := &following{path: filepath.Join(t.TempDir(), "log")}
		f.more = func(l Line) error {
			if l.Label != 7 {
				t.Errorf("label %v, want 7", l.Label)
			}
			return nil
		}
		logstest.Put(t, f.path, "old\n")
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			err := polling(t, File{Path: f.path, Label: 7}).Run(ctx, f)
			if !errors.Is(err, errEnough) {
				t.Errorf("follow: %v, want %v", err, errEnough)
			}
		})
		synctest.Wait()
		story(t, f)
		cancel(errEnough)
		wg.Wait()
	})
}

// polling is a Follower that looks by the clock, for bubbles.
func polling(t *testing.T, files ...File) *Follower {
	t.Helper()
	f, err := NewFollower(files)
	if err != nil {
		t.Fatal(err)
	}
	f.look = func() watch { return newPoll() }
	return f
}

var errEnough = errors.New("enough")

func TestFollow(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	stories := map[string]func(*testing.T, *following){
		"only what is new": func(t *testing.T, f *following) {
			tick()
			f.takes(t, "at first")
			appendTo(t, f.path, "a\nb\n\n")
			tick()
			f.takes(t, "then", "a", "b", "")
		},
		"lines come whole": func(t *testing.T, f *following) {
			appendTo(t, f.path, "a\nhal")
			tick()
			f.takes(t, "half", "a")
			appendTo(t, f.path, "f\n")
			tick()
			f.takes(t, "whole", "half")
		},
		"a prompt comes after a pause, and its line end gives no empty line": func(t *testing.T, f *following) {
			appendTo(t, f.path, "name? ")
			tick()
			tick()
			f.takes(t, "too early")
			tick()
			tick()
			f.takes(t, "after the pause", "name? ")
			appendTo(t, f.path, "\nnext\n")
			tick()
			f.takes(t, "after the end", "next")
		},
		"a file that was emptied": func(t *testing.T, f *following) {
			appendTo(t, f.path, "a\ncut o")
			tick()
			if err := os.Truncate(f.path, 0); err != nil {
				t.Fatal(err)
			}
			appendTo(t, f.path, "b\n")
			tick()
			f.takes(t, "after", "a", "cut o", "b")
		},
		"a file that was replaced, the old one to its end first": func(t *testing.T, f *following) {
			if err := os.Rename(f.path, f.path+".1"); err != nil {
				t.Fatal(err)
			}
			appendTo(t, f.path+".1", "last of the old\nno end")
			logstest.Put(t, f.path, "first of the new\n")
			tick()
			tick()
			f.takes(t, "after", "last of the old", "no end", "first of the new")
		},
		"a file that was removed and comes back": func(t *testing.T, f *following) {
			if err := os.Remove(f.path); err != nil {
				t.Fatal(err)
			}
			tick()
			tick()
			logstest.Put(t, f.path, "again\n")
			tick()
			f.takes(t, "after", "again")
		},
		"a line that is too long comes in pieces": func(t *testing.T, f *following) {
			appendTo(t, f.path, long+"y\n"+long+"\nb\n")
			tick()
			tick()
			f.takes(t, "after", long, "y", long, "b")
		},
		"much at once": func(t *testing.T, f *following) {
			var want []string
			for i := range 300_000 {
				want = append(want, fmt.Sprintf("line %d", i))
			}
			appendTo(t, f.path, strings.Join(want, "\n")+"\n")
			tick()
			f.takes(t, "after", want...)
		},
	}
	for name, story := range stories {
		t.Run(name, func(t *testing.T) { follow(t, story) })
	}
}

func TestFollowAFileThatIsNotThereYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "log")
		f := &following{more: func(Line) error { return errEnough }}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := polling(t, File{Path: os.DevNull}, File{Path: path}).Run(t.Context(), f); !errors.Is(err, errEnough) {
				t.Errorf("follow: %v, want what the sink gave", err)
			}
		})
		synctest.Wait()
		logstest.Put(t, path, "first\nsecond\n")
		wg.Wait()
		f.takes(t, "then", "first")
	})
}

// appendTo writes as an app does: at the end of a file that is there.
func appendTo(t testing.TB, path, content string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
}
