package durable

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
)

const (
	// MaxRecord is the longest payload that a journal takes: well above the
	// largest environment of a process (2 MiB, ARG_MAX in execve(2)) as JSON,
	// where one byte may take six.
	MaxRecord = 32 << 20

	// head is the length of what stands before a payload: a checksum of eight
	// hexadecimal digits and a space.
	head = 9

	maxLine = head + MaxRecord + 1

	// keptBuffer is the largest buffer that a journal keeps between appends.
	keptBuffer = 64 << 10
)

// ErrForeign is in the chain of the error that OpenJournal gives for a file
// that is no journal. The file is untouched; SetAside makes room for a new one.
var ErrForeign = errors.New("it is not a journal of tend")

// Journal is an append-only file of records, one a line: the CRC-32C of the
// payload in eight hexadecimal digits, a space, the payload, a line feed. A
// person can read it, and grep it.
//
// A Journal belongs to one goroutine, but for Sync, which may run beside every
// other method except Close.
type Journal struct {
	path string
	file atomic.Pointer[os.File] // atomic because Rewrite changes it beside Sync
	size int64                   // up to here the file is whole records
	torn bool                    // something unfinished may stand behind size
	buf  []byte
}

// Damage is what OpenJournal found wrong with a file and put right. The zero
// Damage is a sound file.
type Damage struct {
	// Torn is the length of the unfinished last line that was dropped: what a
	// crash in the middle of Append leaves. No record that Append said yes to
	// was lost by it.
	Torn int64
	// Lines is how many damaged lines were left out, FirstLine the number of
	// the first of them, from 1.
	Lines, FirstLine int
	// Aside is the path that the file as it was found has now. It is empty
	// where Lines is 0.
	Aside string
}

// String tells the damage in one line, for a log.
func (d Damage) String() string {
	switch {
	case d.Lines > 0:
		return fmt.Sprintf("%d damaged lines left out, the first is line %d; the file as it was is %s",
			d.Lines, d.FirstLine, d.Aside)
	case d.Torn > 0:
		return fmt.Sprintf("an unfinished last line of %d bytes dropped", d.Torn)
	}
	return "none"
}

// OpenJournal opens the journal at path, makes it where there is none, and
// calls replay with the payload of each record in order; the payload is valid
// until replay returns. An error of replay ends it, and is returned.
//
// An unfinished last line is cut off. Where a line before it is damaged, the
// file as it was is kept under a second name, and the journal goes on in a new
// file with the lines that are good. Both are told in Damage. A file that
// cannot be read to its end, or in which no line is a record, is refused and
// stays as it is; the latter with ErrForeign.
func OpenJournal(path string, replay func(payload []byte) error) (*Journal, Damage, error) {
	j := &Journal{path: path}
	damage, err := j.open(replay)
	if err != nil {
		if f := j.file.Load(); f != nil {
			f.Close() //nolint:errcheck // the error that matters is there already
		}
		return nil, Damage{}, fmt.Errorf("open journal %s: %w", path, err)
	}
	return j, damage, nil
}

func (j *Journal) open(replay func(payload []byte) error) (Damage, error) {
	f, err := os.OpenFile(j.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return Damage{}, err
	}
	j.file.Store(f)
	fi, err := f.Stat()
	if err != nil {
		return Damage{}, err
	}
	if !fi.Mode().IsRegular() {
		return Damage{}, fmt.Errorf("%w: it is no regular file", ErrForeign)
	}
	if fi.Size() == 0 {
		return Damage{}, syncDir(filepath.Dir(j.path))
	}

	found, err := scan(f, replay)
	if err != nil {
		return Damage{}, err
	}
	if found.records == 0 && found.damage.Lines > 0 {
		return Damage{}, fmt.Errorf("%w: line %d is no record", ErrForeign, found.damage.FirstLine)
	}
	j.size = found.end
	if found.damage.Lines > 0 {
		return j.repair(found.damage)
	}
	j.torn = found.damage.Torn > 0
	return found.damage, j.cut()
}

// repair keeps the damaged file under a second name and goes on in a new one.
func (j *Journal) repair(damage Damage) (Damage, error) {
	aside, err := linkAside(j.path)
	if err != nil {
		return Damage{}, err
	}
	err = j.Rewrite(func(add func([]byte) error) error {
		_, err := scan(j.file.Load(), add)
		return err
	})
	if err != nil {
		// The file is still at its own path: without this every attempt would
		// leave one more name.
		return Damage{}, errors.Join(err, os.Remove(aside))
	}
	damage.Aside = aside
	return damage, nil
}

// Append adds one record with one write(2). When it returns, the record
// survives the death of this process; after Sync, that of the machine. On an
// error the journal is as it was before.
func (j *Journal) Append(payload []byte) error {
	if err := checkPayload(payload); err != nil {
		return fmt.Errorf("append to journal %s: %w", j.path, err)
	}
	if err := j.cut(); err != nil {
		return fmt.Errorf("append to journal %s: %w", j.path, err)
	}
	j.buf = appendLine(j.buf[:0], payload)
	n, err := j.file.Load().Write(j.buf)
	if cap(j.buf) > keptBuffer {
		j.buf = nil
	}
	if err != nil {
		// A full disk takes the beginning of a line. If it cannot be cut off
		// now, the next Append does it before it writes.
		j.torn = true
		return fmt.Errorf("append to journal %s: %w", j.path, errors.Join(err, j.cut()))
	}
	j.size += int64(n)
	return nil
}

// cut removes what an unfinished Append left behind the last whole record.
func (j *Journal) cut() error {
	if !j.torn {
		return nil
	}
	if err := j.file.Load().Truncate(j.size); err != nil {
		return fmt.Errorf("cut off an unfinished line: %w", err)
	}
	j.torn = false
	return nil
}

