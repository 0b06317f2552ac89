package logs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/console"
	"tend/internal/errs"
)

// Collector copies streams into files. Streams with a path in common share
// the open file, to which they append.
type Collector struct {
	log    *slog.Logger
	shelf  Shelf
	closed func(key string)
	ended  chan struct{} // closed when Run is over

	mu   sync.Mutex
	keys map[string]int // of all streams, those on their way in included, and
	fds  map[int]string // their descriptors
	todo []func(*loop)  // for the goroutine of Run, in order
	wake func()         // nil while there is no Run
	over bool           // nothing is done any more

	defaults api.Rotation // of streams that have no Rotation

	screen  *screen // nil: there is none
	rotator *rotator
}

// NewCollector makes a Collector that copies when it runs. What it has in hand
// is on the shelf: the next one goes on with it. It calls closed
// with the key of each stream once: when its last writer has gone and all was
// copied, or after Remove. That happens on the collector's goroutine, so closed
// must neither block nor wait for the collector. Streams that are there when
// Run ends are not closed: they wait for the next reader.
func NewCollector(log *slog.Logger, shelf Shelf, closed func(key string)) *Collector {
	return &Collector{log: log, shelf: shelf, closed: closed, rotator: newRotator(log), ended: make(chan struct{}), keys: map[string]int{}, fds: map[int]string{}}
}

// Add takes a stream in and opens its files, which are created where they are
// missing, with their directories. It does not wait for Run.
func (c *Collector) Add(s Stream) error {
	if err := checkPipe(s.FD); err != nil {
		return fmt.Errorf("collect %s: %w", s.Key, err)
	}
	if err := c.claim(s); err != nil {
		return err
	}
	var files []*file
	for _, path := range s.Paths {
		if path == os.DevNull || slices.ContainsFunc(files, func(f *file) bool { return f.path == path }) {
			continue
		}
		f, err := openFile(path, s.Owner)
		if err != nil {
			closeAll(files)
			c.release(s.Key)
			return err
		}
		files = append(files, f)
	}
	if !c.do(func(l *loop) { l.add(s, files) }) {
		closeAll(files)
		return errEnded(s.Key)
	}
	return nil
}

// Remove copies what is in the pipe of a stream now and lets go of it. It does
// not wait for that: closed tells. A key that is not there is no error, for
// the stream may just have ended.
func (c *Collector) Remove(key string) {
	c.do(func(l *loop) { l.remove(key) })
}

// Defaults says how files are rotated whose streams have no Rotation, from the
// next write on.
func (c *Collector) Defaults(r api.Rotation) {
	c.mu.Lock()
	c.defaults = r
	c.mu.Unlock()
	c.do(func(l *loop) { l.turnAll() })
}

func (c *Collector) home() api.Rotation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.defaults
}

// Reopen opens all files anew by their paths, for those who moved them. A file
// that cannot be opened goes on as it is and is part of the error. It waits for
// Run.
func (c *Collector) Reopen() error {
	var err error
	if !c.wait(func(l *loop) { err = l.reopen() }) {
		return errEnded("files")
	}
	return err
}

// Truncate empties files, whether streams go there or not. One that is not
// there is empty enough. It waits for Run.
func (c *Collector) Truncate(paths []string) error {
	var err error
	if !c.wait(func(l *loop) { err = l.truncate(paths) }) {
		return errEnded("files")
	}
	return err
}

func (c *Collector) claim(s Stream) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.keys[s.Key]; taken {
		return &errs.Error{Op: "collect", On: s.Key, Kind: errs.Exists, Err: errors.New("it is collected already")}
	}
	if other, taken := c.fds[s.FD]; taken {
		return &errs.Error{Op: "collect", On: s.Key, Kind: errs.Exists, Err: fmt.Errorf("its pipe is collected as %s", other)}
	}
	c.keys[s.Key], c.fds[s.FD] = s.FD, s.Key
	return nil
}

func (c *Collector) release(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.fds, c.keys[key])
	delete(c.keys, key)
}

func errEnded(on string) error {
	return &errs.Error{Op: "collect", On: on, Kind: errs.Unavailable, Err: errors.New("the collector has ended")}
}

// do gives Run's goroutine something to do, and tells whether it may still be
// done.
func (c *Collector) do(f func(*loop)) bool {
	c.mu.Lock()
	over, wake := c.over, c.wake
	if !over {
		c.todo = append(c.todo, f)
	}
	c.mu.Unlock()
	if !over && wake != nil {
		wake()
	}
	return !over
}

