package read

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"hash/fnv"
	"io"
	"math"
	"os"
	"slices"
	"syscall"
	"time"

	"tend/internal/errs"
)

// beforeSize is how many of the bytes before a place it is known by.
const beforeSize = 64

// Position is where a log goes on. The file may be put aside, compressed or
// emptied before somebody comes back to it: it is known by its inode, else by
// when it was last written to and by the bytes that stand before the offset.
type Position struct {
	log    uint64 // of the log's path
	ino    uint64
	offset int64
	wrote  int64  // the least that the file's last write can be: nanoseconds since the epoch
	size   int64  // of before
	before uint32 // a sum of the bytes before the offset
}

// Of tells whether it is a position in the log at path.
func (p Position) Of(path string) bool { return p.log == logOf(path) }

// Time is no later than when somebody was at the position.
func (p Position) Time() time.Time { return time.Unix(0, p.wrote) }

func logOf(path string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(path)) // it never fails
	return h.Sum64()
}

func inode(info os.FileInfo) uint64 {
	if info == nil {
		return 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return uint64(st.Ino)
}

// lastBytes are the last bytes of a line, with its end where it has one.
func lastBytes(line []byte, ended bool) []byte {
	line = line[max(0, len(line)-beforeSize):]
	if ended {
		line = append(slices.Clone(line), '\n')
		line = line[max(0, len(line)-beforeSize):]
	}
	return line
}

func (p *Position) setBefore(b []byte) { p.size, p.before = int64(len(b)), crc32.ChecksumIEEE(b) }

// String is what others know a position by; ParsePosition reads it.
func (p Position) String() string {
	b := binary.AppendUvarint(nil, p.log)
	for _, n := range []uint64{p.ino, uint64(p.offset), uint64(p.wrote), uint64(p.size), uint64(p.before)} {
		b = binary.AppendUvarint(b, n)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParsePosition reads what String wrote.
func ParsePosition(text string) (Position, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	var words [6]uint64
	for i := range words {
		n := 0
		words[i], n = binary.Uvarint(b)
		if n <= 0 || err != nil {
			return Position{}, badPosition(text)
		}
		b = b[n:]
	}
	p := Position{words[0], words[1], int64(words[2]), int64(words[3]), int64(words[4]), uint32(words[5])}
	if len(b) > 0 || p.offset < 0 || p.size < 0 || p.size > min(beforeSize, p.offset) || words[5] > math.MaxUint32 {
		return Position{}, badPosition(text)
	}
	return p, nil
}

func badPosition(text string) error {
	return &errs.Error{
		Op: "read position", On: text, Kind: errs.Invalid, Err: errors.New("no line of a log has it"),
		Hint: "it is the position of the last line that was seen",
	}
}

// in tells whether the position is one of a segment, and whether that ends
// there.
func (p Position) in(s segment) (in, ends bool) {
	if !s.compressed() && s.info.Size() < p.offset {
		return false, false
	}
	r, err := s.open(p.offset - p.size)
	if r == nil || err != nil {
		return false, false
	}
	defer r.Close()
	before := make([]byte, p.size+1)
	n, err := io.ReadFull(r, before)
	if int64(n) < p.size || crc32.ChecksumIEEE(before[:p.size]) != p.before {
		return false, false
	}
	return true, err != nil
}
