package watch

import (
	"path/filepath"
	"slices"
	"strings"
)

// own are the files that the manager writes.
type own struct {
	files map[string]bool
	// stems are, by directory, how the names of files begin that logs become
	// when they are put aside: "api-out__".
	stems map[string][]string
	dirs  []string
}

func newOwn(files, dirs []string) own {
	o := own{files: map[string]bool{}, stems: map[string][]string{}}
	for _, d := range dirs {
		o.dirs = append(o.dirs, truly(d))
	}
	for _, f := range files {
		dir, base := truly(filepath.Dir(f)), filepath.Base(f)
		o.files[join(dir, base)] = true
		if stem := strings.TrimSuffix(base, filepath.Ext(base)) + "__"; !slices.Contains(o.stems[dir], stem) {
			o.stems[dir] = append(o.stems[dir], stem)
		}
	}
	return o
}

// truly is the real path of a directory, also of one that is not there yet.
func truly(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil || dir == "/" {
		return real
	}
	return join(truly(filepath.Dir(dir)), filepath.Base(dir))
}

// has tells whether a path is one of them, for who looks at root.
func (o *own) has(real, root string) bool {
	return o.file(real) || slices.ContainsFunc(o.dirs, func(d string) bool { return isBelow(real, d) && !isBelow(root, d) })
}

func (o *own) file(real string) bool {
	if o.files[real] {
		return true
	}
	dir, base := filepath.Split(real)
	return slices.ContainsFunc(o.stems[filepath.Clean(dir)], func(stem string) bool { return strings.HasPrefix(base, stem) })
}

// holds tells whether a directory is one that the manager makes for them.
func (o *own) holds(dir string) bool { return len(o.stems[dir]) > 0 }