// wait is do that returns when it is done; false: it will not be.
func (c *Collector) wait(f func(*loop)) bool {
	done := make(chan struct{})
	if !c.do(func(l *loop) { f(l); close(done) }) {
		return false
	}
	select {
	case <-done:
		return true
	case <-c.ended:
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func (c *Collector) next() []func(*loop) {
	c.mu.Lock()
	defer c.mu.Unlock()
	todo := c.todo
	c.todo = nil
	return todo
}

// Run copies until ctx ends, and gives its cause. What it read is in the files
// then, and what it did not read is in the pipes. It is called once.
func (c *Collector) Run(ctx context.Context) error {
	defer close(c.ended)
	l := &loop{c: c, streams: map[int]*stream{}, byKey: map[string]*stream{}, files: map[string]*file{}}
	defer l.close()
	defer func() {
		c.mu.Lock()
		c.over, c.wake = true, nil
		c.mu.Unlock()
		// What was added a moment ago has files to close.
		l.obey()
	}()
	var err error
	if l.pipes, err = newPipes(); err != nil {
		return fmt.Errorf("collect output: %w", err)
	}
	if err := errors.Join(l.begin(), l.watchScreen()); err != nil {
		return fmt.Errorf("collect output: %w", err)
	}
	c.mu.Lock()
	c.wake = l.pipes.interrupt
	c.mu.Unlock()
	stop := context.AfterFunc(ctx, l.pipes.interrupt)
	defer stop()
	var aside sync.WaitGroup
	defer aside.Wait()
	tidying, rest := context.WithCancel(ctx)
	defer rest()
	aside.Go(func() { _ = c.rotator.Run(tidying) }) // it ends with its context and no other way
	for {
		// In this order: an interrupt from here on ends the wait at once, and
		// what was to be done before it is done before the wait.
		l.pipes.until(l.nextTry())
		l.obey()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		ready, err := l.pipes.wait()
		if err != nil {
			return fmt.Errorf("collect output: %w", err)
		}
		l.moved = 0
		served := ready
		if l.awaits() {
			served = nil
			l.pipes.rest()
		}
		for _, fd := range served {
			l.obey()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if l.isScreen(fd) {
				l.screenReady()
			}
			// A stream that was removed meanwhile is not there.
			if s := l.streams[fd]; s != nil && !s.stalled() {
				l.serve(s)
			}
		}
		l.tryStalled(time.Now())
		l.tellDropped(time.Now())
		if len(ready) > 0 && l.moved < len(ready)*blockSize/2 {
			l.pipes.rest()
		}
		l.again(ready)
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

const (
	// share is about how much of one stream is copied before the next.
	share      = 4 * blockSize
	firstPause = 200 * time.Millisecond // before a failed file is tried again
	longPause  = 5 * time.Second        // the most between two tries
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
	moved   int       // bytes in this round
	wide    int       // streams whose pipes were widened
	// left is the key of the stream whose block a daemon before us had in hand:
	// until it is done nothing else can be.
	left      string
	leftSince time.Time
	text      []byte // what is written, made of a block
	line      []byte // a rest and a block, put together
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
	owed  time.Time // when it is said how many lines were dropped; zero: none were
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

func (l *loop) obey() {
	for _, f := range l.c.next() {
		f(l)
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
		l.govern(o.file, s.Rotation, s.Beside)
	}
	l.show(st)
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
	switch {
	case l.left == s.Key:
		l.left = ""
		l.finish(st)
	case st.rest != nil && len(st.rest.parked()) > 0:
		l.stall(st)
	}
}

func (l *loop) remove(key string) {
	s := l.byKey[key]
	if s == nil || l.pipes == nil {
		return
	}
	// What comes later is not waited for: a busy app would never end.
	for left := l.pipes.held(s.FD); left > 0 && l.left == ""; {
		n, ok := l.step(s)
		if !ok || n == 0 {
			break
		}
		left -= n
	}
	if l.byKey[key] != s {
		return // that was its end
	}
	n := l.pipes.held(s.FD)
	if s.rest != nil {
		n += len(s.rest.parked())
	}
	if s.stalled() && n > 0 {
		l.c.log.Error("output is lost, its file does not work", "stream", key, "bytes", n)
	}
	l.drop(s)
}

// drop lets go of a stream, and of what is kept of it.
func (l *loop) drop(s *stream) {
	if err := l.last(s); err != nil {
		l.c.log.Error("the last line of an app is lost, its file does not work", "stream", s.Key, "err", err)
	}
	if s.rest != nil {
		s.rest.close()
		l.c.shelf.Drop(s.rest.name)
	}
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
	for _, o := range s.outs {
		if o.users--; o.users == 0 {
			delete(l.files, o.path)
			l.c.rotator.forget(o.path)
			o.close()
		}
	}
	l.c.release(s.Key)
	l.c.closed(s.Key)
}

// serve gives a stream its turn, and tells whether it goes on. The turn ends
// with a block that is not full: what an app writes while it is copied is
// better left to add up, or the two would keep pace line by line.
func (l *loop) serve(s *stream) (ok bool) {
	for left := share; left > 0; {
		n, ok := l.step(s)
		l.moved += n
		if !ok {
			return false
		}
		if n > blockSize/2 {
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

// widen gives a stream that fills its pipe a larger one: the app writes on while
// a block is copied, which is a fifth faster.
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
		if errors.Is(l.last(s), errBusy) { // its last line waits for its turn
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
	s.pause = min(max(2*s.pause, firstPause), longPause)
	s.retry = time.Now().Add(s.pause)
}

// tryStalled gives a try to the stalled streams that are due at a time.
func (l *loop) tryStalled(at time.Time) {
	for _, s := range slices.Clone(l.stalled) {
		if l.left != "" || s.retry.After(at) {
			continue
		}
		if !l.serve(s) {
			continue
		}
		s.pause = 0
		l.stalled = slices.DeleteFunc(l.stalled, func(o *stream) bool { return o == s })
		if err := l.pipes.add(s.FD); err != nil {
			l.c.log.Error("output is not collected any more", "stream", s.Key, "err", err)
			l.drop(s)
		}
	}
}

// tryAll gives a try to all stalled streams.
func (l *loop) tryAll() { l.tryStalled(time.Now().Add(longPause)) }

// nextTry is when something is to be done though nothing was written: the first
// of the stalled streams gets its try, or lines that were dropped are told of.
// Zero: there is nothing.
func (l *loop) nextTry() (first time.Time) {
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
		if err := unix.Truncate(path, 0); err != nil && err != unix.ENOENT {
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
