// Package rotation decides when a log is put aside, under what name, and how
// long it is kept. It touches no file.
package rotation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tend/api"
	"tend/internal/cron"
	"tend/internal/dayjs"
	"tend/internal/units"
)

// The default rotation: generous, so that nobody misses a line, and bounded, so
// that no log fills a disk.
const (
	defaultMaxSize = 100 << 20
	defaultRetain  = 10
)

// leastMaxSize is where a max_size is no size any more but a slip: "10" for
// "10M".
const leastMaxSize = 1 << 10

// RetainAll is the Retain of a Rotation that never deletes a file.
const RetainAll = -1

// Default is how logs are rotated where nobody says anything.
func Default() api.Rotation {
	return api.Rotation{MaxSize: defaultMaxSize, Retain: defaultRetain, Compress: "gzip"}
}

// fields are the fields of log_rotate, and how each is read from text.
var fields = map[string]func(r *api.Rotation, text string) error{ //nolint:gochecknoglobals // a table, never written
	"max_size":    quantity(units.ParseSize, func(r *api.Rotation) *int64 { return &r.MaxSize }),
	"total_cap":   quantity(units.ParseSize, func(r *api.Rotation) *int64 { return &r.TotalCap }),
	"max_age":     quantity(units.ParseDuration, func(r *api.Rotation) *int64 { return &r.MaxAge }),
	"retain":      setRetain,
	"interval":    setInterval,
	"compress":    setCompress,
	"date_format": func(r *api.Rotation, text string) error { r.DateFormat = text; return nil },
	"off":         setOff,
}

// Fields are the names that Set knows, sorted.
func Fields() []string { return slices.Sorted(maps.Keys(fields)) }

// Set sets a field of r to what a person wrote: "10M", "7d", "all". On
// an error r is as it was.
func Set(r *api.Rotation, field, text string) error {
	set := fields[field]
	if set == nil {
		return fmt.Errorf("unknown field %q", field)
	}
	return set(r, strings.TrimSpace(text))
}

// quantity reads a number with a unit; false is 0, which has no say.
func quantity(parse func(string) (int64, error), at func(*api.Rotation) *int64) func(*api.Rotation, string) error {
	return func(r *api.Rotation, text string) error {
		if text == "false" {
			text = "0"
		}
		n, err := parse(text)
		if err == nil {
			*at(r) = n
		}
		return err
	}
}

func setRetain(r *api.Rotation, text string) error {
	if text == "all" {
		r.Retain = RetainAll
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return fmt.Errorf(`%q is not a number above 0, and not "all"`, text)
	}
	r.Retain = n
	return nil
}

func setInterval(r *api.Rotation, text string) error {
	if text == "" || text == "0" || text == "false" {
		r.Interval = ""
		return nil
	}
	_, err := cron.Parse(text)
	if err == nil {
		r.Interval = text
	}
	return err
}

func setCompress(r *api.Rotation, text string) error {
	switch text {
	case "false":
		r.Compress = ""
	case "true", "gzip":
		r.Compress = "gzip"
	case "zstd":
		r.Compress = "zstd"
	default:
		return fmt.Errorf(`%q is none of true, false, "gzip" and "zstd"`, text)
	}
	return nil
}

func setOff(r *api.Rotation, text string) error {
	if text != "true" && text != "false" {
		return fmt.Errorf("%q is neither true nor false", text)
	}
	r.Off = text == "true"
	return nil
}

// Check says what is wrong with r, all of it, or nil.
func Check(r *api.Rotation) error {
	var all []error
	bad := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	for _, f := range []struct {
		name  string
		value int64
	}{{"max_size", r.MaxSize}, {"max_age", r.MaxAge}, {"total_cap", r.TotalCap}} {
		if f.value < 0 {
			bad("%s: %d is negative", f.name, f.value)
		}
	}
	if r.MaxSize > 0 && r.MaxSize < leastMaxSize {
		bad(`max_size: %d bytes are less than 1K; ten megabytes are "10M"`, r.MaxSize)
	}
	if r.Retain < RetainAll {
		bad("retain: %d is negative", r.Retain)
	}
	if err := checkCompress(r.Compress); err != nil {
		bad("compress: %w", err)
	}
	if r.Interval != "" {
		if _, err := cron.Parse(r.Interval); err != nil {
			bad("interval: %w", err)
		}
	}
	if r.DateFormat != "" {
		if err := checkDate(r.DateFormat); err != nil {
			bad("date_format: %w", err)
		}
	}
	return errors.Join(all...)
}

func checkCompress(method string) error {
	if _, known := Ending(method); !known {
		return fmt.Errorf("%q is neither gzip nor zstd", method)
	}
	return nil
}

// checkDate says what keeps a format from dating a file: rotated files are found
// again by their names, so the date has to look like one.
func checkDate(format string) error {
	for _, at := range []time.Time{time.Unix(1e9, 0).UTC(), time.Unix(2e9, 0).UTC()} {
		if date := string(dayjs.Parse(format).Append(nil, at)); !isDate(date) {
			return fmt.Errorf("%q dates a file %q; use tokens for numbers, at least year and month: YYYY-MM-DD_HH-mm-ss", format, date)
		}
	}
	return nil
}
