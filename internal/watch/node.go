package watch

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"tend/internal/app"
)

// node is a directory that the kernel tells of, by its real path.
type node struct {
	path  string
	subs  map[*node]struct{} // directories in it that are nodes too
	views []view
}

// view is what a directory is to one who looks at it.
type view struct {
	of    *looker
	root  app.Root
	shown string // the path by which he came here
	depth int    // below the root
	// name is the one name that he looks at, which is shown to him as as; "": all
	// of them.
	name, as string
	// awaits tells that his root is not there: it begins when the name comes.
	awaits bool
}

// sees is what a name in the directory is to him.
func (v *view) sees(name string) (shown string, ok bool) {
	switch v.name {
	case "":
		return join(v.shown, name), true
	case name:
		return v.as, true
	}
	return "", false
}

// join is filepath.Join of what is clean already.
func join(dir, name string) string { return strings.TrimSuffix(dir, "/") + "/" + name }

// isBelow tells whether path is dir or stands below it.
func isBelow(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// look adds a view of a directory.
func (w *Watcher) look(dir string, v view) error {
	n := w.nodes[dir]
	if n == nil {
		if err := w.open(); err != nil {
			return err
		}
		if err := w.kernel.Add(dir); err != nil {
			return limit("watch", dir, err)
		}
		n = &node{path: dir}
		w.nodes[dir] = n
		w.attach(n)
	}
	if !slices.Contains(n.views, v) {
		n.views = append(n.views, v)
		v.of.views[n] = struct{}{}
	}
	return nil
}

// attach gives a node its place among the others. One whose parent nobody
// looks at, behind a symbolic link, is an orphan.
func (w *Watcher) attach(n *node) {
	if parent := w.nodes[filepath.Dir(n.path)]; parent != nil && parent != n {
		parent.adopt(n)
	} else {
		w.orphans[n] = struct{}{}
	}
	for o := range w.orphans {
		if o != n && filepath.Dir(o.path) == n.path {
			delete(w.orphans, o)
			n.adopt(o)
		}
	}
}

func (n *node) adopt(sub *node) {
	if n.subs == nil {
		n.subs = map[*node]struct{}{}
	}
	n.subs[sub] = struct{}{}
}

// detach takes a node away that nobody looks at.
func (w *Watcher) detach(n *node) {
	delete(w.nodes, n.path)
	delete(w.orphans, n)
	if parent := w.nodes[filepath.Dir(n.path)]; parent != nil {
		delete(parent.subs, n)
	}
	for sub := range n.subs {
		w.orphans[sub] = struct{}{}
	}
	_ = w.kernel.Remove(n.path) // where the directory is gone, so is what we had of it
}

// drop takes a directory away that is gone, or has another path now, with all
// below it.
func (w *Watcher) drop(n *node) {
	views := w.fell(n, nil)
	for o := range w.orphans {
		if isBelow(o.path, n.path) {
			views = w.fell(o, views)
		}
	}
	for _, v := range views {
		switch {
		case v.name != "":
			v.of.start(w, v.root, found{of: v.of, changed: true})
		case v.depth == 0 && v.shown == v.root.Path:
			v.of.change(v.root, v.shown)
			v.of.start(w, v.root, found{of: v.of, changed: true})
		}
	}
}

// fell takes a node and those below it away, and gathers who looked at them.
func (w *Watcher) fell(n *node, views []view) []view {
	for sub := range n.subs {
		views = w.fell(sub, views)
	}
	n.subs = nil
	for _, v := range n.views {
		delete(v.of.views, n)
	}
	w.detach(n)
	return append(views, n.views...)
}

// turn takes those views of one looker away that are to go.
func (w *Watcher) turn(l *looker, n *node, gone func(view) bool) {
	n.views = slices.DeleteFunc(n.views, func(v view) bool { return v.of == l && gone(v) })
	if !slices.ContainsFunc(n.views, func(v view) bool { return v.of == l }) {
		delete(l.views, n)
	}
	if len(n.views) == 0 {
		w.detach(n)
	}
}

// recover looks at everything again, after changes were missed.
func (w *Watcher) recover() {
	for _, n := range slices.Collect(maps.Values(w.nodes)) {
		if w.nodes[n.path] != n {
			continue // it went with another
		}
		if err := w.kernel.Add(n.path); err != nil { // where it is watched already, this changes nothing
			w.drop(n)
		}
	}
	for _, l := range w.lookers {
		l.walk(w)
	}
}

// forget ends what one looks at.
func (w *Watcher) forget(key string) {
	l := w.lookers[key]
	if l == nil {
		return
	}
	delete(w.lookers, key)
	for n := range l.views {
		w.turn(l, n, func(view) bool { return true })
	}
	if len(w.nodes) == 0 {
		w.close()
	}
}
