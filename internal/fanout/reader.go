package fanout

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strconv"
	"time"

	"tend/api"
)

// Reader is a place in a ring. It belongs to one goroutine, and needs no end.
type Reader struct {
	ring *Ring
	pos  uint64 // of the next entry
	seq  uint64 // of the last one seen
	lost uint64 // what was missed and not told yet
}

// Reader is a place behind the notice with Seq after, or with nil behind
// everything published so far. A number that is still to come is of another
// ring: that reader begins with what comes next, too.
func (r *Ring) Reader(after *uint64) *Reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	if after == nil || *after >= r.last || r.mem == nil {
		return &Reader{ring: r, pos: r.tail, seq: r.last}
	}
	rd := &Reader{ring: r, pos: r.head, seq: r.first - 1}
	if *after < rd.seq {
		// Nobody knows how many were published before the base of this ring.
		rd.lost = rd.seq - max(*after, r.base)
		if *after < r.base {
			rd.lost++
		}
		return rd
	}
	for rd.seq < *after {
		rd.skip()
	}
	return rd
}

// skip goes behind the next entry and tells where that stood.
func (rd *Reader) skip() (pos, length uint64) {
	for pad := true; pad; rd.pos += length {
		pos = rd.pos
		length, pad = entryLength(rd.ring.from(pos))
	}
	rd.seq++
	return pos, length
}

// Behind tells whether Next has something at once.
func (rd *Reader) Behind() bool {
	r := rd.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	return rd.lost > 0 || rd.pos != r.tail
}

// Next waits for the next notice. A reader that was overtaken is first told
// how many it missed, by an api.TopicLost whose Seq is that of the last of
// them. The error is that of ctx, or os.ErrClosed.
func (rd *Reader) Next(ctx context.Context) (api.Notice, error) {
	for {
		if ctx.Err() != nil {
			return api.Notice{}, context.Cause(ctx)
		}
		entry, lost, wake, err := rd.take()
		switch {
		case err != nil:
			return api.Notice{}, err
		case lost > 0:
			return rd.missed(lost), nil
		case entry != nil:
			n, _, err := parseEntry(entry)
			return n, err
		}
		select {
		case <-ctx.Done():
		case <-wake:
		}
	}
}

// take gives a copy of the next entry, or how many were lost before it, or
// what to wait for.
func (rd *Reader) take() (entry []byte, lost uint64, wake <-chan struct{}, err error) {
	r := rd.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mem == nil {
		return nil, 0, nil, os.ErrClosed
	}
	if rd.pos < r.head {
		rd.lost += r.first - 1 - rd.seq
		rd.pos, rd.seq = r.head, r.first-1
	}
	if lost, rd.lost = rd.lost, 0; lost > 0 {
		return nil, lost, nil, nil
	}
	if rd.pos == r.tail {
		if r.wake == nil {
			r.wake = make(chan struct{})
		}
		return nil, 0, r.wake, nil
	}
	pos, length := rd.skip()
	return bytes.Clone(r.from(pos)[:length]), 0, nil, nil
}

// missed stands for as many notices as were lost before the next one.
func (rd *Reader) missed(lost uint64) api.Notice {
	data := strconv.AppendUint([]byte(`{"lost":`), lost, 10)
	return api.Notice{
		Seq: rd.seq, At: time.Now().UnixMilli(), Topic: api.TopicLost, ID: -1,
		Data: json.RawMessage(append(data, '}')),
	}
}
