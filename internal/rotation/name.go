package rotation

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Part is a file that a log was put aside as: a part of what was written to it.
type Part struct {
	Path   string
	Log    string    // the path of the log
	Method string    // how it is compressed: "", "gzip" or "zstd"
	Last   time.Time // when its last line was written
	Size   int64     // bytes of the file

	// Half: it is a compressed file that is not whole.
	Half bool
}

// HalfEnding ends the name of a compressed file that is not whole yet.
const HalfEnding = ".tmp"

// methods are the ways to compress, and the endings of the names of such files.
var methods = []struct{ name, ending string }{ //nolint:gochecknoglobals // a table, never written
	{"", ""},
	{"gzip", ".gz"},
	{"zstd", ".zst"},
}

// Ending is that of the names of files that are compressed by a method.
func Ending(method string) (ending string, known bool) {
	for _, m := range methods {
		if m.name == method {
			return m.ending, true
		}
	}
	return "", false
}

// Packed are the names that the file at a path may have once it is compressed.
func Packed(path string) []string {
	var names []string
	for _, m := range methods[1:] {
		names = append(names, path+m.ending)
	}
	return names
}

// Unpacked is the path that a file had before it was compressed, and by which
// method it was, as its name tells.
func Unpacked(path string) (plain, method string) {
	for _, m := range methods[1:] {
		if plain, ok := strings.CutSuffix(path, m.ending); ok {
			return plain, m.name
		}
	}
	return path, ""
}

// Plain is the path that a part had before it was compressed.
func (p Part) Plain() string {
	ending, _ := Ending(p.Method)
	return strings.TrimSuffix(p.Path, ending)
}

// Compare orders parts by their age. Names decide where the clock of the file
// system did not tick in between.
func (p Part) Compare(o Part) int {
	return cmp.Or(p.Last.Compare(o.Last), cmp.Compare(p.stem(), o.stem()), cmp.Compare(p.Path, o.Path))
}

func (p Part) stem() string {
	_, ext := cutExt(p.Log)
	return strings.TrimSuffix(p.Plain(), ext)
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

// Prefix begins the paths of all parts of the log at path.
func Prefix(path string) string {
	stem, _ := cutExt(path)
	return stem + beforeDate
}

// fractions of a second tell those apart that were put aside in one. They sort
// as they were.
var fractions = []string{"", ".000", ".000000", ".000000000"} //nolint:gochecknoglobals // a table, never written

// Name is the path that a log is to have when it is put aside: logs/api.log
// becomes logs/api__2026-11-22_10-00-00.log. taken tells of a path whether it
// is in use.
func (r *Rule) Name(path string, now time.Time, taken func(string) bool) string {
	stem, ext := cutExt(path)
	for {
		for _, fraction := range fractions {
			name := stem + beforeDate + r.date(now) + now.Format(fraction) + ext
			if !taken(name) && !slices.ContainsFunc(Packed(name), taken) {
				return name
			}
		}
		now = now.Add(1)
	}
}

// Parse tells whether name is the path of something put aside of the log at
// path, and what the name says of it.
func Parse(path, name string) (Part, bool) {
	p, ok := parseWhole(path, name)
	whole, half := strings.CutSuffix(name, HalfEnding)
	if ok || !half {
		return p, ok
	}
	p, ok = parseWhole(path, whole)
	p.Path, p.Half = name, true
	return p, ok && p.Method != ""
}

func parseWhole(path, name string) (Part, bool) {
	stem, ext := cutExt(path)
	rest, ok := strings.CutPrefix(name, stem+beforeDate)
	if !ok {
		return Part{}, false
	}
	for _, m := range methods {
		if date, ok := strings.CutSuffix(rest, ext+m.ending); ok && isDate(date) {
			return Part{Path: name, Log: path, Method: m.name}, true
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
