package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
	"tend/internal/testkit"
)

// eye is a Watcher over a directory with some files.
type eye struct {
	*Watcher

	t     *testing.T
	dir   string
	fence string      // another directory
	told  chan string // "key path", the path from dir
	done  chan string // keys that are ready
	sad   chan error
}

// soon bounds every wait. It is far above what anything takes.
const soon = 20 * time.Second

// open is an eye to which changes settle when wants says so: what a test does at
// once is one change, however long the machine takes for it.
func open(t *testing.T) *eye {
	t.Helper()
	return openWith(t, time.Hour)
}

func openWith(t *testing.T, settle time.Duration) *eye {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e := &eye{t: t, dir: dir, fence: t.TempDir(), told: make(chan string, 100), done: make(chan string, 100), sad: make(chan error, 100)}
	e.Watcher = New(Options{
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Changed: func(key, path string) {
			rel, _ := filepath.Rel(dir, path)
			e.told <- key + " " + rel
		},
		Ready:  func(key string) { e.done <- key },
		Failed: func(_ string, err error) { e.sad <- err },
	})
	e.Watcher.settle, e.settleMost = settle, 2*settle
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := e.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return e
}

func (e *eye) path(name string) string { return filepath.Join(e.dir, name) }

// write makes files, and directories of names that end in a slash.
func (e *eye) write(names ...string) {
	e.t.Helper()
	for _, name := range names {
		err := os.MkdirAll(filepath.Dir(e.path(name)), 0o755)
		if strings.HasSuffix(name, "/") {
			err = errors.Join(err, os.MkdirAll(e.path(name), 0o755))
		} else {
			err = errors.Join(err, os.WriteFile(e.path(name), []byte(time.Now().String()), 0o644))
		}
		if err != nil {
			e.t.Fatal(err)
		}
	}
}

func (e *eye) link(target, name string) {
	e.t.Helper()
	if err := os.Symlink(target, e.path(name)); err != nil {
		e.t.Fatal(err)
	}
}

// look watches, and waits until that has begun.
func (e *eye) look(key string, watch api.Watch, since ...time.Time) {
	e.t.Helper()
	for i, p := range watch.Paths {
		watch.Paths[i] = filepath.Join(e.dir, p)
	}
	if len(watch.Paths) == 0 {
		watch.Paths = []string{e.dir}
	}
	w, err := app.WatchingOf(&watch, e.dir)
	if err != nil {
		e.t.Fatal(err)
	}
	target := Target{Watching: w}
	if len(since) > 0 {
		target.Since = since[0]
	}
	e.Watch(key, target)
	e.settle(key)
}

func (e *eye) settle(key string) {
	e.t.Helper()
	select {
	case got := <-e.done:
		if got != key {
			e.t.Fatalf("%s is ready, want %s", got, key)
		}
	case <-time.After(soon):
		e.t.Fatalf("%s does not become ready", key)
	}
}

// wants has what was done until now settle, and is told of these changes, in
// any order, and of no other.
func (e *eye) wants(want ...string) {
	e.t.Helper()
	e.reach()
	e.inside(func(w *Watcher) {
		for _, l := range w.lookers {
			if l.Every > 0 {
				l.poll(w)
			}
			if !l.first.IsZero() {
				l.first = l.first.Add(-w.settleMost)
			}
		}
	})
	e.inside(func(*Watcher) {}) // by then it has told
	var got []string
	for len(e.told) > 0 {
		got = append(got, <-e.told)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		e.t.Fatalf("told of %q, want %q", got, want)
	}
}

// reach returns when the watcher has heard all that the kernel has told until
// now, which tells in order: also of another directory.
func (e *eye) reach() {
	e.t.Helper()
	const key = "fence"
	w, err := app.WatchingOf(&api.Watch{Paths: []string{e.fence}}, e.fence)
	if err != nil {
		e.t.Fatal(err)
	}
	e.Watch(key, Target{Watching: w})
	e.settle(key)
	if err := os.WriteFile(filepath.Join(e.fence, fmt.Sprint(time.Now().UnixNano())), nil, 0o600); err != nil {
		e.t.Fatal(err)
	}
	testkit.WaitFor(e.t, soon, "the kernel has told everything", func() (ok bool) {
		e.inside(func(w *Watcher) { ok = !w.lookers[key].first.IsZero() })
		return ok
	})
	e.inside(func(w *Watcher) { w.forget(key) })
}

