package fanout

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/errs"
)

// magic tells that the memory is a ring, and the version of its format.
const magic = 0x31676e69_72646e74 // "tndring1" in memory

// The bounds of a ring. The smallest still takes every notice, shortened.
const (
	minSize = 4 << 10
	maxSize = 1 << 30
)

// The largest numbers that are believed. Seq has to stay below 2^53, the end of
// the whole numbers of JavaScript: microseconds since 1970 do until 2255, and a
// ring that begins at half of that has as many left.
const (
	maxBase = 1 << 52
	maxSeq  = 1<<53 - 1
	maxPos  = 1 << 62
)

// Open maps the ring in fd, which stays the caller's and may be closed, and
// recovers what a predecessor published. One that is damaged is begun anew,
// with numbers that go on from the highest that could be read.
func Open(fd int, log *slog.Logger) (*Ring, error) {
	mem, err := mapAll(fd)
	if err != nil {
		return nil, &errs.Error{Op: "open", On: "the ring of notices", Kind: errs.Internal, Err: err}
	}
	r := &Ring{mem: mem, data: mem[dataStart : dataStart+(len(mem)-dataStart)/align*align]}
	if r.word(wordMagic).Load() == 0 {
		r.begin(0)
		return r, nil
	}
	if err := r.recover(); err != nil {
		log.Warn("the memory of past notices is damaged, and begun anew", "err", err, "read_up_to_seq", r.last)
		r.begin(r.last)
	}
	return r, nil
}

func mapAll(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Size < minSize || st.Size > maxSize {
		return nil, fmt.Errorf("%d bytes are not the size of one", st.Size)
	}
	mem, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return mem, os.NewSyscallError("mmap", err)
}

// begin makes an empty ring, whose numbers are larger than after and, by the
// clock, than those of any ring before. The magic comes last: without it the
// next one begins again.
func (r *Ring) begin(after uint64) {
	now := uint64(max(0, time.Now().UnixMicro()))
	r.base = min(max(now, after), maxBase)
	r.head, r.tail = 0, 0
	r.first, r.last = r.base+1, r.base
	r.marks = nil
	r.word(wordMagic).Store(0)
	r.word(wordBase).Store(r.base)
	r.word(wordHead).Store(0)
	r.word(wordTail).Store(0)
	r.word(wordMagic).Store(magic)
}

// recover reads every entry. After an error last is the highest Seq that could
// be read.
func (r *Ring) recover() error {
	if found := r.word(wordMagic).Load(); found != magic {
		return fmt.Errorf("it begins with %#x, another format", found)
	}
	base, head, tail := r.word(wordBase).Load(), r.word(wordHead).Load(), r.word(wordTail).Load()
	if base > maxBase {
		return fmt.Errorf("it begins behind notice %d", base)
	}
	r.base, r.last = base, base
	if head > tail || tail > maxPos || tail-head > uint64(len(r.data)) || (head|tail)%align != 0 {
		return fmt.Errorf("its entries are from %d to %d", head, tail)
	}
	r.head, r.tail, r.first = head, tail, base+1
	r.marks = map[string]uint64{}
	for pos := head; pos < tail; {
		length, err := r.recoverOne(pos, tail)
		if err != nil {
			return fmt.Errorf("at %d of %d to %d: %w", pos, head, tail, err)
		}
		pos += length
	}
	return nil
}

// recoverOne reads the entry or the pad at pos, and tells how long it is.
func (r *Ring) recoverOne(pos, tail uint64) (length uint64, err error) {
	length, pad := entryLength(r.from(pos))
	switch {
	case length == 0 || length%align != 0 || length > min(r.room(pos), tail-pos):
		return 0, fmt.Errorf("an entry of %d bytes", length)
	case pad && length != r.room(pos):
		return 0, fmt.Errorf("a pad of %d bytes", length)
	case pad:
		return length, nil
	}
	n, m, err := parseEntry(r.from(pos)[:length])
	if err != nil {
		return 0, err
	}
	oldest := r.last == r.base
	if n.Seq > maxSeq || n.Seq <= r.last || !oldest && n.Seq != r.last+1 {
		return 0, fmt.Errorf("notice %d stands behind %d", n.Seq, r.last)
	}
	if oldest {
		r.first = n.Seq
	}
	r.last = n.Seq
	if m.Key != "" {
		r.marks[m.Key] = max(r.marks[m.Key], m.Line)
	}
	return length, nil
}
