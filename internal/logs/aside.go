package logs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tend/internal/rotation"
)

// Rotated lists what was put aside of a log, oldest first. What one of them
// has was written before what the next one has, and all of it before what is in
// the log.
func Rotated(path string) ([]rotation.Part, error) {
	// One that is compressed while we look may be missed under either name:
	// what is found twice has stood still.
	var last []rotation.Part
	for {
		parts, _, err := Listings{}.Aside(path)
		if err != nil || slices.Equal(parts, last) {
			return parts, err
		}
		last = parts
	}
}

// Listings are directories that were read, so that one with the logs of a
// thousand apps is read once for all of them.
type Listings map[string][]os.DirEntry

// of is what is in the directory of a path, by name.
func (l Listings) of(path string) ([]os.DirEntry, error) {
	dir := filepath.Dir(path)
	if entries, ok := l[dir]; ok {
		return entries, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, Unreadable(dir, err)
	}
	l[dir] = entries
	return entries, nil
}

// beginning is the part of a sorted list of entries whose names begin so.
func beginning(entries []os.DirEntry, prefix string) []os.DirEntry {
	from, _ := slices.BinarySearchFunc(entries, prefix, func(e os.DirEntry, s string) int { return strings.Compare(e.Name(), s) })
	entries = entries[from:]
	end := slices.IndexFunc(entries, func(e os.DirEntry) bool { return !strings.HasPrefix(e.Name(), prefix) })
	if end < 0 {
		return entries
	}
	return entries[:end]
}

// Aside is Rotated, as the directory was when it was read, and beside that what
// a death in the middle of compressing left: files that are not whole, and
// second copies of some that are.
func (l Listings) Aside(path string) (parts, leftover []rotation.Part, err error) {
	entries, err := l.of(path)
	if err != nil {
		return nil, nil, err
	}
	dir := strings.TrimSuffix(path, filepath.Base(path)) // as path has it
	plain := map[string]bool{}
	for _, e := range beginning(entries, filepath.Base(rotation.Prefix(path))) {
		p, ok := rotation.Parse(path, dir+e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // it went while we looked
			continue
		}
		if err != nil {
			return nil, nil, Unreadable(p.Path, err)
		}
		p.Last, p.Size = info.ModTime(), info.Size()
		if p.Half {
			leftover = append(leftover, p)
			continue
		}
		plain[p.Path] = p.Method == ""
		parts = append(parts, p)
	}
	// The original goes only after its copy has its name, so it is whole.
	parts = slices.DeleteFunc(parts, func(p rotation.Part) bool {
		second := p.Method != "" && plain[p.Plain()]
		if second {
			leftover = append(leftover, p)
		}
		return second
	})
	slices.SortFunc(parts, rotation.Part.Compare)
	return parts, leftover, nil
}

// Exists tells whether something has a path, be it a link to nowhere. Nothing
// has one that is too long for a file system.
func Exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
