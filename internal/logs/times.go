package logs

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sort"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/rotation"
)

// Lines of a raw log have no times. When they were written stands beside the
// log, in .tend/<file>.times: entries of 16 bytes, the time in milliseconds
// since the epoch and the offset of what was written then, both growing, both
// little endian and append only. There is at most one entry a second, so what
// stands between two of them was written within a second of the first.
const (
	entrySize = 16
	timesDir  = ".tend"
	timesEnd  = ".times"
	oneSecond = int64(time.Second / time.Millisecond)
)

// entry says that what stands at an offset was written at a time.
type entry struct {
	at     int64 // milliseconds since the epoch
	offset int64
}

func appendEntry(b []byte, e entry) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(e.at))
	return binary.LittleEndian.AppendUint64(b, uint64(e.offset))
}

func readEntry(b []byte) entry {
	return entry{int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))}
}

// timesPath is where the times of a log are, be it compressed or not.
func timesPath(log string) string {
	plain, _ := rotation.Unpacked(log)
	return filepath.Join(filepath.Dir(log), timesDir, filepath.Base(plain)+timesEnd)
}

// Times writes down when a log was written to. What goes wrong with that is
// logged once and nothing is done about it: the log itself is not touched.
type Times struct {
	path   string // of the log
	log    *slog.Logger
	file   *os.File // nil until it is needed
	last   entry
	broken bool
}

// NewTimes writes down the times of the log at path. It opens nothing yet.
func NewTimes(path string, log *slog.Logger) *Times { return &Times{path: path, log: log} }

// Note says that what is written now begins at an offset of the log. Where the
// offset has shrunk the log was emptied, and where the clock went back nobody
// can tell what was when: the times begin anew.
func (t *Times) Note(now time.Time, offset int64) {
	if t.broken {
		return
	}
	if t.file == nil {
		if t.fail(t.open()) {
			return
		}
	}
	at := now.UnixMilli()
	anew := offset < t.last.offset || at < t.last.at
	if !anew && at < t.last.at+oneSecond {
		return
	}
	if anew && t.fail(t.file.Truncate(0)) {
		return
	}
	t.last = entry{at, offset}
	var b [entrySize]byte
	_, err := t.file.Write(appendEntry(b[:0], t.last))
	t.fail(err)
}

// open goes on behind the last whole entry.
func (t *Times) open() error {
	path := timesPath(t.path)
	if err := os.Mkdir(filepath.Dir(path), 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	t.file, t.last = file, entry{at: math.MinInt64 / 2}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if torn := size % entrySize; torn != 0 {
		size -= torn
		if err := file.Truncate(size); err != nil {
			return err
		}
	}
	if size == 0 {
		return nil
	}
	var b [entrySize]byte
	if _, err := file.ReadAt(b[:], size-entrySize); err != nil {
		return err
	}
	t.last = readEntry(b[:])
	return nil
}

func (t *Times) fail(err error) bool {
	if err == nil {
		return false
	}
	t.Close()
	t.broken = true
	// A log whose directory was moved away is not found by its path either.
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		t.log.Warn("when a log was written to is not kept", "path", t.path, "err", err)
	}
	return true
}

// Rename takes the times along to the new name of the log. What is noted next
// is of a new log at the old name.
func (t *Times) Rename(to string) {
	t.Close()
	// There may be none yet.
	if err := os.Rename(timesPath(t.path), timesPath(to)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.fail(err)
	}
}

// Close lets go of the file. The next Note opens the times anew, by the path of the log.
func (t *Times) Close() {
	t.broken = false
	if t.file != nil {
		_ = t.file.Close() // no entry is worth an error
		t.file = nil
	}
}

// DropTimes removes the times of a log that was removed.
func DropTimes(log string) {
	_ = os.Remove(timesPath(log)) // there may be none
}

// Timetable reads the times of a log. That of a log without times is nil: it
// may be closed, and its Clock knows no time.
type Timetable struct {
	file *os.File
	n    int // entries
}

// OpenTimetable opens the times of a log; nil: there are none.
func OpenTimetable(log string) *Timetable {
	file, err := os.Open(timesPath(log))
	if err != nil {
		return nil
	}
	info, err := file.Stat()
	if err != nil || info.Size() < entrySize {
		_ = file.Close()
		return nil
	}
	return &Timetable{file: file, n: int(info.Size() / entrySize)}
}

// Close ends the reading.
func (t *Timetable) Close() {
	if t != nil {
		_ = t.file.Close()
	}
}

// entry is the one of that number. What cannot be read is never reached.
func (t *Timetable) entry(i int) entry {
	var b [entrySize]byte
	if _, err := t.file.ReadAt(b[:], int64(i)*entrySize); err != nil {
		return entry{math.MaxInt64, math.MaxInt64}
	}
	return readEntry(b[:])
}

// after is the number of the first entry later than a time.
func (t *Timetable) after(at int64) int {
	return sort.Search(t.n, func(i int) bool { return t.entry(i).at > at })
}

// OffsetAt is where what was written since a time begins, at most a second too
// early. What stands before the first entry is of a time that nobody noted, and
// so is what follows the last where the log was written to later.
func (t *Timetable) OffsetAt(since time.Time) int64 {
	at := since.UnixMilli()
	i := t.after(at)
	if i == 0 {
		return 0
	}
	before := t.entry(i - 1)
	if i == t.n || at < before.at+oneSecond {
		return before.offset
	}
	return t.entry(i).offset
}

// EndAt is where what was written until a time ends, at most a second too late;
// not known: nothing was noted later, so that it may go on to the end.
func (t *Timetable) EndAt(until time.Time) (end int64, known bool) {
	i := t.after(until.UnixMilli())
	if i == t.n {
		return 0, false
	}
	end = t.entry(i).offset
	return end, end < math.MaxInt64
}

// Reaches tells whether the times go back as far as that.
func (t *Timetable) Reaches(at time.Time) bool { return t.entry(0).at <= at.UnixMilli() }

// Clock tells when a log was written to, at offsets that grow.
type Clock struct {
	table     *Timetable // nil: nobody knows
	i         int        // of next
	now, next entry
}

// Clock tells the times from an offset on.
func (t *Timetable) Clock(offset int64) *Clock {
	c := &Clock{table: t}
	if t == nil {
		return c
	}
	c.i = sort.Search(t.n, func(i int) bool { return t.entry(i).offset > offset })
	if c.i > 0 {
		c.now = t.entry(c.i - 1)
	}
	c.next = t.entry(c.i)
	return c
}

// At is when what stands at an offset was written, to the second; zero: nobody
// knows.
func (c *Clock) At(offset int64) time.Time {
	if c.table == nil {
		return time.Time{}
	}
	for c.i < c.table.n && c.next.offset <= offset {
		c.now = c.next
		c.i++
		c.next = c.table.entry(c.i)
	}
	if c.now == (entry{}) {
		return time.Time{}
	}
	return time.UnixMilli(c.now.at)
}
