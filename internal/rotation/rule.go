package rotation

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"tend/api"
	"tend/internal/cron"
	"tend/internal/dayjs"
)

// Rule is a rotation, understood. The zero value puts nothing aside and keeps
// everything.
type Rule struct {
	api.Rotation

	pattern cron.Pattern // of Interval
	date    func(time.Time) string
}

// defaultDate is the date in the name of what is put aside.
const defaultDate = "YYYY-MM-DD_HH-mm-ss"

// New is what was said, understood.
func New(said api.Rotation) (Rule, error) {
	format := cmp.Or(said.DateFormat, defaultDate)
	parsed := dayjs.Parse(format)
	r := Rule{Rotation: said, date: func(t time.Time) string { return string(parsed.Append(nil, t)) }}
	if said.Interval != "" {
		var err error
		if r.pattern, err = cron.Parse(said.Interval); err != nil {
			return Rule{}, fmt.Errorf("rotate logs: interval: %w", err)
		}
	}
	if err := checkCompress(said.Compress); err != nil {
		return Rule{}, fmt.Errorf("rotate logs: compress: %w", err)
	}
	if err := checkDate(format); err != nil {
		return Rule{}, fmt.Errorf("rotate logs: date_format: %w", err)
	}
	return r, nil
}

// Due tells whether a log of a size is to be put aside; until is what Next said
// when it was begun, for that takes longer than a write. An empty one never is.
func (r *Rule) Due(size int64, until, now time.Time) bool {
	if r.Off || size == 0 {
		return false
	}
	return r.MaxSize > 0 && size >= r.MaxSize || !until.IsZero() && !until.After(now)
}

// Next is when a log that is begun now is due whatever its size; zero: never.
func (r *Rule) Next(now time.Time) time.Time {
	if r.Off {
		return time.Time{}
	}
	return r.pattern.Next(now)
}

// Expired are the parts that are not to be kept of a list, oldest first.
func (r *Rule) Expired(list []Part, now time.Time) []Part {
	var expired []Part
	kept := map[string]int{}
	var size int64
	newestFirst := slices.SortedFunc(slices.Values(list), func(a, b Part) int { return b.Compare(a) })
	for _, p := range newestFirst {
		kept[p.Log]++
		size += p.Size
		tooMany := r.Retain > 0 && kept[p.Log] > r.Retain
		tooOld := r.MaxAge > 0 && now.Sub(p.Last) > time.Duration(r.MaxAge)*time.Millisecond
		tooMuch := r.TotalCap > 0 && size > r.TotalCap
		if tooMany || tooOld || tooMuch {
			expired = append(expired, p)
		}
	}
	slices.Reverse(expired)
	return expired
}
