package supervisor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/keeper/wire"
	"tend/internal/nodeipc"
)

// The acts of the events that answer these requests.
const (
	actMessage = "message"
	actTrigger = "trigger"
	actInput   = "input"
)

// sendLimit is how long an app that does not read may keep a message waiting.
const sendLimit = 3 * time.Second

// Message sends a message over the channel of everything that the targets
// name.
func (s *Supervisor) Message(ctx context.Context, req api.MessageRequest, tell func(api.Event)) error {
	text, err := oneLine(req.Message)
	if err == nil {
		err = named(req.Targets)
	}
	if err != nil {
		return &errs.Error{Op: "send message", Kind: errs.Invalid, Err: err}
	}
	return s.eachTarget(actMessage, req.Targets, req.Cwd, tell, func(_ string, ids []int) []error {
		return s.say(ctx, actMessage, ids, text, tell)
	})
}

var errNoTarget = errors.New("no target was named")

func named(targets []string) error {
	if len(targets) == 0 {
		return errNoTarget
	}
	return nil
}

// oneLine is a message as it may travel: one line of JSON, not too long, and
// none of those by which Node's own modules talk to each other.
func oneLine(raw json.RawMessage) ([]byte, error) {
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil {
		return nil, fmt.Errorf("the message is no JSON: %w", err)
	}
	if line.Len() > api.MaxMessage {
		return nil, fmt.Errorf("the message has %d bytes, and at most %d go through at once", line.Len(), api.MaxMessage)
	}
	if nodeipc.IsInternal(line.Bytes()) {
		return nil, errors.New("a message whose cmd begins with NODE_ is for Node's own modules alone")
	}
	return line.Bytes(), nil
}

// Trigger has the instances that registered an action carry it out.
func (s *Supervisor) Trigger(ctx context.Context, req api.TriggerRequest, tell func(api.Event)) error {
	var text any = req.Action
	if req.Params != "" {
		text = map[string]string{"msg": req.Action, "opts": req.Params}
	}
	raw, err := json.Marshal(text)
	if err == nil {
		raw, err = oneLine(raw)
	}
	if err == nil {
		err = named(req.Targets)
	}
	if err == nil && req.Action == "" {
		err = errors.New("no action was named")
	}
	if err != nil {
		return &errs.Error{Op: actTrigger, On: req.Action, Kind: errs.Invalid, Err: err}
	}
	return s.eachTarget(actTrigger, req.Targets, req.Cwd, tell, func(target string, ids []int) []error {
		able, err := s.able(ctx, target, ids, req.Action)
		if err != nil {
			return []error{err}
		}
		return s.say(ctx, actTrigger, able, raw, tell)
	})
}

// able are the instances that run and registered an action.
func (s *Supervisor) able(ctx context.Context, target string, ids []int, action string) ([]int, error) {
	var able []int
	running := false
	err := s.ask(ctx, func(s *Supervisor) {
		for _, id := range ids {
			if in := s.table[id]; in != nil && in.alive() {
				running = true
				if can(in, action) {
					able = append(able, id)
				}
			}
		}
	})
	switch {
	case err != nil:
		return nil, err
	case !running:
		return nil, &errs.Error{
			Op: actTrigger, On: target, Kind: errs.NotFound, Err: errNotRunning, Hint: "`tend start " + target + "` starts it",
		}
	case len(able) == 0:
		return nil, &errs.Error{
			Op: actTrigger, On: target, Kind: errs.NotFound, Err: fmt.Errorf("the app has no action %s", action),
			Hint: "`tend describe " + target + "` shows what runs; an action is there once the app has registered it",
		}
	}
	return able, nil
}

// alive tells whether the process of an instance is there.
func (in *instance) alive() bool {
	l := &in.rec.Life
	return l.Live != 0 && !l.Ended && in.rec.KeyLaunch == l.Live && in.rec.Proc.PID != 0
}

