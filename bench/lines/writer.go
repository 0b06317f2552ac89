package lines

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Word is the first argument of a program that is to act as a writer: the
// others are for Main.
const Word = "write-lines"

// Writer is an app that writes numbered lines to its standard output, as cheaply
// as it can, then lives on and does nothing.
type Writer struct {
	// Stream is the number of the lines' stream. What NODE_APP_INSTANCE says is
	// added, so that each instance has its own.
	Stream int
	// Lines is how many, 0 as many as it can until SIGUSR1. That ends its
	// writing in any case, with a whole line.
	Lines uint64
	// Length is how long a line is, 0 for Mixed.
	Length int
	// Chunk is how many bytes are collected before they are written, 0 for a
	// write for each line.
	Chunk int
	// Rate is how many lines a second, 0 as many as are taken.
	Rate int
	// Gate is the path of a Gate that it waits at before the first line.
	Gate string
	// Reports is the directory of what it says about itself: see ReadReport.
	Reports string
}

func (w *Writer) flags() *flag.FlagSet {
	set := flag.NewFlagSet(Word, flag.ContinueOnError)
	set.IntVar(&w.Stream, "stream", w.Stream, "")
	set.Uint64Var(&w.Lines, "lines", w.Lines, "")
	set.IntVar(&w.Length, "length", w.Length, "")
	set.IntVar(&w.Chunk, "chunk", w.Chunk, "")
	set.IntVar(&w.Rate, "rate", w.Rate, "")
	set.StringVar(&w.Gate, "gate", w.Gate, "")
	set.StringVar(&w.Reports, "reports", w.Reports, "")
	return set
}

// Args are the arguments for a program that calls Main.
func (w Writer) Args() []string {
	args := []string{Word}
	w.flags().VisitAll(func(f *flag.Flag) { args = append(args, "-"+f.Name+"="+f.Value.String()) })
	return args
}

// Main is the writer: its arguments are those behind Word. It returns where it
// cannot go on; else a signal ends it.
func Main(args []string) int {
	if err := run(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	const forever = 1 << 62
	time.Sleep(forever)
	return 0
}

func run(args []string) error {
	var w Writer
	if err := w.flags().Parse(args); err != nil {
		return err
	}
	instance, _ := strconv.Atoi(os.Getenv("NODE_APP_INSTANCE")) // 0 where there is none
	w.Stream += instance
	report, err := os.OpenFile(reportPath(w.Reports, w.Stream), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGUSR1)
	defer stop()
	if err := pass(w.Gate, report); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(report, "began %d\n", time.Now().UnixNano()); err != nil {
		return err
	}
	out := &output{timed: w.Rate > 0}
	wrote, err := w.write(ctx, out)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(report, "ended %d %d %d\n", time.Now().UnixNano(), wrote, out.slowest)
	return errors.Join(err, report.Close())
}

// pass goes through the gate when it opens, and says when it stands before it.
func pass(gate string, report io.Writer) error {
	var door io.ReadCloser = io.NopCloser(strings.NewReader(""))
	if gate != "" {
		f, err := os.Open(gate)
		if err != nil {
			return err
		}
		door = f
	}
	if _, err := fmt.Fprintln(report, "ready"); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, door)
	return errors.Join(err, door.Close())
}

// write writes all lines, or as many as come before ctx ends.
func (w *Writer) write(ctx context.Context, out *output) (wrote uint64, err error) {
	collect := bufio.NewWriterSize(out, max(w.Chunk, 16)) // less than a line: each is written as it is
	length := w.Length
	began := time.Now()
	var line []byte
	for n := uint64(1); w.Lines == 0 || n <= w.Lines; n++ {
		if n%64 == 0 && ctx.Err() != nil {
			break
		}
		if w.Rate > 0 {
			w.pace(began, n)
		}
		if w.Length == 0 {
			length = Mixed(n)
		}
		line = Append(line[:0], w.Stream, n, length)
		if _, err := collect.Write(line); err != nil {
			return wrote, err
		}
		wrote = n
	}
	return wrote, collect.Flush()
}

// pace returns when line n is due, or a little later: with others then.
func (w *Writer) pace(began time.Time, n uint64) {
	const tick = 10 * time.Millisecond // below it timers cost more than lines
	due := time.Duration(n) * time.Second / time.Duration(w.Rate)
	if early := due - time.Since(began); early > 0 {
		time.Sleep(max(early, tick))
	}
}

// output is the standard output, without what the os package has around it.
type output struct {
	timed   bool
	slowest time.Duration // of all writes
}

func (o *output) Write(b []byte) (written int, err error) {
	if o.timed {
		began := time.Now()
		defer func() { o.slowest = max(o.slowest, time.Since(began)) }()
	}
	for written < len(b) {
		n, err := syscall.Write(syscall.Stdout, b[written:])
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return written, os.NewSyscallError("write", err)
		}
		written += n
	}
	return written, nil
}

// Gate holds writers back until it is opened, so that all begin at one time.
type Gate struct{ own *os.File }

// NewGate makes a gate, which is a fifo.
func NewGate(path string) (*Gate, error) {
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("make gate %s: %w", path, err)
	}
	// With a writing end that is open from now on nobody waits in open(2), where
	// one that comes late would wait for ever.
	own, err := os.OpenFile(path, os.O_RDWR, 0)
	return &Gate{own}, err
}

// Open lets all through that have a report, at once: they see the end of the
// fifo.
func (g *Gate) Open() error { return g.own.Close() }

// Report is what a writer says about itself.
type Report struct {
	Ready        bool // it stands before the gate, or has passed
	Began, Ended time.Time
	Wrote        uint64        // lines, once it has ended
	Slowest      time.Duration // of its writes, where it had a rate
}

func reportPath(dir string, stream int) string {
	return filepath.Join(dir, "writer-"+strconv.Itoa(stream))
}

// ReadReport reads the report of the writer of a stream. That there is none yet
// is no error, but that there are two is: its lines came twice.
func ReadReport(dir string, stream int) (Report, error) {
	var r Report
	text, err := os.ReadFile(reportPath(dir, stream))
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	for line := range strings.Lines(string(text)) {
		var at, slowest int64
		switch {
		case !strings.HasSuffix(line, "\n"): // it is being written
		case line == "ready\n" && r.Ready:
			return r, fmt.Errorf("read report of stream %d: its writer was started twice", stream)
		case line == "ready\n":
			r.Ready = true
		case scan(line, "began %d\n", &at):
			r.Began = time.Unix(0, at)
		case scan(line, "ended %d %d %d\n", &at, &r.Wrote, &slowest):
			r.Ended, r.Slowest = time.Unix(0, at), time.Duration(slowest)
		}
	}
	return r, nil
}

func scan(line, format string, to ...any) bool {
	n, _ := fmt.Sscanf(line, format, to...)
	return n == len(to)
}
