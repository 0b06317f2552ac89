package collect

import (
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A rest is what is kept of a stream between two blocks, in memory that outlives
// the daemon: the line that lacks its end, of which one of two halves is valid;
// and the block that its files did not take.
//
//	0      which half is valid
//	8      bytes that are parked
//	4096   first half: the length, then bit 32: the line's beginning is written
//	       already, and from bit 33 on how many lines were dropped that no note
//	       has told of; at 8 the number of the console's next frame; at 16 the
//	       bytes
//	       second half, likewise
//	       parked bytes
type rest struct {
	name string
	mem  []byte
	tail []byte // of the valid half; points into mem
	mid  bool
	seq  uint64
	// dropped is how many lines were, of which is still to be told.
	dropped int64
	grown   bool // a half may have used more than keptHalf
}

const (
	// maxRest is how long a line may be that is written in one piece. The memory
	// is there only as far as it was used, and what is beyond keptHalf is given
	// back when such a line is over: it would count for the daemon.
	maxRest    = 1 << 20
	keptHalf   = 128 << 10
	halfSize   = 16 + maxRest
	restHalf   = 4096
	restParked = restHalf + 2*(halfSize+4080) // each half begins a page
	restSize   = restParked + blockSize
	beginsMid  = 1 << 32
	ofDropped  = 33 // the bit where their number begins
	maxDropped = 1<<(64-ofDropped) - 1
)

// restName is the name of a rest on the shelf.
func restName(key string) string { return key + ".rest" }

// openRest takes the rest of a stream from the shelf, or makes it.
func openRest(shelf Shelf, key string) (*rest, error) {
	name := restName(key)
	_, there := shelf.Held(name)
	if !there {
		fd, err := sharedMemory("tend-rest", restSize)
		if err != nil {
			return nil, err
		}
		err = shelf.Hold(name, fd)
		_ = unix.Close(fd)
		if err != nil {
			return nil, err
		}
	}
	fd, _ := shelf.Held(name)
	mem, err := unix.Mmap(fd, 0, restSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	r := &rest{name: name, mem: mem, grown: there}
	r.load()
	return r, nil
}

func (r *rest) close() { _ = unix.Munmap(r.mem) }

func (r *rest) valid() int { return int(atomic.LoadUint64(word(r.mem, 0)) & 1) } //nolint:gosec // 0 or 1

func (r *rest) half(n int) []byte { return r.mem[restHalf+n*(halfSize+4080):][:halfSize] }

// load reads the valid half.
func (r *rest) load() {
	h := r.half(r.valid())
	w := atomic.LoadUint64(word(h, 0))
	r.mid = w&beginsMid != 0
	r.dropped = int64(w >> ofDropped) //nolint:gosec // 31 bits
	r.seq = atomic.LoadUint64(word(h, 8))
	r.tail = h[16:][:min(w&(beginsMid-1), maxRest)]
}

// prepare writes a line that lacks its end, the number of the next frame, and
// that of lines that were dropped, into the half that is not valid, and tells
// which it is.
func (r *rest) prepare(tail []byte, mid bool, seq uint64, dropped int64) int {
	n := 1 - r.valid()
	h := r.half(n)
	r.grown = r.grown || 16+len(tail) > keptHalf
	w := uint64(copy(h[16:], tail)) //nolint:gosec // a length
	if mid {
		w |= beginsMid
	}
	w |= uint64(min(dropped, maxDropped)) << ofDropped //nolint:gosec // never negative
	atomic.StoreUint64(word(h, 8), seq)
	atomic.StoreUint64(word(h, 0), w)
	return n
}

// choose makes a half valid.
func (r *rest) choose(n int) {
	atomic.StoreUint64(word(r.mem, 0), uint64(n)) //nolint:gosec // 0 or 1
	r.load()
	if r.grown && 16+len(r.tail) <= keptHalf {
		r.shrink()
	}
}

// shrink gives back the memory of halves that nothing valid stands in.
func (r *rest) shrink() {
	for n := range 2 {
		_ = unix.Madvise(r.half(n)[keptHalf:maxRest], unix.MADV_REMOVE) // it is only memory
	}
	r.grown = false
}

func (r *rest) parked() []byte {
	return r.mem[restParked:][:min(atomic.LoadUint64(word(r.mem, 8)), blockSize)]
}

// park keeps a block.
func (r *rest) park(block []byte) {
	copy(r.mem[restParked:], block)
	atomic.StoreUint64(word(r.mem, 8), uint64(len(block)))
}

func (r *rest) unpark() { atomic.StoreUint64(word(r.mem, 8), 0) }
