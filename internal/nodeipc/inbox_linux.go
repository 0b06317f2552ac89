package nodeipc

import (
	"bytes"
	"errors"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An inbox is where a channel is read to: memory that outlives the daemon (a
// memfd on the keeper's shelf). What was taken out of the channel and not yet
// dealt with when a daemon dies, the next one finds here: no message is lost.
//
// A daemon that dies inside recvmsg(2) cannot note how much came. So the memory
// past what is known is always zero, and lines hold no zero byte (JSON has
// none): the next daemon finds the end of what came by looking for it. A
// process that does send zeros garbles its own lines by that, and no other's.
//
//	0      head, skip and lines: one number, so that all change at once
//	8      notes: which of the two places holds them, and their length
//	4096   first place of the notes
//	12288  second place of the notes
//	20480  data
type inbox struct {
	fd   int
	mem  []byte
	tail int  // end of what came, in the data
	skip bool // what comes is of a line that was too long, up to its line break
}

const (
	notesSize  = 8 << 10
	notesStart = 4 << 10
	dataStart  = notesStart + 2*notesSize
	firstData  = 64 << 10
	// maxLine bounds a line of an app; a longer one is dropped.
	maxLine  = 8 << 20
	mostData = 2 * maxLine
	// leastRoom is how much there must be room for before a read.
	leastRoom = 4 << 10
)

// createInbox makes the memory of an inbox.
func createInbox() (fd int, err error) {
	fd, err = unix.MemfdCreate("tend-inbox", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	if err := unix.Ftruncate(fd, dataStart+firstData); err != nil {
		_ = unix.Close(fd)
		return -1, os.NewSyscallError("ftruncate", err)
	}
	return fd, nil
}

// openInbox maps an inbox, and finds what a daemon before us left in it. fd
// stays the caller's.
func openInbox(fd int) (*inbox, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Size < dataStart+firstData || st.Size > dataStart+mostData {
		return nil, errors.New("the inbox has a size that none has")
	}
	mem, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	in := &inbox{fd: fd, mem: mem}
	if int(in.head()) > len(in.data()) {
		return nil, errors.Join(errors.New("the inbox is damaged"), in.close())
	}
	if err := in.recover(); err != nil {
		return nil, errors.Join(err, in.close())
	}
	return in, nil
}

func (in *inbox) close() error { return os.NewSyscallError("munmap", unix.Munmap(in.mem)) }

func (in *inbox) word(at int) *uint64 { return (*uint64)(unsafe.Pointer(&in.mem[at])) } //nolint:gosec // aligned, and inside

func (in *inbox) data() []byte { return in.mem[dataStart:] }

// skipping is a bit beside the head.
const skipping = 1 << 31

// head is where the first byte stands that was not dealt with, and lines how
// many lines were, modulo 1<<32.
func (in *inbox) head() uint32  { return uint32(atomic.LoadUint64(in.word(0)) &^ skipping) } //nolint:gosec // the lower half
func (in *inbox) lines() uint32 { return uint32(atomic.LoadUint64(in.word(0)) >> 32) }       //nolint:gosec // the upper half

func (in *inbox) mark(head, lines uint32) {
	if in.skip {
		head |= skipping
	}
	atomic.StoreUint64(in.word(0), uint64(lines)<<32|uint64(head))
}

// recover finds the end of what came, and makes all that follows zero.
func (in *inbox) recover() error {
	head := int(in.head())
	in.skip = atomic.LoadUint64(in.word(0))&skipping != 0
	in.tail = len(in.data())
	if n := bytes.IndexByte(in.data()[head:], 0); n >= 0 {
		in.tail = head + n
	}
	// A process that sent zeros, or a daemon that died while it moved things,
	// may have left something behind the first zero.
	page := os.Getpagesize()
	from := dataStart + in.tail
	next := min((from+page-1)/page*page, len(in.mem))
	clear(in.mem[from:next])
	in.came(0)
	if next < len(in.mem) {
		err := unix.Fallocate(in.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(next), int64(len(in.mem)-next))
		return os.NewSyscallError("fallocate", err)
	}
	return nil
}

// line is the first line that was not dealt with, without its line break.
func (in *inbox) line() ([]byte, bool) {
	line, _, whole := bytes.Cut(in.data()[in.head():in.tail], []byte{'\n'})
	return line, whole
}

// done says that the first line, of n bytes, was dealt with: from here on it
// never comes again.
func (in *inbox) done(n int) {
	in.mark(in.head()+uint32(n)+1, in.lines()+1) //nolint:gosec // inside the data
}

// room makes room for a read and gives it. Not ok: a line is longer than any
// may be, and what there is of it was let go.
func (in *inbox) room() (space []byte, ok bool, err error) {
	head := int(in.head())
	switch {
	case head == in.tail && in.tail > 0:
		clear(in.data()[:in.tail])
		in.mark(0, in.lines())
		in.tail = 0
		if len(in.data()) > firstData {
			err = in.resize(firstData)
		}
	case len(in.data())-in.tail >= leastRoom:
	case in.tail-head < head: // what is left fits before where it is
		in.moveToFront(head)
	case in.tail-head >= maxLine || len(in.data()) >= mostData:
		in.skip = true
		in.mark(uint32(in.tail), in.lines()) //nolint:gosec // inside the data
		return in.room()
	default:
		err = in.resize(2 * len(in.data()))
	}
	return in.data()[in.tail:], !in.skip, err
}

// moveToFront moves the line that is not whole. Until it is all there the old
// place counts.
func (in *inbox) moveToFront(head int) {
	d := in.data()
	n := copy(d, d[head:in.tail])
	clear(d[n:head])
	in.mark(0, in.lines())
	clear(d[head:in.tail])
	in.tail = n
}

// resize makes the data n bytes. What is cut off is zero.
func (in *inbox) resize(n int) error {
	if err := unix.Ftruncate(in.fd, int64(dataStart+n)); err != nil {
		return os.NewSyscallError("ftruncate", err)
	}
	mem, err := unix.Mremap(in.mem, dataStart+n, unix.MREMAP_MAYMOVE)
	if err != nil {
		return os.NewSyscallError("mremap", err)
	}
	in.mem = mem
	return nil
}

// came takes note of n bytes that were read to where room said.
func (in *inbox) came(n int) {
	in.tail += n
	if !in.skip {
		return
	}
	// The rest of a line that was too long.
	pending := in.data()[in.head():in.tail]
	if end := bytes.IndexByte(pending, '\n'); end >= 0 {
		in.skip = false
		in.done(end)
		return
	}
	in.mark(uint32(in.tail), in.lines()) //nolint:gosec // inside the data
}

// setNotes keeps what the next daemon has to know of the channel. It is there
// as a whole or not at all.
func (in *inbox) setNotes(text []byte) bool {
	if len(text) > notesSize {
		return false
	}
	place := 1 - atomic.LoadUint64(in.word(8))>>32&1
	at := notesStart + int(place)*notesSize //nolint:gosec // 0 or 1
	copy(in.mem[at:], text)
	atomic.StoreUint64(in.word(8), place<<32|uint64(len(text)))
	return true
}

// notes is what setNotes kept.
func (in *inbox) notes() []byte {
	word := atomic.LoadUint64(in.word(8))
	at := notesStart + int(word>>32&1)*notesSize             //nolint:gosec // 0 or 1
	return in.mem[at : at+int(min(uint32(word), notesSize))] //nolint:gosec // at most notesSize
}
