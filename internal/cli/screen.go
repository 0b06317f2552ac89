package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"tend/api"
	"tend/internal/console"
	"tend/internal/logs/read"
)

// screenOptions are how lines look.
type screenOptions struct {
	logsOptions

	// label is what stands before a line; nil: as `tend logs` has it.
	label func(id int, app string) string
	// deaf goes on when our output cannot be written: what runs matters more.
	deaf bool
}

// screen prints the lines of a console as they come. A reader of our output that
// is slow makes it slow, and the apps with it; nothing is kept in memory.
type screen struct {
	env     *Env // with an out of its own
	opts    screenOptions
	fifo    *os.File
	reader  *console.Reader
	printer *logPrinter
	sources map[sourceKey]*source
	now     time.Time // of the line in hand

	ended   chan struct{} // closed when run is over
	lines   atomic.Uint64 // that were printed
	ending  atomic.Bool
	mu      sync.Mutex
	failure error
}

type sourceKey struct {
	id  int
	app string
	err bool
}

func (e *Env) newScreen(opts screenOptions, fifo *os.File) *screen {
	own, out := *e, e.screenOut()
	if opts.deaf {
		out, own.Stderr = &deaf{to: out, faults: e.Stderr}, &deaf{to: e.Stderr, faults: e.Stderr}
	}
	own.out = bufio.NewWriterSize(out, 64<<10)
	s := &screen{
		env: &own, opts: opts, fifo: fifo, reader: console.NewReader(fifo),
		sources: map[sourceKey]*source{}, ended: make(chan struct{}),
	}
	s.printer = own.newLogPrinter(opts.logsOptions, nil)
	return s
}

// screenOut is where lines go: nowhere with --silent.
func (e *Env) screenOut() io.Writer {
	if e.Stderr == io.Discard {
		return io.Discard
	}
	return e.raw
}

// run prints until the console is read to its end, or nobody reads us.
func (s *screen) run() {
	defer close(s.ended)
	for {
		if s.ending.Load() {
			_ = s.fifo.SetReadDeadline(time.Now().Add(drainLook))
		}
		err := s.step()
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if s.ending.Load() && !s.reader.Waiting() {
				s.note(s.printer.Flush())
				return
			}
			_ = s.fifo.SetReadDeadline(time.Time{})
			err = s.printer.Flush()
			fallthrough
		default:
			if err == nil {
				continue
			}
			s.note(err)
			return
		}
	}
}

// drainLook is how long a console is looked at that nobody writes to any more.
const drainLook = 20 * time.Millisecond

// step prints the next lines, and lets them out when no more are there.
func (s *screen) step() error {
	l, err := s.reader.Next()
	if err != nil {
		return err
	}
	if err := s.print(l); err != nil {
		return err
	}
	s.lines.Add(1)
	if s.reader.Waiting() {
		return nil
	}
	return s.printer.Flush()
}

func (s *screen) print(l console.Lines) error {
	if s.opts.raw && s.printer.stamp == nil {
		w := s.env.out
		if l.Err {
			w = s.printer.stderr
		}
		_, err := w.Write(l.Text)
		return err
	}
	from := s.source(l.Source)
	s.now = time.Now()
	for text := l.Text; len(text) > 0; {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		if err := s.printer.Line(read.Line{Label: from, Text: line, At: s.now}); err != nil {
			return err
		}
		text = rest
	}
	return nil
}

func (s *screen) source(from console.Source) *source {
	key := sourceKey{from.ID, from.App, from.Err}
	if known := s.sources[key]; known != nil {
		return known
	}
	if len(s.sources) > mostSources {
		clear(s.sources)
	}
	label := fmt.Sprintf("%d|%s", from.ID, from.App)
	if s.opts.label != nil {
		label = s.opts.label(from.ID, from.App)
	}
	made := &source{name: label, kind: outSource, id: from.ID, app: from.App}
	if from.Err {
		made.kind = errSource
	}
	s.sources[key] = made
	return made
}

// mostSources bounds what is remembered of apps that came and went.
const mostSources = 10_000

// tell prints a change in the life of an app between the lines.
func (s *screen) tell(n api.Notice, event string) {
	s.printer.tell(n, event)
	_ = s.fifo.SetReadDeadline(time.Now()) // wakes run
}

// deaf is an output without which the apps run on: what cannot be written is let
// go. A reader that left does not come back; a disk that is full may have room
// again.
type deaf struct {
	to     io.Writer
	faults io.Writer // is told of the first, but for the reader's
	left   bool
	told   bool
}

func (d *deaf) Write(text []byte) (int, error) {
	if d.left {
		return len(text), nil
	}
	_, err := d.to.Write(text)
	if d.left = errors.Is(err, syscall.EPIPE); err != nil && !d.left && !d.told {
		d.told = true
		fmt.Fprintf(d.faults, "[tend] %s: lines are let go until that is over\n", err)
	}
	return len(text), nil
}

func (s *screen) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		s.failure = err
	}
}

// over tells whether run is.
func (s *screen) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// err is why the output could not be written, unless its reader has left.
func (s *screen) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// stuckLimit is how long our output may stand still at the end.
const stuckLimit = 3 * time.Second

// drain waits until the rest is printed. It is called when nobody writes to the
// console any more.
func (s *screen) drain() {
	s.ending.Store(true)
	_ = s.fifo.SetReadDeadline(time.Now())
	for last := s.lines.Load(); ; last = s.lines.Load() {
		select {
		case <-s.ended:
			return
		case <-time.After(stuckLimit):
		}
		if s.lines.Load() == last {
			return
		}
	}
}