// inside does something between two turns of the watcher, and waits for it.
func (e *eye) inside(do func(*Watcher)) {
	done := make(chan struct{})
	e.order(func(w *Watcher) { do(w); close(done) })
	<-done
}

// hears is the next change that an eye is told of to which they settle by
// themselves.
func (e *eye) hears() string {
	e.t.Helper()
	select {
	case got := <-e.told:
		return got
	case <-time.After(soon):
		e.t.Fatal("not told")
		return ""
	}
}

// tick lets the clock of files go on, which is a coarse one: what changes from
// now on has another time than what has changed.
func (e *eye) tick() {
	e.t.Helper()
	now := func() time.Time {
		path := filepath.Join(e.fence, "clock")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			e.t.Fatal(err)
		}
		fi, err := os.Stat(path)
		if err != nil {
			e.t.Fatal(err)
		}
		return changedAt(fi)
	}
	began := now()
	testkit.WaitFor(e.t, soon, "the clock of files goes on", func() bool { return now().After(began) })
}

func TestChanges(t *testing.T) {
	for name, test := range map[string]struct {
		before []string
		watch  api.Watch
		change func(e *eye)
		want   string // "": nothing
	}{
		"a file that changes":                        {[]string{"a/b/f"}, api.Watch{}, func(e *eye) { e.write("a/b/f") }, "a/b/f"},
		"a file that comes":                          {[]string{"a/"}, api.Watch{}, func(e *eye) { e.write("a/f") }, "a/f"},
		"a file that goes":                           {[]string{"a/f"}, api.Watch{}, func(e *eye) { os.Remove(e.path("a/f")) }, "a/f"},
		"a file that is put in the place of another": {[]string{"f", ".g"}, api.Watch{}, func(e *eye) { os.Rename(e.path(".g"), e.path("f")) }, "f"},
		"a directory that comes":                     {nil, api.Watch{}, func(e *eye) { e.write("d/") }, "d"},
		"a directory that goes":                      {[]string{"d/"}, api.Watch{}, func(e *eye) { os.Remove(e.path("d")) }, "d"},
		"a file that is touched":                     {[]string{"f"}, api.Watch{}, func(e *eye) { touch(e.path("f")) }, "f"},
		"rights are no change":                       {[]string{"f", "d/"}, api.Watch{}, func(e *eye) { os.Chmod(e.path("f"), 0o600); os.Chmod(e.path("d"), 0o700) }, ""},
		"reading is no change":                       {[]string{"f"}, api.Watch{}, func(e *eye) { os.ReadFile(e.path("f")) }, ""},
		"hidden files":                               {[]string{".git/x"}, api.Watch{}, func(e *eye) { e.write(".git/x", ".env", ".d/e") }, ""},
		"modules":                                    {[]string{"node_modules/m/i.js"}, api.Watch{}, func(e *eye) { e.write("node_modules/m/i.js", "node_modules/n") }, ""},
		"what Python compiles":                       {nil, api.Watch{}, func(e *eye) { e.write("__pycache__/m.pyc") }, ""},
		"what an editor writes":                      {nil, api.Watch{Ignore: []string{"x"}}, func(e *eye) { e.write(".f.swp", "f~") }, ""},
		"rules take the place of the usual":          {[]string{"node_modules/m"}, api.Watch{Ignore: []string{"x"}}, func(e *eye) { e.write("x/y", "node_modules/m") }, "node_modules/m"},
		"an ignored directory":                       {[]string{"logs/"}, api.Watch{Ignore: []string{"logs", "*.tmp"}}, func(e *eye) { e.write("logs/d/x", "a.tmp") }, ""},
		"an ignored pattern below":                   {[]string{"d/"}, api.Watch{Ignore: []string{"*.tmp"}}, func(e *eye) { e.write("d/a.tmp") }, "d/a.tmp"},
		"an expression":                              {nil, api.Watch{Ignore: []string{"regexp:(?i)CACHE"}}, func(e *eye) { e.write("my-cache/x") }, ""},
		"ignored by the options":                     {nil, api.Watch{Ignore: []string{"y"}, Options: map[string]any{"ignored": "x"}}, func(e *eye) { e.write("x"); e.write("y") }, "y"},
		"what is beside the path":                    {[]string{"src/a", "b"}, api.Watch{Paths: []string{"src"}}, func(e *eye) { e.write("b"); e.write("src/a") }, "src/a"},
		"a file by itself":                           {[]string{"f", "g"}, api.Watch{Paths: []string{"f"}}, func(e *eye) { e.write("g"); e.write("f") }, "f"},
		"a file that is replaced": {[]string{"f", "g"}, api.Watch{Paths: []string{"f"}}, func(e *eye) {
			os.Rename(e.path("g"), e.path("f"))
		}, "f"},
		"a pattern": {[]string{"src/d/a.ts"}, api.Watch{Paths: []string{"src/**/*.js"}}, func(e *eye) {
			e.write("src/d/a.ts", "src/e/", "a.js")
			e.write("src/d/b.js")
		}, "src/d/b.js"},
		"patterns of one directory": {[]string{"src/d/"}, api.Watch{Paths: []string{"src/**/*.js", "src/**/*.ts"}}, func(e *eye) {
			e.write("src/d/a.ts")
		}, "src/d/a.ts"},
		"the first of such patterns": {[]string{"src/d/"}, api.Watch{Paths: []string{"src/**/*.js", "src/**/*.ts"}}, func(e *eye) {
			e.write("src/d/a.js")
		}, "src/d/a.js"},
		"a path that comes later": {nil, api.Watch{Paths: []string{"a/b/src"}}, func(e *eye) { e.write("a/c"); e.write("a/b/src/f") }, "a/b/src"},
		"no deeper than asked": {[]string{"a/b/c/f"}, api.Watch{Options: map[string]any{"depth": 1.0}}, func(e *eye) {
			e.write("a/b/c/f", "a/b/f")
			e.write("a/f")
		}, "a/f"},
	} {
		for _, polling := range []bool{false, true} {
			title := name
			if polling {
				title += ", polled"
			}
			t.Run(title, func(t *testing.T) {
				e := open(t)
				e.write(test.before...)
				watch := test.watch
				watch.Paths = append([]string(nil), test.watch.Paths...)
				key, want := "k", test.want
				if polling {
					if name == "rights are no change" || name == "a file that is put in the place of another" {
						t.Skip("a look cannot tell")
					}
					watch.Options = map[string]any{"usePolling": true, "interval": int64(20)}
					maps.Copy(watch.Options, test.watch.Options)
				}
				e.look(key, watch)
				e.tick()
				test.change(e)
				if want == "" {
					e.wants()
					return
				}
				e.wants("k " + want)
			})
		}
	}
}

