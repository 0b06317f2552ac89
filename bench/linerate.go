package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tend/bench/lines"
)

const (
	blockSize = 64 << 10 // what a program writes at once that collects its lines

	// ratePatience is how long a log may stand still before it is complete.
	ratePatience = 3 * time.Second
	rateLimit    = 5 * time.Minute
	packLimit    = time.Minute // for compressing what was put aside
)

func takeBlocks(ctx context.Context, t *turn) error {
	return t.lineRate(ctx, inBlocks, blockSize, rotation{Off: true})
}

func takeSingles(ctx context.Context, t *turn) error {
	return t.lineRate(ctx, inSingles, 0, rotation{Off: true})
}

func takeRotating(ctx context.Context, t *turn) error {
	return t.lineRate(ctx, rotating, blockSize, rotation{MaxSize: "10M", Retain: 1000, Compress: "gzip"})
}

// lineRate has an app write lines as fast as they are taken, and looks at what
// is in its log afterwards.
func (t *turn) lineRate(ctx context.Context, at situation, chunk int, rotated rotation) error {
	who := t.logger()
	managers, err := t.logManagers()
	if err != nil {
		return err
	}
	crowd, err := t.startWriters(ctx, t.apps, lines.Writer{Lines: uint64(t.scale.lines), Length: lines.Usual, Chunk: chunk}, rotated)
	if err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	before, err := wholeTimes(managers)
	if err != nil {
		return err
	}
	if err := crowd.gate.Open(); err != nil {
		return err
	}
	log := who.logFile(t.dir, crowd.apps[0].name)
	ended, err := watchLog(ctx, log, lines.Append(nil, 0, uint64(t.scale.lines), lines.Usual))
	if err != nil {
		return err
	}
	report, err := lines.ReadReport(t.dir, 0)
	if err != nil {
		return err
	}
	// What it still does for the lines when they are in the file, it did for them.
	if err := pause(ctx, settle); err != nil {
		return err
	}
	err = until(ctx, packLimit, settle/10, "all that was put aside is compressed", func() bool { return compressed(log) })
	if err != nil {
		return err
	}
	after, err := wholeTimes(managers)
	if err != nil {
		return err
	}
	t.record(lineRate.in(at), float64(t.scale.lines)/ended.Sub(report.Began).Seconds())
	if len(managers) > 0 {
		t.record(lineCPU.in(at), (after - before).Seconds())
	}
	return t.recordLines(at, crowd)
}

// compressed tells whether all that was put aside of a log is compressed.
func compressed(log string) bool {
	files, err := lines.Files(log)
	return err == nil && !slices.ContainsFunc(files[:len(files)-1], func(path string) bool { return filepath.Ext(path) == filepath.Ext(log) })
}

// wholeTimes is what processes have used, with the children that have ended:
// compressing may be the work of one.
func wholeTimes(pids []int) (time.Duration, error) {
	sum, err := cpuTimes(pids)
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		used, err := childrenTime(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// logManagers are the processes that carry lines, before there are apps.
func (t *turn) logManagers() ([]int, error) {
	if t.manager.name() == plainFile {
		return nil, nil
	}
	return t.managers()
}

// writers are apps that write lines.
type writers struct {
	apps []app
	made uint64 // by each
	gate *lines.Gate
}

// startWriters starts n writers, and returns when they stand before the gate.
func (t *turn) startWriters(ctx context.Context, n int, like lines.Writer, rotated rotation) (*writers, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	like.Gate, like.Reports = filepath.Join(t.dir, "gate"), t.dir
	w := &writers{made: like.Lines}
	if w.gate, err = lines.NewGate(like.Gate); err != nil {
		return nil, err
	}
	for i := range n {
		like.Stream = i
		w.apps = append(w.apps, app{name: fmt.Sprintf("w%d", i), script: exe, args: like.Args(), rotation: rotated})
	}
	if _, err := t.start(ctx, w.apps); err != nil {
		return nil, err
	}
	err = until(ctx, 20*time.Second, 20*time.Millisecond, "the writers are ready", func() bool {
		for n := range w.apps {
			if r, err := lines.ReadReport(t.dir, n); err != nil || !r.Ready {
				return false
			}
		}
		return true
	})
	return w, err
}

// recordLines keeps what became of the lines of writers.
func (t *turn) recordLines(at situation, w *writers) error {
	who := t.logger()
	var all lines.Tally
	for n, a := range w.apps {
		if _, err := lines.ReadReport(t.dir, n); err != nil {
			return err
		}
		c := lines.Check{Dated: who.stamps()}
		if err := c.ReadLog(who.logFile(t.dir, a.name)); err != nil {
			return err
		}
		one := c.Tally(n, w.made)
		if one.Lost+one.Broken+one.Repeated+one.Disordered+c.Scraps > 0 {
			t.remark("%s: of %s's lines %d are lost, %d broken, %d came again, %d too late, with %d scraps; first: %.300q",
				at, a.name, one.Lost, one.Broken, one.Repeated, one.Disordered, c.Scraps, c.Seen[:min(2, len(c.Seen))])
		}
		all.Lost += one.Lost
		all.Broken += one.Broken
		all.Repeated += one.Repeated + one.Disordered
	}
	t.record(linesMade.in(at), float64(len(w.apps))*float64(w.made))
	t.record(linesLost.in(at), float64(all.Lost))
	t.record(linesBroken.in(at), float64(all.Broken))
	t.record(linesRepeated.in(at), float64(all.Repeated))
	return nil
}

// watchLog returns when a log ends with last, or has not grown for a while, and
// tells when it was last seen to grow.
func watchLog(ctx context.Context, log string, last []byte) (grew time.Time, err error) {
	const every = time.Millisecond
	var size int64
	grew = time.Now()
	err = until(ctx, rateLimit, every, "the log is complete", func() bool {
		if fi, err := os.Stat(log); err == nil && fi.Size() != size {
			size, grew = fi.Size(), time.Now()
			return endsWith(log, size, last)
		}
		return time.Since(grew) > ratePatience
	})
	return grew, err
}

// endsWith tells whether a file of so many bytes ends with a line.
func endsWith(path string, size int64, line []byte) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	end := make([]byte, len(line))
	_, err = f.ReadAt(end, max(0, size-int64(len(line))))
	return (err == nil || errors.Is(err, io.EOF)) && string(end) == string(line)
}
