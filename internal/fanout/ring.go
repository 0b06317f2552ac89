// Package fanout hands what happened to any number of listeners: a ring of
// notices in shared memory, which outlives the process that writes it. Its
// memory is a memfd that somebody else holds too, so whoever opens it next goes
// on where a predecessor was killed, and a listener of old resumes by the
// number of the last notice that it saw.
//
// It has one writer at a time, and it knows no listener: a Reader comes to the
// ring and pulls, at its own pace, and one that is too slow loses notices and
// is told how many. It does not look into what it carries.
//
// The memory begins with four words (magic, base, head, tail) and the rest are
// entries. Head and tail are positions, which only grow; an entry stands at its
// position modulo the size, in one piece, behind a pad where it would not fit
// before the end. The writer may be killed between any two instructions: it
// moves the head past what it will overwrite, writes behind the tail, and
// then the one store of the tail makes the entry be there.
package fanout

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tend/api"
)

// The words of the head of the memory, by their offsets, and where the entries
// begin. They are read by other versions of tend: append only.
const (
	wordMagic = 0
	wordBase  = 8 // the Seq before the first of this ring
	wordHead  = 16
	wordTail  = 24
	dataStart = 64
)

// share is the part of the ring that the largest entry may take, and wordShare
// that of each of its words (topic, names) when it would be larger.
const (
	share     = 8
	wordShare = 64
)

// Ring is the memory of what was published last. Its methods may be called by
// many goroutines.
type Ring struct {
	marks map[string]uint64 // what Open found; never changed

	mu   sync.Mutex
	mem  []byte // the whole map; nil when the ring is closed
	data []byte // the entries in it

	base        uint64
	head, tail  uint64        // positions of the oldest entry, and behind the newest
	first, last uint64        // their Seq; an empty ring has its first behind its last
	wake        chan struct{} // closed by the next Publish; nil while nobody waits
}

// Mark names one line that came over a channel, so that a line that was
// published and not yet taken out of the channel when the daemon died is not
// published twice.
type Mark struct {
	Key  string
	Line uint64
}

// Publish appends n, with the next Seq, and with the time of now where At is 0.
// It never waits for a reader. A notice larger than an eighth of the ring has
// {"omitted": bytes} in place of its Data. Data has to be JSON, or empty.
func (r *Ring) Publish(n api.Notice) { r.PublishMarked(n, Mark{}) }

// PublishMarked is Publish, with a mark for whoever opens the ring next.
func (r *Ring) PublishMarked(n api.Notice, m Mark) {
	if n.At == 0 {
		n.At = time.Now().UnixMilli()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mem == nil {
		return
	}
	n.Seq = r.last + 1
	size := entryBound(&n, &m)
	if size > len(r.data)/share {
		shorten(&n, &m, len(r.data)/wordShare)
		size = entryBound(&n, &m)
	}
	pos := r.reserve(uint64(size))
	entry := appendEntry(r.from(pos)[:0:size], &n, &m)
	r.last = n.Seq
	r.tail = pos + uint64(len(entry))
	r.word(wordTail).Store(r.tail)
	if r.wake != nil {
		close(r.wake)
		r.wake = nil
	}
}

// shorten leaves Data out, and cuts each word to limit bytes.
func shorten(n *api.Notice, m *Mark, limit int) {
	omitted := strconv.AppendInt([]byte(`{"omitted":`), int64(len(n.Data)), 10)
	n.Data = append(omitted, '}')
	for _, word := range []*string{&n.Topic, &n.Name, &n.Namespace, &n.UniqueID, &m.Key} {
		if len(*word) > limit {
			*word = strings.ToValidUTF8((*word)[:limit], "")
		}
	}
}

// reserve makes room for an entry of size behind the tail and tells where.
func (r *Ring) reserve(size uint64) (pos uint64) {
	pos = r.tail
	room := r.room(pos)
	if room < size {
		pos += room
	}
	r.evict(pos + size)
	if pos != r.tail {
		putPad(r.from(r.tail), room)
	}
	return pos
}

// evict gives up the oldest entries until what ends at end fits. The entries
// are at most an eighth of the ring each, so the newest always stay.
func (r *Ring) evict(end uint64) {
	head := r.head
	for end-head > uint64(len(r.data)) {
		length, pad := entryLength(r.from(head))
		if !pad {
			r.first++
		}
		head += length
	}
	if head != r.head {
		r.head = head
		r.word(wordHead).Store(head)
	}
}

// from is the memory from a position up to the end of the ring.
func (r *Ring) from(pos uint64) []byte { return r.data[pos%uint64(len(r.data)):] }

// room is how much of it there is.
func (r *Ring) room(pos uint64) uint64 { return uint64(len(r.data)) - pos%uint64(len(r.data)) }

// word is one of the words at the beginning of the memory.
func (r *Ring) word(offset int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&r.mem[offset])) // aligned: a map begins with a page
}

// Marked is the highest line that was marked for key in what Open recovered.
func (r *Ring) Marked(key string) (line uint64, ok bool) {
	line, ok = r.marks[key]
	return line, ok
}

// Close gives the memory back, and ends every Next with os.ErrClosed. What is
// published afterwards is lost.
func (r *Ring) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mem == nil {
		return nil
	}
	mem := r.mem
	r.mem, r.data = nil, nil
	if r.wake != nil {
		close(r.wake)
		r.wake = nil
	}
	return os.NewSyscallError("munmap", unix.Munmap(mem))
}
