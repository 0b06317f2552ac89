package gitinfo

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
)

// The types of objects in a pack (gitformat-pack(5)).
const (
	typeCommit   = 1
	typeOfsDelta = 6 // what differs from the object so many bytes before
	typeRefDelta = 7 // what differs from the object of a hash
)

// maxDepth is how many objects one may be described by, as far as git makes them.
const maxDepth = 64

// pack is an open pack.
type pack struct {
	file  *os.File
	index string // the path of its list
	depth int
}

// openPack is the commit at an offset of the pack whose list is at path.
func openPack(path string, offset int64) ([]byte, error) {
	f, err := os.Open(strings.TrimSuffix(path, ".idx") + ".pack")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &pack{file: f, index: path}
	return p.commit(offset)
}

// commit is the commit at an offset: itself, or what is to be done to another.
func (p *pack) commit(offset int64) ([]byte, error) {
	if p.depth++; p.depth > maxDepth || offset < 0 {
		return nil, errNoObject
	}
	r := bufio.NewReader(io.NewSectionReader(p.file, offset, maxFile))
	head, err := r.ReadByte()
	for b := head; err == nil && b&0x80 != 0; { // the length, which zlib knows too
		b, err = r.ReadByte()
	}
	if err != nil {
		return nil, err
	}
	var base int64
	switch head >> 4 & 7 {
	case typeCommit:
		return inflate(r)
	case typeOfsDelta:
		back, err := distance(r)
		if err != nil {
			return nil, err
		}
		base = offset - back
	case typeRefDelta:
		id := make([]byte, 20)
		if _, err := io.ReadFull(r, id); err != nil {
			return nil, err
		}
		at, ok := find(p.index, id)
		if !ok {
			return nil, errNoObject
		}
		base = at
	default:
		return nil, errNoObject
	}
	delta, err := inflate(r)
	if err != nil {
		return nil, err
	}
	text, err := p.commit(base)
	if err != nil {
		return nil, err
	}
	return apply(delta, text)
}

// distance reads how far back an object stands, in git's own way of writing it.
func distance(r io.ByteReader) (int64, error) {
	n := int64(-1)
	for range 9 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		n = (n+1)<<7 | int64(b&0x7f)
		if b&0x80 == 0 {
			return n, nil
		}
	}
	return 0, errNoObject
}

var errDelta = errors.New("what differs from another object cannot be read")

// apply makes a text of another: it copies parts of it, and adds its own.
func apply(delta, base []byte) ([]byte, error) {
	for range 2 { // the lengths of both, which we find out
		for len(delta) > 0 && delta[0]&0x80 != 0 {
			delta = delta[1:]
		}
		if len(delta) == 0 {
			return nil, errDelta
		}
		delta = delta[1:]
	}
	var out []byte
	for len(delta) > 0 {
		op := delta[0]
		delta = delta[1:]
		if op&0x80 == 0 {
			if n := int(op); n == 0 || n > len(delta) || len(out)+n > maxCommit {
				return nil, errDelta
			}
			out, delta = append(out, delta[:op]...), delta[op:]
			continue
		}
		var from, size int
		for bit := range 7 { // which bytes of place and length are there
			if op>>bit&1 == 0 {
				continue
			}
			if len(delta) == 0 {
				return nil, errDelta
			}
			if bit < 4 {
				from |= int(delta[0]) << (8 * bit)
			} else {
				size |= int(delta[0]) << (8 * (bit - 4))
			}
			delta = delta[1:]
		}
		if size == 0 {
			size = 0x10000
		}
		if from < 0 || from+size > len(base) || len(out)+size > maxCommit {
			return nil, errDelta
		}
		out = append(out, base[from:from+size]...)
	}
	return out, nil
}
