package logs

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Part is a file that a log was put aside as: a part of what was written to it.
type Part struct {
	Path     string
	Log      string    // the path of the log
	Compress string    // "", "gzip" or "zstd"
	Last     time.Time // when its last line was written
	Size     int64

	half bool // Compress died over it
}

// halfDone ends the name of a compressed file that is not whole yet.
const halfDone = ".tmp"

// endings are those of the names of compressed files.
var endings = []struct{ method, ending string }{ //nolint:gochecknoglobals // a table
	{"", ""},
	{methodGzip, ".gz"},
	{methodZstd, ".zst"},
}

func endingOf(method string) string {
	for _, e := range endings {
		if e.method == method {
			return e.ending
		}
	}
	return ""
}

// Rotated lists what was put aside of a log, oldest first. What one of them
// has was written before what the next one has, and all of it before what is in
// the log.
func Rotated(path string) ([]Part, error) {
	// One that is compressed while we look may be missed under either name:
	// what is found twice has stood still.
	var last []Part
	for {
		parts, _, err := aside(path, listings{})
		if err != nil || slices.Equal(parts, last) {
			return parts, err
		}
		last = parts
	}
}

// listings are directories that were read, so that one with the logs of a
// thousand apps is read once for all of them.
type listings map[string][]os.DirEntry

// of is what is in the directory of a path, by name.
func (l listings) of(path string) ([]os.DirEntry, error) {
	dir := filepath.Dir(path)
	if entries, ok := l[dir]; ok {
		return entries, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unreadable(dir, err)
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

// aside is Rotated, and beside that what a death in the middle of compressing
// left: files that are not whole, and second copies of some that are.
func aside(path string, l listings) (parts []Part, leftover []string, err error) {
	entries, err := l.of(path)
	if err != nil {
		return nil, nil, err
	}
	stem, _ := cutExt(path)
	dir := strings.TrimSuffix(path, filepath.Base(path)) // as path has it
	plain := map[string]bool{}
	for _, e := range beginning(entries, filepath.Base(stem)+beforeDate) {
		p, ok := parseRotated(path, dir+e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // it went while we looked
			continue
		}
		if err != nil {
			return nil, nil, unreadable(p.Path, err)
		}
		p.Last, p.Size = info.ModTime(), info.Size()
		if p.half {
			leftover = append(leftover, p.Path)
			continue
		}
		plain[p.Path] = p.Compress == ""
		parts = append(parts, p)
	}
	// The original goes only after its copy has its name, so it is whole.
	parts = slices.DeleteFunc(parts, func(p Part) bool {
		second := p.Compress != "" && plain[p.bare()]
		if second {
			leftover = append(leftover, p.Path)
		}
		return second
	})
	slices.SortFunc(parts, Part.compare)
	return parts, leftover, nil
}

// compare orders parts by their age. Names decide where the clock of the file
// system did not tick in between.
func (p Part) compare(o Part) int {
	return cmp.Or(p.Last.Compare(o.Last), cmp.Compare(p.stem(), o.stem()), cmp.Compare(p.Path, o.Path))
}

// bare is the path of a part before it was compressed.
func (p Part) bare() string { return strings.TrimSuffix(p.Path, endingOf(p.Compress)) }

func (p Part) stem() string {
	_, ext := cutExt(p.Log)
	return strings.TrimSuffix(p.bare(), ext)
}

// cutExt splits the path of a log around the place that the date gets in the
// names of what is put aside. ".log" is a name and no ending, and so is a
// number: it would pass for a part of the date.
func cutExt(path string) (stem, ext string) {
	base := filepath.Base(path)
	ext = filepath.Ext(base)
	if ext == base || strings.Trim(ext, betweenDigits+"0123456789") == "" {
		ext = ""
	}
	return strings.TrimSuffix(path, ext), ext
}

const (
	// beforeDate stands between the name of a log and the date, as
	// pm2-logrotate has it.
	beforeDate = "__"
	// betweenDigits is what may stand between those of a date.
	betweenDigits = "-_.:+"
)

// fractions of a second tell those apart that were put aside in one. They sort
// as they were.
var fractions = []string{"", ".000", ".000000", ".000000000"} //nolint:gochecknoglobals // a table

// name is the path that a log is to have when it is put aside: logs/api.log
// becomes logs/api__2026-11-22_10-00-00.log. taken tells of a path whether it
// is in use.
func (r rotation) name(path string, now time.Time, taken func(string) bool) string {
	stem, ext := cutExt(path)
	for {
		for _, fraction := range fractions {
			name := stem + beforeDate + r.date(now) + now.Format(fraction) + ext
			if !slices.ContainsFunc(endings, func(e struct{ method, ending string }) bool { return taken(name + e.ending) }) {
				return name
			}
		}
		now = now.Add(1)
	}
}

// parseRotated tells whether name is that of something put aside of the log at
// path, and what the name says of it.
func parseRotated(path, name string) (Part, bool) {
	p, ok := parseWhole(path, name)
	whole, half := strings.CutSuffix(name, halfDone)
	if ok || !half {
		return p, ok
	}
	p, ok = parseWhole(path, whole)
	p.Path, p.half = name, true
	return p, ok && p.Compress != ""
}

func parseWhole(path, name string) (Part, bool) {
	stem, ext := cutExt(path)
	rest, ok := strings.CutPrefix(name, stem+beforeDate)
	if !ok {
		return Part{}, false
	}
	for _, e := range endings {
		if date, ok := strings.CutSuffix(rest, ext+e.ending); ok && isDate(date) {
			return Part{Path: name, Log: path, Compress: e.method}, true
		}
	}
	return Part{}, false
}

// isDate tells whether text passes for a date in the name of a rotated file: it
// has the digits of a year and a month at least, and nothing but what stands
// between such. Whatever its format, a date is known by that for one, and the
// log of another app is not.
func isDate(text string) bool {
	const yearAndMonth = 6
	digits := 0
	for _, c := range text {
		if c >= '0' && c <= '9' {
			digits++
		} else if !strings.ContainsRune(betweenDigits, c) {
			return false
		}
	}
	return digits >= yearAndMonth && strings.Trim(text, betweenDigits) == text && !strings.Contains(text, beforeDate)
}

// exists tells whether something has a path, be it a link to nowhere.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
