// Package cron knows when a cron pattern comes due, as PM2's users write them:
// five fields, or six with seconds first; names of days and months, ranges,
// lists, steps, L. It holds no timer.
//
// A day has to be both the day of the month and the day of the week where both
// are given, as with croner, which PM2 uses; for cron itself either is enough.
// A "?" is any value.
package cron

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// Pattern is a cron pattern. The zero value never comes due.
type Pattern struct {
	fields  string // for gronx
	weekday string // what a day that the fields find has to be too; "": they say it all
}

// The fields of a pattern, by their places.
const (
	monthDay = 3
	weekDay  = 5
	places   = 6
)

var named = [places]string{"second", "minute", "hour", "day of the month", "month", "day of the week"} //nolint:gochecknoglobals // a table, never written

// Parse reads a pattern, and refuses one that never comes due.
func Parse(text string) (Pattern, error) {
	fields, err := gronx.Segments(text)
	if err != nil || len(fields) != places { // gronx takes a year too
		return Pattern{}, fmt.Errorf(`cron pattern %q: want minute, hour, day of the month, month and day of the week, like "0 3 * * MON", or seconds before them`, text)
	}
	for place, field := range fields {
		if err := check(field, place); err != nil {
			return Pattern{}, fmt.Errorf("cron pattern %q: %w", text, err)
		}
	}
	var p Pattern
	if narrows(fields[monthDay]) && narrows(fields[weekDay]) {
		p.weekday, fields[weekDay] = fields[weekDay], "*"
	}
	const anyYear = " *" // without it, gronx may take the day of the week for one
	p.fields = strings.Join(fields, " ") + anyYear
	if p.Next(time.Unix(0, 0).UTC()).IsZero() {
		return Pattern{}, fmt.Errorf("cron pattern %q: that never comes", text)
	}
	return p, nil
}

// check looks at each element of a field by itself: gronx looks no further than
// the first that fits the time it is asked about.
func check(field string, place int) error {
	for element := range strings.SplitSeq(field, ",") {
		alone := []string{"*", "*", "*", "*", "*", "*", "*"}
		alone[place] = element
		if element == "" || !gronx.IsValid(strings.Join(alone, " ")) {
			return fmt.Errorf("%q is not understood as the %s", field, named[place])
		}
	}
	return nil
}

// narrows tells whether gronx takes a field of days as one of two that are
// enough by themselves.
func narrows(field string) bool { return !strings.HasPrefix(field, "*") && field != "?" }

// mostDays bounds the search for a day of the month that is the right day of
// the week. The 29th of February is a Monday once in 40 years at worst, and then
// all of February may have been asked for.
const mostDays = 41 * 29

var errTooFar = errors.New("no such day in sight")

// Next is the first time after another at which the pattern comes due, in that
// one's time zone; zero: never.
func (p Pattern) Next(after time.Time) time.Time {
	next, err := p.next(after)
	if err != nil {
		return time.Time{}
	}
	return next
}

func (p Pattern) next(after time.Time) (time.Time, error) {
	if p.fields == "" {
		return time.Time{}, errTooFar
	}
	for range mostDays {
		next, err := gronx.NextTickAfter(p.fields, after, false)
		if err != nil || p.onWeekday(next) {
			return next, err
		}
		year, month, day := next.Date()
		after = time.Date(year, month, day+1, 0, 0, 0, 0, next.Location()).Add(-time.Second)
	}
	return time.Time{}, errTooFar
}

func (p Pattern) onWeekday(t time.Time) bool {
	if p.weekday == "" {
		return true
	}
	var c gronx.SegmentChecker
	c.SetRef(t)
	due, err := c.CheckDue(p.weekday, weekDay)
	return due && err == nil
}