// Sync returns when every record appended before the call is on disk. After an
// error nobody knows which of them are (the kernel may drop what it could not
// write, and does not tell twice): only Rewrite makes the journal sure again.
func (j *Journal) Sync() error {
	for {
		f := j.file.Load()
		err := f.Sync()
		if err == nil {
			return nil
		}
		// Rewrite closed it under us, and what it held is in the new file.
		if errors.Is(err, os.ErrClosed) && j.file.Load() != f {
			continue
		}
		return fmt.Errorf("sync journal %s: %w", j.path, err)
	}
}

// Size is the length of the journal in bytes.
func (j *Journal) Size() int64 { return j.size }

// Rewrite replaces all records by those that write adds, as WriteFile replaces
// a file: it is how a journal is made short again. On an error the journal goes
// on as it was, unless the error came from syncing the directory: then it goes
// on in the new file, and a crash of the machine could bring the old one back.
func (j *Journal) Rewrite(write func(add func(payload []byte) error) error) error {
	// One fixed name: a process killed here again and again leaves one file.
	temp := j.path + ".new"
	f, size, err := writeRecords(temp, write)
	if err == nil {
		err = os.Rename(temp, j.path)
	}
	if err != nil {
		if f != nil {
			err = errors.Join(err, f.Close(), os.Remove(temp))
		}
		return fmt.Errorf("rewrite journal %s: %w", j.path, err)
	}
	old := j.file.Swap(f)
	j.size, j.torn = size, false
	old.Close() //nolint:errcheck // it is no longer the journal
	return syncDir(filepath.Dir(j.path))
}

// writeRecords makes a synced file of records. With an error it gives the file
// too, once there is one, for the caller to remove.
func writeRecords(path string, write func(add func([]byte) error) error) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, 0, err
	}
	var (
		w    = bufio.NewWriterSize(f, keptBuffer)
		size int64
		line []byte
	)
	err = write(func(payload []byte) error {
		if err := checkPayload(payload); err != nil {
			return err
		}
		line = appendLine(line[:0], payload)
		n, err := w.Write(line)
		size += int64(n)
		return err
	})
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return f, size, err
}

// Close closes the file. It does not sync it.
func (j *Journal) Close() error { return j.file.Load().Close() }

func checkPayload(payload []byte) error {
	if len(payload) > MaxRecord {
		return fmt.Errorf("a record of %d bytes, the longest is %d", len(payload), MaxRecord)
	}
	if bytes.IndexByte(payload, '\n') >= 0 {
		return errors.New("a record with a line feed in it")
	}
	return nil
}

// appendLine appends the line of payload to b.
func appendLine(b, payload []byte) []byte {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], checksum(payload))
	b = hex.AppendEncode(b, sum[:])
	b = append(b, ' ')
	b = append(b, payload...)
	return append(b, '\n')
}

// parseLine is the payload of a line without its line feed.
func parseLine(line []byte) ([]byte, bool) {
	var sum [4]byte
	if len(line) < head || line[head-1] != ' ' {
		return nil, false
	}
	if _, err := hex.Decode(sum[:], line[:head-1]); err != nil {
		return nil, false
	}
	payload := line[head:]
	return payload, checksum(payload) == binary.BigEndian.Uint32(sum[:])
}

func checksum(payload []byte) uint32 {
	return crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)) // the table is made once
}

// contents is what a scan found in a file.
type contents struct {
	records int
	end     int64 // of the last line that has a line feed
	damage  Damage
}

// scan reads f from its beginning and calls good with each payload.
func scan(f io.ReaderAt, good func(payload []byte) error) (contents, error) {
	var (
		c    contents
		r    = bufio.NewReaderSize(io.NewSectionReader(f, 0, 1<<62), keptBuffer)
		line []byte
	)
	for n := 1; ; n++ {
		var length int64
		var err error
		line, length, err = readLine(r, line[:0])
		if err != nil && !errors.Is(err, io.EOF) {
			return contents{}, err
		}
		whole := err == nil
		if !whole && length == 0 {
			return c, nil
		}
		if !whole && couldBeTorn(line) {
			c.damage.Torn = length
			return c, nil
		}
		payload, ok := parseLine(line)
		if whole && ok && length <= maxLine {
			if err := good(payload); err != nil {
				return contents{}, err
			}
			c.records++
		} else {
			if c.damage.Lines == 0 {
				c.damage.FirstLine = n
			}
			c.damage.Lines++
		}
		if !whole {
			return c, nil
		}
		c.end += length
	}
}

// readLine appends the next line to b, without its line feed, and tells its
// length with it. Of a line longer than any record it keeps the beginning
// only. The error is io.EOF for a last line that has no line feed.
func readLine(r *bufio.Reader, b []byte) ([]byte, int64, error) {
	var length int64
	for {
		part, err := r.ReadSlice('\n')
		length += int64(len(part))
		if length <= maxLine {
			b = append(b, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return bytes.TrimSuffix(b, []byte{'\n'}), length, err
	}
}

// couldBeTorn tells whether a last line without line feed is what a crash in
// Append leaves: the beginning of a record, or zeros, where the file system had
// written down the new length but not yet the data.
func couldBeTorn(line []byte) bool {
	line = bytes.TrimRight(line, "\x00")
	for i, c := range line[:min(len(line), head)] {
		digit := '0' <= c && c <= '9' || 'a' <= c && c <= 'f'
		if i < head-1 && !digit || i == head-1 && c != ' ' {
			return false
		}
	}
	return true
}
