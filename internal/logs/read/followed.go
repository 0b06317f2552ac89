package read

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tend/internal/logs"
)

// followed is one log of a Follower: what was put aside and is still to be
// read, then the file that is written to.
type followed struct {
	File

	log   uint64        // what positions know the path by
	queue []span        // the oldest first
	text  io.ReadCloser // of the first of them, once it is read

	file   *os.File // the one that is written to; nil: it is not there, or not opened yet
	info   os.FileInfo
	wrote  time.Time // when the file was last written to, as far as it was read
	offset int64     // how far it was read
	before []byte    // the bytes before the offset, as many as are looked at
	behind segment   // the last that was put aside and is read, or will be
	listed time.Time // when the directory was changed that was listed last

	cut   cutter
	grew  time.Time // when the beginning of a line was read last
	past  bool      // what is read was not written just now
	table *logs.Timetable
	clock *logs.Clock // of table; nil until it is needed

	due    bool             // it may have something
	give   func(Line) error // where lines go
	opened func()           // called when another file is opened
}

func newFollowed(f File) *followed {
	w := &followed{File: f, log: logOf(f.Path), opened: func() {}}
	w.cut.each = w.line
	return w
}

// open opens what has the path now, at its beginning, if something does.
func (w *followed) open() error {
	file, err := openPlain(w.Path)
	if file == nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return fmt.Errorf("follow log: %w", err)
	}
	w.file, w.info, w.wrote, w.offset, w.before = file, info, info.ModTime(), 0, nil
	w.opened()
	return nil
}

func (w *followed) close() {
	w.closeText()
	w.now()
	w.closeFile()
}

func (w *followed) closeFile() {
	if w.file != nil {
		_ = w.file.Close()
		w.file, w.info = nil, nil
	}
}

func (w *followed) closeText() {
	if w.text != nil {
		_ = w.text.Close()
		w.text = nil
	}
}

// begin opens the log where it is to be followed from.
func (w *followed) begin() error {
	if err := w.open(); err != nil {
		return err
	}
	if w.file == nil {
		list, err := segmentsOf(w.Path)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			w.behind = list[len(list)-1]
		}
	}
	switch {
	case w.After != nil:
		return w.resume(*w.After)
	case !w.Since.IsZero():
		return w.from(Query{Lines: -1, Since: w.Since})
	case w.file == nil:
		return nil
	}
	start, err := startOfLine(w.file, w.info.Size())
	if err != nil {
		return err
	}
	return w.goOn(start)
}

// goOn goes on in the open file at an offset.
func (w *followed) goOn(offset int64) error {
	w.offset = offset
	w.cut.restart(offset)
	w.before = make([]byte, min(offset, beforeSize))
	if _, err := w.file.ReadAt(w.before, offset-int64(len(w.before))); err != nil && err != io.EOF {
		return fmt.Errorf("follow log: %w", err)
	}
	return nil
}

// from goes on at the beginning of what a query asks for.
func (w *followed) from(q Query) error {
	if w.file != nil {
		w.offset = w.info.Size()
	}
	spans, err := w.spans(context.Background(), q, new(Unread)) // it asks for all lines, so that none is read here
	if err != nil {
		return err
	}
	start := w.offset
	if n := len(spans); n > 0 && spans[n-1].file != nil {
		start, spans = spans[n-1].from, spans[:n-1]
	}
	for i := range spans {
		spans[i].to = -1
	}
	w.queue = spans
	if w.file == nil {
		return nil
	}
	w.old(w.Path)
	return w.goOn(start)
}

// resume goes on behind a position: in the file that has it, or else with what
// was put aside since.
func (w *followed) resume(p Position) error {
	list, err := segmentsOf(w.Path)
	if err != nil {
		return err
	}
	if i := w.place(list); i >= 0 {
		list = list[:i]
	}
	if w.file != nil {
		if current := w.current(); inode(w.info) == p.ino {
			if in, _ := p.in(current); in {
				w.old(w.Path)
				return w.reenter(p.offset)
			}
		}
	}
	since := slices.IndexFunc(list, func(s segment) bool { return s.last.UnixNano() >= p.wrote })
	if i := slices.IndexFunc(list, func(s segment) bool { return !s.compressed() && inode(s.info) == p.ino }); i >= 0 {
		since = i
	}
	if since >= 0 {
		w.enqueue(list[since:])
		for i, s := range w.queue {
			if in, _ := p.in(s.segment); in {
				w.queue = w.queue[i:]
				w.queue[0].from = p.offset
				break
			}
		}
	}
	if w.file == nil {
		return nil
	}
	w.old(w.Path)
	return w.goOn(0)
}