// say sends a message to instances, all at once: one that does not read keeps
// no other waiting.
func (s *Supervisor) say(ctx context.Context, act string, ids []int, text []byte, tell func(api.Event)) []error {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	keys, names := make([]string, len(ids)), make([]string, len(ids))
	if err := s.ask(ctx, func(s *Supervisor) {
		for i, id := range ids {
			if in := s.table[id]; in != nil {
				names[i] = in.rec.Spec.Name
				if in.alive() {
					keys[i] = in.rec.Key
				}
			}
		}
	}); err != nil {
		return []error{err}
	}
	outcome := make([]error, len(ids))
	var sending sync.WaitGroup
	for i, key := range keys {
		sending.Go(func() { outcome[i] = s.sayOne(ctx, key, text) })
	}
	sending.Wait()
	var failed []error
	for i, id := range ids {
		failed = append(failed, receipt(act, id, names[i], outcome[i], tell)...)
	}
	return failed
}

// sayOne sends a message over one channel; key is "" where no process is.
func (s *Supervisor) sayOne(ctx context.Context, key string, text []byte) error {
	switch {
	case key == "":
		return errNotRunning
	case !s.opts.Channels.Status(key).Open:
		return errNoChannel
	}
	err := s.opts.Channels.Send(ctx, key, text)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("it does not read its messages: %w", err)
	}
	return err
}

// receipt tells of one receiver, and returns the error as a list.
func receipt(act string, id int, name string, err error, tell func(api.Event)) []error {
	ev := api.Event{Kind: api.EventInstance, Act: act, ID: id, Name: name, OK: err == nil}
	if err == nil {
		tell(ev)
		return nil
	}
	e := &errs.Error{Op: act, On: fmt.Sprintf("%s (%d)", name, id), Kind: errs.Invalid, Err: err, Hint: "`tend ls` shows what runs"}
	switch {
	case errors.Is(err, errNoChannel):
		e.Hint = "programs that speak Node's IPC have one, and what is started with --wait-ready or --shutdown-with-message"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.EAGAIN):
		e.Kind, e.Hint = errs.Timeout, ""
	}
	ev.Error = errs.Wire(e)
	tell(ev)
	return []error{e}
}

// Input writes a line to the standard input of everything that the targets
// name.
func (s *Supervisor) Input(ctx context.Context, req api.InputRequest, tell func(api.Event)) error {
	err := named(req.Targets)
	line := []byte(req.Line + cmp.Or(req.Separator, "\n"))
	if err == nil && len(line) > api.MaxLine+1 {
		err = fmt.Errorf("the line has %d bytes, and at most %d go through at once", len(req.Line), api.MaxLine)
	}
	if err != nil {
		return &errs.Error{Op: "write input", Kind: errs.Invalid, Err: err}
	}
	return s.eachTarget(actInput, req.Targets, req.Cwd, tell, func(_ string, ids []int) (failed []error) {
		for _, id := range ids {
			name, err := "", error(nil)
			asked := s.ask(ctx, func(s *Supervisor) { name, err = s.write(id, line) })
			failed = append(failed, receipt(actInput, id, name, errors.Join(err, asked), tell)...)
		}
		return failed
	})
}

// write writes a line to one instance. It does not wait, and nobody else drops
// the descriptor meanwhile.
func (s *Supervisor) write(id int, line []byte) (name string, err error) {
	in := s.table[id]
	if in == nil {
		return "", errNotRunning
	}
	name = in.rec.Spec.Name
	fd, ok := s.opts.Keeper.Held(wire.PipeName(in.rec.Key, inputSlot))
	if !ok || !in.alive() {
		return name, errNotRunning
	}
	for {
		_, err = syscall.Write(fd, line) // all or nothing: it is no longer than PIPE_BUF (pipe(7))
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return name, fmt.Errorf("it does not read its standard input, and no more fits: %w", err)
	case errors.Is(err, syscall.EPIPE):
		return name, fmt.Errorf("it has closed its standard input: %w", err)
	}
	return name, err
}
