package collect

import "time"

const (
	// wholeLine is what a line takes out of a limit. So fine are its parts that
	// a nanosecond brings a whole number of them at any rate.
	wholeLine = int64(time.Second)
	// maxRate is more than any stream has, and little enough to count in parts.
	maxRate = 1e9
)

// limit is how many lines may pass: a bucket that holds the lines of one
// second, and fills in one second. Once it is empty, no line passes before it
// is full: else a flood would come through line by line, with a note between
// any two, where now whole stretches of it can be read.
type limit struct {
	rate    int64     // lines a second; 0: no limit
	left    int64     // in parts of a line
	filled  time.Time // when left was counted
	empty   bool      // and not full since
	dropped int64     // lines nobody was told of yet
	passing bool      // the line that was begun is not dropped
}

func newLimit(rate int64) limit { return limit{rate: min(max(rate, 0), maxRate), passing: true} }

// fill adds what time has brought since the last call.
func (l *limit) fill(now time.Time) {
	if l.rate == 0 {
		return
	}
	// A clock may be set back: that brings nothing, and takes nothing.
	passed := min(max(now.Sub(l.filled), 0), time.Second)
	full := l.rate * wholeLine
	l.filled = now
	l.left = min(l.left+int64(passed)*l.rate, full)
	if l.left == full {
		l.empty = false
	}
}

// take takes a line out, or counts it as dropped.
func (l *limit) take() bool {
	if l.rate == 0 {
		return true
	}
	if l.left < wholeLine {
		l.empty = true
	}
	if l.empty {
		l.dropped++
		return false
	}
	l.left -= wholeLine
	return true
}
