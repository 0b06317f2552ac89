package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"tend/api"
	"tend/client"
	"tend/internal/app"
)

const (
	// idleLook is how often the table is looked at without being told of a
	// change: not every one is told.
	idleLook = time.Second
	// idlePatience is how long somebody who stopped or deleted everything may
	// take to start something.
	idlePatience = 8 * time.Second
	// ownerAgain is how long a daemon that does not answer is left alone.
	ownerAgain = 50 * time.Millisecond
	// codeNothing is the exit code when nothing is online any more, and no exit
	// of an app says more.
	codeNothing = 2
)

// exitCode is the exit code of a command as an error.
type exitCode int

func (exitCode) Error() string { return "an exit code" }

// errKilled tells that somebody ended our daemon.
var errKilled = errors.New("the daemon was told to end")

// errUnread tells that nobody reads our output any more.
var errUnread = errors.New("nobody reads the output")

// watch tells each change of an app, from the first on, to hear, which may be
// nil, until ctx ends,
// nobody reads us, the daemon is gone for good, or, with idle, nothing runs any more; then it
// gives the table as it was last. Daemons that die in between are none of its
// concern.
func (o *owner) watch(ctx context.Context, idle bool, hear func(n api.Notice, event string)) ([]api.Instance, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	o.wg.Go(func() {
		select {
		case <-o.screen.ended:
			cancel(errUnread)
		case <-ctx.Done():
		}
	})
	w := &ownerWatch{owner: o, idle: idle, hear: hear, last: new(uint64)}
	for {
		list, err := w.attend(ctx)
		if err == nil || ctx.Err() != nil {
			return list, context.Cause(ctx)
		}
		if err := o.ours(ctx); err != nil {
			return nil, err
		}
		if !o.unheld() {
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-time.After(ownerAgain):
			}
			continue
		}
		if !o.env.exists(o.env.Home.Socket()) { // it leaves none when it ends in order
			return nil, errKilled
		}
		// Daemon and keeper were killed: the next ones find the apps by the journal.
		if err := o.env.Own(ctx, o.env.Home); err != nil {
			return nil, err
		}
	}
}

// ownerWatch is a watch over the table.
type ownerWatch struct {
	owner   *owner
	idle    bool
	hear    func(n api.Notice, event string)
	last    *uint64   // the last notice that was heard
	ordered bool      // somebody stopped what was last to end
	since   time.Time // since when nothing runs; zero: something does
}

// attend is watch with one daemon.
func (w *ownerWatch) attend(ctx context.Context) ([]api.Instance, error) {
	if err := w.owner.ours(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	notices, err := w.owner.c.Subscribe(ctx, w.last, api.TopicProcess)
	if err != nil {
		return nil, err
	}
	come, fault := make(chan api.Notice), make(chan error, 1) // it ends whether we listen or not
	w.owner.wg.Go(func() {
		defer notices.Close()
		for {
			n, err := notices.Next()
			if err != nil {
				fault <- err
				return
			}
			select {
			case come <- n:
			case <-ctx.Done():
				return
			}
		}
	})
	look := time.NewTicker(idleLook)
	defer look.Stop()
	for {
		list, over, err := w.look(ctx)
		if over {
			w.hearOut(come)
		}
		if err != nil || over {
			return list, err
		}
		select {
		case n := <-come:
			w.take(n)
		case err := <-fault:
			return nil, err
		case <-look.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// hearOutPause is how long the last of what happened may take on its way here.
const hearOutPause = 20 * time.Millisecond

// hearOut hears what is on its way: the table may be ahead of what is told of
// it.
func (w *ownerWatch) hearOut(come <-chan api.Notice) {
	for w.hear != nil {
		select {
		case n := <-come:
			w.take(n)
		case <-time.After(hearOutPause):
			return
		}
	}
}

func (w *ownerWatch) take(n api.Notice) {
	seq := n.Seq
	w.last = &seq
	var data struct {
		Event string `json:"event"`
	}
	if n.Topic == api.TopicLost || json.Unmarshal(n.Data, &data) != nil {
		return
	}
	switch data.Event {
	case "stop", "delete":
		w.ordered = true
	case "exit", "online":
		w.ordered = false
	}
	if w.hear != nil {
		w.hear(n, data.Event)
	}
}

// look tells whether nothing runs any more, and nothing will by itself.
func (w *ownerWatch) look(ctx context.Context) (list []api.Instance, over bool, err error) {
	if !w.idle {
		return nil, false, nil
	}
	list, err = w.owner.c.Instances(ctx, client.Query{})
	if err != nil {
		return nil, false, err
	}
	if slices.ContainsFunc(list, busy) || w.revives(ctx, list) {
		w.since = time.Time{}
		return list, false, nil
	}
	if w.since.IsZero() {
		w.since = time.Now()
	}
	// What ended by itself will not come back; what somebody stopped may.
	waits := w.ordered || !slices.ContainsFunc(list, func(in api.Instance) bool { return in.Exited || in.State == api.Errored })
	return list, !waits || time.Since(w.since) >= idlePatience, nil
}

func busy(in api.Instance) bool { return running(in) || in.State == api.Stopping }

// revives tells whether something that ended is started again by a clock or a
// changed file.
func (w *ownerWatch) revives(ctx context.Context, list []api.Instance) bool {
	if len(list) == 0 {
		return false
	}
	list, err := w.owner.c.Instances(ctx, client.Query{Detail: true})
	return err == nil && slices.ContainsFunc(list, func(in api.Instance) bool {
		spec := in.Detail.Spec
		return spec.Cron != "" || in.Watching && spec.Watch != nil
	})
}

// codeOf is the exit code when apps have ended so: that of the first that
// failed.
func codeOf(list []api.Instance) exitCode {
	ended := false
	for _, in := range list {
		if code := codeOfOne(in); code != codeOK {
			return code
		}
		ended = ended || in.Exited
	}
	if ended {
		return codeOK
	}
	return codeNothing
}

func codeOfOne(in api.Instance) exitCode {
	signal, _ := app.Signal(cmp.Or(in.ExitSignal, "SIGTERM")) // it is a name, or there is none
	switch {
	case in.State == api.Errored && !in.Exited:
		return codeFailed // it could not be started
	case !in.Exited:
		return codeOK
	case in.ExitUnknown:
		return codeNothing
	case in.ExitSignal != "":
		return exitCode(128 + int(signal)) // as a shell has it
	case in.ExitCode == codeOK && in.State == api.Errored:
		return codeNothing // it was given up, whatever it said
	}
	return exitCode(in.ExitCode)
}
