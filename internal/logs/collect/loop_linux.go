package collect

import (
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/console"
)

// loop is what the goroutine of Run owns.
type loop struct {
	c       *Collector
	pipes   *pipes
	slate   *slate
	streams map[int]*stream // by descriptor
	byKey   map[string]*stream
	files   map[string]*file // by path
	// stalled are the streams that wait for a file to work again.
	stalled []*stream
	owing   []*stream // that dropped lines
	turnAt  time.Time // when the first file is due whatever its size; zero: never
	round   round
	wide    int // streams whose pipes were widened
	// left is the key of the stream whose block a daemon before us had in hand:
	// until it is done nothing else can be.
	left      string
	leftSince time.Time
	text      []byte // what is written, made of a block
	line      []byte // a rest and a block, put together
}

// round serves the streams that are ready at the same time. What they wrote since
// the round before tells how long they may be left alone: a writer that fills its
// pipe has to wait for us.
type round struct {
	ended time.Time     // the round before
	since time.Duration // that, when this one began
	rest  time.Duration // in which none of them fills more than half of its pipe
}

// begin begins a round in which nothing was served yet. More than a second ago is
// long ago.
func (r *round) begin(now time.Time) {
	r.since, r.rest = min(now.Sub(r.ended), time.Second), longRest
}

// served says how much came from a pipe.
func (r *round) served(n int, wide bool) {
	if n == 0 {
		return
	}
	size, most := blockSize, shortRest
	if wide {
		size, most = wideSize, longRest
	}
	rest := min(most, r.since*time.Duration(size)/time.Duration(2*n))
	if 4*n >= 3*size {
		rest = 0 // who wrote it may have filled the pipe, and wait
	}
	r.rest = min(r.rest, rest)
}

// end tells how long to rest, which may be too short to be worth it.
func (r *round) end(now time.Time) (rest time.Duration) {
	r.ended = now
	return r.rest
}

// stream is a Stream in work.
type stream struct {
	Stream
	outs   []out
	shaper *shaper // nil: bytes go through as they are
	wide   bool    // its pipe was widened
	framed bool    // only whole lines are written
	rest   *rest   // nil until there is one
	// While a file of the stream fails, nothing of the stream is read, so that
	// the pipe fills up and the app waits.
	pause time.Duration // until the next try; 0: the stream is not stalled
	retry time.Time
	slow  bool      // it waits for who reads a fifo, and not for a file to work
	read  bool      // who has read something of it since the last try
	owed  time.Time // when it is said how many lines were dropped; zero: none were
	// shaped is when what is to be written got its shape: a file that fails gets
	// the same in the end, whatever was written of it. Zero: nothing is.
	shaped time.Time
}

func (s *stream) stalled() bool { return s.pause > 0 }

// out is one of the files of a stream.
type out struct {
	*file
	// ahead is how much of the text in hand has been written to what cannot be
	// cut off again: a terminal, or a fifo.
	ahead  int
	source *console.Source // of the screen; nil: a file
}

const (
	// share is about how much of one stream is copied before the next.
	share      = 4 * blockSize
	firstPause = 200 * time.Millisecond // before a failed file is tried again
	longPause  = 5 * time.Second        // the most between two tries
	slowPause  = time.Millisecond       // before a fifo is tried again; the most is firstPause
)

func (l *loop) obey() {
	for _, f := range l.c.next() {
		f(l)
	}
}

// again waits for pipes that were ready, and whose streams go on.
func (l *loop) again(ready []int) {
	for _, fd := range ready {
		s := l.streams[fd]
		if s == nil || s.stalled() {
			continue
		}
		if err := l.pipes.again(fd); err != nil {
			l.c.log.Error("output is not collected any more", "stream", s.Key, "err", err)
			l.drop(s)
		}
	}
}

