package logs

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
)

// following is a Follower at work in a bubble, where time is exact.
type following struct {
	path string

	mu  sync.Mutex
	got []string
}

// tick lets the follower look once more.
func tick() {
	time.Sleep(followEvery)
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

// follow runs a story with a file that has the content "old\n" at first.
func follow(t *testing.T, story func(t *testing.T, f *following)) {
	synctest.Test(t, func(t *testing.T) {
		f := &following{path: filepath.Join(t.TempDir(), "log")}
		put(t, f.path, "old\n")
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			err := Follow(ctx, []File{{Path: f.path, Label: 7}}, func(label any, line []byte) error {
				if label != 7 {
					t.Errorf("label %v, want 7", label)
				}
				f.mu.Lock()
				defer f.mu.Unlock()
				f.got = append(f.got, string(line))
				return nil
			})
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
			put(t, f.path, "first of the new\n")
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
			put(t, f.path, "again\n")
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
		var got []string
		var wg sync.WaitGroup
		wg.Go(func() {
			err := Follow(t.Context(), []File{{Path: os.DevNull}, {Path: path}}, func(_ any, line []byte) error {
				got = append(got, string(line))
				return errEnough
			})
			if !errors.Is(err, errEnough) {
				t.Errorf("follow: %v, want what emit gave", err)
			}
		})
		synctest.Wait()
		put(t, path, "first\nsecond\n")
		wg.Wait()
		if diff := cmp.Diff(got, []string{"first"}); diff != "" {
			t.Errorf("got (-), want (+):\n%s", diff)
		}
	})
}

func TestFollowerHasNoGapBehindItsTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	put(t, path, "a\nb\nc\n")
	f, err := NewFollower([]File{{Path: path}, {Path: path + ".missing"}})
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, "d\n")
	var got []string
	for i := range 2 {
		lines, err := f.Tail(i, 2)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, lines...)
	}
	err = f.Run(t.Context(), func(_ any, line []byte) error {
		got = append(got, string(line))
		return errEnough
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, []string{"b", "c", "d"}); diff != "" {
		t.Errorf("got (-), want (+):\n%s", diff)
	}
}
