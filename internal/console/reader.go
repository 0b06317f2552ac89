package console

import (
	"bytes"
	"errors"
	"io"
)

const (
	readSize = 256 << 10
	// mostLine is the longest line that is waited for to be whole: what is longer
	// comes in pieces, as in a log.
	mostLine = 1 << 20
	// mostStreams is how many streams are remembered. One that was forgotten may
	// tell again what a daemon told that died in the middle of it.
	mostStreams = 4096
)

// errFrame tells that somebody else writes into the fifo.
var errFrame = errors.New("what came is no frame")

// Lines are whole lines of one source, each with its end. They are good until
// the next are read.
type Lines struct {
	Source

	Text []byte
}

// Reader makes lines of the frames in a fifo.
type Reader struct {
	from    io.Reader
	buffer  []byte
	left    []byte // of the buffer, and not looked at
	streams map[uint64]*stream
}

// stream is what is remembered of one.
type stream struct {
	next uint64 // the number of the frame that was not seen yet
	part []byte // of a line that lacks its end
}

// NewReader reads frames from a fifo.
func NewReader(from io.Reader) *Reader {
	return &Reader{from: from, buffer: make([]byte, readSize), streams: map[uint64]*stream{}}
}

// Next gives the next lines. After an error of the fifo, which may be a deadline,
// it goes on where it was.
func (r *Reader) Next() (Lines, error) {
	for {
		f, size, ok := parse(r.left)
		switch {
		case !ok:
			return Lines{}, errFrame
		case size == 0:
			if err := r.fill(); err != nil {
				return Lines{}, err
			}
			continue
		}
		r.left = r.left[size:]
		if text := r.take(f); len(text) > 0 {
			return Lines{f.Source, text}, nil
		}
	}
}

// Waiting tells whether a frame is there that was read already.
func (r *Reader) Waiting() bool {
	_, size, ok := parse(r.left)
	return size > 0 || !ok
}

func (r *Reader) fill() error {
	n := copy(r.buffer, r.left)
	r.left = r.buffer[:n]
	m, err := r.from.Read(r.buffer[n:])
	r.left = r.buffer[:n+m]
	if m > 0 {
		return nil
	}
	return err
}

// take is the whole lines that a frame completes.
func (r *Reader) take(f frame) []byte {
	s := r.stream(f.Stream)
	if f.seq < s.next {
		return nil // from a daemon that did not know how far the one before had come
	}
	s.next = f.seq + 1
	whole := bytes.LastIndexByte(f.text, '\n') + 1
	if len(s.part) == 0 && whole == len(f.text) {
		return f.text
	}
	s.part = append(s.part, f.text...)
	if whole == 0 && len(s.part) < mostLine {
		return nil
	}
	text := s.part
	if whole > 0 {
		text = s.part[:len(s.part)-len(f.text)+whole]
	}
	s.part = bytes.Clone(s.part[len(text):])
	if whole == 0 {
		text = append(text, '\n')
	}
	return text
}

func (r *Reader) stream(id uint64) *stream {
	if s := r.streams[id]; s != nil {
		return s
	}
	if len(r.streams) >= mostStreams {
		for old, s := range r.streams {
			if len(s.part) == 0 {
				delete(r.streams, old)
				break
			}
		}
	}
	s := &stream{}
	r.streams[id] = s
	return s
}
