// Package units reads and prints sizes and durations as PM2 writes them:
// "200M" and "3s" in its files, "52.6mb" and "47h" in its lists. It knows
// whole numbers and one unit each; there is no "1h30m" and no "1.5G".
package units

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
	tib = 1 << 40
)

// ParseSize is the number of bytes that text names: "512", "512b", "512K",
// "200M", "200MB" or "1G", in upper or lower case, counted in 1024s.
func ParseSize(text string) (int64, error) {
	number, unit := split(text)
	factor := int64(1)
	switch strings.TrimSuffix(unit, "b") {
	case "":
	case "k":
		factor = kib
	case "m":
		factor = mib
	case "g":
		factor = gib
	case "t":
		factor = tib
	default:
		return 0, notA("size", text, `a number of bytes, or one with K, M, G or T like "200M"`)
	}
	return multiply("size", text, number, factor)
}

// ParseDuration is the number of milliseconds that text names: "1500",
// "100ms", "3s", "5m", "2h" or "1d", in upper or lower case.
func ParseDuration(text string) (int64, error) {
	number, unit := split(text)
	var one time.Duration
	switch unit {
	case "", "ms":
		one = time.Millisecond
	case "s":
		one = time.Second
	case "m":
		one = time.Minute
	case "h":
		one = time.Hour
	case "d":
		one = 24 * time.Hour
	default:
		return 0, notA("duration", text, `a number of milliseconds, or one with ms, s, m, h or d like "3s"`)
	}
	return multiply("duration", text, number, one.Milliseconds())
}

// split parts text into its leading digits and the unit, in lower case.
func split(text string) (number, unit string) {
	text = strings.TrimSpace(text)
	end := 0
	for end < len(text) && '0' <= text[end] && text[end] <= '9' {
		end++
	}
	return text[:end], strings.ToLower(strings.TrimSpace(text[end:]))
}

func multiply(what, text, number string, factor int64) (int64, error) {
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case number == "":
		return 0, notA(what, text, "it must begin with a digit")
	case err != nil, n > math.MaxInt64/factor:
		return 0, notA(what, text, "it is too large")
	}
	return n * factor, nil
}

func notA(what, text, why string) error {
	return fmt.Errorf("%q is not a %s: %s", text, what, why)
}

// Bytes prints a size as PM2's list does: "0b", "52.6mb".
func Bytes(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{tib, "tb"}, {gib, "gb"}, {mib, "mb"}, {kib, "kb"}} {
		if n >= u.size {
			return strconv.FormatFloat(float64(n)/float64(u.size), 'f', 1, 64) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "b"
}

// Since prints an age as PM2's list does: in the largest unit of which more
// than one has passed, so that 47 hours are "47h" and 48 are "2D".
func Since(d time.Duration) string {
	const day = 24 * time.Hour
	for _, u := range []struct {
		one  time.Duration
		name string
	}{{365 * day, "Y"}, {30 * day, "M"}, {day, "D"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if n := d / u.one; n > 1 {
			return strconv.FormatInt(int64(n), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(max(d, 0)/time.Second), 10) + "s"
}