// reenter goes on behind what was given of the open file, maybe in the middle
// of a line.
func (w *followed) reenter(offset int64) error {
	if err := w.goOn(offset); err != nil {
		return err
	}
	w.cut.partial = len(w.before) > 0 && w.before[len(w.before)-1] != '\n'
	return nil
}

// current is the open file as a segment.
func (w *followed) current() segment {
	return segment{path: w.Path, last: w.wrote, info: w.info, file: w.file}
}

// place is which of some segments the open file is, -1 if none.
func (w *followed) place(list []segment) int {
	return slices.IndexFunc(list, func(s segment) bool { return s.isFile(w.info) })
}

func (w *followed) enqueue(list []segment) {
	w.queue = nil
	for _, s := range list {
		w.queue = append(w.queue, span{s, 0, -1})
	}
}

// old says that what is read from a file was not written just now.
func (w *followed) old(path string) {
	w.now()
	w.past, w.table = true, logs.OpenTimetable(path)
}

// now says that what is read was written just now.
func (w *followed) now() {
	w.table.Close()
	w.past, w.table, w.clock = false, nil, nil
}

// time is when what stands at an offset was written.
func (w *followed) time(offset int64) time.Time {
	if !w.past {
		return time.Now()
	}
	if w.clock == nil {
		w.clock = w.table.Clock(offset)
	}
	return w.clock.At(offset)
}

// at is the position of an offset in a segment, but for the bytes before it.
func (w *followed) at(s segment, offset int64) Position {
	return Position{log: w.log, ino: inode(s.info), offset: offset, wrote: s.last.UnixNano()}
}

// position is where the log goes on.
func (w *followed) position() Position {
	p := w.at(segment{last: time.Now()}, 0)
	if len(w.queue) > 0 {
		return w.at(w.queue[0].segment, w.queue[0].from)
	}
	if w.file != nil {
		p = w.at(w.current(), w.offset)
		p.setBefore(w.before)
	}
	return p
}

// line hands on a line that was cut.
func (w *followed) line(text []byte, ended bool, end int64) error {
	s := segment{last: w.wrote, info: w.info}
	if len(w.queue) > 0 {
		s = w.queue[0].segment
	}
	at := w.time(max(end-int64(len(text))-1, 0))
	return w.give(Line{Label: w.Label, Text: text, At: at, ended: ended, where: w.at(s, end)})
}

// pauseEnds is when the beginning of a line is given without its end; zero:
// there is none.
func (w *followed) pauseEnds() time.Time {
	if len(w.cut.line) == 0 {
		return time.Time{}
	}
	return w.grew.Add(followPause)
}

// advance reads what is new, at most a share of it, and tells whether there is
// more.
func (w *followed) advance(block []byte) (more bool, err error) {
	if len(w.queue) > 0 {
		return true, w.advanceQueue(block)
	}
	if w.file == nil {
		err := w.next(w.position())
		return len(w.queue) > 0 || w.file != nil, err
	}
	// What now has the path, looked at before the file is read to its end: the
	// writer goes on in the new one only after the old one is done.
	now := time.Now()
	info, err := os.Stat(w.Path)
	same := err == nil && os.SameFile(info, w.info)
	wrote := w.wrote
	if same {
		if info.Size() < w.offset {
			return true, w.emptied()
		}
		wrote = info.ModTime()
	}
	if more, err := w.read(block, wrote); more || err != nil {
		return more, err
	}
	// One that was moved away goes on to be written to until the writer opens
	// the path anew: not before something is there.
	if !same && (err != nil || info.Size() > 0) {
		if more, err := w.replaced(err == nil); more || err != nil {
			return more, err
		}
	}
	w.now() // what comes from here on is written now
	if at := w.pauseEnds(); !at.IsZero() && !at.After(now) {
		return false, w.cut.pause()
	}
	return false, nil
}

// read takes in a share of what lies behind the offset. It looks at the bytes
// before that once more: a file may be emptied and grow to its old length or
// beyond between two looks. wrote is when it was last written to, before that.
func (w *followed) read(block []byte, wrote time.Time) (more bool, err error) {
	for share := followShare; share > 0; share -= len(block) {
		back := len(w.before)
		n, err := w.file.ReadAt(block, w.offset-int64(back))
		if n < back || !bytes.Equal(block[:back], w.before) {
			return true, w.emptied()
		}
		if n > back {
			w.offset += int64(n - back)
			w.wrote, w.grew = wrote, time.Now()
			w.before = append(w.before[:0], block[max(0, n-beforeSize):n]...)
			if cerr := w.cut.take(block[back:n]); cerr != nil {
				return false, cerr
			}
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("follow log: %w", err)
		}
	}
	return true, nil
}

