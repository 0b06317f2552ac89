package cli

import (
	"fmt"
	"strings"
	"time"

	"tend/internal/units"
)

// stampFormat is what --timestamp stands for alone, in day.js tokens.
const stampFormat = "YYYY-MM-DD-HH:mm:ss"

// momentForms are the forms of a time with its date.
var momentForms = []string{ //nolint:gochecknoglobals // a table
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02-15:04:05", "2006-01-02",
}

// momentOf reads the value of an option that is a time, or an age; "" is the
// zero time.
func momentOf(option, text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return time.Time{}, nil
	}
	if age, ok := ageOf(text); ok {
		return now.Add(-age), nil
	}
	for _, form := range momentForms {
		if t, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, form := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(form, text); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, invalid("read option", option, "write an age like 90s, 10m, 2h or 1d, or a time like 14:30 or 2026-11-22 14:30:00",
		fmt.Errorf("%q is no time", text))
}

// ageOf reads an age: PM2's forms with a unit, and Go's, which may have several.
func ageOf(text string) (time.Duration, bool) {
	if last := text[len(text)-1]; last >= '0' && last <= '9' {
		return 0, false // a bare number says too little
	}
	if ms, err := units.ParseDuration(text); err == nil {
		return time.Duration(ms) * time.Millisecond, true
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}
