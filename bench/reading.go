package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"tend/bench/lines"
)

const (
	quietApps   = 200
	followTime  = 10 * time.Second
	readings    = 5 // a turn
	historyAge  = time.Minute
	historyStep = time.Hour
	historyLogs = 10 // that were put aside, one each step
)

// takeFollow measures what it costs to follow apps that say nothing.
func takeFollow(ctx context.Context, t *turn) error {
	if _, _, err := t.startSleepers(ctx, t.apps-1); err != nil {
		return err
	}
	last, err := t.startWriters(ctx, 1, lines.Writer{Lines: 1, Length: lines.Usual}, rotation{})
	if err != nil {
		return err
	}
	seen := filepath.Join(t.dir, "seen")
	out, err := os.Create(seen)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := t.command(ctx, t.argv(t.dir, follow))
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		return err
	}
	used, err := watchClient(ctx, cmd.Process.Pid)
	if err == nil {
		err = isFollowing(ctx, last, seen)
	}
	_ = cmd.Process.Signal(syscall.SIGINT) // it may have ended, which Wait tells
	if ended := cmd.Wait(); err == nil && ended != nil && !errors.As(ended, new(*exec.ExitError)) {
		err = ended
	}
	if err != nil {
		return err
	}
	t.record(followCPU, 100*used.Seconds()/followTime.Seconds())
	return nil
}

// watchClient is the CPU time that a client uses once it is under way.
func watchClient(ctx context.Context, pid int) (time.Duration, error) {
	if err := pause(ctx, quiet); err != nil {
		return 0, err
	}
	before, err := cpuTime(pid)
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, followTime); err != nil {
		return 0, err
	}
	after, err := cpuTime(pid)
	return after - before, err
}

// isFollowing sees that the line that an app writes now comes out of a client
// that has followed for a while: one that does nothing would cost nothing.
func isFollowing(ctx context.Context, w *writers, seen string) error {
	if err := w.gate.Open(); err != nil {
		return err
	}
	line := bytes.TrimSpace(lines.Append(nil, 0, 1, lines.Usual))
	return until(ctx, 5*time.Second, 20*time.Millisecond, "the line of an app is shown", func() bool {
		text, err := os.ReadFile(seen)
		return err == nil && bytes.Contains(text, line)
	})
}

// takeHistory asks for the last minute of logs that go back for hours: where it
// is all in the log itself, and where half of it was put aside.
func takeHistory(ctx context.Context, t *turn) error {
	name := sleepers(1)[0].name
	if _, _, err := t.startSleepers(ctx, 1); err != nil {
		return err
	}
	log := t.logger().logFile(t.dir, name)
	for _, of := range []struct {
		q   quantity
		log time.Duration
	}{{historyTime, historyStep / 2}, {rotatedTime, historyAge / 2}} {
		h := newHistory(log, t.scale.history, of.log)
		if err := h.write(ctx); err != nil {
			return err
		}
		var all []float64
		for range readings {
			began := time.Now()
			out, err := t.output(ctx, t.argv(t.dir, lastMinute)...)
			if err != nil {
				return err
			}
			took := time.Since(began)
			if err := h.check(out, began, took); err != nil {
				return err
			}
			all = append(all, took.Seconds())
		}
		t.record(of.q, all...)
		if err := h.remove(); err != nil {
			return err
		}
	}
	return nil
}

// history is the log of an app that has written at a steady rate for hours,
// with a time before each line, and been put aside and compressed every hour.
type history struct {
	log         string
	put         time.Duration // since the log was put aside last
	first, last time.Time
	step        time.Duration // between two lines
}

// dateLayout is how --time writes a time.
const dateLayout = "2006-01-02T15:04:05"

// newHistory is a history of so many bytes, before they are compressed.
func newHistory(log string, size int64, put time.Duration) *history {
	long := historyLogs*historyStep + put
	now := time.Now()
	count := size / int64(len(dateLayout)+2+lines.Usual)
	return &history{log: log, put: put, first: now.Add(-long), last: now, step: long / time.Duration(count)}
}

// write makes the files.
func (h *history) write(ctx context.Context) error {
	at, n := h.first, uint64(1)
	for end := at.Add(historyStep); !end.After(h.last); end = end.Add(historyStep) {
		path := strings.TrimSuffix(h.log, ".log") + "__" + end.Format("2006-01-02_15-04-05") + ".log"
		err := h.file(path+".gz", end, func(w io.Writer) error {
			packed, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
			if err != nil {
				return err
			}
			at, n, err = h.lines(path, packed, at, end, n)
			return errors.Join(err, packed.Close())
		})
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
	return h.file(h.log, h.last, func(w io.Writer) (err error) {
		_, _, err = h.lines(h.log, w, at, h.last, n)
		return err
	})
}

// file writes a file that was written to last at a time. One that is there is
// only emptied before: the daemon has the log open.
func (h *history) file(path string, touched time.Time, fill func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = errors.Join(fill(w), w.Flush(), f.Close())
	return errors.Join(err, os.Chtimes(path, touched, touched))
}

// lines writes the lines from one time to another, and returns with which it
// goes on. Beside them it notes the seconds in which they were written, as the
// daemon does: the milliseconds since the epoch, and where a line begins then.
func (h *history) lines(path string, w io.Writer, at, end time.Time, n uint64) (time.Time, uint64, error) {
	var second, offset int64
	var date, line, times []byte
	for ; at.Before(end); at, n = at.Add(h.step), n+1 {
		if s := at.Unix(); s != second {
			second, date = s, append(at.AppendFormat(date[:0], dateLayout), ": "...)
			times = binary.LittleEndian.AppendUint64(times, uint64(at.UnixMilli()))
			times = binary.LittleEndian.AppendUint64(times, uint64(offset))
		}
		line = lines.Append(append(line[:0], date...), 0, n, lines.Usual)
		if _, err := w.Write(line); err != nil {
			return at, n, err
		}
		offset += int64(len(line))
	}
	if err := os.MkdirAll(h.timesDir(), 0o750); err != nil {
		return at, n, err
	}
	return at, n, os.WriteFile(filepath.Join(h.timesDir(), filepath.Base(path)+".times"), times, 0o640)
}

func (h *history) timesDir() string { return filepath.Join(filepath.Dir(h.log), ".tend") }

// remove removes what was put aside, and the times.
func (h *history) remove() error {
	files, err := lines.Files(h.log)
	if err != nil {
		return err
	}
	for _, path := range files[:len(files)-1] {
		err = errors.Join(err, os.Remove(path))
	}
	return errors.Join(err, os.RemoveAll(h.timesDir()))
}

// check sees that an answer holds the last minute: a question that was asked at
// a time, answered in a while, and rounded to seconds.
func (h *history) check(out []byte, asked time.Time, took time.Duration) error {
	got := bytes.Count(out, []byte(" #00 "))
	from := asked.Add(-historyAge)
	most := int(h.last.Sub(from)/h.step) + int(2*time.Second/h.step) + 1
	least := most - int((took+3*time.Second)/h.step) - 2
	if got < least || got > most {
		return fmt.Errorf("check the answer: it has %d lines of the last minute, which has %d to %d: %s", got, least, most, tail(out))
	}
	return nil
}
