package collect

import (
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A slate is where the one block that is on its way from a pipe to its files
// stands, and how far it has come: memory that outlives the daemon (a memfd on
// the keeper's shelf, with a pipe of its own beside it). Whatever instruction a
// daemon dies at, the next one knows what was done and does the rest: no byte is
// lost, and none is written twice.
//
//	moving   bytes go from the app's pipe to ours, of which nobody else knows:
//	         what is in it is what was moved
//	reading  they go from there to the block: what is not in our pipe any more
//	         is in it
//	writing  they are written; what a file has beyond its noted end is half a
//	         write, and is cut off before it is done anew
//	settling they are written, and what is left of the last line is made valid
//	parking  the files failed: the block goes to the memory of its stream
//
//	0     phase
//	8     bytes in the block
//	16    which half of the stream's rest is to be valid; bit 8: what was written
//	      was parked there
//	24    files: their number
//	32    each: device, inode, end (24 bytes)
//	256   key: a length, and the bytes
//	4096  block
type slate struct {
	mem    []byte
	rd, wr int // our pipe
}

// phase is how far the block has come. Numbers are in memory that a daemon of
// another version reads: append only.
type phase uint64

const (
	phaseIdle     phase = 0
	phaseMoving   phase = 1
	phaseReading  phase = 2
	phaseWriting  phase = 3
	phaseSettling phase = 4
	phaseParking  phase = 5
)

const (
	slateBlock = 4096
	slateSize  = slateBlock + blockSize
	slateKey   = 256
	maxKey     = 512
	mostFiles  = 8
	fromParked = 1 << 8
)

// The names on the shelf of the slate and its pipe.
const (
	heldSlate = "logs/slate"
	heldRead  = "logs/read"
	heldWrite = "logs/write"
)

// openSlate takes the slate from the shelf, or makes it.
func openSlate(shelf Shelf) (*slate, error) {
	_, there := shelf.Held(heldSlate)
	_, rd := shelf.Held(heldRead)
	_, wr := shelf.Held(heldWrite)
	if !there || !rd || !wr { // the slate is made last
		if err := makeSlate(shelf); err != nil {
			return nil, err
		}
	}
	s := &slate{}
	s.rd, _ = shelf.Held(heldRead)
	s.wr, _ = shelf.Held(heldWrite)
	// A pipe counts pages, and those of an app that writes lines are not full, down
	// to a half of each: a block is to be moved at once all the same.
	_, _ = unix.FcntlInt(uintptr(s.wr), unix.F_SETPIPE_SZ, 2*blockSize) // or it is moved in pieces
	fd, _ := shelf.Held(heldSlate)
	var err error
	s.mem, err = unix.Mmap(fd, 0, slateSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return s, os.NewSyscallError("mmap", err)
}

func makeSlate(shelf Shelf) error {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe", err)
	}
	defer func() { _, _ = unix.Close(p[0]), unix.Close(p[1]) }()
	fd, err := sharedMemory("tend-logs", slateSize)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return errors.Join(shelf.Hold(heldRead, p[0]), shelf.Hold(heldWrite, p[1]), shelf.Hold(heldSlate, fd))
}

func sharedMemory(name string, size int64) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	if err := unix.Ftruncate(fd, size); err != nil {
		_ = unix.Close(fd)
		return -1, os.NewSyscallError("ftruncate", err)
	}
	return fd, nil
}

func (s *slate) close() { _ = unix.Munmap(s.mem) }

func word(mem []byte, at int) *uint64 { return (*uint64)(unsafe.Pointer(&mem[at])) } //nolint:gosec // aligned, and inside

func (s *slate) load(at int) uint64     { return atomic.LoadUint64(word(s.mem, at)) }
func (s *slate) store(at int, v uint64) { atomic.StoreUint64(word(s.mem, at), v) }

func (s *slate) phase() phase    { return phase(s.load(0)) }
func (s *slate) enter(p phase)   { s.store(0, uint64(p)) }
func (s *slate) block() []byte   { return s.mem[slateBlock:][:min(s.load(8), blockSize)] }
func (s *slate) setSize(n int)   { s.store(8, uint64(n)) }      //nolint:gosec // at most a block
func (s *slate) half() int       { return int(s.load(16) & 1) } //nolint:gosec // 0 or 1
func (s *slate) wasParked() bool { return s.load(16)&fromParked != 0 }
func (s *slate) setHalf(half int, parked bool) {
	v := uint64(half) //nolint:gosec // 0 or 1
	if parked {
		v |= fromParked
	}
	s.store(16, v)
}

func (s *slate) setKey(key string) {
	binary.LittleEndian.PutUint64(s.mem[slateKey:], uint64(copy(s.mem[slateKey+8:slateKey+8+maxKey], key))) //nolint:gosec // its length
}

func (s *slate) key() string {
	n := min(binary.LittleEndian.Uint64(s.mem[slateKey:]), maxKey)
	return string(s.mem[slateKey+8:][:n])
}

// end is what a file had before a write.
type end struct{ dev, ino, size uint64 }

func (s *slate) setEnds(ends []end) {
	for i, e := range ends {
		at := 32 + 24*i
		s.store(at, e.dev)
		s.store(at+8, e.ino)
		s.store(at+16, e.size)
	}
	s.store(24, uint64(len(ends)))
}

func (s *slate) ends() []end {
	list := make([]end, min(s.load(24), mostFiles))
	for i := range list {
		at := 32 + 24*i
		list[i] = end{s.load(at), s.load(at + 8), s.load(at + 16)}
	}
	return list
}

// take moves at most a block out of the pipe of a stream. Nothing there is no
// error.
func (s *slate) take(key string, fd int) (n int, err error) {
	s.setKey(key)
	s.enter(phaseMoving)
	moved, err := retry(func() (int64, error) { return unix.Splice(fd, nil, s.wr, nil, blockSize, unix.SPLICE_F_NONBLOCK) })
	switch {
	case errors.Is(err, unix.EAGAIN):
		s.enter(phaseIdle)
		return 0, nil
	case err != nil:
		s.enter(phaseIdle)
		return 0, os.NewSyscallError("splice", err)
	case moved == 0:
		s.enter(phaseIdle)
		return 0, errNoWriter
	}
	s.setSize(int(moved))
	return int(moved), s.read(0)
}

// read reads what was moved into the block, of which so much is there already.
func (s *slate) read(got int) error {
	s.enter(phaseReading)
	b := s.block()
	for got < len(b) {
		n, err := retry(func() (int64, error) {
			n, err := unix.Read(s.rd, b[got:])
			return int64(n), err
		})
		if err != nil {
			return os.NewSyscallError("read", err)
		}
		got += int(n)
	}
	return nil
}

// resume goes on with what a daemon left in the middle, up to where the block is
// to be written. Not there: nothing was on its way.
func (s *slate) resume() (there bool, err error) {
	inPipe, err := unix.IoctlGetInt(s.rd, unix.TIOCINQ)
	if err != nil {
		return false, os.NewSyscallError("ioctl", err)
	}
	switch s.phase() {
	case phaseMoving:
		if inPipe == 0 {
			s.enter(phaseIdle)
			return false, nil
		}
		s.setSize(inPipe)
		return true, s.read(0)
	case phaseReading:
		return true, s.read(len(s.block()) - inPipe)
	case phaseWriting, phaseSettling, phaseParking:
		return true, nil
	case phaseIdle:
	}
	return false, nil
}