func (l *loop) add(s Stream, files []*file) {
	st := &stream{Stream: s, shaper: newShaper(s.Shape), framed: s.Shared}
	for _, f := range files {
		if there := l.files[f.path]; there != nil {
			f.close()
			f = there
		}
		l.files[f.path] = f
		f.users++
		st.outs = append(st.outs, out{file: f})
	}
	for _, o := range st.outs {
		l.govern(o.file, s.Rotation, s.Shape.App)
	}
	l.show(st)
	// First what cannot be cut off again: while it has no room, nothing is
	// written to the others.
	slices.SortStableFunc(st.outs, byPlain)
	st.framed = st.framed || st.shaper != nil
	l.byKey[s.Key] = st
	if l.pipes == nil {
		return // Run could not begin, or is over
	}
	l.streams[s.FD] = st
	if _, held := l.c.shelf.Held(restName(s.Key)); held && l.open(st) {
		st.framed = true // as it was under the collector before us
	}
	if err := l.pipes.add(s.FD); err != nil {
		l.c.log.Error("output is not collected", "stream", s.Key, "err", err)
		l.drop(st)
		return
	}
	if st.rest != nil && st.shaper != nil {
		st.shaper.limit.dropped = st.rest.dropped
		l.owe(st)
	}
	switch {
	case l.left == s.Key:
		l.left = ""
		l.finish(st)
	case st.rest != nil && len(st.rest.parked()) > 0:
		l.stall(st)
	}
}

func byPlain(a, b out) int {
	switch {
	case a.plain == b.plain:
		return 0
	case a.plain:
		return 1
	}
	return -1
}

// discard has a stream go nowhere from now on.
func (l *loop) discard(key string) {
	s := l.byKey[key]
	if s == nil || l.pipes == nil || len(s.outs) == 0 {
		return
	}
	lost := l.pipes.held(s.FD)
	if s.rest != nil {
		lost += len(s.rest.tail) + len(s.rest.parked())
	}
	if lost > 0 {
		l.c.log.Error("output is lost: too much waits for the files of its app", "stream", key, "bytes", lost)
	}
	l.detach(s)
	l.owing = slices.DeleteFunc(l.owing, func(o *stream) bool { return o == s })
	s.shaper, s.framed = nil, false
	if s.stalled() {
		l.unstall(s)
	}
}

// detach lets go of the files of a stream, and of what was to be written there.
func (l *loop) detach(s *stream) {
	if s.rest != nil {
		s.rest.close()
		l.c.shelf.Drop(s.rest.name)
		s.rest = nil
	}
	for _, o := range s.outs {
		if o.users--; o.users == 0 {
			delete(l.files, o.path)
			l.c.caretaker.Forget(o.path)
			o.close()
		}
	}
	s.outs = nil
}

// drop lets go of a stream, and of what is kept of it.
func (l *loop) drop(s *stream) {
	if err := l.last(s); err != nil {
		l.c.log.Error("the last line of an app is lost, its file does not work", "stream", s.Key, "err", err)
	}
	l.detach(s)
	if s.stalled() {
		l.stalled = slices.DeleteFunc(l.stalled, func(o *stream) bool { return o == s })
	} else {
		l.pipes.remove(s.FD)
	}
	if s.wide {
		l.wide--
	}
	delete(l.streams, s.FD)
	delete(l.byKey, s.Key)
	l.c.release(s.Key)
	l.c.closed(s.Key)
}

// serve gives a stream its turn, and tells whether it goes on. The turn ends
// with a block that is not full: what an app writes while it is copied is
// better left to add up, or the two would keep pace line by line.
func (l *loop) serve(s *stream) (ok bool) {
	moved := 0
	defer func() { l.round.served(moved, s.wide) }()
	for left := share; left > 0; {
		n, ok := l.step(s)
		moved += n
		if !ok {
			return false
		}
		if n > blockSize/4 {
			l.widen(s)
		}
		if n < blockSize {
			return true
		}
		left -= n
	}
	return true
}

// mostWide is how many streams may have a wide pipe at once: the system gives a
// user who is not root so many pages for pipes and no more (pipe(7)).
const mostWide = 16

// widen gives a stream that will soon fill its pipe a larger one: the app writes
// on while a block is copied, and we may rest for longer.
func (l *loop) widen(s *stream) {
	if s.wide || l.wide >= mostWide {
		return
	}
	s.wide = true
	l.wide++
	l.pipes.widen(s.FD)
}

