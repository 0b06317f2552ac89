package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/logs/tidy"
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

	screen    *screen // nil: there is none
	caretaker *tidy.Caretaker
}

// New makes a Collector that copies when it runs. What it has in hand is on the
// shelf: the next one goes on with it. It calls closed with the key of each
// stream once, when its last writer has gone and all was copied. That happens on
// the collector's goroutine, so closed must neither block nor wait for the
// collector. Streams that are there when Run ends are not closed: they wait for
// the next reader.
func New(log *slog.Logger, shelf Shelf, closed func(key string)) *Collector {
	return &Collector{log: log, shelf: shelf, closed: closed, caretaker: tidy.New(log), ended: make(chan struct{}), keys: map[string]int{}, fds: map[int]string{}}
}

// Add takes a stream in and opens its files, which are created where they are
// missing, with their directories. A stream whose file cannot be opened for now,
// on a full disk, waits for that like one whose file cannot be written. It does
// not wait for Run.
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
		if passes(err) {
			f, err = &file{path: path, owner: s.Owner, fd: -1}, nil
		}
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

// Discard gives up on the files of a stream: what was not written yet, and what
// comes, is let go, so that whoever still writes does not block. A key that is
// not there is no error, for the stream may just have ended.
func (c *Collector) Discard(key string) {
	c.do(func(l *loop) { l.discard(key) })
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
	aside.Go(func() { _ = c.caretaker.Run(tidying) }) // it ends with its context and no other way
	for {
		// In this order: an interrupt from here on ends the wait at once, and
		// what was to be done before it is done before the wait.
		next := l.nextTry()
		l.pipes.until(next)
		l.obey()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !l.nextTry().Equal(next) {
			continue // of what was added or opened anew, something is due at another time
		}
		ready, err := l.pipes.wait()
		if err != nil {
			return fmt.Errorf("collect output: %w", err)
		}
		l.round.begin(time.Now())
		served := ready
		if l.awaits() {
			served = nil
		}
		for _, fd := range served {
			l.obey()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if l.isScreen(fd) {
				l.screenReady()
			}
			// A stream that ended meanwhile is not there.
			if s := l.streams[fd]; s != nil && !s.stalled() {
				l.serve(s)
			}
		}
		l.tryStalled(time.Now())
		l.tellDropped(time.Now())
		l.turnDue(time.Now())
		if rest := l.round.end(time.Now()); len(ready) > 0 && rest >= shortRest {
			l.pipes.rest(rest)
		}
		l.again(ready)
	}
}
