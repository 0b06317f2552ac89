package read

import (
	"context"
	"sync"
	"time"
)

const (
	// blockSize is how much is read at once.
	blockSize = 64 << 10
	// followRest is the least between two rounds: a busy log is read in blocks,
	// and not line by line.
	followRest = 10 * time.Millisecond
	// followLook is how often every file is looked at, whatever the system told
	// of it: it tells nothing of what is on another machine, or behind a link.
	followLook = time.Second
	// followPause is how long a line may lack its end before it is given
	// without: a prompt, or a progress bar.
	followPause = 250 * time.Millisecond
	// followShare is how much of one file is read before the next.
	followShare = 1 << 20
)

// File is a log to follow and what its lines are to be known by. It is followed
// from its end, or from where After or Since say.
type File struct {
	Path  string
	Label any
	// After is the position of the last line that was seen.
	After *Position
	// Since begins with what was written since then, as of a Query.
	Since time.Time
}

// Sink takes the lines of a Follower.
type Sink interface {
	// Line takes a line. A line longer than 1 MiB comes in pieces.
	Line(l Line) error
	// Flush is called when nothing more is there for the moment.
	Flush() error
}

// Follower gives the lines that are written to logs after it was made. It keeps
// up with files that are put aside, compressed, emptied, replaced, removed or
// not yet there. It only reads: whoever writes does not notice it, however slow
// it is.
type Follower struct {
	files []*followed
	block []byte
	look  func() watch

	mu    sync.Mutex
	paths map[string]bool // of all files
	added []*followed     // and not yet in files
	wake  func()          // nil while there is no Run
}

// NewFollower notes where logs are to be followed from.
func NewFollower(files []File) (*Follower, error) {
	f := &Follower{block: make([]byte, blockSize), look: newWatch, paths: map[string]bool{}}
	for _, file := range files {
		w := newFollowed(file)
		f.paths[file.Path] = true
		f.files = append(f.files, w)
		if err := w.begin(); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// Add follows another log, unless that is followed already. It may be called
// beside Run.
func (f *Follower) Add(file File) {
	f.mu.Lock()
	if !f.paths[file.Path] {
		f.paths[file.Path] = true
		f.added = append(f.added, newFollowed(file))
	}
	f.mu.Unlock()
	f.Wake()
}

// Wake has Run call the sink's Flush soon. It may be called beside Run.
func (f *Follower) Wake() {
	f.mu.Lock()
	wake := f.wake
	f.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// History is the function History of a log, by its place in the list, as it was
// when the Follower was made: the lines before the ones that Run gives. It may be
// called before Run only.
func (f *Follower) History(ctx context.Context, i int, q Query, each func(Line) error) error {
	return f.files[i].history(ctx, q, new(Unread), each)
}

// Position is where the log of that place in the list is followed from. It may
// be called before Run only.
func (f *Follower) Position(i int) Position { return f.files[i].position() }

// Close ends a Follower that is not run.
func (f *Follower) Close() {
	for _, w := range f.files {
		w.close()
	}
}

// Run gives each line as it comes, until ctx ends or the sink fails, and gives
// the cause. It is called once and ends the Follower.
func (f *Follower) Run(ctx context.Context, to Sink) error {
	defer f.Close()
	eyes := f.look()
	defer eyes.close()
	f.mu.Lock()
	f.wake = eyes.interrupt
	f.mu.Unlock()
	defer context.AfterFunc(ctx, eyes.interrupt)()
	r := &round{follower: f, eyes: eyes, to: to}
	for i, w := range f.files {
		r.meet(i, w)
	}
	for {
		if err := r.wait(ctx); err != nil {
			return err
		}
		if err := r.read(ctx); err != nil {
			return err
		}
	}
}

// take gives what was added since.
func (f *Follower) take() []*followed {
	f.mu.Lock()
	defer f.mu.Unlock()
	added := f.added
	f.added = nil
	return added
}

// round is a Follower at work.
type round struct {
	follower *Follower
	eyes     watch
	to       Sink
	looked   time.Time // when every file was looked at
	ended    time.Time // when the last round did
}

// meet begins to look after a file.
func (r *round) meet(i int, w *followed) {
	w.give = r.to.Line
	w.opened = func() { r.eyes.add(i, w.Path) }
	w.opened()
	w.due = true
}

// wait waits until some files are due.
func (r *round) wait(ctx context.Context) error {
	until := r.looked.Add(followLook)
	due := false
	for _, w := range r.follower.files {
		due = due || w.due
		if at := w.pauseEnds(); !at.IsZero() && at.Before(until) {
			until = at
		}
	}
	// In this order: an interrupt from here on ends the wait at once, and what
	// it stands for is seen before the wait.
	r.eyes.until(until)
	added := r.follower.take()
	for _, w := range added {
		if err := w.begin(); err != nil {
			return err
		}
		r.follower.files = append(r.follower.files, w)
		r.meet(len(r.follower.files)-1, w)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if due || len(added) > 0 {
		return nil
	}
	ids, all, err := r.eyes.wait()
	if err != nil {
		return err
	}
	for _, i := range ids {
		r.follower.files[i].due = true
	}
	now := time.Now()
	if all || now.Sub(r.looked) >= followLook {
		r.looked = now
		for _, w := range r.follower.files {
			w.due = true
		}
	}
	return r.rest(ctx)
}

// rest lets what is written add up.
func (r *round) rest(ctx context.Context) error {
	left := followRest - time.Since(r.ended)
	if left <= 0 {
		return nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// read takes a share of what is new in each file that is due.
func (r *round) read(ctx context.Context) error {
	now := time.Now()
	for _, w := range r.follower.files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if at := w.pauseEnds(); !w.due && (at.IsZero() || at.After(now)) {
			continue
		}
		var err error
		if w.due, err = w.advance(r.follower.block); err != nil {
			return err
		}
	}
	r.ended = time.Now()
	return r.to.Flush()
}
