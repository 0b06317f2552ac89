package read

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"time"

	"tend/internal/logs"
)

// Line is a line of a log.
type Line struct {
	Label any
	// Text is the line without its end. It is good during the call only.
	Text []byte
	// At is when it was written, to the second; zero: nobody knows.
	At time.Time

	where Position
	ended bool
}

// Position is where a log goes on behind this line, for File.After. It holds
// also when the log was put aside since, or another process reads it.
func (l *Line) Position() Position {
	p := l.where
	p.setBefore(lastBytes(l.Text, l.ended))
	return p
}

// Query says which lines of a log are wanted.
type Query struct {
	// Lines is how many of the last of those that fulfil the rest; below 0: all.
	Lines int
	// Since and Until bound when a line was written; zero: they do not. Where
	// nobody noted when a log was written, all of a file counts that was written
	// to since, and all before Until.
	Since, Until time.Time
	// Keep chooses lines; nil: all.
	Keep func(line []byte) bool
}

// Filter chooses lines by what is in them.
type Filter struct {
	Grep    *regexp.Regexp // lines that match; nil: all
	Exclude *regexp.Regexp // and of those the ones that do not match this; nil: all
}

// Keep tells which lines are chosen; nil: all.
func (f Filter) Keep() func(line []byte) bool {
	if f.Grep == nil && f.Exclude == nil {
		return nil
	}
	return func(line []byte) bool {
		return (f.Grep == nil || f.Grep.Match(line)) && (f.Exclude == nil || !f.Exclude.Match(line))
	}
}

// Unread is what could not be read of a log: parts that are damaged, say. All
// the others were given.
type Unread struct{ Parts []error }

// Error tells of each part in a line.
func (u *Unread) Error() string { return errors.Join(u.Parts...).Error() }

// Unwrap is the parts.
func (u *Unread) Unwrap() []error { return u.Parts }

// note keeps the error of a part, once, and gives back any other.
func (u *Unread) note(err error) error {
	part, ok := errors.AsType[*partError](err)
	if !ok {
		return err
	}
	known := slices.ContainsFunc(u.Parts, func(err error) bool { return err.Error() == part.Error() })
	if !known { // one is met when its lines are counted, and when they are given
		u.Parts = append(u.Parts, part.err)
	}
	return nil
}

// partError is why one part of a log was not read, or not to its end.
type partError struct{ err error }

func (p *partError) Error() string { return p.err.Error() }

func (p *partError) Unwrap() error { return p.err }

// History calls each with lines of a log, the oldest first, across the files
// that the log was put aside as, until ctx ends. A log that is not there has no
// lines. What is damaged keeps nothing else back: the error is an Unread then.
func History(ctx context.Context, file File, q Query, each func(Line) error) error {
	w := newFollowed(file)
	var bad Unread
	if err := w.open(); err != nil {
		bad.Parts = append(bad.Parts, err)
	}
	defer w.close()
	if w.file != nil {
		w.offset = w.info.Size()
	}
	return w.history(ctx, q, &bad, each)
}

// history is History of what stands before the offset.
func (w *followed) history(ctx context.Context, q Query, bad *Unread, each func(Line) error) error {
	spans, err := w.spans(ctx, q, bad)
	if err != nil {
		return err
	}
	for _, s := range spans {
		if err := bad.note(w.tell(ctx, s, q.Keep, each)); err != nil {
			return err
		}
	}
	if len(bad.Parts) > 0 {
		return bad
	}
	return nil
}

// tell calls each with the lines of a span.
func (w *followed) tell(ctx context.Context, s span, keep func([]byte) bool, each func(Line) error) error {
	table := logs.OpenTimetable(s.path)
	defer table.Close()
	clock := table.Clock(s.from)
	begin := s.from
	return s.lines(ctx, func(text []byte, ended bool, end int64) error {
		at := clock.At(begin)
		begin = end
		if keep != nil && !keep(text) {
			return nil
		}
		return each(Line{Label: w.Label, Text: text, At: at, ended: ended, where: w.at(s.segment, end)})
	})
}

// spans are the parts of the log that a query asks for, the oldest first. It
// looks from the newest back, and no further than it has to. What it cannot read
// on the way is noted in bad.
func (w *followed) spans(ctx context.Context, q Query, bad *Unread) ([]span, error) {
	if q.Lines == 0 {
		return nil, nil
	}
	var out []span
	left := q.Lines
	add := func(s span) (enough bool, err error) {
		far := s.bound(q.Since, q.Until)
		if left > 0 && s.from != s.to {
			found, err := s.last(ctx, left, q.Keep)
			if err := bad.note(err); err != nil {
				return true, err
			}
			left -= found
			far = far || left == 0
		}
		if s.from != s.to {
			out = append(out, s)
		}
		return far, nil
	}
	if w.file != nil {
		if enough, err := add(span{w.current(), 0, w.offset}); enough || err != nil {
			return out, err
		}
	}
	older, err := w.older()
	if err != nil {
		return nil, err
	}
	for _, s := range slices.Backward(older) {
		if enough, err := add(span{s, 0, -1}); enough || err != nil {
			slices.Reverse(out)
			return out, err
		}
	}
	slices.Reverse(out)
	return out, nil
}

// older are the segments before the one that is open: it may have been put
// aside itself since it was opened.
func (w *followed) older() ([]segment, error) {
	list, err := segmentsOf(w.Path)
	if i := w.place(list); i >= 0 {
		list = list[:i]
	}
	return list, err
}

// fileTick is how far the times of files may be behind the clock: they tick as
// the kernel does.
const fileTick = 10 * time.Millisecond

// bound cuts the span to what was written in a time, and tells whether nothing
// older was.
func (s *span) bound(since, until time.Time) (far bool) {
	if since.IsZero() && until.IsZero() {
		return false
	}
	if !since.IsZero() && s.info.ModTime().Before(since.Add(-fileTick)) {
		s.to = s.from
		return true
	}
	table := logs.OpenTimetable(s.path)
	if table == nil {
		return false
	}
	defer table.Close()
	if !since.IsZero() {
		s.from = s.nextLine(max(s.from, table.OffsetAt(since)))
		far = table.Reaches(since)
	}
	if end, known := table.EndAt(until); !until.IsZero() && known && (s.to < 0 || end < s.to) {
		s.to = s.nextLine(end)
	}
	if s.to >= 0 {
		s.from = min(s.from, s.to)
	}
	return far
}

// nextLine is where the first line that begins at an offset or behind it does:
// what is noted of a log is when something was written, be it half a line.
func (s *span) nextLine(offset int64) int64 {
	if offset == 0 {
		return 0
	}
	text, err := s.open(offset - 1)
	if text == nil || err != nil {
		return offset
	}
	defer text.Close()
	r := bufio.NewReader(text)
	for offset--; ; {
		b, err := r.ReadSlice('\n')
		offset += int64(len(b))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return offset
		}
	}
}

// startOfLine is where the line begins that the first size bytes of a file end
// in: size, where a line ends there.
func startOfLine(file *os.File, size int64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], size-1); err != nil && err != io.EOF {
		return 0, fmt.Errorf("read log %s: %w", file.Name(), err)
	}
	if last[0] == '\n' {
		return size, nil
	}
	start, _, err := lastLines(file, size, 1)
	if err != nil {
		return 0, fmt.Errorf("read log %s: %w", file.Name(), err)
	}
	return start, nil
}
