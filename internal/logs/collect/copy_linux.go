package collect

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/console"
)

// begin takes over what a collector before us had in hand.
func (l *loop) begin() error {
	var err error
	if l.slate, err = openSlate(l.c.shelf); err != nil {
		return err
	}
	there, err := l.slate.resume()
	if there {
		l.left, l.leftSince = l.slate.key(), time.Now()
	}
	return err
}

// leftLimit is how long the stream of a block that was in hand may take to come.
const leftLimit = 10 * time.Second

// awaits tells whether a block that was in hand waits for its stream: until it
// is written nothing else can be.
func (l *loop) awaits() bool {
	if l.left != "" && time.Since(l.leftSince) > leftLimit {
		l.c.log.Error("output is lost: nobody asked for the rest of a stream", "stream", l.left, "bytes", len(l.slate.block()))
		l.left = ""
		l.slate.enter(phaseIdle)
	}
	return l.left != ""
}

// finish does the rest for the block that a collector before us had in hand.
func (l *loop) finish(s *stream) {
	switch l.slate.phase() {
	case phaseWriting:
		l.cutOff(s)
	case phaseSettling:
		l.settle(s)
		return
	case phaseParking:
		l.park(s, l.slate.block())
		return
	case phaseIdle, phaseMoving, phaseReading:
	}
	data, parked := l.slate.block(), false
	if l.slate.phase() == phaseWriting && l.slate.wasParked() && s.rest != nil {
		data, parked = s.rest.parked(), true
	}
	if err := l.put(s, data, parked); errors.Is(err, errStall) {
		l.stall(s)
	}
}

// copy takes one block through: from the pipe to the slate, and from there to
// the files. Nothing there is no error.
func (l *loop) copy(s *stream) (n int, err error) {
	if len(s.outs) == 0 {
		return l.pipes.discard(s.FD, blockSize)
	}
	if s.rest != nil && len(s.rest.parked()) > 0 {
		n = len(s.rest.parked())
		return n, l.put(s, s.rest.parked(), true)
	}
	n, err = l.slate.take(s.Key, s.FD)
	if err != nil || n == 0 {
		return 0, err
	}
	return n, l.put(s, l.slate.block(), false)
}

// put writes a block to the files of its stream. parked tells where it is.
func (l *loop) put(s *stream, block []byte, parked bool) error {
	counted := s.counted()
	text, tail, mid, err := l.frame(s, block)
	if err != nil {
		return l.fail(s, block, parked, err)
	}
	l.slate.setHalf(0, parked)
	if s.framed {
		l.slate.setHalf(l.prepare(s, text, tail, mid), parked)
	}
	if parked {
		l.slate.setKey(s.Key)
	}
	if err := l.write(s, text); err != nil {
		s.recount(counted)
		return l.fail(s, block, parked, err)
	}
	l.settle(s)
	l.owe(s)
	l.rotateDue(s, time.Now())
	return nil
}

// mostScratch is how much memory for a line is kept for the next one.
const mostScratch = 256 << 10

// frame makes of a block what is to be written, and what is kept for the rest of
// its line.
func (l *loop) frame(s *stream, block []byte) (text, tail []byte, mid bool, err error) {
	// Once others write to a file as well, only whole lines go there.
	s.framed = s.framed || slices.ContainsFunc(s.outs, func(o out) bool { return o.users > 1 })
	if !s.framed {
		return block, nil, false, nil
	}
	if !l.open(s) {
		return nil, nil, false, errStall
	}
	data := block
	if cap(l.line) > mostScratch {
		l.line = nil // a long line came through; most are short
	}
	if len(s.rest.tail) > 0 {
		l.line = append(append(l.line[:0], s.rest.tail...), block...)
		data = l.line
	}
	whole := bytes.LastIndexByte(data, '\n') + 1
	if len(data)-whole > maxRest {
		whole = len(data) // a line that is too long to be kept comes in pieces
	}
	text, mid = data[:whole], s.rest.mid && whole == 0
	if whole > 0 {
		text, mid = l.shape(s, text, s.rest.mid)
	}
	return text, data[whole:], mid, nil
}

// shape makes lines what they are to be in the files.
func (l *loop) shape(s *stream, data []byte, mid bool) (text []byte, endsMid bool) {
	if s.shaper == nil {
		return data, len(data) > 0 && data[len(data)-1] != '\n'
	}
	if cap(l.text) > mostScratch && len(l.text) <= mostScratch {
		l.text = nil // as above, but not while each block needs it
	}
	l.text, endsMid = s.shaper.append(l.text[:0], data, s.shapedAt(), mid)
	return l.text, endsMid
}

// shapedAt is the time at which what is to be written gets its shape.
func (s *stream) shapedAt() time.Time {
	if s.shaped.IsZero() {
		s.shaped = time.Now()
	}
	return s.shaped
}

// prepare writes what will be left of a stream when text is written where it is
// not valid yet.
func (l *loop) prepare(s *stream, text, tail []byte, mid bool) (half int) {
	return s.rest.prepare(tail, mid, s.rest.seq+console.Frames(len(text)), s.counted().dropped)
}

// counted is the limit of a stream, with what was dropped.
func (s *stream) counted() limit {
	if s.shaper == nil {
		return limit{}
	}
	return s.shaper.limit
}

// recount takes back what was counted for a text that was not written.
func (s *stream) recount(was limit) {
	if s.shaper != nil {
		s.shaper.limit = was
	}
}

// open makes sure that a stream has its rest.
func (l *loop) open(s *stream) bool {
	if s.rest != nil {
		return true
	}
	r, err := openRest(l.c.shelf, s.Key)
	if err != nil {
		l.c.log.Error("keep what is left of a line", "stream", s.Key, "err", err)
		return false
	}
	s.rest = r
	return true
}