// touch does what touch(1) does: both times become the kernel's now.
func touch(path string) {
	const now = 1<<30 - 1 // UTIME_NOW of utimensat(2)
	_ = syscall.UtimesNano(path, []syscall.Timespec{{Nsec: now}, {Nsec: now}})
}

func TestNewDirectories(t *testing.T) {
	e := open(t)
	e.look("k", api.Watch{})
	e.write("a/b/c/d/e/f")
	e.wants("k a")
	e.write("a/b/c/d/e/f")
	e.wants("k a/b/c/d/e/f")
	if err := os.Rename(e.path("a/b"), e.path("z")); err != nil {
		t.Fatal(err)
	}
	e.wants("k a/b")
	e.write("z/c/d/e/f")
	e.wants("k z/c/d/e/f")
	if err := os.RemoveAll(e.path("z")); err != nil {
		t.Fatal(err)
	}
	e.wants("k z/c/d/e/f")
	e.write("z/c/")
	e.wants("k z")
	e.write("z/c/x")
	e.wants("k z/c/x")
}

// TestNothingIsMissedOfWhatComesAtOnce makes deep trees while they are being
// looked at: the last file of each has to be seen.
func TestNothingIsMissedOfWhatComesAtOnce(t *testing.T) {
	e := open(t)
	e.write("src/")
	e.look("k", api.Watch{Paths: []string{"src/**/*.js"}})
	for i := range 30 {
		name := fmt.Sprintf("src/%d/b/c/d.js", i)
		e.write(name)
		e.wants("k " + name)
	}
}

