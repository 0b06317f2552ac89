package cli

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"tend/api"
	"tend/client"
	"tend/internal/app"
	"tend/internal/console"
	"tend/internal/errs"
)

// owner runs a daemon in the foreground. The daemon lives for it: its output is
// printed here, and whichever of the two ends, everything ends.
type owner struct {
	env    *Env
	c      *client.Client
	lock   *os.File
	fifo   *os.File
	screen *screen
	wg     sync.WaitGroup
	life   context.Context //nolint:containedctx // of what runs beside, until the end
	over   context.CancelFunc
}

// own starts a daemon that belongs to us.
func (e *Env) own(ctx context.Context) (*owner, error) {
	o := &owner{env: e, c: client.New(e.Home.Socket())}
	o.life, o.over = context.WithCancel(context.WithoutCancel(ctx))
	if err := o.begin(ctx); err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// show begins to print what apps write. What they wrote before has waited.
func (o *owner) show(opts screenOptions) {
	o.screen = o.env.newScreen(opts, o.fifo)
	o.wg.Go(o.screen.run)
}

// stay prints what apps write once a command has come to its end, until somebody
// ends us or the daemon. The error is the command's.
func (o *owner) stay(ctx context.Context, err error) error {
	f, ctx := foreground(ctx)
	defer f.stop()
	if flushed := o.env.out.Flush(); err == nil {
		err = flushed
	}
	o.show(screenOptions{deaf: os.Getpid() == 1})
	if err == nil {
		f.serve(o)
		o.wg.Go(func() { reap(o.life) })
		_, err = o.watch(ctx, false, nil)
	}
	return f.finish(ctx, o, err)
}

func (o *owner) begin(ctx context.Context) error {
	h := o.env.Home
	if err := h.Make(); err != nil {
		return err
	}
	if err := o.env.besidePM2(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(h.Owned(), 0o700); err != nil {
		return o.refuse("create", h.Owned(), err)
	}
	if err := o.claim(); err != nil {
		return err
	}
	if err := o.clear(); err != nil {
		return o.refuse("empty", h.Owned(), err)
	}
	var err error
	if o.fifo, err = console.Make(h.Console()); err != nil {
		return o.refuse("make", h.Console(), err)
	}
	return o.env.Own(ctx, h)
}

func (*owner) refuse(op, path string, err error) error {
	kind := errs.Internal
	if errors.Is(err, fs.ErrPermission) {
		kind = errs.Denied
	}
	return &errs.Error{Op: op, On: path, Kind: kind, Err: err, Hint: "set TEND_HOME to a directory that you may write to"}
}

// claim makes us the only one who runs this home in the foreground.
func (o *owner) claim() error {
	path := o.env.Home.OwnedLock()
	var err error
	if o.lock, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return o.refuse("open", path, err)
	}
	if err := syscall.Flock(int(o.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return &errs.Error{
			Op: "run in", On: string(o.env.Home), Kind: errs.Exists, Err: errors.New("somebody runs it in the foreground already"),
			Hint: "`tend start` gives that daemon another app; TEND_HOME names another home",
		}
	}
	return nil
}

// clear removes what an owner before us left.
func (o *owner) clear() error {
	left, err := os.ReadDir(o.env.Home.Owned())
	for _, f := range left {
		if path := filepath.Join(o.env.Home.Owned(), f.Name()); path != o.env.Home.OwnedLock() {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

// endLimit is how long the daemon and its keeper may take to leave once every
// app is gone.
const endLimit = 5 * time.Second

// end ends every app, the last first, each within its kill_timeout, and then the
// daemon. Once hurry is closed they are killed.
func (o *owner) end(ctx context.Context, hurry <-chan struct{}) error {
	err := o.ours(ctx)
	if err == nil {
		done := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { o.hasten(ctx, hurry, done) })
		err = errors.Join(o.endApps(ctx), o.endDaemon(ctx, hurry))
		close(done)
		wg.Wait()
	}
	o.screen.drain()
	o.close()
	return errors.Join(err, o.screen.err())
}

// ours tells whether the daemon that answers, if any does, is ours. When ours and
// its keeper were killed anybody may have started another.
func (o *owner) ours(ctx context.Context) error {
	pong, err := o.c.Ping(ctx)
	if err != nil || pong.Owned {
		return nil //nolint:nilerr // it is gone, or not there yet
	}
	return &errs.Error{
		Op: "run in", On: string(o.env.Home), Kind: errs.Exists, Err: errors.New("the daemon was killed, and another has taken its place"),
		Hint: "that one is let be; `tend kill` ends it",
	}
}

// endDaemon ends daemon and keeper. One that was told to end by somebody else,
// with its whole control group for example, is doing what we want, and takes the
// time that it takes.
func (o *owner) endDaemon(ctx context.Context, hurry <-chan struct{}) error {
	err := o.c.Kill(ctx, nil)
	switch {
	case errors.Is(err, client.ErrAbsent):
		o.gone(ctx, nil, hurry)
	case err == nil, errors.Is(err, client.ErrBroken), errs.KindOf(err) == errs.Unavailable: // it leaves
		o.gone(ctx, time.After(endLimit), nil)
	default:
		return err
	}
	return nil
}

// hurryPause is the pace of killing what comes up while everything ends.
const hurryPause = 100 * time.Millisecond

// hasten kills every app once hurry is closed, until done is.
func (o *owner) hasten(ctx context.Context, hurry, done <-chan struct{}) {
	select {
	case <-hurry:
	case <-done:
		return
	}
	for {
		_ = o.c.Act(ctx, api.ActRequest{Act: api.ActSignal, Targets: []string{"all"}, Signal: "SIGKILL"}, nil) // who has ended is no matter
		select {
		case <-time.After(hurryPause):
		case <-done:
			return
		}
	}
}

// endApps deletes app by app: what has the lowest priority last, and else what
// was started last first.
func (o *owner) endApps(ctx context.Context) error {
	list, err := o.c.Instances(ctx, client.Query{Detail: true})
	if err != nil {
		return nil //nolint:nilerr // the daemon is gone, and the apps with it
	}
	slices.SortStableFunc(list, func(a, b api.Instance) int {
		return cmp.Compare(app.Priority(a.Detail.Spec), app.Priority(b.Detail.Spec))
	})
	for len(list) > 0 {
		name := list[len(list)-1].Name
		var ids []string
		list = slices.DeleteFunc(list, func(in api.Instance) bool {
			if in.Name == name {
				ids = append(ids, strconv.Itoa(in.ID))
			}
			return in.Name == name
		})
		req := api.ActRequest{Act: api.ActDelete, Targets: ids}
		switch failed := o.c.Act(ctx, req, nil); errs.KindOf(failed) {
		case errs.NotFound, errs.Unavailable: // it is gone already, or the daemon is
		default:
			err = errors.Join(err, failed)
		}
	}
	return err
}

// gonePause is the pace of looking whether daemon and keeper have left: nobody
// tells us when both have.
const gonePause = 2 * time.Millisecond

// gone waits until neither daemon nor keeper is there, or one of the channels
// says that it is enough.
func (o *owner) gone(ctx context.Context, limit <-chan time.Time, hurry <-chan struct{}) {
	for !o.unheld() {
		select {
		case <-ctx.Done():
			return
		case <-limit:
			return
		case <-hurry:
			return
		case <-time.After(gonePause):
		}
	}
}

// unheld tells whether nobody holds the lock of the home: daemon and keeper
// share it, so that both have ended then.
func (o *owner) unheld() bool {
	f, err := os.Open(o.env.Home.Lock())
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// close lets go of everything. An output that does not move is left behind: it
// ends with the program.
func (o *owner) close() {
	o.over()
	if o.fifo != nil {
		_ = o.fifo.Close() // nothing more is in it
		_ = o.clear()      // the next one does it otherwise
	}
	if o.screen == nil || o.screen.over() {
		o.wg.Wait()
	}
	if o.lock != nil {
		_ = o.lock.Close()
	}
	o.c.Close()
}
