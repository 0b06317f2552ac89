package cli

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"tend/api"
	"tend/internal/app"
)

// front is what the signals to a program in the foreground mean: the first that
// ends programs ends every app in order, the second kills them, and those that
// an app has a meaning for go to all apps.
type front struct {
	sigs  chan os.Signal
	ready chan *owner   // who passes signals on
	hurry chan struct{} // closed by the second signal
	code  exitCode      // what the second says
	end   context.CancelFunc
	wg    sync.WaitGroup
}

// foreground is a context that ends with the first signal.
func foreground(ctx context.Context) (*front, context.Context) {
	life, end := context.WithCancel(ctx)
	f := &front{
		sigs:  make(chan os.Signal, 8), // a burst of different ones
		ready: make(chan *owner, 1), hurry: make(chan struct{}), end: end,
	}
	// A reader that left is told of by the write that fails, and not by an end of
	// ours in the middle of it.
	signal.Notify(f.sigs, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)
	f.wg.Go(func() { f.listen(context.WithoutCancel(ctx)) })
	return f, life
}

func (f *front) listen(ctx context.Context) {
	var o *owner
	var early []os.Signal // before there was an app
	for told := 0; ; {
		select {
		case o = <-f.ready:
			for _, sig := range early {
				o.pass(ctx, sig)
			}
		case sig, more := <-f.sigs:
			switch {
			case !more:
				return
			case sig == syscall.SIGPIPE:
			case !ends(sig) && o == nil:
				early = append(early[:min(len(early), mostEarly)], sig)
			case !ends(sig):
				o.pass(ctx, sig)
			default:
				f.end()
				if told++; told == 2 {
					f.code = exitCode(128 + int(sig.(syscall.Signal))) // always one on unix
					close(f.hurry)
				}
			}
		}
	}
}

// mostEarly is how many signals are kept for apps that are being started.
const mostEarly = 8

// pass gives a signal to every app.
func (o *owner) pass(ctx context.Context, sig os.Signal) {
	name := app.SignalName(sig.(syscall.Signal))                                                                     // always one on unix
	_ = o.c.Act(ctx, api.ActRequest{Act: api.ActSignal, Targets: []string{"all"}, Signal: name}, func(api.Event) {}) // who does not run needs none
}

// ends tells whether a signal ends us. The end of a terminal does; the first
// process of a container has none, and there SIGHUP is for the apps.
func ends(sig os.Signal) bool {
	switch sig {
	case syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT:
		return true
	case syscall.SIGHUP:
		return os.Getpid() != 1
	}
	return false
}

// serve has signals passed on by o from now on.
func (f *front) serve(o *owner) { f.ready <- o }

// stop gives signals their old meaning again.
func (f *front) stop() {
	signal.Stop(f.sigs)
	close(f.sigs)
	f.wg.Wait()
	f.end()
}

// finish ends everything that o runs. err is why; a signal, the end of our
// reader and the end of the daemon by somebody's order are none.
func (f *front) finish(ctx context.Context, o *owner, err error) error {
	if ctx.Err() != nil || errors.Is(err, errKilled) || errors.Is(err, errUnread) {
		err = nil
	}
	failed := o.end(context.WithoutCancel(ctx), f.hurry)
	select {
	case <-f.hurry:
		return f.code
	default:
	}
	if err != nil && failed != nil && err.Error() != failed.Error() {
		o.env.report(failed)
	}
	return cmp.Or(err, failed)
}
