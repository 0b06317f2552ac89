package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"tend/api"
)

// Start adds apps to the table and starts them. Like for every request that is
// answered by a stream, each is called for each event but the last, in order,
// and may be nil; the error is that of the last event.
func (c *Client) Start(ctx context.Context, req api.StartRequest, each func(api.Event)) error {
	return c.stream(ctx, "apps", req, each)
}

// Act does one thing to every instance that the targets name, target after
// target, up to the first that fails.
func (c *Client) Act(ctx context.Context, req api.ActRequest, each func(api.Event)) error {
	return c.stream(ctx, "instances", req, each)
}

// Scale changes the number of instances of an app.
func (c *Client) Scale(ctx context.Context, req api.ScaleRequest, each func(api.Event)) error {
	return c.stream(ctx, "scale", req, each)
}

// Message sends a message over the IPC channels of the instances that the
// targets name.
func (c *Client) Message(ctx context.Context, req api.MessageRequest, each func(api.Event)) error {
	return c.stream(ctx, "message", req, each)
}

// Trigger has the instances that the targets name carry out an action. Their
// answers are Notices of api.TopicReply: who wants all of them subscribes
// first.
func (c *Client) Trigger(ctx context.Context, req api.TriggerRequest, each func(api.Event)) error {
	return c.stream(ctx, "trigger", req, each)
}

// Input writes a line to the standard input of the instances that the targets
// name.
func (c *Client) Input(ctx context.Context, req api.InputRequest, each func(api.Event)) error {
	return c.stream(ctx, "input", req, each)
}

// Resurrect starts the apps of the dump file that are not in the table.
func (c *Client) Resurrect(ctx context.Context, each func(api.Event)) error {
	return c.stream(ctx, "resurrect", struct{}{}, each)
}

// Kill stops every app, then the daemon and its keeper.
func (c *Client) Kill(ctx context.Context, each func(api.Event)) error {
	return c.stream(ctx, "kill", struct{}{}, each)
}

func (c *Client) stream(ctx context.Context, path string, body any, each func(api.Event)) error {
	res, err := c.do(ctx, http.MethodPost, path, nil, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	for events := newLines(res.Body); ; {
		var ev api.Event
		if err := events.next(&ev); errors.Is(err, errCut) {
			return c.lost(ctx, err)
		} else if err != nil {
			return err
		}
		if ev.Kind == api.EventDone {
			events.drain() // a daemon that was told to end has left when the stream ends
			if ev.Error != nil {
				return ev.Error
			}
			return nil
		}
		if each != nil {
			each(ev)
		}
	}
}

// lines are a body of one JSON value a line.
type lines struct{ scan *bufio.Scanner }

// errCut tells that a body ended, or its connection did.
var errCut = errors.New("the stream was cut")

func newLines(body io.Reader) *lines {
	l := &lines{scan: bufio.NewScanner(body)}
	l.scan.Buffer(nil, maxLine)
	return l
}

// next reads a line into v.
func (l *lines) next(v any) error {
	for l.scan.Scan() {
		if len(l.scan.Bytes()) == 0 {
			continue
		}
		err := json.Unmarshal(l.scan.Bytes(), v)
		if err != nil && l.scan.Scan() {
			return fmt.Errorf("read an event: %w", err)
		}
		if err != nil {
			return l.cut() // a daemon that died leaves a torn last line
		}
		return nil
	}
	if errors.Is(l.scan.Err(), bufio.ErrTooLong) {
		return &api.Error{
			Op: "read", On: "an event", Kind: "internal",
			Message: fmt.Sprintf("it is longer than %d bytes", maxLine),
		}
	}
	return l.cut()
}

func (l *lines) cut() error { return errors.Join(errCut, l.scan.Err()) }

func (l *lines) drain() {
	for l.scan.Scan() {
	}
}
