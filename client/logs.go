package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"tend/api"
)

// maxLogLine is above the longest line of a log: 1 MiB, of which each byte may
// be escaped by six.
const maxLogLine = 8 << 20

// LogQuery chooses lines of logs, as api.LogLine says.
type LogQuery struct {
	Targets       []string // none: all
	Cwd           string
	Stream        string // api.StreamOut or api.StreamErr; "" is both
	Lines         *int   // nil: the daemon's default
	Since, Until  time.Time
	Grep, Exclude string
	Follow        bool
	After         []string // where to go on: see LogStream.Positions
}

func (q LogQuery) values() url.Values {
	v := url.Values{"target": q.Targets, "after": q.After}
	for name, text := range map[string]string{"cwd": q.Cwd, "stream": q.Stream, "grep": q.Grep, "exclude": q.Exclude} {
		if text != "" {
			v.Set(name, text)
		}
	}
	for name, t := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !t.IsZero() {
			v.Set(name, strconv.FormatInt(t.UnixMilli(), 10))
		}
	}
	if q.Lines != nil {
		v.Set("lines", strconv.Itoa(*q.Lines))
	}
	if q.Follow {
		v.Set("follow", "1")
	}
	return v
}

// LogStream is a stream of lines. Next belongs to one goroutine; Close may be
// called beside it.
type LogStream struct {
	client *Client
	ctx    context.Context //nolint:containedctx // the stream lives as long as it
	cancel context.CancelCauseFunc
	res    *http.Response
	lines  *lines
	last   map[string]string // positions, by log
}

// Logs asks for lines of logs, until ctx ends.
func (c *Client) Logs(ctx context.Context, q LogQuery) (*LogStream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var res *http.Response
	err := c.again(ctx, func() (err error) {
		res, err = c.do(ctx, http.MethodGet, "logs", q.values(), nil)
		return err
	})
	if err != nil {
		cancel(nil)
		return nil, err
	}
	s := &LogStream{client: c, ctx: ctx, cancel: cancel, res: res, lines: newLines(res.Body), last: map[string]string{}}
	s.lines.scan.Buffer(nil, maxLogLine)
	return s, nil
}

// Next waits for the next line. At the end of a stream that does not follow it
// fails with io.EOF; a daemon that goes away is an ErrBroken, after which
// another stream may go on behind Positions.
func (s *LogStream) Next() (api.LogLine, error) {
	for {
		var l api.LogLine
		err := s.lines.next(&l)
		switch {
		case errors.Is(err, errCut):
			return l, s.client.lost(s.ctx, err)
		case err != nil:
			return l, err
		case l.Error != nil:
			return l, l.Error
		case l.Done:
			return l, io.EOF
		}
		s.last[fmt.Sprint(l.ID, l.Stream)] = l.Position
		if !l.Mark {
			return l, nil
		}
	}
}

// Positions is where the logs that were seen go on, for LogQuery.After.
func (s *LogStream) Positions() []string { return slices.Sorted(maps.Values(s.last)) }

// Close ends the stream: a Next that waits fails with os.ErrClosed.
func (s *LogStream) Close() error {
	s.cancel(os.ErrClosed)
	return s.res.Body.Close()
}
