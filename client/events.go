package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"tend/api"
)

// Subscription is a stream of notices. Next belongs to one goroutine; Close
// may be called beside it.
type Subscription struct {
	client *Client
	ctx    context.Context //nolint:containedctx // the stream lives as long as it
	cancel context.CancelCauseFunc
	res    *http.Response
	lines  *lines
}

// Subscribe asks for what happens, on the topics, or on all when none is
// named, until ctx ends. When it returns, everything published later is seen;
// with after it begins behind the notice of that Seq, as far as the daemon
// remembers.
//
// A subscription ends with the daemon that serves it: Next then fails with
// ErrBroken. To miss nothing, subscribe again with the Seq of the last notice
// that was seen. A reader that was too slow, or comes too late, gets a notice
// of api.TopicLost, whatever its topics are, and goes on behind what it missed.
func (c *Client) Subscribe(ctx context.Context, after *uint64, topics ...string) (*Subscription, error) {
	v := url.Values{"topic": topics}
	if after != nil {
		v.Set("after", strconv.FormatUint(*after, 10))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var res *http.Response
	err := c.again(ctx, func() (err error) {
		res, err = c.do(ctx, http.MethodGet, "events", v, nil)
		return err
	})
	if err != nil {
		cancel(nil)
		return nil, err
	}
	return &Subscription{client: c, ctx: ctx, cancel: cancel, res: res, lines: newLines(res.Body)}, nil
}

// Next waits for the next notice. After an error there is none.
func (s *Subscription) Next() (api.Notice, error) {
	var n api.Notice
	err := s.lines.next(&n)
	if errors.Is(err, errCut) {
		err = s.client.lost(s.ctx, err)
	}
	return n, err
}

// Close ends the subscription: a Next that waits fails with os.ErrClosed.
func (s *Subscription) Close() error {
	s.cancel(os.ErrClosed)
	return s.res.Body.Close()
}
