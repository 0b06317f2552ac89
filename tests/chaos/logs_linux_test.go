package chaos

import (
	"bytes"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/bench/lines"
	"tend/internal/testkit"
)

// talker is an app that writes numbered lines.
type talker struct {
	lines.Writer

	name    string
	streams int // its instances, each with a stream of its own
	dated   bool
	more    map[string]any // fields of its declaration
}

// log is where its lines go.
func (k *talker) log(w *world) string {
	if path, ok := k.more["out_file"].(string); ok {
		return path
	}
	return filepath.Join(w.home.Logs(), k.name+"-out.log")
}

// startTalkers starts talkers that report to a directory.
func (w *world) startTalkers(reports string, talkers []talker) {
	w.t.Helper()
	apps := make([]map[string]any, len(talkers))
	for i, k := range talkers {
		k.Reports = reports
		apps[i] = map[string]any{
			"name": k.name, "script": testkit.Self(w.t), "interpreter": "none", "args": k.Args(),
			"time": k.dated, "instances": k.streams, "exec_mode": "fork", "merge_logs": true,
			"log_rotate": false, // or the oldest lines would go in the end
		}
		maps.Copy(apps[i], k.more)
	}
	w.start(apps...)
	for _, k := range talkers {
		for n := range k.streams {
			testkit.WaitFor(w.t, 20*time.Second, k.name+" to write", func() bool { return !report(w.t, reports, k.Stream+n).Began.IsZero() })
		}
	}
}

func report(t *testing.T, dir string, stream int) lines.Report {
	t.Helper()
	r, err := lines.ReadReport(dir, stream)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// quieten has talkers end their writing. They live on.
func (w *world) quieten(talkers []talker) {
	w.t.Helper()
	list := w.list()
	for _, k := range talkers {
		for n := range k.streams {
			pid := list[k.name+"/"+strconv.Itoa(n)].PID
			if pid <= 1 {
				w.t.Fatalf("%s has no process", k.name)
			}
			if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
				w.t.Fatalf("quieten %s: %v", k.name, err)
			}
		}
	}
}

// expectEveryLine waits until talkers have ended and their last lines are in
// the logs, and sees that all others are there as well: once, in order, whole.
func (w *world) expectEveryLine(reports string, talkers []talker) {
	w.t.Helper()
	for _, k := range talkers {
		check := lines.Check{Dated: k.dated}
		good := true
		for n := range k.streams {
			stream := k.Stream + n
			testkit.WaitFor(w.t, time.Minute, k.name+" to have written all", func() bool { return !report(w.t, reports, stream).Ended.IsZero() })
			last := report(w.t, reports, stream).Wrote
			length := k.Length
			if length == 0 {
				length = lines.Mixed(last)
			}
			text := lines.Append(nil, stream, last, length)
			testkit.WaitFor(w.t, time.Minute, "the last line of "+k.name, func() bool { return holds(k.log(w), text) })
		}
		if err := check.ReadLog(k.log(w)); err != nil {
			w.t.Errorf("%s: %v", k.name, err)
		}
		for n := range k.streams {
			made := report(w.t, reports, k.Stream+n).Wrote
			want := lines.Tally{Whole: int(made)}
			if got := check.Tally(k.Stream+n, made); got != want || made == 0 {
				good = false
				w.t.Errorf("%s/%d, %d lines: %+v", k.name, n, made, got)
			}
		}
		if check.Scraps > 0 || !good {
			files, _ := lines.Files(k.log(w))
			w.t.Errorf("%s: %d scraps; %d files from %s; first faults:\n%s",
				k.name, check.Scraps, len(files), files[0], strings.Join(check.Seen, "\n"))
		}
	}
}

// holds tells whether a line is in the newest file of a log, or in the last one
// that was put aside. Where several streams share the log, a busy machine may let
// another write on for long after the one that the line is of.
func holds(log string, line []byte) bool {
	files, err := lines.Files(log)
	if err != nil {
		return false
	}
	slices.Reverse(files)
	for _, path := range files[:min(2, len(files))] {
		f, err := lines.Open(path)
		if err != nil {
			continue // it has just been put aside, or compressed
		}
		found := contains(f, line)
		f.Close()
		if found {
			return true
		}
	}
	return false
}

// contains tells whether a file has a line.
func contains(file io.Reader, line []byte) bool {
	block := make([]byte, 8<<20)
	kept := 0 // of the block before, for a line that is in both
	for {
		n, err := io.ReadFull(file, block[kept:])
		if bytes.Contains(block[:kept+n], line) {
			return true
		}
		if err != nil {
			return false
		}
		kept = copy(block, block[len(block)-len(line):])
	}
}

// moved waits until each log is another than it was.
func (w *world) moved(talkers []talker) {
	w.t.Helper()
	look := func(k talker) (size int64, inode uint64) {
		fi, err := os.Stat(k.log(w))
		if err != nil {
			return -1, 0 // just put aside
		}
		return fi.Size(), fi.Sys().(*syscall.Stat_t).Ino
	}
	for _, k := range talkers {
		size, inode := look(k)
		testkit.WaitFor(w.t, 20*time.Second, k.name+" to get on", func() bool {
			s, i := look(k)
			return s != size || i != inode
		})
	}
}

