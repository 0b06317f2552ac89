package tidy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/logs"
	"tend/internal/logs/logstest"
	"tend/internal/rotation"
	"tend/internal/testkit"
)

// caretaker makes one, and what it logs.
func caretaker(t testing.TB) (*Caretaker, *logstest.Log) {
	t.Helper()
	log := &logstest.Log{}
	return New(slog.New(log)), log
}

// leaveAside makes a rotated file of a log, of numbered lines, and each newer
// than the one before.
func leaveAside(t testing.TB, path string, parts, lines int) (names []string) {
	t.Helper()
	begin := time.Now().Add(-time.Hour)
	r := rule(t)
	for i := range parts {
		var text bytes.Buffer
		for n := range lines {
			fmt.Fprintf(&text, "line %d of part %d, and %d is any number\n", n, i, rand.Uint32())
		}
		at := begin.Add(time.Duration(i) * time.Second)
		name := r.Rule.Name(path, at, logs.Exists)
		logstest.Put(t, name, text.String())
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// rule is the care for a log by a rotation of which only what matters was said;
// the rest is as most have it.
func rule(t testing.TB, said ...*api.Rotation) Care {
	t.Helper()
	all := rotation.Default()
	if len(said) > 0 {
		all = *said[0]
		if all.Retain == 0 {
			all.Retain = rotation.Default().Retain
		}
		switch all.Compress {
		case "":
			all.Compress = rotation.Default().Compress
		case "none":
			all.Compress = ""
		}
	}
	r, err := rotation.New(all)
	if err != nil {
		t.Fatal(err)
	}
	return Care{Rule: r}
}

func lookAfter(t testing.TB, path string, care Care) {
	t.Helper()
	c, _ := caretaker(t)
	if err := c.lookAfter(t.Context(), path, care, logs.Listings{}); err != nil {
		t.Fatal(err)
	}
}

// whileItRuns runs a Caretaker beside f.
func whileItRuns(t *testing.T, c *Caretaker, f func()) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Run(ctx); !errors.Is(err, errEnough) {
			t.Errorf("run: %v, want %v", err, errEnough)
		}
	})
	f()
	cancel(errEnough)
	wg.Wait()
}

func TestWhatIsLookedAfter(t *testing.T) {
	c, log := caretaker(t)
	dir := t.TempDir()
	whileItRuns(t, c, func() {
		for i := range 5 { // one after the other, and while others are done
			path := filepath.Join(dir, fmt.Sprintf("app%d.log", i))
			leaveAside(t, path, 3, 100)
			c.Tidy(path, rule(t, &api.Rotation{Retain: 2}))
		}
		testkit.WaitFor(t, 20*time.Second, "two of each are left, compressed", func() bool {
			names := logstest.Names(t, dir)
			return len(names) == 10 && !slices.ContainsFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".gz") })
		})
	})
	if got := log.Messages(); len(got) > 0 {
		t.Errorf("logged %q", got)
	}
}

func TestTheCapOfAnApp(t *testing.T) {
	dir := t.TempDir()
	out, err, other := filepath.Join(dir, "out.log"), filepath.Join(dir, "error.log"), filepath.Join(dir, "other.log")
	leaveAside(t, out, 3, 1000)
	leaveAside(t, err, 3, 1000)
	leaveAside(t, other, 3, 1000)
	r := rule(t, &api.Rotation{TotalCap: 100 << 10})
	c, _ := caretaker(t)
	for path, app := range map[string]string{out: "api", err: "api", other: "web"} {
		care := r
		care.App = app
		c.Tidy(path, care)
	}
	for _, path := range []string{other, out, err} {
		care, _ := c.of(path)
		if problem := c.lookAfter(t.Context(), path, care, logs.Listings{}); problem != nil {
			t.Fatal(problem)
		}
	}
	if parts, problem := logs.Rotated(other); problem != nil || len(parts) != 3 {
		t.Errorf("of another app %d are left, %v; want 3", len(parts), problem)
	}
	var sizes int64
	count := map[string]int{}
	for _, path := range []string{out, err} {
		parts, err := logs.Rotated(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			sizes += p.Size
			count[p.Log]++
		}
	}
	// Each is about 45 KB, and 20 compressed.
	if sizes > r.Rule.TotalCap || sizes < r.Rule.TotalCap/2 || count[out]+count[err] < 3 {
		t.Errorf("%v are left, of %d bytes; want all that %d hold", count, sizes, r.Rule.TotalCap)
	}
}

func TestWhatLooksLikeARotatedFileAndIsNone(t *testing.T) {
	dir := t.TempDir()
	path, active := filepath.Join(dir, "api.log"), filepath.Join(dir, "api__20261122.log")
	logstest.Put(t, active, "the log of an app of that name\n")
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	logstest.Put(t, elsewhere, "not ours\n")
	if err := os.Symlink(elsewhere, filepath.Join(dir, "api__2026-11-23.log")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "api__2026-11-24.log"), 0o600); err != nil {
		t.Fatal(err)
	}
	mkdir(t, filepath.Join(dir, "api__2026-11-25.log"))
	before := logstest.Names(t, dir)
	c, _ := caretaker(t)
	c.Tidy(active, rule(t))
	for _, retain := range []int{-1, 1} {
		leaveAside(t, path, 1, 1)
		if err := c.lookAfter(t.Context(), path, rule(t, &api.Rotation{Retain: retain, MaxAge: 1}), logs.Listings{}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(logstest.Names(t, dir), before); diff != "" {
			t.Errorf("files: got (-), want (+):\n%s", diff)
		}
	}
	for _, name := range before {
		if err := compressFile("gzip", filepath.Join(dir, name)); (err == nil) != (name == filepath.Base(active)) {
			t.Errorf("compress %s: %v", name, err)
		}
	}
}

func TestAgeIsLookedAtNowAndThen(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c, log := caretaker(t)
		path, forgotten := filepath.Join(dir, "api.log"), filepath.Join(dir, "gone.log")
		r := rule(t, &api.Rotation{MaxAge: (24 * time.Hour).Milliseconds(), Compress: "none"})
		whileItRuns(t, c, func() {
			leaveAside(t, path, 1, 1)
			leaveAside(t, forgotten, 1, 1)
			c.Tidy(path, r)
			c.Tidy(forgotten, r)
			time.Sleep(22 * time.Hour)
			synctest.Wait()
			if got := logstest.Names(t, dir); len(got) != 2 {
				t.Errorf("%q are left before their time, want two", got)
			}
			c.Forget(forgotten)
			time.Sleep(3 * time.Hour)
			synctest.Wait()
			if got := logstest.Names(t, dir); len(got) != 1 || !strings.HasPrefix(got[0], "gone__") {
				t.Errorf("%q are left, want what is looked after to be gone, and the other not", got)
			}
		})
		if got := log.Messages(); len(got) > 0 {
			t.Errorf("logged %q", got)
		}
	})
}

func TestOffLooksAfterNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.log")
	leaveAside(t, path, 3, 1)
	lookAfter(t, path, rule(t, &api.Rotation{Off: true, Retain: 1}))
	if got := logstest.Names(t, filepath.Dir(path)); len(got) != 3 || strings.HasSuffix(got[0], ".gz") {
		t.Errorf("%q, want them as they were", got)
	}
}