// step copies one block of a stream. Not ok: the stream stalls, or has ended.
func (l *loop) step(s *stream) (n int, ok bool) {
	n, err := l.copy(s)
	switch {
	case err == nil:
		return n, true
	case errors.Is(err, errStall):
		l.stall(s)
		return n, false
	case errors.Is(err, errNoWriter):
		if l.last(s) != nil { // it waits, like a block
			l.stall(s)
			return n, false
		}
	default:
		l.c.log.Error("output is not collected any more", "stream", s.Key, "err", err)
	}
	l.drop(s)
	return n, false
}

// errStall says that a file did not take what it was given.
var errStall = errors.New("a file does not work")

// note logs when a file stops working and when it works again.
func (l *loop) note(f *file, err error) {
	switch {
	case err != nil && !f.failing:
		l.c.log.Error("log file does not work, output waits", "path", f.path, "err", err)
	case err == nil && f.failing:
		l.c.log.Info("log file works again", "path", f.path)
	}
	f.failing = err != nil
}

// stall lets a stream be for a while.
func (l *loop) stall(s *stream) {
	if !s.stalled() {
		l.pipes.remove(s.FD)
	}
	// Behind those that wait already, for the room that comes may be for one.
	l.stalled = append(slices.DeleteFunc(l.stalled, func(o *stream) bool { return o == s }), s)
	least, most := firstPause, longPause
	if s.slow {
		least, most = slowPause, firstPause
		if s.read {
			s.pause = 0
		}
		s.slow, s.read = false, false
	}
	s.pause = min(max(2*s.pause, least), most)
	s.retry = time.Now().Add(s.pause)
}

// tryStalled gives a try to the stalled streams that are due at a time.
func (l *loop) tryStalled(at time.Time) {
	for _, s := range slices.Clone(l.stalled) {
		if l.left != "" || s.retry.After(at) {
			continue
		}
		if l.serve(s) {
			l.unstall(s)
		}
	}
}

// unstall waits for a stalled stream to have something to read again.
func (l *loop) unstall(s *stream) {
	s.pause = 0
	l.stalled = slices.DeleteFunc(l.stalled, func(o *stream) bool { return o == s })
	if err := l.pipes.add(s.FD); err != nil {
		l.c.log.Error("output is not collected any more", "stream", s.Key, "err", err)
		l.drop(s)
	}
}

// tryAll gives a try to all stalled streams.
func (l *loop) tryAll() { l.tryStalled(time.Now().Add(longPause)) }

// nextTry is when something is to be done though nothing was written: the first
// of the stalled streams gets its try, lines that were dropped are told of, or a
// file is put aside. Zero: there is nothing.
func (l *loop) nextTry() (first time.Time) {
	first = l.turnAt
	sooner := func(t time.Time) {
		if first.IsZero() || t.Before(first) {
			first = t
		}
	}
	for _, s := range l.stalled {
		sooner(s.retry)
	}
	for _, s := range l.owing {
		sooner(s.owed)
	}
	return first
}

func (l *loop) reopen() error {
	var problems []error
	for _, f := range l.files {
		problems = append(problems, f.reopen())
	}
	l.tryAll()
	return errors.Join(problems...)
}

func (l *loop) truncate(paths []string) error {
	var problems []error
	for _, path := range paths {
		if path == os.DevNull {
			continue
		}
		// EINVAL: what is no plain file has nothing in it.
		if err := unix.Truncate(path, 0); err != nil && err != unix.ENOENT && err != unix.EINVAL {
			problems = append(problems, refuse("empty log", path, err))
		}
	}
	l.tryAll() // there may be room again
	return errors.Join(problems...)
}

func (l *loop) close() {
	for _, f := range l.files {
		f.close()
	}
	if l.c.screen != nil {
		l.c.screen.close()
	}
	for _, s := range l.byKey {
		if s.rest != nil {
			s.rest.close()
		}
	}
	if l.slate != nil {
		l.slate.close()
	}
	if l.pipes != nil {
		l.pipes.close()
	}
}
