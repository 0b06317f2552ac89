package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/fanout"
)

// A flood of notices is written in pieces of noticeBuffer, and one that was
// found waits for no more than noticeBatch others, wanted or not.
const (
	noticeBuffer = 8 << 10
	noticeBatch  = 256
)

// events streams notices until the client or the daemon goes. A client that is
// slower than they come loses some, and is told so; one that does not read at
// all is cut off.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	after, err := seqOf(q.Get("after"))
	if err != nil {
		refuse(w, err)
		return
	}
	topics := q["topic"]
	lines, err := s.linesOf(topics)
	if err != nil {
		refuse(w, err)
		return
	}
	notices := s.opts.Notices.Reader(after)
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := newNoticeStream(w, s.writeWait)
	// The header goes out at once: whoever has it sees what comes from now on.
	err = out.Flush()
	ctx, cancel := context.WithCancel(r.Context())
	var beside sync.WaitGroup
	if lines != nil {
		beside.Go(func() {
			lines.run(ctx, out)
			cancel() // the end of the stream tells the client
		})
	}
	for err == nil {
		if err = some(ctx, notices, topics, out); err == nil {
			err = out.Flush()
		}
	}
	cancel()
	beside.Wait()
}

// noticeStream writes notices to a client.
type noticeStream struct {
	out timely

	mu     sync.Mutex
	buffer *bufio.Writer
	enc    *json.Encoder
}

func newNoticeStream(w http.ResponseWriter, wait time.Duration) *noticeStream {
	s := &noticeStream{out: newTimely(w, wait)}
	s.buffer = bufio.NewWriterSize(s.out, noticeBuffer)
	s.enc = json.NewEncoder(s.buffer)
	s.enc.SetEscapeHTML(false) // Data goes out as it came
	return s
}

func (s *noticeStream) tell(n api.Notice) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.enc.Encode(n)
}

// Flush sends what is there.
func (s *noticeStream) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.buffer.Flush(); err != nil {
		return err
	}
	return s.out.flush()
}

// some waits for a notice on one of the topics, and tells it and those that are
// there already.
func some(ctx context.Context, notices *fanout.Reader, topics []string, out *noticeStream) error {
	found := false
	for looked := 0; !found || looked < noticeBatch && notices.Behind(); looked++ {
		n, err := notices.Next(ctx)
		if err != nil {
			return err
		}
		if !wanted(topics, n.Topic) {
			continue
		}
		if err := out.tell(n); err != nil {
			return err
		}
		found = true
	}
	return nil
}

// seqOf reads the number of a notice; none is no error.
func seqOf(text string) (*uint64, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no number is one of the answers
	}
	seq, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil, &errs.Error{
			Op: "read", On: "after", Kind: errs.Invalid, Err: fmt.Errorf("%q is no number of a notice", text),
			Hint: "it is the seq of the last notice that was seen",
		}
	}
	return &seq, nil
}

// wanted tells whether a reader that chose topics sees one: without a choice it
// sees all, and what it missed it is told in any case.
func wanted(topics []string, topic string) bool {
	return len(topics) == 0 || topic == api.TopicLost || slices.Contains(topics, topic)
}

// timely gives every write a deadline of its own.
type timely struct {
	http.ResponseWriter

	control *http.ResponseController
	wait    time.Duration
}

func newTimely(w http.ResponseWriter, wait time.Duration) timely {
	return timely{ResponseWriter: w, control: http.NewResponseController(w), wait: wait}
}

func (t timely) Write(b []byte) (int, error) {
	if err := t.wind(); err != nil {
		return 0, err
	}
	return t.ResponseWriter.Write(b)
}

func (t timely) flush() error {
	if err := t.wind(); err != nil {
		return err
	}
	return t.control.Flush()
}

func (t timely) wind() error { return t.control.SetWriteDeadline(time.Now().Add(t.wait)) }
