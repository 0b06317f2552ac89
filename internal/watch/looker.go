package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"tend/internal/app"
	"tend/internal/errs"
)

// looker is one who watches.
type looker struct {
	Target

	key   string
	views map[*node]struct{}
	// links are the symbolic links that he came by, as he sees them.
	links map[string]struct{}
	// failed: he was told that not all can be watched.
	failed bool

	// What has changed since he was told last, and when: first is zero where
	// nothing has.
	since       time.Time
	first, last time.Time
	path        string

	// lookAt is when he looks himself, and stamps what he saw last; zero: he
	// is told.
	lookAt time.Time
	stamps map[string]stamp
}

// change notes that a path has changed.
func (l *looker) change(root app.Root, path string) {
	if !root.Matches(path) {
		return
	}
	l.last = time.Now()
	if l.first.IsZero() {
		l.first, l.path = l.last, path
	}
}

// settled is when the change may be told; zero: there is none.
func (l *looker) settled(w *Watcher) time.Time {
	if l.first.IsZero() {
		return time.Time{}
	}
	at, most := l.last.Add(w.settle), l.first.Add(w.settleMost)
	if at.After(most) {
		return most
	}
	return at
}

// begin looks at everything for the first time.
func (w *Watcher) begin(l *looker) {
	now := time.Now()
	l.since = l.Since
	if l.Every > 0 {
		l.poll(w)
	} else {
		l.walk(w)
	}
	l.since = now
	w.opts.Ready(l.key)
}

// walk looks at everything: for the first time, or where changes may have been
// missed.
func (l *looker) walk(w *Watcher) {
	if l.Every > 0 {
		return
	}
	for _, root := range l.Roots {
		l.start(w, root, found{of: l, since: l.since, seen: map[string]bool{}})
	}
}

// found is what becomes of what a walk finds.
type found struct {
	of      *looker
	changed bool            // all of it is a change
	since   time.Time       // or what has changed after that
	seen    map[string]bool // directories where it has been, by real path; nil: only views tell
}

func (f *found) file(root app.Root, shown, real string) {
	switch {
	case f.changed:
		f.of.change(root, shown)
	case !f.since.IsZero():
		if fi, err := os.Stat(real); err == nil && changedAt(fi).After(f.since) {
			f.of.change(root, shown)
		}
	}
}

// start looks at a root, or waits for it.
func (l *looker) start(w *Watcher, root app.Root, f found) {
	fi, err := os.Stat(root.Path)
	switch {
	case err != nil:
		l.await(w, root, f)
	case fi.IsDir():
		if f.changed {
			l.change(root, root.Path)
		}
		l.enter(w, root, root.Path, 0, f)
	default:
		l.single(w, root, root.Path)
		if real, err := filepath.EvalSymlinks(root.Path); err == nil && !w.own.file(real) {
			f.file(root, root.Path, real)
		}
	}
}

// await waits in the nearest directory for a root to come.
func (l *looker) await(w *Watcher, root app.Root, f found) {
	for path := root.Path; path != "/"; path = filepath.Dir(path) {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			continue
		}
		v := view{of: l, root: root, shown: filepath.Dir(path), name: filepath.Base(path), as: path, awaits: true}
		if !l.look(w, dir, v) {
			return
		}
		if _, err := os.Stat(path); err == nil { // it came before we looked
			l.start(w, root, f)
		}
		return
	}
}

// single looks at one file: at its name, and at what it is a link to.
func (l *looker) single(w *Watcher, root app.Root, shown string) {
	v := view{of: l, root: root, as: shown}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(shown)); err == nil {
		v.shown, v.name = filepath.Dir(shown), filepath.Base(shown)
		l.look(w, dir, v)
	}
	l.linked(w, root, shown)
}

// linked looks at the file that a link leads to, which has a directory of its
// own.
func (l *looker) linked(w *Watcher, root app.Root, shown string) {
	real, err := filepath.EvalSymlinks(shown)
	if err != nil || !l.Follow {
		return
	}
	v := view{of: l, root: root, as: shown, shown: filepath.Dir(real), name: filepath.Base(real)}
	l.look(w, filepath.Dir(real), v)
}

// look adds a view, and tells whether that went well, or better: whether to go
// on.
func (l *looker) look(w *Watcher, dir string, v view) bool {
	if l.Every > 0 {
		return true
	}
	err := w.look(dir, v)
	switch {
	case err == nil:
		return true
	case errors.Is(err, fs.ErrNotExist): // it has just gone
		return false
	case errs.KindOf(err) != errs.Full:
		w.opts.Log.Warn("watch directory", "path", v.shown, "err", err)
		return false
	case !l.failed:
		l.failed = true
		w.opts.Failed(l.key, err)
	}
	return false
}