func TestARootThatGoesAndComes(t *testing.T) {
	e := open(t)
	e.write("dist/a/f")
	e.look("k", api.Watch{Paths: []string{"dist"}})
	for range 3 {
		if err := os.RemoveAll(e.path("dist")); err != nil {
			t.Fatal(err)
		}
		e.wants("k dist/a/f")
		e.write("dist/a/f")
		e.wants("k dist")
		e.write("dist/a/f")
		e.wants("k dist/a/f")
	}
}

func TestLinks(t *testing.T) {
	e := open(t)
	e.write("shared/conf", "shared/d/f", "root/x", "other/g")
	e.link("../shared/conf", "root/conf")
	e.link("../shared/d", "root/d")
	e.link("..", "root/up")
	e.link("nowhere", "root/dangling")
	e.look("k", api.Watch{Paths: []string{"root"}, Ignore: []string{"root/up"}})
	e.write("shared/conf")
	e.wants("k root/conf")
	e.write("shared/d/f")
	e.wants("k root/d/f")
	if err := os.Remove(e.path("root/d")); err != nil {
		t.Fatal(err)
	}
	e.wants("k root/d")
	e.write("shared/d/f")
	e.link("../other", "root/d")
	e.wants("k root/d")
	e.write("other/g")
	e.wants("k root/d/g")

	e.look("n", api.Watch{Paths: []string{"root"}, Options: map[string]any{"followSymlinks": false}})
	e.write("other/g")
	e.wants("k root/d/g")
	e.write("root/x")
	e.wants("k root/x", "n root/x")
}

func TestACircleOfLinks(t *testing.T) {
	e := open(t)
	e.write("a/f")
	e.link("..", "a/up")
	e.look("k", api.Watch{})
	e.write("a/f")
	e.wants("k a/f")
}

func TestOneDirectoryForMany(t *testing.T) {
	e := open(t)
	e.write("a/b/f")
	e.look("one", api.Watch{})
	e.look("two", api.Watch{Paths: []string{"a"}})
	e.look("three", api.Watch{Paths: []string{"a/b/f"}})
	e.write("a/b/f")
	e.wants("one a/b/f", "two a/b/f", "three a/b/f")
	e.Forget("one")
	e.write("a/b/f")
	e.wants("two a/b/f", "three a/b/f")
	e.Forget("two")
	e.write("a/b/f")
	e.wants("three a/b/f")
	nodes := make(chan int)
	e.order(func(w *Watcher) { nodes <- len(w.nodes) })
	if n := <-nodes; n != 1 {
		t.Errorf("%d directories are watched, want 1", n)
	}
	e.Forget("three")
	e.order(func(w *Watcher) {
		if w.kernel != nil {
			nodes <- -1
		}
		nodes <- len(w.nodes)
	})
	if n := <-nodes; n != 0 {
		t.Errorf("%d directories are watched, and -1 means that the kernel is still asked; want none", n)
	}
	e.look("again", api.Watch{})
	e.write("a/b/f")
	e.wants("again a/b/f")
}

func TestOwnFiles(t *testing.T) {
	e := open(t)
	e.write("src/f", "home/pids/")
	e.Own([]string{e.path("logs/api-out.log"), e.path("api.pid")}, []string{e.path("home")})
	e.look("k", api.Watch{Ignore: []string{}})
	e.write("logs/api-out.log", "logs/api-out__2026-11-22_10-00-00.log.gz", "api.pid", "home/pids/x")
	e.wants()
	e.write("logs/mine.log")
	e.wants("k logs/mine.log")
	// An app may live inside the home.
	e.look("inside", api.Watch{Paths: []string{"home/pids"}})
	e.write("home/pids/x")
	e.wants("inside home/pids/x")
}

