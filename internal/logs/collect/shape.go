package collect

import (
	"bytes"
	"strconv"
	"time"

	"tend/internal/dayjs"
)

// Shape is what becomes of a stream's lines on their way into its files. The
// zero value leaves them as they are.
type Shape struct {
	// Date is the format of the time before each line, in day.js tokens, or of
	// "timestamp" with JSON; "" is none, or RFC 3339 with JSON.
	Date string
	// JSON makes an object of each line, as PM2's log_type json:
	// {"message","timestamp","type","process_id","app_name"}.
	JSON bool
	// Rate is how many lines a second pass before lines are dropped; 0: all.
	Rate int64

	Type string // "out" or "err"
	ID   int
	App  string
}

// isoUTC is the time in a line of JSON where the app does not say how: what
// JavaScript's toISOString gives.
const isoUTC = "YYYY-MM-DDTHH:mm:ss.SSS[Z]"

// shaper makes of what a stream says what stands in its files. It holds no
// output back: of all that it was given, what is to be written is written.
type shaper struct {
	Shape
	limit limit

	format *dayjs.Format // of the times; nil: there are none
	unit   int64         // how long a time stays as it is, in nanoseconds
	units  int64         // of them since 1970, when before and after were made
	// before and after are what stands around each line.
	before, after []byte
	date          []byte // in after, without escapes
	names         []byte // the end of after, which no time changes
}

// newShaper is nil where lines stay as they are.
func newShaper(s Shape) *shaper {
	if s.Date == "" && !s.JSON && s.Rate <= 0 {
		return nil
	}
	sh := &shaper{Shape: s, limit: newLimit(s.Rate)}
	switch {
	case s.Date != "":
		sh.format = dayjs.Parse(s.Date)
	case s.JSON:
		sh.format = dayjs.Parse(isoUTC)
	}
	if sh.format != nil {
		sh.unit = sh.format.Coarsest().Nanoseconds()
	}
	if s.JSON {
		sh.names = appendNames(nil, s)
	}
	return sh
}

// append adds to out what becomes of data, which goes on with a line that was
// begun where middle is set, and tells whether data leaves a line begun. A line
// may come in pieces. JSON makes an object of each, so that it takes few: whole
// lines, and pieces only of what is too long to wait for.
//
// A shaper that is new in the middle of a line does not know whether its
// beginning was dropped, and lets the rest pass.
func (s *shaper) append(out, data []byte, now time.Time, middle bool) ([]byte, bool) {
	s.limit.fill(now)
	s.stamp(now)
	for len(data) > 0 {
		piece, end := data, bytes.IndexByte(data, '\n')
		if end >= 0 {
			piece = data[:end+1]
		}
		data = data[len(piece):]
		if !middle {
			if s.limit.passing = s.limit.take(); s.limit.passing {
				out = s.appendDropped(out)
			}
		}
		if s.limit.passing {
			out = s.appendPiece(out, piece, middle)
		}
		middle = end < 0
	}
	return out, middle
}

// dropping tells whether lines were dropped that no note has told of.
func (s *shaper) dropping() bool { return s.limit.dropped > 0 }

// note is a line about the lines that were dropped since the last one, nil when
// none were. It may be written at any time: while lines are dropped, none is
// half written.
func (s *shaper) note(now time.Time) []byte {
	s.stamp(now)
	return s.appendDropped(nil)
}

// appendDropped adds the line that stands where lines were dropped.
func (s *shaper) appendDropped(out []byte) []byte {
	n := s.limit.dropped
	if n == 0 {
		return out
	}
	s.limit.dropped = 0
	line := make([]byte, 0, len("[tend]  lines dropped: more than  a second\n")+2*len("9223372036854775807"))
	line = append(line, "[tend] "...)
	line = strconv.AppendInt(line, n, 10)
	if n == 1 {
		line = append(line, " line"...)
	} else {
		line = append(line, " lines"...)
	}
	line = append(line, " dropped: more than "...)
	line = strconv.AppendInt(line, s.Rate, 10)
	line = append(line, " a second\n"...)
	return s.appendPiece(out, line, false)
}

// appendPiece adds a line or a piece of one in its shape.
func (s *shaper) appendPiece(out, piece []byte, middle bool) []byte {
	if s.JSON {
		out = append(out, s.before...)
		out = appendEscaped(out, piece)
		return append(out, s.after...)
	}
	if !middle {
		out = append(out, s.before...)
	}
	return append(out, piece...)
}

// stamp makes what stands around a line at a time.
func (s *shaper) stamp(now time.Time) {
	if s.format == nil {
		return
	}
	units := now.UnixNano() / s.unit
	if s.before != nil && units == s.units {
		return
	}
	s.units = units
	if !s.JSON {
		s.before = s.format.Append(s.before[:0], now)
		s.before = append(s.before, ": "...)
		return
	}
	if s.Date == "" {
		now = now.UTC()
	}
	s.date = s.format.Append(s.date[:0], now)
	s.before = append(s.before[:0], `{"message":"`...)
	s.after = append(s.after[:0], `","timestamp":"`...)
	s.after = appendEscaped(s.after, s.date)
	s.after = append(s.after, s.names...)
}

// appendNames adds the end of a line of JSON, from the end of its time.
func appendNames(b []byte, s Shape) []byte {
	b = append(b, `","type":"`...)
	b = appendEscaped(b, []byte(s.Type))
	b = append(b, `","process_id":`...)
	b = strconv.AppendInt(b, int64(s.ID), 10)
	b = append(b, `,"app_name":"`...)
	b = appendEscaped(b, []byte(s.App))
	return append(b, "\"}\n"...)
}
