package logs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"tend/api"
	"tend/internal/cron"
	"tend/internal/dayjs"
	"tend/internal/errs"
)

// rotation is when a log is put aside, and what is kept of what was. It
// decides, and touches no file.
type rotation struct {
	api.Rotation // in which each field has its say; what is negative has none

	pattern cron.Pattern // of Interval
	date    func(time.Time) string
	// shared are logs whose rotated files count for TotalCap as well.
	shared []string
}

// The methods of compression.
const (
	methodGzip = "gzip"
	methodZstd = "zstd"
)

// defaultDate is the date in the name of what is put aside.
const defaultDate = "YYYY-MM-DD_HH-mm-ss"

// newRotation is what was said, understood. What is 0 or empty has no say.
func newRotation(said api.Rotation) (rotation, error) {
	r := rotation{Rotation: said}
	format := dayjs.Parse(cmp.Or(said.DateFormat, defaultDate))
	r.date = func(t time.Time) string { return string(format.Append(nil, t)) }
	return r, r.check()
}

// check makes the rest of a rotation out of its text.
func (r *rotation) check() error {
	if r.Interval != "" {
		var err error
		if r.pattern, err = cron.Parse(r.Interval); err != nil {
			return invalid(r.Interval, err, `the interval of a rotation is a cron pattern: "0 0 * * *" is every midnight`)
		}
	}
	switch r.Compress {
	case "", methodGzip, methodZstd:
	default:
		return invalid(r.Compress, errors.New("no such compression"), `compression is "gzip", "zstd" or "" for none`)
	}
	for _, t := range []time.Time{time.Unix(1e9, 0), time.Unix(2e9, 0)} {
		if date := r.date(t); !isDate(date) {
			return invalid(r.DateFormat, fmt.Errorf("%q is not known for a date in the name of a file", date),
				"use day.js tokens for numbers, at least year and month, and none of letters: YYYY-MM-DD_HH-mm-ss")
		}
	}
	return nil
}

func invalid(on string, err error, hint string) error {
	return &errs.Error{Op: "rotate logs", On: on, Kind: errs.Invalid, Err: err, Hint: hint}
}

// due tells whether a log of a size is to be put aside; until is what next said
// when it was begun, for that takes longer than a write. An empty one never is.
func (r *rotation) due(size int64, until, now time.Time) bool {
	if r.Off || size == 0 {
		return false
	}
	return r.MaxSize > 0 && size >= r.MaxSize || !until.IsZero() && !until.After(now)
}

// next is when a log that is begun now is due whatever its size; zero: never.
func (r rotation) next(now time.Time) time.Time {
	if r.Off {
		return time.Time{}
	}
	return r.pattern.Next(now)
}

// expired are the paths of what is not to be kept of a list, oldest first.
func (r rotation) expired(list []Part, now time.Time) []string {
	var paths []string
	kept := map[string]int{}
	var size int64
	newestFirst := slices.SortedFunc(slices.Values(list), func(a, b Part) int { return b.compare(a) })
	for _, p := range newestFirst {
		kept[p.Log]++
		size += p.Size
		tooMany := r.Retain > 0 && kept[p.Log] > r.Retain
		tooOld := r.MaxAge > 0 && now.Sub(p.Last) > time.Duration(r.MaxAge)*time.Millisecond
		tooMuch := r.TotalCap > 0 && size > r.TotalCap
		if tooMany || tooOld || tooMuch {
			paths = append(paths, p.Path)
		}
	}
	slices.Reverse(paths)
	return paths
}
