package read

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"tend/internal/logs"
	"tend/internal/rotation"
)

// segment is one file of a log: the one that is written to, or one that was put
// aside. Offsets in it are those of the text, be it compressed or not.
type segment struct {
	path string
	last time.Time // when it was last written to, as far as is known
	info os.FileInfo
	file *os.File // the one written to, open; nil: path is opened
}

func (s segment) compressed() bool { return s.plain() != s.path }

// plain is the path that it had before it was compressed.
func (s segment) plain() string {
	path, _ := rotation.Unpacked(s.path)
	return path
}

// isFile tells whether it is that very file.
func (s segment) isFile(info os.FileInfo) bool {
	return info != nil && s.info != nil && os.SameFile(s.info, info)
}

// segmentsOf is the segments that a log was put aside as, the oldest first.
func segmentsOf(path string) ([]segment, error) {
	list, err := logs.Rotated(path)
	if err != nil {
		return nil, err
	}
	var out []segment
	for _, r := range list {
		s := segment{path: r.Path, last: r.Last}
		if s.info, err = os.Stat(s.path); err != nil {
			// It may have been compressed since it was listed, or removed.
			if s = s.again(); s.info == nil {
				continue
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// again looks for a segment that is gone under the names that it has when it
// was compressed; without an info there is none.
func (s segment) again() segment {
	for _, path := range rotation.Packed(s.plain()) {
		if info, err := os.Stat(path); err == nil {
			return segment{path: path, last: s.last, info: info}
		}
	}
	return segment{}
}

// open reads the text from an offset on; nil without an error: it is gone.
func (s segment) open(offset int64) (io.ReadCloser, error) {
	if s.file != nil {
		return io.NopCloser(io.NewSectionReader(s.file, offset, math.MaxInt64-offset)), nil
	}
	file, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		if s = s.again(); s.info == nil {
			return nil, nil
		}
		file, err = os.Open(s.path)
	}
	if err != nil {
		return nil, logs.Unreadable(s.path, err)
	}
	text, err := s.text(file, offset)
	if err != nil {
		_ = file.Close()
		return nil, logs.Unreadable(s.path, err)
	}
	return text, nil
}

func (s segment) text(file *os.File, offset int64) (io.ReadCloser, error) {
	var r *unpacked
	switch _, method := rotation.Unpacked(s.path); method {
	case "gzip":
		g, err := gzip.NewReader(bufio.NewReaderSize(file, blockSize))
		if err != nil {
			return nil, err
		}
		r = &unpacked{Reader: g, file: file}
	case "zstd":
		z, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		r = &unpacked{Reader: z, file: file, done: z.Close}
	default:
		_, err := file.Seek(offset, io.SeekStart)
		return file, err
	}
	if _, err := io.CopyN(io.Discard, r, offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// unpacked is a file that is decompressed as it is read.
type unpacked struct {
	io.Reader

	file *os.File
	done func() // nil: there is nothing more to end
}

func (u *unpacked) Close() error {
	if u.done != nil {
		u.done()
	}
	return u.file.Close()
}

// span is a part of a segment.
type span struct {
	segment

	from, to int64 // to -1: its end
}

// read is the text of the span.
func (s span) read() (io.ReadCloser, error) {
	r, err := s.open(s.from)
	if r == nil || err != nil || s.to < 0 {
		return r, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(r, s.to-s.from), r}, nil
}

// lines calls each with the lines of the span and the offsets behind them, until
// ctx ends. Where the span cannot be read that is a partError.
func (s span) lines(ctx context.Context, each func(line []byte, ended bool, end int64) error) error {
	r, err := s.read()
	if err != nil {
		return &partError{err}
	}
	if r == nil {
		return nil
	}
	defer r.Close()
	c := cutter{offset: s.from, each: each}
	block := make([]byte, blockSize)
	for ctx.Err() == nil {
		n, err := r.Read(block)
		if cerr := c.take(block[:n]); cerr != nil {
			return cerr
		}
		if err == io.EOF {
			return c.flush()
		}
		if err != nil {
			return &partError{fmt.Errorf("read log %s: %w", s.path, err)}
		}
	}
	return context.Cause(ctx)
}

// last cuts the span to its last n lines that are kept, and tells how many
// there are. Of what is damaged it is the last ones before the damage.
func (s *span) last(ctx context.Context, n int, keep func([]byte) bool) (found int, err error) {
	if keep == nil && !s.compressed() {
		return s.lastPlain(ctx, n)
	}
	var begins []int64 // of the last lines, with what is not needed any more before them
	begin := s.from
	err = s.lines(ctx, func(line []byte, _ bool, end int64) error {
		if keep == nil || keep(line) {
			begins = append(begins, begin)
			if len(begins)-n > n {
				begins = append(begins[:0], begins[len(begins)-n:]...)
			}
		}
		begin = end
		return nil
	})
	begins = begins[max(0, len(begins)-n):]
	if err != nil {
		s.to = begin
	}
	if len(begins) > 0 {
		s.from = begins[0]
	} else {
		s.to = s.from
	}
	return len(begins), err
}

// lastPlain is last of all lines of what is not compressed: it reads backwards.
func (s *span) lastPlain(ctx context.Context, n int) (found int, err error) {
	file := s.file
	if file == nil {
		if file, err = os.Open(s.path); err != nil {
			// It may have been compressed meanwhile.
			return s.last(ctx, n, func([]byte) bool { return true })
		}
		defer file.Close()
	}
	to := s.to
	if to < 0 {
		to = s.info.Size()
	}
	start, found, err := lastLines(io.NewSectionReader(file, s.from, to-s.from), to-s.from, n)
	if err != nil {
		s.to = s.from
		return 0, &partError{fmt.Errorf("tail log %s: %w", s.path, err)}
	}
	s.from += start
	return found, nil
}
