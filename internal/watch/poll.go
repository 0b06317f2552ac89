package watch

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tend/internal/app"
)

// stamp is what a look remembers of a path: another one is a change.
type stamp struct {
	root    app.Root
	dir     bool
	size    int64
	changed time.Time
}

// pollShare is how many times longer than a look the pause after it is, at
// least: a tree that is too large for its interval does not eat a processor.
const pollShare = 20

// poll looks at everything and compares it with the last look.
func (l *looker) poll(w *Watcher) {
	began := time.Now()
	now := map[string]stamp{}
	for _, root := range l.Roots {
		l.stamp(w, root, root.Path, 0, now, map[string]bool{})
	}
	for _, path := range slices.Sorted(maps.Keys(now)) {
		was, there := l.stamps[path]
		is := now[path]
		switch {
		case l.stamps == nil: // the first look
			if !is.dir && !l.since.IsZero() && is.changed.After(l.since) {
				l.change(is.root, path)
			}
		case !there, is != was && !is.dir:
			l.change(is.root, path)
		}
	}
	for path, was := range l.stamps {
		if _, there := now[path]; !there {
			l.change(was.root, path)
		}
	}
	l.stamps = now
	l.lookAt = began.Add(max(l.Every, time.Since(began)*pollShare))
}

// stamp looks at a path and what is below it.
func (l *looker) stamp(w *Watcher, root app.Root, path string, depth int, out map[string]stamp, been map[string]bool) {
	stat := os.Stat
	if !l.Follow && depth > 0 {
		stat = os.Lstat
	}
	fi, err := stat(path)
	if err != nil {
		return
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil || depth > 0 && l.ignores(w, root, path, real) {
		return
	}
	if root.Matches(path) && !w.own.holds(real) {
		out[path] = stamp{root, fi.IsDir(), size(fi), changedAt(fi)}
	}
	if !fi.IsDir() || been[real] || l.Depth >= 0 && depth > l.Depth {
		return
	}
	been[real] = true
	entries, err := os.ReadDir(path)
	if err != nil {
		return
	}
	for _, e := range entries {
		l.stamp(w, root, join(path, e.Name()), depth+1, out, been)
	}
}

// size of a directory says nothing.
func size(fi fs.FileInfo) int64 {
	if fi.IsDir() {
		return 0
	}
	return fi.Size()
}