// enter looks at a directory and what is below it. It looks before it reads
// what is there, so that nothing can come unseen.
func (l *looker) enter(w *Watcher, root app.Root, shown string, depth int, f found) {
	real, err := filepath.EvalSymlinks(shown)
	if err != nil || l.beenTo(w, root, real, f) {
		return
	}
	if f.seen != nil {
		f.seen[real] = true
	}
	if !l.look(w, real, view{of: l, root: root, shown: shown, depth: depth}) {
		return
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		return // it has just gone, or may not be read: that was told
	}
	for _, e := range entries {
		l.meet(w, root, join(shown, e.Name()), join(real, e.Name()), e.Type(), depth, f)
	}
}

// beenTo tells whether a directory is looked at by another path already: links
// may lead in circles.
func (l *looker) beenTo(w *Watcher, root app.Root, real string, f found) bool {
	if f.seen != nil {
		return f.seen[real]
	}
	n := w.nodes[real]
	return n != nil && slices.ContainsFunc(n.views, func(v view) bool { return v.of == l && v.root == root && v.name == "" })
}

// meet looks at what a directory at some depth holds.
func (l *looker) meet(w *Watcher, root app.Root, shown, real string, kind fs.FileMode, depth int, f found) {
	if l.ignores(w, root, shown, real) {
		return
	}
	link := kind&fs.ModeSymlink != 0
	if link && l.Follow {
		fi, err := os.Stat(real)
		if err != nil {
			return // it leads nowhere
		}
		if l.links == nil {
			l.links = map[string]struct{}{}
		}
		l.links[shown] = struct{}{}
		kind = fi.Mode().Type()
		if !kind.IsDir() {
			l.linked(w, root, shown)
		}
	}
	if !kind.IsDir() {
		f.file(root, shown, real)
		return
	}
	if l.Depth < 0 || depth < l.Depth {
		l.enter(w, root, shown, depth+1, f)
	}
}

func (l *looker) ignores(w *Watcher, root app.Root, shown, real string) bool {
	return w.own.has(real, root.Path) || l.Ignores(root.Path, shown)
}

// handle deals with what the kernel tells.
func (w *Watcher) handle(ev fsnotify.Event) {
	gone := ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename)
	if n := w.nodes[ev.Name]; n != nil {
		if ev.Op == fsnotify.Chmod {
			return // the rights of a directory, or the time of what is in it
		}
		if gone {
			w.drop(n)
		}
	}
	dir, name := filepath.Split(ev.Name)
	n := w.nodes[filepath.Clean(dir)]
	if n == nil || name == "" {
		return
	}
	for _, v := range slices.Clone(n.views) {
		if shown, ok := v.sees(name); ok {
			v.of.hear(w, v, shown, ev)
		}
	}
}

// hear deals with what happened to one name of a directory.
func (l *looker) hear(w *Watcher, v view, shown string, ev fsnotify.Event) {
	switch {
	case ev.Op == fsnotify.Chmod && !touched(ev.Name):
		return
	case v.awaits:
		if ev.Has(fsnotify.Create) {
			for n := range l.views { // he waits no more
				w.turn(l, n, func(o view) bool { return o == v })
			}
			l.start(w, v.root, found{of: l, changed: true})
		}
		return
	case v.name == "" && l.ignores(w, v.root, shown, ev.Name), v.name != "" && w.own.has(ev.Name, v.root.Path):
		return
	}
	if !w.own.holds(ev.Name) {
		l.change(v.root, shown)
	}
	if ev.Has(fsnotify.Write) || ev.Has(fsnotify.Chmod) {
		return
	}
	l.unlink(w, shown) // it came, or went
	if fi, err := os.Lstat(ev.Name); err == nil && v.name == "" {
		l.meet(w, v.root, shown, ev.Name, fi.Mode().Type(), v.depth, found{of: l, changed: true})
	}
}

// unlink looks no more at what a link led to that is another now.
func (l *looker) unlink(w *Watcher, shown string) {
	if _, ok := l.links[shown]; !ok {
		return
	}
	delete(l.links, shown)
	for n := range l.views {
		w.turn(l, n, func(v view) bool { return isBelow(v.shown, shown) || v.name != "" && isBelow(v.as, shown) })
	}
}