// The daemon is killed again and again while apps write as fast as they can.
func TestLogsSurviveKill(t *testing.T) {
	const (
		most  = 30 // kills, before the files are looked at and removed
		block = 64 << 10
	)
	for left := rounds(4); left > 0; left -= most {
		t.Run(strconv.Itoa(left)+" left", func(t *testing.T) {
			w, reports := newWorld(t), t.TempDir()
			talkers := []talker{
				{name: "raw", streams: 1, Writer: lines.Writer{Stream: 10, Chunk: block}},
				{name: "dated", streams: 1, Writer: lines.Writer{Stream: 20, Chunk: block}, dated: true},
				{name: "merged", streams: 2, Writer: lines.Writer{Stream: 30, Chunk: block}},
				{name: "rotating", streams: 1, Writer: lines.Writer{Stream: 40, Chunk: block}, more: map[string]any{
					"log_rotate": map[string]any{"max_size": "5M", "retain": "all", "compress": "gzip"},
				}},
			}
			w.startTalkers(reports, talkers)
			for range min(left, most) {
				w.moved(talkers)
				// At any moment of what the daemon does.
				time.Sleep(rand.N(30 * time.Millisecond))
				w.kill("daemon")
			}
			w.quieten(talkers)
			w.expectEveryLine(reports, talkers)
			if files, err := lines.Files(talkers[3].log(w)); err != nil || len(files) < 2 {
				t.Errorf("nothing was rotated: %v, error %v", files, err)
			}
		})
	}
}

// smallDisk mounts a file system that is full when free more bytes are on it,
// and tells what to remove then.
func smallDisk(t *testing.T, free int) (dir, filler string) {
	t.Helper()
	const size = 64 << 20
	dir = testkit.Home(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,size="+strconv.Itoa(size)); err != nil {
		t.Skipf("a tmpfs cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	filler = filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, size-free), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, filler
}

// complaints counts the lines of the daemon's log that say that a log's disk is
// full.
func (w *world) complaints(log string) (n int) {
	text, _ := os.ReadFile(w.home.Log()) // there is none before the first line
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, log) && strings.Contains(line, "no space left") {
			n++
		}
	}
	return n
}

// A disk fills up and has room again. What was to be written there waits, and
// nobody else does.
func TestLogsOutliveAFullDisk(t *testing.T) {
	const (
		free  = 3 << 20
		total = 60_000 // lines of an app: about 12 MB
	)
	for name, tt := range map[string]struct {
		rotation map[string]any
		killed   bool
	}{
		"full":                                           {map[string]any{"off": true}, false},
		"full, and the daemon is killed":                 {map[string]any{"off": true}, true},
		"full before a log is rotated":                   {map[string]any{"max_size": "5M", "retain": "all", "compress": "gzip"}, false},
		"full after many logs were rotated":              {map[string]any{"max_size": "400K", "retain": "all", "compress": false}, false},
		"full of rotated logs, and the daemon is killed": {map[string]any{"max_size": "400K", "retain": "all", "compress": false}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk, filler := smallDisk(t, free)
			w, reports := newWorld(t), t.TempDir()
			on := func(name string) map[string]any {
				return map[string]any{"out_file": filepath.Join(disk, name+".log"), "log_rotate": tt.rotation}
			}
			held := []talker{
				{name: "raw", streams: 1, Writer: lines.Writer{Stream: 10, Lines: total, Chunk: 64 << 10}, more: on("raw")},
				{name: "dated", streams: 1, Writer: lines.Writer{Stream: 20, Lines: total}, dated: true, more: on("dated")},
			}
			free := []talker{{name: "free", streams: 1, Writer: lines.Writer{Stream: 30, Length: lines.Usual, Rate: 1000}}}
			w.startTalkers(reports, free)
			w.startTalkers(reports, held)

			for _, k := range held {
				testkit.WaitFor(t, 20*time.Second, "the daemon to say that the disk of "+k.name+" is full", func() bool { return w.complaints(k.log(w)) > 0 })
			}
			if tt.killed {
				w.kill("daemon")
			}
			size := func() int64 {
				fi, err := os.Stat(free[0].log(w))
				if err != nil {
					t.Fatal(err)
				}
				return fi.Size()
			}
			const seconds = 3
			want := size() + seconds*1000*lines.Usual
			testkit.WaitFor(t, 2*seconds*time.Second, "the other app to get on while the disk is full", func() bool { return size() >= want })
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			w.expectEveryLine(reports, held)
			w.quieten(free)
			w.expectEveryLine(reports, free)
			if slowest := report(t, reports, 30).Slowest; slowest > (seconds-1)*time.Second {
				t.Errorf("the other app had to wait %v for its log", slowest)
			}
			for _, k := range held {
				if n := w.complaints(k.log(w)); n != 1 && !tt.killed {
					t.Errorf("that the disk of %s is full is told %d times, want once", k.name, n)
				}
			}
		})
	}
}
