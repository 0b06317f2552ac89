// Package wire is what daemon and keeper say to each other: frames over a
// socketpair, each of one kind, with a body of numbered fields and with file
// descriptors beside it.
//
// Numbers of kinds and fields are append only and a reader skips what it does
// not know, so that an old keeper can serve a new daemon and the other way
// round. The codec is written by hand: the keeper must stay tiny, so it links
// neither encoding/json nor fmt.
package wire

import (
	"encoding/binary"
	"errors"
	"io"

	"tend/internal/fdpass"
)

// Version is the version of the frame itself. It changes only when the header
// does, which would break every running keeper: avoid it.
const Version = 1

// Kind is what a frame means. Append only.
type Kind uint8

// The kinds, with who sends them.
const (
	KindHello   Kind = 1  // both: Hello; the daemon's first frame, and its answer
	KindSpawn   Kind = 2  // daemon: Spawn, with the ends of its pipes
	KindSpawned Kind = 3  // keeper: Child, with pidfd
	KindFailed  Kind = 4  // keeper: Failed, in answer to anything
	KindExit    Kind = 5  // keeper: Exit
	KindAck     Kind = 6  // daemon: Seq
	KindList    Kind = 7  // daemon: asks for everything that is kept
	KindChild   Kind = 8  // both: Child, with pidfd
	KindHold    Kind = 9  // both: Name, with one descriptor
	KindDrop    Kind = 10 // daemon: Name
	KindEnd     Kind = 11 // both: closes a list
	KindOK      Kind = 12 // keeper: done
	KindReady   Kind = 13 // daemon: it serves
	KindUpgrade Kind = 14 // daemon: Upgrade
	KindQuit    Kind = 15 // daemon: end, when I am gone
	KindSelf    Kind = 16 // keeper to its successor: Self
)

// Frame is one message. FDs belong to whoever received the frame.
type Frame struct {
	Kind Kind
	ID   uint64 // of the request that this is or answers; 0: neither
	Body []byte
	FDs  []int
}

// A frame on the wire: version, kind, flags, 0, length of body (32 bits), id
// (64 bits), body. All little endian.
const (
	headerSize = 16
	// inlineBody is the largest body that travels in the packet. A socket
	// buffer (net.core.wmem_default) takes many of these; a larger body goes
	// in a memory file beside the packet.
	inlineBody = 32 << 10
	// maxBody bounds what a broken peer can make us read. Arguments and
	// environment of a process are at most 2 MiB together on Linux with the
	// default stack limit (execve(2)), 6 MiB at most.
	maxBody = 32 << 20

	flagBodyInFile = 1 // the last descriptor holds the body
)

var (
	errShort   = errors.New("wire: frame is cut short")
	errVersion = errors.New("wire: frame of another version")
	errLength  = errors.New("wire: length of body is wrong")
)

// Conn reads and writes frames. Write may be called by many goroutines at
// once, Read by one.
type Conn struct {
	*fdpass.Conn

	in []byte
}

// NewConn takes over fd, an end of a fdpass.Pair.
func NewConn(fd int) (*Conn, error) {
	c, err := fdpass.NewConn(fd)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c, in: make([]byte, headerSize+inlineBody)}, nil
}

// Write sends f with copies of its descriptors.
func (c *Conn) Write(f Frame) error {
	if len(f.Body) > maxBody {
		return errLength
	}
	if len(f.Body) <= inlineBody {
		return c.Send(AppendFrame(nil, f), f.FDs...)
	}
	fd, err := MemFile(f.Body)
	if err != nil {
		return err
	}
	defer fdpass.CloseAll([]int{fd})
	head := appendHeader(nil, f, flagBodyInFile)
	return c.Send(head, append(append([]int(nil), f.FDs...), fd)...)
}

// Read waits for the next frame. Its body is the caller's.
func (c *Conn) Read() (Frame, error) {
	n, fds, err := c.Recv(c.in)
	if err != nil {
		return Frame{}, err
	}
	f, flags, size, err := parseHeader(c.in[:n])
	if err != nil {
		fdpass.CloseAll(fds)
		return Frame{}, err
	}
	f.FDs = fds
	if flags&flagBodyInFile == 0 {
		if n-headerSize != size {
			fdpass.CloseAll(fds)
			return Frame{}, errLength
		}
		f.Body = append([]byte(nil), c.in[headerSize:n]...)
		return f, nil
	}
	if len(fds) == 0 {
		return Frame{}, errShort
	}
	last := fds[len(fds)-1]
	f.FDs = fds[:len(fds)-1]
	f.Body, err = readFile(last, size)
	fdpass.CloseAll([]int{last})
	if err != nil {
		fdpass.CloseAll(f.FDs)
		return Frame{}, err
	}
	return f, nil
}

// AppendFrame appends f without its descriptors to b: header, then body.
func AppendFrame(b []byte, f Frame) []byte {
	return append(appendHeader(b, f, 0), f.Body...)
}

// CutFrame takes the first frame off b, which AppendFrame made.
func CutFrame(b []byte) (f Frame, rest []byte, err error) {
	f, _, size, err := parseHeader(b)
	if err != nil {
		return Frame{}, nil, err
	}
	b = b[headerSize:]
	if len(b) < size {
		return Frame{}, nil, io.ErrUnexpectedEOF
	}
	f.Body = b[:size:size]
	return f, b[size:], nil
}

func appendHeader(b []byte, f Frame, flags uint8) []byte {
	b = append(b, Version, byte(f.Kind), flags, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Body))) //nolint:gosec // at most maxBody
	return binary.LittleEndian.AppendUint64(b, f.ID)
}

func parseHeader(b []byte) (f Frame, flags uint8, size int, err error) {
	if len(b) < headerSize {
		return f, 0, 0, errShort
	}
	if b[0] != Version {
		return f, 0, 0, errVersion
	}
	size = int(binary.LittleEndian.Uint32(b[4:]))
	if size > maxBody {
		return f, 0, 0, errLength
	}
	f.Kind = Kind(b[1])
	f.ID = binary.LittleEndian.Uint64(b[8:])
	return f, b[2], size, nil
}