// write appends text to every file of a stream, or to none.
func (l *loop) write(s *stream, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	var ends [mostFiles]end
	known := ends[:0]
	for _, o := range s.outs {
		if err := l.openLate(o.file); err != nil {
			l.note(o.file, err)
			return err
		}
	}
	for _, o := range s.outs {
		var st unix.Stat_t
		if o.plain && unix.Fstat(o.fd, &st) == nil {
			o.size = st.Size
			known = append(known, end{st.Dev, st.Ino, uint64(st.Size)}) //nolint:gosec // never negative
		}
	}
	now := time.Now()
	l.slate.setEnds(known)
	l.slate.enter(phaseWriting)
	for i := range s.outs {
		o := &s.outs[i]
		n, err := l.send(s, o, text)
		if !errors.Is(err, errBusy) {
			l.note(o.file, err)
		}
		if err != nil {
			if !o.plain {
				o.ahead += n
			}
			l.cutOff(s)
			return err
		}
		if !o.plain {
			o.ahead = len(text)
		}
	}
	for i := range s.outs {
		o := &s.outs[i]
		o.ahead = 0
		if o.plain {
			o.times.Note(now, o.size)
			o.size += int64(len(text))
			o.mid = text[len(text)-1] != '\n'
		}
	}
	return nil
}

// openLate opens a file that could not be opened before.
func (l *loop) openLate(f *file) error {
	if f.fd >= 0 {
		return nil
	}
	err := f.reopen()
	if err == nil {
		f.times = nil // what else is known of it is not
		l.govern(f, nil, "")
	}
	return err
}

// cutOff takes half a write away from the files again. What somebody else has
// emptied, or moved away, since is let be.
func (l *loop) cutOff(s *stream) {
	for _, e := range l.slate.ends() {
		for _, o := range s.outs {
			var st unix.Stat_t
			if !o.plain || unix.Fstat(o.fd, &st) != nil || st.Dev != e.dev || st.Ino != e.ino || uint64(st.Size) <= e.size { //nolint:gosec // never negative
				continue
			}
			if err := unix.Ftruncate(o.fd, int64(e.size)); err != nil { //nolint:gosec // it was a size
				l.c.log.Error("take back half a write", "path", o.path, "err", err)
			}
		}
	}
}

// settle says that a block is written: it never comes again.
func (l *loop) settle(s *stream) {
	if s.framed && s.rest != nil || l.slate.wasParked() {
		l.slate.enter(phaseSettling)
		if l.open(s) {
			if s.framed {
				s.rest.choose(l.slate.half())
			}
			if l.slate.wasParked() {
				s.rest.unpark()
			}
		}
	}
	l.slate.enter(phaseIdle)
	s.shaped = time.Time{}
}

// fail puts a block aside that its files do not take, so that others go on.
func (l *loop) fail(s *stream, block []byte, parked bool, err error) error {
	if !parked {
		l.park(s, block)
	} else {
		l.slate.enter(phaseIdle)
	}
	if errors.Is(err, errNoWriter) {
		return err
	}
	return errStall
}

// park keeps a block with its stream.
func (l *loop) park(s *stream, block []byte) {
	if l.open(s) {
		l.slate.enter(phaseParking)
		s.rest.park(block)
	}
	l.slate.enter(phaseIdle)
}

// last writes a line that lacks its end: there will be none.
func (l *loop) last(s *stream) error {
	if len(s.outs) == 0 || s.rest == nil || len(s.rest.parked()) > 0 {
		return nil
	}
	var text []byte
	counted := s.counted()
	if len(s.rest.tail) > 0 || s.rest.mid {
		text, _ = l.shape(s, append(append(l.line[:0], s.rest.tail...), '\n'), s.rest.mid)
	}
	if s.shaper != nil { // and what is to be said of lines that were dropped
		text = append(text, s.shaper.note(s.shapedAt())...)
	}
	if len(text) == 0 {
		return nil
	}
	err := l.say(s, text, nil, false)
	if err != nil {
		s.recount(counted)
	}
	return err
}

// say writes what comes out of no block: it is written when it is, and a daemon
// that dies over it leaves it to the next one to say it again.
func (l *loop) say(s *stream, text, tail []byte, mid bool) error {
	l.slate.setKey(s.Key)
	l.slate.setSize(0) // there is no block to be written anew
	l.slate.setHalf(l.prepare(s, text, tail, mid), false)
	if err := l.write(s, text); err != nil {
		l.slate.enter(phaseIdle)
		return err
	}
	l.settle(s)
	return nil
}

// noteAfter is how long a line about dropped lines waits for one that passes.
const noteAfter = time.Second

// owe remembers streams that drop lines, so that somebody says so also while
// nothing passes.
func (l *loop) owe(s *stream) {
	if s.shaper == nil || !s.shaper.dropping() || !s.owed.IsZero() {
		return
	}
	s.owed = time.Now().Add(noteAfter)
	l.owing = append(l.owing, s)
}

// tellDropped says of the streams that are due at a time how many lines were
// dropped.
func (l *loop) tellDropped(at time.Time) {
	l.owing = slices.DeleteFunc(l.owing, func(s *stream) bool {
		if l.left != "" || s.owed.After(at) {
			return false
		}
		s.owed = time.Time{}
		if l.byKey[s.Key] != s || !s.shaper.dropping() {
			return true // it has ended, or has said so itself
		}
		counted := s.counted()
		if len(s.rest.parked()) == 0 && l.say(s, s.shaper.note(at), s.rest.tail, s.rest.mid) == nil {
			return true
		}
		s.recount(counted)
		s.owed = at.Add(noteAfter)
		return false
	})
}