func TestWhatChangedBefore(t *testing.T) {
	e := open(t)
	e.write("a", "d/b")
	now := time.Now()
	e.look("k", api.Watch{}, now.Add(time.Hour))
	e.wants()
	e.look("k", api.Watch{}, now.Add(-time.Hour))
	e.wants("k a")
	e.Forget("k")
	for name, polling := range map[string]bool{"told": false, "polled": true} {
		old := e.path("old")
		e.write("old")
		since := time.Now()
		e.tick()
		if err := os.Chtimes(old, now.Add(-time.Hour), now.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(old, e.path("d/b")); err != nil { // with its old times
			t.Fatal(err)
		}
		e.look(name, api.Watch{Paths: []string{"d"}, Options: map[string]any{"usePolling": polling}}, since)
		e.wants(name + " d/b")
		e.Forget(name)
	}
}

func TestTheKernelsQueueOverflows(t *testing.T) {
	e := openWith(t, settle)
	e.write("src/d/f")
	e.look("k", api.Watch{Paths: []string{"src"}})
	e.tick()
	// The watcher is kept busy while more happens than the queue holds.
	most, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	var n int
	fmt.Sscan(string(most), &n)
	if n > 100_000 {
		t.Skip("the queue is very long here")
	}
	busy := make(chan bool)
	e.order(func(*Watcher) { <-busy })
	e.write("src/.x")
	for i := range n + 10_000 { // of two files in turn, or the kernel would make one event of them
		name := e.path(fmt.Sprintf("src/.%d", i%2))
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		os.Remove(name)
	}
	e.write("src/d/f", "src/new/g")
	close(busy)
	if got := e.hears(); got != "k src/d/f" && got != "k src/new/g" {
		t.Errorf("told of %s", got)
	}
	e.write("src/new/g")
	if got := e.hears(); got != "k src/new/g" {
		t.Errorf("told of %s", got)
	}
}

func TestNoMoreWatches(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"of directories": {syscall.ENOSPC, "fs.inotify.max_user_watches"},
		"of programs":    {syscall.EMFILE, "fs.inotify.max_user_instances"},
	} {
		t.Run(name, func(t *testing.T) {
			e, ok := errors.AsType[*errs.Error](limit("watch", "/x", test.err))
			if !ok || e.Kind != errs.Full || !strings.Contains(e.Hint, test.want) {
				t.Errorf("got %#v, want a hint with %s", e, test.want)
			}
		})
	}
}

// TestChangesSettleByThemselves, whether one is told of them or looks.
func TestChangesSettleByThemselves(t *testing.T) {
	for name, options := range map[string]map[string]any{"told": nil, "polled": {"usePolling": true, "interval": int64(20)}} {
		t.Run(name, func(t *testing.T) {
			e := openWith(t, settle)
			e.look("k", api.Watch{Options: options})
			e.write("f")
			if got := e.hears(); got != "k f" {
				t.Errorf("told of %s", got)
			}
		})
	}
}

// TestWhenAChangeHasSettled, of which more and more may be seen.
func TestWhenAChangeHasSettled(t *testing.T) {
	w, began := New(Options{}), time.Now()
	for name, test := range map[string]struct{ first, last, want time.Time }{
		"nothing has changed":        {},
		"once":                       {began, began, began.Add(settle)},
		"more than once":             {began, began.Add(settleMost / 2), began.Add(settleMost/2 + settle)},
		"so often that it never has": {began, began.Add(settleMost - 1), began.Add(settleMost)},
	} {
		l := &looker{first: test.first, last: test.last}
		if got := l.settled(w); !got.Equal(test.want) {
			t.Errorf("%s: it has at %v, want %v", name, got, test.want)
		}
	}
}

func TestManyChangesAreOne(t *testing.T) {
	e := open(t)
	e.look("k", api.Watch{})
	for i := range 200 {
		e.write(fmt.Sprint("f", i))
	}
	e.wants("k f0")
}
