// Package watch tells when files change: of whole directories, also of those
// that come later, as chokidar does for PM2's users. One inotify instance and
// one goroutine serve everybody who watches, and a directory that several look
// at is watched once.
//
// It knows nothing of apps. Who watches names a key and gets it back.
package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"tend/internal/app"
	"tend/internal/errs"
)

// A change is told once nothing has changed for settle, for who saves a file
// writes more than once; but not later than settleMost after it.
const (
	settle     = 50 * time.Millisecond
	settleMost = time.Second
)

// Target is what one who watches looks at.
type Target struct {
	*app.Watching

	// Since makes a change of what has changed after it, when it begins to look;
	// zero: only what comes is one.
	Since time.Time
}

// Options are what a Watcher works with. What it calls must not wait.
type Options struct {
	Log *slog.Logger
	// Changed tells of the first path of those that changed at once.
	Changed func(key, path string)
	// Ready tells that all is looked at, from now on.
	Ready func(key string)
	// Failed tells that not all can be looked at.
	Failed func(key string, err error)
}

// Watcher watches files.
type Watcher struct {
	opts Options
	mail chan struct{} // holds one token while there are orders

	settle, settleMost time.Duration // the constants; tests say by hand what has settled

	mu     sync.Mutex
	orders []func(w *Watcher)

	// What follows belongs to Run.

	kernel  *fsnotify.Watcher // nil while nobody watches
	lost    chan struct{}     // a token: the kernel's queue was full
	errs    sync.WaitGroup    // of the goroutine that hears the kernel's errors
	nodes   map[string]*node  // by their real path
	orphans map[*node]struct{}
	lookers map[string]*looker
	own     own
}

// New makes a Watcher that looks when it runs.
func New(o Options) *Watcher {
	return &Watcher{
		opts: o, mail: make(chan struct{}, 1), lost: make(chan struct{}, 1), settle: settle, settleMost: settleMost,
		nodes: map[string]*node{}, orphans: map[*node]struct{}{}, lookers: map[string]*looker{},
	}
}

// Watch begins to look, in place of what was watched under the key. It does not
// wait.
func (w *Watcher) Watch(key string, t Target) {
	w.order(func(w *Watcher) {
		w.forget(key)
		l := &looker{key: key, Target: t, views: map[*node]struct{}{}}
		w.lookers[key] = l
		w.begin(l)
	})
}

// Forget ends it.
func (w *Watcher) Forget(key string) { w.order(func(w *Watcher) { w.forget(key) }) }

// Own says which files the manager itself writes: logs and what becomes of
// them, and pids. They are nobody's change, and so is what is below dirs, for
// who does not look at a place inside.
func (w *Watcher) Own(files, dirs []string) {
	w.order(func(w *Watcher) { w.own = newOwn(files, dirs) })
}

func (w *Watcher) order(do func(*Watcher)) {
	w.mu.Lock()
	w.orders = append(w.orders, do)
	w.mu.Unlock()
	select {
	case w.mail <- struct{}{}:
	default:
	}
}

func (w *Watcher) take() []func(*Watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	orders := w.orders
	w.orders = nil
	return orders
}

// Run watches until ctx ends, and gives its cause.
func (w *Watcher) Run(ctx context.Context) error {
	defer w.close()
	for {
		var events <-chan fsnotify.Event
		if w.kernel != nil {
			events = w.kernel.Events
		}
		var due <-chan time.Time
		if at := w.next(); !at.IsZero() {
			due = time.After(time.Until(at))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.mail:
			for _, do := range w.take() {
				do(w)
			}
		case ev := <-events:
			w.handle(ev)
		case <-w.lost:
			w.opts.Log.Warn("more files changed at once than the system remembers; looking at all of them")
			w.recover()
		case <-due:
		}
		w.tell(time.Now())
	}
}

// next is when there is something to do without being told; zero: never.
func (w *Watcher) next() time.Time {
	var at time.Time
	for _, l := range w.lookers {
		for _, t := range []time.Time{l.settled(w), l.lookAt} {
			if !t.IsZero() && (at.IsZero() || t.Before(at)) {
				at = t
			}
		}
	}
	return at
}

// tell tells of what has settled, and looks at what nobody tells of.
func (w *Watcher) tell(now time.Time) {
	for _, l := range w.lookers {
		if !l.lookAt.IsZero() && !l.lookAt.After(now) {
			l.poll(w)
		}
		if at := l.settled(w); !at.IsZero() && !at.After(now) {
			path := l.path
			l.since, l.first, l.last, l.path = now, time.Time{}, time.Time{}, ""
			w.opts.Changed(l.key, path)
		}
	}
}

// open gives the kernel's ear, as soon as somebody needs it.
func (w *Watcher) open() error {
	if w.kernel != nil {
		return nil
	}
	kernel, err := fsnotify.NewWatcher()
	if err != nil {
		return limit("open", "inotify", err)
	}
	w.kernel = kernel
	// In a goroutine of its own: fsnotify may tell of an error while it holds
	// the lock that who adds a directory waits for.
	w.errs.Go(func() {
		for err := range kernel.Errors {
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				w.opts.Log.Warn("watch files", "err", err)
				continue
			}
			select {
			case w.lost <- struct{}{}:
			default:
			}
		}
	})
	return nil
}

// close ends what open began: an idle daemon has no ear.
func (w *Watcher) close() {
	if w.kernel != nil {
		_ = w.kernel.Close()
		w.errs.Wait()
		w.kernel = nil
		clear(w.nodes)
		clear(w.orphans)
	}
}

// limit is the error of a system that gives no more of what watching takes.
func limit(op, on string, err error) error {
	e := &errs.Error{Op: op, On: on, Kind: errs.Unavailable, Err: err}
	switch {
	case errors.Is(err, syscall.ENOSPC):
		e.Kind, e.Err = errs.Full, errors.New("the system watches as many files as it is allowed to")
		e.Hint = raise("fs.inotify.max_user_watches") + ", or name in ignore_watch what need not be watched, or set watch_options: {usePolling: true}"
	case errors.Is(err, syscall.EMFILE):
		e.Kind, e.Err = errs.Full, errors.New("this user watches with as many programs as he is allowed to")
		e.Hint = raise("fs.inotify.max_user_instances")
	case errors.Is(err, os.ErrPermission):
		e.Kind = errs.Denied
	}
	return e
}

func raise(sysctl string) string {
	const plenty = 524288
	return fmt.Sprintf("`sysctl %s=%d` raises it", sysctl, plenty)
}
