package logs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	followEvery = 100 * time.Millisecond
	// followPause is how long a line may lack its end before it is given
	// without: a prompt, or a progress bar.
	followPause = 250 * time.Millisecond
	// followShare is how much of one file is read before the next.
	followShare = 1 << 20
)

// File is a file to follow and what its lines are to be known by.
type File struct {
	Path  string
	Label any
}

// Follow gives the lines that are written to files from now on, without their
// ends, until ctx ends or emit fails, and then the cause. See Follower.
func Follow(ctx context.Context, files []File, emit func(label any, line []byte) error) error {
	f, err := NewFollower(files)
	if err != nil {
		return err
	}
	return f.Run(ctx, emit)
}

// Follower gives the lines that are written to files after it was made. It
// keeps up with files that are emptied, replaced, removed or not yet there.
// A file that was emptied and has grown beyond its old length within a tenth of
// a second passes for one that has only grown.
type Follower struct {
	files []*followed
	block []byte
}

// NewFollower notes the ends of files.
func NewFollower(files []File) (*Follower, error) {
	f := &Follower{block: make([]byte, blockSize)}
	for _, file := range files {
		w := &followed{File: file}
		f.files = append(f.files, w)
		if err := w.open(); err != nil {
			f.close()
			return nil, err
		}
		if w.file == nil {
			continue
		}
		end, err := w.file.Seek(0, io.SeekEnd)
		if err != nil {
			f.close()
			return nil, fmt.Errorf("follow log: %w", err)
		}
		w.offset = end
	}
	return f, nil
}

// Tail is the last n lines of a file, by its place in the list, that were there
// when the Follower was made: the lines before those that Run gives. It may
// be called before Run only.
func (f *Follower) Tail(i, n int) ([]string, error) {
	w := f.files[i]
	if w.file == nil {
		return nil, nil
	}
	return tail(w.file, w.offset, n)
}

// Run calls emit with each line as it comes, until ctx ends or emit fails, and
// gives the cause. The bytes of a line are good during the call only. A line
// longer than 1 MiB comes in pieces. Run is called once and ends the Follower.
func (f *Follower) Run(ctx context.Context, emit func(label any, line []byte) error) error {
	defer f.close()
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		more := false
		for _, w := range f.files {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			left, err := w.advance(f.block, func(line []byte) error { return emit(w.Label, line) })
			if err != nil {
				return err
			}
			more = more || left
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

func (f *Follower) close() {
	for _, w := range f.files {
		w.close()
	}
}

// followed is one file of a Follower.
type followed struct {
	File
	file   *os.File // nil: it is not there
	info   os.FileInfo
	offset int64

	line    []byte    // the beginning of a line whose end was not seen yet
	grew    time.Time // when line got its last bytes
	partial bool      // the beginning of the current line was given already
}

// open opens the file at its beginning, if it is there.
func (w *followed) open() error {
	file, err := openPlain(w.Path)
	if file == nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return fmt.Errorf("follow log: %w", err)
	}
	w.file, w.info, w.offset = file, info, 0
	return nil
}

func (w *followed) close() {
	if w.file != nil {
		_ = w.file.Close()
		w.file = nil
	}
}

// advance reads what is new, at most a share of it, and tells whether there is
// more.
func (w *followed) advance(block []byte, emit func([]byte) error) (more bool, err error) {
	if w.file == nil {
		if err := w.open(); err != nil || w.file == nil {
			return false, err
		}
	}
	// What now has the path, looked at before the file is read to its end: the
	// writer goes on in the new one only after the old one is done.
	info, err := os.Stat(w.Path)
	replaced := err != nil || !os.SameFile(info, w.info)
	if !replaced && info.Size() < w.offset {
		if err := w.flush(emit); err != nil {
			return false, err
		}
		w.offset = 0
	}
	if replaced || info.Size() > w.offset {
		if more, err = w.read(block, emit); more || err != nil {
			return more, err
		}
	}
	if replaced {
		err := w.flush(emit)
		w.close()
		return err == nil, err
	}
	if len(w.line) > 0 && time.Since(w.grew) > followPause {
		return false, w.give(w.line, true, emit)
	}
	return false, nil
}

// read takes in a share of what lies behind the offset.
func (w *followed) read(block []byte, emit func([]byte) error) (more bool, err error) {
	for share := followShare; share > 0; share -= len(block) {
		n, err := w.file.ReadAt(block, w.offset)
		w.offset += int64(n)
		if terr := w.take(block[:n], emit); terr != nil {
			return false, terr
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("follow log: %w", err)
		}
	}
	return true, nil
}

// take cuts bytes into lines, and lines that are too long into pieces.
func (w *followed) take(b []byte, emit func([]byte) error) error {
	for len(b) > 0 {
		piece, rest, whole := bytes.Cut(b, []byte("\n"))
		room := maxLine - len(w.line)
		split := len(piece) > room
		if split {
			piece, rest, whole = b[:room], b[room:], false
		}
		b = rest
		if len(w.line) > 0 || !whole {
			w.line = append(w.line, piece...)
			w.grew = time.Now()
			piece = w.line
		}
		if whole || split {
			if err := w.give(piece, !whole, emit); err != nil {
				return err
			}
		}
	}
	return nil
}

// give emits a line or the beginning of one, and nothing where only the end of
// a line was left to come.
func (w *followed) give(line []byte, partial bool, emit func([]byte) error) error {
	var err error
	if len(line) > 0 || !w.partial {
		err = emit(line)
	}
	w.partial = partial
	w.line = w.line[:0]
	if cap(w.line) > blockSize {
		w.line = nil // one long line is no reason to hold that much for good
	}
	return err
}

// flush gives the beginning of a line that will get no end.
func (w *followed) flush(emit func([]byte) error) error {
	var err error
	if len(w.line) > 0 {
		err = w.give(w.line, false, emit)
	}
	w.partial = false
	return err
}
