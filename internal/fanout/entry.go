package fanout

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"tend/api"
)

// An entry is a frame of eight bytes, its length and a checksum of the rest, and
// then numbers and lengths as varints, the words, Data, and zeros up to a
// multiple of eight. A pad is a frame alone: nothing behind it is looked at.
const (
	frameSize = 8
	align     = 8
	padBit    = 1 << 31 // of the length
	words     = 5       // topic, name, namespace, unique id, key of the mark
	numbers   = 4       // seq, at, id, line of the mark

	// headBound is the most that all but words and Data take.
	headBound = frameSize + (numbers+words+1)*binary.MaxVarintLen64 + align
)

var errDamaged = errors.New("an entry is damaged")

// entryBound is the most that appendEntry takes for n, a multiple of align.
func entryBound(n *api.Notice, m *Mark) int {
	size := headBound + len(n.Topic) + len(n.Name) + len(n.Namespace) + len(n.UniqueID) + len(m.Key) + len(n.Data)
	return (size + align - 1) / align * align
}

// appendEntry appends n to b, which is empty.
func appendEntry(b []byte, n *api.Notice, m *Mark) []byte {
	b = append(b, make([]byte, frameSize)...)
	b = binary.AppendUvarint(b, n.Seq)
	b = binary.AppendVarint(b, n.At)
	b = binary.AppendVarint(b, int64(n.ID))
	b = binary.AppendUvarint(b, m.Line)
	b = binary.AppendUvarint(b, uint64(len(n.Topic)))
	b = binary.AppendUvarint(b, uint64(len(n.Name)))
	b = binary.AppendUvarint(b, uint64(len(n.Namespace)))
	b = binary.AppendUvarint(b, uint64(len(n.UniqueID)))
	b = binary.AppendUvarint(b, uint64(len(m.Key)))
	b = binary.AppendUvarint(b, uint64(len(n.Data)))
	b = append(b, n.Topic...)
	b = append(b, n.Name...)
	b = append(b, n.Namespace...)
	b = append(b, n.UniqueID...)
	b = append(b, m.Key...)
	b = append(b, n.Data...)
	b = append(b, make([]byte, -len(b)&(align-1))...)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint32(b[4:], checksum(b[frameSize:]))
	return b
}

// putPad writes a pad of length to the beginning of b.
func putPad(b []byte, length uint64) { binary.LittleEndian.PutUint64(b, length|padBit) }

// entryLength is the length of the entry at the beginning of b, and whether it
// is a pad. Every place where one can stand has room for a frame.
func entryLength(b []byte) (length uint64, pad bool) {
	n := binary.LittleEndian.Uint32(b)
	return uint64(n &^ padBit), n&padBit != 0
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// parseEntry is the inverse of appendEntry. Data is a part of b.
func parseEntry(b []byte) (n api.Notice, m Mark, err error) {
	if len(b) < frameSize || binary.LittleEndian.Uint32(b[4:]) != checksum(b[frameSize:]) {
		return api.Notice{}, Mark{}, errDamaged
	}
	p := parser{rest: b[frameSize:]}
	n.Seq = p.uvarint()
	n.At = p.varint()
	n.ID = int(p.varint())
	m.Line = p.uvarint()
	var lengths [words]uint64
	for i := range lengths {
		lengths[i] = p.uvarint()
	}
	dataLength := p.uvarint()
	text := string(p.take(lengths[:]...)) // one allocation for all words
	if p.bad {
		return api.Notice{}, Mark{}, errDamaged
	}
	for i, word := range [words]*string{&n.Topic, &n.Name, &n.Namespace, &n.UniqueID, &m.Key} {
		*word, text = text[:lengths[i]], text[lengths[i]:]
	}
	n.Data = p.take(dataLength)
	if p.bad || len(p.rest) >= align {
		return api.Notice{}, Mark{}, errDamaged
	}
	return n, m, nil
}

// parser takes fields off the beginning of rest. Once one was not there it is
// bad, and what it gives means nothing.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) uvarint() uint64 {
	v, n := binary.Uvarint(p.rest)
	p.skip(n)
	return v
}

func (p *parser) varint() int64 {
	v, n := binary.Varint(p.rest)
	p.skip(n)
	return v
}

// skip leaves out a number of n bytes; there was none when n is not positive.
func (p *parser) skip(n int) {
	if n <= 0 {
		p.bad = true
		return
	}
	p.rest = p.rest[n:]
}

// take gives as many bytes as the lengths add up to, and nil for none.
func (p *parser) take(lengths ...uint64) []byte {
	var sum uint64
	for _, n := range lengths {
		if n > uint64(len(p.rest))-sum {
			p.bad = true
			return nil
		}
		sum += n
	}
	if sum == 0 {
		return nil
	}
	taken := p.rest[:sum:sum]
	p.rest = p.rest[sum:]
	return taken
}
