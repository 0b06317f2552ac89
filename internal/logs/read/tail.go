package read

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"tend/internal/logs"
)

// maxLine is the most of a line that is held in memory.
const maxLine = 1 << 20

// Tail is the last n lines of a file, without their ends. What follows the
// last line end is a line too. Of a line longer than 1 MiB the first MiB is
// given. A file that is not there, or no plain file, has no lines.
func Tail(path string, n int) ([]string, error) {
	f, err := openPlain(path)
	if f == nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("tail log: %w", err)
	}
	return tail(f, size, n)
}

// openPlain opens a file for reading; nil without an error: there is none.
func openPlain(path string) (*os.File, error) {
	// Opening a fifo would wait for its writer, so look first.
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, logs.Unreadable(path, err)
	case !info.Mode().IsRegular():
		return nil, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, logs.Unreadable(path, err)
	}
	return f, nil
}

// tail is the last n lines of the first size bytes of r.
func tail(r io.ReaderAt, size int64, n int) ([]string, error) {
	if n <= 0 || size == 0 {
		return nil, nil
	}
	start, _, err := lastLines(r, size, n)
	if err != nil {
		return nil, fmt.Errorf("tail log: %w", err)
	}
	var lines []string
	src := bufio.NewReaderSize(io.NewSectionReader(r, start, size-start), blockSize)
	var line []byte
	for {
		piece, err := src.ReadSlice('\n')
		line = append(line, piece[:min(len(piece), maxLine-len(line))]...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) == 0:
			return lines, nil
		case err != nil && err != io.EOF:
			return nil, fmt.Errorf("tail log: %w", err)
		}
		lines = append(lines, string(bytes.TrimSuffix(line, []byte("\n"))))
		line = line[:0]
	}
}

// lastLines is where the last n lines of the first size bytes of r begin, and
// how many there are. It reads backwards and holds one block, however long the
// lines are.
func lastLines(r io.ReaderAt, size int64, n int) (start int64, found int, err error) {
	block := make([]byte, blockSize)
	end := size
	for end > 0 {
		begin := max(end-blockSize, 0)
		b := block[:end-begin]
		if _, err := r.ReadAt(b, begin); err != nil && err != io.EOF {
			return 0, 0, err
		}
		if end == size && b[len(b)-1] == '\n' {
			b = b[:len(b)-1] // it ends the last line and begins none
		}
		for i := bytes.LastIndexByte(b, '\n'); i >= 0; i = bytes.LastIndexByte(b[:i], '\n') {
			if found++; found == n {
				return begin + int64(i) + 1, found, nil
			}
		}
		end = begin
	}
	if size > 0 {
		found++ // the first line has no line end before it
	}
	return 0, found, nil
}
