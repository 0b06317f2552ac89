// Package lines has an app write numbered lines, and finds out what became of
// them on their way into files: which are missing, came again, came too late,
// or are not in one piece. It serves measuring and tests, and knows nothing of
// who carries the lines.
package lines

import (
	"bytes"
	"hash/crc32"
	"strconv"
)

// A line is, with spaces between: '#' and its stream, its number, its length
// with its line feed, letters, and a checksum of all that.
const (
	streamAt = len("#")
	numberAt = len("#00 ")
	lengthAt = len("#00 000000000000 ")
	textAt   = len("#00 000000000000 00000 ")
	sumSize  = len(" 00000000\n")

	// Least is the length of the shortest line.
	Least = textAt + sumSize
	// Usual is the length of a line when speed is measured.
	Usual = 100

	letters   = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
	hexDigits = "0123456789abcdef"
)

// Mixed is a length for line n: most are short, some are longer than a page,
// and few are longer than a pipe.
func Mixed(n uint64) int {
	switch {
	case n%4999 == 0:
		return 70_000
	case n%97 == 0:
		return 5_000
	}
	return Least + int(n*31%200)
}

// Append appends line n of a stream (0 to 255) to dst, with its line feed.
func Append(dst []byte, stream int, n uint64, length int) []byte {
	start := len(dst)
	dst = append(dst, '#', hexDigits[stream>>4&15], hexDigits[stream&15], ' ')
	dst = appendDecimal(dst, n, lengthAt-numberAt-1)
	dst = append(dst, ' ')
	dst = appendDecimal(dst, uint64(length), textAt-lengthAt-1)
	dst = append(dst, ' ')
	for left := length - Least; left > 0; left -= len(letters) {
		dst = append(dst, letters[:min(left, len(letters))]...)
	}
	sum := checksum(dst[start:])
	dst = append(dst, ' ')
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[sum>>shift&15])
	}
	return append(dst, '\n')
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// appendDecimal appends n with zeros before it.
func appendDecimal(dst []byte, n uint64, digits int) []byte {
	dst = append(dst, "000000000000"[:digits]...)
	for at := len(dst) - 1; n > 0; at-- {
		dst[at] = '0' + byte(n%10)
		n /= 10
	}
	return dst
}

// parse reads a whole line, without its line feed.
func parse(line []byte) (stream int, n uint64, ok bool) {
	if size(line) != len(line)+1 {
		return 0, 0, false
	}
	body, sum := line[:len(line)+1-sumSize], line[len(line)+1-sumSize:]
	want, err := strconv.ParseUint(string(sum[1:]), 16, 32)
	if err != nil || sum[0] != ' ' || uint64(checksum(body)) != want {
		return 0, 0, false
	}
	s, err := strconv.ParseUint(string(line[streamAt:numberAt-1]), 16, 8)
	if err != nil {
		return 0, 0, false
	}
	n, err = strconv.ParseUint(string(line[numberAt:lengthAt-1]), 10, 64)
	return int(s), n, err == nil
}

// size is how long the line at the front of b says it is, 0 where there is none.
func size(b []byte) int {
	if len(b) < Least-1 || b[0] != '#' {
		return 0
	}
	n, err := strconv.Atoi(string(b[lengthAt : textAt-1]))
	if err != nil || n < Least {
		return 0
	}
	return n
}

// datePattern is the time before a line with --time: its digits, and what is
// between and behind them.
const datePattern = "0000-00-00T00:00:00: "

// isDate tells whether b begins with a time.
func isDate(b []byte) bool {
	if len(b) < len(datePattern) {
		return false
	}
	for i, c := range []byte(datePattern) {
		if digit := b[i] >= '0' && b[i] <= '9'; c == '0' && !digit || c != '0' && b[i] != c {
			return false
		}
	}
	return true
}

// withoutDates is b without any time that it has somewhere.
func withoutDates(b []byte) []byte {
	var out []byte
	for len(b) > 0 {
		if isDate(b) {
			b = b[len(datePattern):]
			continue
		}
		// The next one can begin at a digit only, of which a line has few.
		next := 1 + bytes.IndexAny(b[1:], "0123456789")
		if next == 0 {
			next = len(b)
		}
		out = append(out, b[:next]...)
		b = b[next:]
	}
	return out
}
