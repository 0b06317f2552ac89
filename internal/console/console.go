// Package console is the way of apps' output to whoever runs the daemon in the
// foreground: frames in a fifo. A frame is what pipe(7) takes whole or not at
// all, and the fifo belongs to the reader, so that a daemon that is killed loses
// nothing of what it wrote and leaves no half of it. The next daemon begins again
// with the text that it finds in hand; the reader knows by a number what it has
// seen.
//
// It knows nothing of where the lines come from, or of what they look like in
// the end.
package console

import "encoding/binary"

// A frame:
//
//	0   its length
//	2   which output of the app: 1 or 2
//	3   the length of the name
//	4   the id of the instance
//	8   the stream
//	16  its number in the stream
//	24  the name of the app, and the text
const (
	headerSize = 24
	mostName   = 255
	mostFrame  = headerSize + mostName + payload
	// payload is the text of a frame that is not the last of its text. With the
	// largest header it is below PIPE_BUF, which is 4096 on Linux (pipe(7)).
	payload = 3584
)

// Source is whose lines a frame has.
type Source struct {
	Stream uint64 // of one launch: its numbers begin at 0
	ID     int
	App    string
	Err    bool // standard error
}

// Frames is how many frames a text of n bytes takes.
func Frames(n int) uint64 { return uint64((n + payload - 1) / payload) } //nolint:gosec // never negative

// Send gives the frames of a text to write, one after the other, of which the
// first done bytes were written before. seq is the number of the first frame of
// all. It returns how many bytes are written then.
func (s Source) Send(text []byte, done int, seq uint64, buffer []byte, write func(frame []byte) error) (int, error) {
	for done < len(text) {
		part := text[done:min(done+payload, len(text))]
		if err := write(s.append(buffer[:0], seq+Frames(done), part)); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

func (s Source) append(b []byte, seq uint64, text []byte) []byte {
	name := s.App[:min(len(s.App), mostName)]
	b = binary.LittleEndian.AppendUint16(b, uint16(headerSize+len(name)+len(text))) //nolint:gosec // at most mostFrame
	kind := byte(1)
	if s.Err {
		kind = 2
	}
	b = append(b, kind, byte(len(name)))
	b = binary.LittleEndian.AppendUint32(b, uint32(s.ID)) //nolint:gosec // never negative
	b = binary.LittleEndian.AppendUint64(b, s.Stream)
	b = binary.LittleEndian.AppendUint64(b, seq)
	return append(append(b, name...), text...)
}

// frame is a frame as it was read.
type frame struct {
	Source

	seq  uint64
	text []byte
}

// parse reads the frame at the beginning of b, and tells its length: 0 when b
// holds no whole one. Not ok: it is none.
func parse(b []byte) (f frame, size int, ok bool) {
	if len(b) < headerSize {
		return f, 0, true
	}
	size = int(binary.LittleEndian.Uint16(b))
	text := headerSize + int(b[3])
	if size < text || size > mostFrame || b[2] < 1 || b[2] > 2 {
		return f, 0, false
	}
	if len(b) < size {
		return f, 0, true
	}
	f.Err, f.ID = b[2] == 2, int(binary.LittleEndian.Uint32(b[4:]))
	f.Stream, f.seq = binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	f.App, f.text = string(b[headerSize:text]), b[text:size]
	return f, size, true
}
