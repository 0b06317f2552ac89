package lines

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Check reads what writers have written, in the order of the files, and keeps
// account of it. Its zero value is for lines without a time.
type Check struct {
	// Dated: each line begins with one time, as --time writes it.
	Dated bool
	// Scraps counts the places with something that belongs to no line, or to a
	// line that is incomplete there.
	Scraps int
	// Seen are descriptions of the first faults.
	Seen []string

	streams map[int]*account
	torn    []byte // what follows one another and is no line as it stands
}

// account is what is known of one stream.
type account struct {
	whole, torn         set
	last                uint64
	repeated, disorders int
}

// Tally is what became of the lines of a stream.
type Tally struct {
	Whole int // lines that stand in the files as they should
	// Broken are those whose bytes are all there, but not as one line, or not
	// with one time at its beginning.
	Broken int
	Lost   int // those of which that is not so either
	// Repeated counts the lines that came again, Disordered those that came
	// after a later one.
	Repeated, Disordered int
}

// Read takes in a file, or what there is of it.
func (c *Check) Read(r io.Reader) error {
	in := bufio.NewReaderSize(r, 1<<20)
	for {
		piece, err := in.ReadSlice('\n')
		if len(piece) > 0 {
			c.take(piece)
		}
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

// take takes in what should be a line.
func (c *Check) take(piece []byte) {
	body, ended := bytes.CutSuffix(piece, []byte("\n"))
	line := body
	if isDate(line) {
		line = line[len(datePattern):]
	}
	if dated := len(line) < len(body); ended && dated == c.Dated {
		if stream, n, ok := parse(line); ok {
			c.mend()
			c.note(stream, n)
			return
		}
	}
	c.see("no line: %.150q", piece)
	plain := withoutDates(body)
	if len(plain) == 0 {
		c.Scraps++ // an empty line
	}
	c.torn = append(c.torn, plain...)
	if len(c.torn) > 1<<20 {
		c.mend()
	}
}

// mend finds the lines in what was torn.
func (c *Check) mend() {
	var scrap bool
	for rest := c.torn; len(rest) > 0; {
		if end := size(rest) - 1; end > 0 && end <= len(rest) {
			if stream, n, ok := parse(rest[:end]); ok {
				c.of(stream).torn.add(n)
				rest = rest[end:]
				continue
			}
		}
		scrap = true
		next := bytes.IndexByte(rest[1:], '#')
		if next < 0 {
			break
		}
		rest = rest[1+next:]
	}
	if scrap {
		c.Scraps++
	}
	c.torn = c.torn[:0]
}

func (c *Check) note(stream int, n uint64) {
	s := c.of(stream)
	if n != s.last+1 {
		c.see("stream %d: %d after %d", stream, n, s.last)
	}
	switch {
	case !s.whole.add(n):
		s.repeated++
	case n < s.last:
		s.disorders++
	}
	s.last = max(s.last, n)
}

func (c *Check) of(stream int) *account {
	if c.streams == nil {
		c.streams = map[int]*account{}
	}
	if c.streams[stream] == nil {
		c.streams[stream] = new(account)
	}
	return c.streams[stream]
}

func (c *Check) see(format string, args ...any) {
	const most = 10
	if len(c.Seen) < most {
		c.Seen = append(c.Seen, fmt.Sprintf(format, args...))
	}
}

// Tally is what became of the lines 1 to made of a stream.
func (c *Check) Tally(stream int, made uint64) Tally {
	c.mend()
	s := c.of(stream)
	whole := s.whole.count(made)
	broken := s.torn.countWithout(s.whole, made)
	return Tally{
		Whole: whole, Broken: broken, Lost: int(made) - whole - broken,
		Repeated: s.repeated, Disordered: s.disorders,
	}
}

// Files are a log and those that were rotated from it, the oldest first, as
// their names tell. What is being compressed is there once.
func Files(log string) ([]string, error) {
	// A directory that changes while it is listed may hide a file under its old
	// name and its new one: what is found twice has stood still.
	var last []string
	for {
		files, err := list(log)
		if err != nil || slices.Equal(files, last) {
			return files, err
		}
		last = files
	}
}

func list(log string) ([]string, error) {
	ext := filepath.Ext(log)
	found, err := filepath.Glob(strings.TrimSuffix(log, ext) + "__*" + ext + "*")
	if err != nil {
		return nil, err
	}
	name := func(path string) string { return strings.TrimSuffix(strings.TrimSuffix(path, packed), ext) }
	all := slices.DeleteFunc(slices.Clone(found), func(path string) bool {
		plain, second := strings.CutSuffix(path, packed)
		return filepath.Ext(path) != ext && !second || second && slices.Contains(found, plain)
	})
	// Without the endings, for what was rotated later in the same second has
	// more digits there.
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(name(a), name(b)) })
	return append(all, log), nil
}

// packed ends the name of a compressed file.
const packed = ".gz"

// ReadLog takes in a log with what was rotated from it.
func (c *Check) ReadLog(log string) error {
	files, err := Files(log)
	if err != nil {
		return err
	}
	for _, path := range files {
		if err := c.readFile(path); err != nil {
			return fmt.Errorf("read log %s: %w", path, err)
		}
	}
	return nil
}

func (c *Check) readFile(path string) error {
	f, err := Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return c.Read(f)
}

// Open opens one of Files for reading, also where it is compressed, be it since
// it was listed: the copy has its name before the original goes.
func Open(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && filepath.Ext(path) != packed {
		path += packed
		f, err = os.Open(path)
	}
	if err != nil || filepath.Ext(path) != packed {
		return f, err
	}
	plain, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{plain, f}, nil
}

// set is a set of numbers.
type set []uint64

// add tells whether n is new to the set.
func (s *set) add(n uint64) bool {
	at, bit := n/64, uint64(1)<<(n%64)
	for uint64(len(*s)) <= at {
		*s = append(*s, 0)
	}
	was := (*s)[at]
	(*s)[at] |= bit
	return was&bit == 0
}

// count counts the numbers from 1 to most.
func (s set) count(most uint64) int { return s.countWithout(nil, most) }

// countWithout counts those that are not in other.
func (s set) countWithout(other set, most uint64) (n int) {
	for i, word := range s {
		if i < len(other) {
			word &^= other[i]
		}
		if i == 0 {
			word &^= 1 // number 0
		}
		switch last := most / 64; {
		case uint64(i) > last:
			return n
		case uint64(i) == last:
			word &= 1<<(most%64+1) - 1 // all of them where that is 1<<64
		}
		n += bits.OnesCount64(word)
	}
	return n
}