// advanceQueue reads a share of what was put aside.
func (w *followed) advanceQueue(block []byte) error {
	s := w.queue[0]
	if w.text == nil {
		if err := w.openQueue(s); err != nil {
			return err
		}
	}
	for share := followShare; share > 0 && w.text != nil; share -= len(block) {
		n, err := w.text.Read(block)
		if cerr := w.cut.take(block[:n]); cerr != nil {
			return cerr
		}
		if err == nil {
			continue
		}
		w.closeText()
		if err != io.EOF {
			return fmt.Errorf("follow log %s: %w", s.path, err)
		}
	}
	if w.text != nil {
		return nil
	}
	err := w.cut.flush()
	w.queue = w.queue[1:]
	if len(w.queue) == 0 {
		w.cut.restart(w.offset)
		w.now()
		if w.file != nil {
			w.old(w.Path)
		}
	}
	return err
}

// openQueue begins to read what was put aside, maybe in the middle of a line.
func (w *followed) openQueue(s span) error {
	w.old(s.path)
	w.cut.restart(s.from)
	start := max(s.from-1, 0)
	text, err := s.open(start)
	if text == nil {
		return err
	}
	if s.from > start {
		var b [1]byte
		if _, err := io.ReadFull(text, b[:]); err == nil {
			w.cut.partial = b[0] != '\n'
		}
	}
	w.text = text
	return nil
}

// replaced goes on with what came after the file that was read to its end, if
// something did; there: it has the path.
func (w *followed) replaced(there bool) (more bool, err error) {
	end, done := w.position(), w.current()
	if !there {
		list, err := w.list()
		if err != nil || len(later(list, done, end)) == 0 {
			return false, err
		}
		w.listed = time.Time{}
	}
	if err := w.cut.flush(); err != nil {
		return false, err
	}
	w.behind = done
	w.closeFile()
	return true, w.next(end)
}

// next opens the file that is there now, and before it is read what was put
// aside since the one that ended at a position.
func (w *followed) next(end Position) error {
	// First open, then list: what is put aside in between is known by that.
	if err := w.open(); err != nil {
		return err
	}
	list, err := w.list()
	if err != nil {
		return err
	}
	if i := w.place(list); i >= 0 {
		list = list[:i]
	}
	w.enqueue(later(list, w.behind, end))
	if n := len(w.queue); n > 0 {
		w.behind = w.queue[n-1].segment
	}
	w.cut.restart(0)
	w.now()
	return nil
}

// list is what was put aside, or nothing where the directory has not changed
// since the last list.
func (w *followed) list() ([]segment, error) {
	info, err := os.Stat(filepath.Dir(w.Path))
	if err != nil || info.ModTime().Equal(w.listed) {
		return nil, nil //nolint:nilerr // nothing is there
	}
	list, err := segmentsOf(w.Path)
	w.listed = time.Time{}
	if time.Since(info.ModTime()) > 2*fileTick { // else the next change may have the same time
		w.listed = info.ModTime()
	}
	return list, err
}

// later is which segments came after one that ended at a position; all, if that
// is none.
func later(list []segment, done segment, end Position) []segment {
	if done.info == nil {
		return list
	}
	for i, s := range list {
		if s.isFile(done.info) || s.plain() == done.plain() {
			return list[i+1:]
		}
	}
	// It was compressed, or removed.
	for i, s := range list {
		if s.last.UnixNano() < end.wrote {
			continue
		}
		if in, ends := end.in(s); in && ends {
			return list[i+1:]
		}
	}
	return nil
}

// emptied goes on at the beginning of a file that was emptied. Who copied it
// before that left there what was not read yet.
func (w *followed) emptied() error {
	list, err := segmentsOf(w.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	end := w.position()
	w.offset, w.before = 0, nil
	w.now()
	for i, s := range list {
		if s.last.UnixNano() < end.wrote {
			continue
		}
		if in, _ := end.in(s); in {
			w.enqueue(list[i:])
			w.queue[0].from = end.offset - int64(len(w.cut.line))
			w.cut.restart(0)
			return nil
		}
	}
	err = w.cut.flush()
	w.cut.restart(0)
	return err
}
