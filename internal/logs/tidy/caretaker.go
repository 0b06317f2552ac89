package tidy

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"tend/internal/logs"
	"tend/internal/rotation"
)

// Caretaker looks after what was put aside of logs: it compresses that, and
// removes what has expired. It keeps no record, but looks at the directory: a
// file that is not compressed is to be, a half one is in the way. So it may die
// at any instruction, and the next one does what was left.
type Caretaker struct {
	log  *slog.Logger
	wake chan struct{} // one is as good as many: what to do stands in due

	mu   sync.Mutex
	care map[string]Care // of all logs that are written to, by path
	due  []string        // of those, the ones to look after

	failing map[string]bool // what Run has complained about
}

// Care is what is done for a log.
type Care struct {
	Rule rotation.Rule
	// App: what was put aside of all logs of the same app counts for TotalCap;
	// "" is no app.
	App string
}

// ageEvery is how often the age of what was put aside is looked at, of logs
// that are not rotated meanwhile.
const ageEvery = time.Hour

// New makes a Caretaker that works when it runs.
func New(log *slog.Logger) *Caretaker {
	return &Caretaker{log: log, wake: make(chan struct{}, 1), care: map[string]Care{}, failing: map[string]bool{}}
}

// Tidy has the Caretaker look after a log: it was put aside, or it came in and
// nobody knows what was left undone. It does not wait.
func (t *Caretaker) Tidy(path string, c Care) {
	t.mu.Lock()
	t.care[path] = c
	if !slices.Contains(t.due, path) {
		t.due = append(t.due, path)
	}
	t.mu.Unlock()
	t.awake()
}

// Forget lets go of a log that nothing is written to any more. What was put
// aside of it stays.
func (t *Caretaker) Forget(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.care, path)
}

func (t *Caretaker) awake() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, and gives its cause.
func (t *Caretaker) Run(ctx context.Context) error {
	ticker := time.NewTicker(ageEvery)
	defer ticker.Stop()
	for {
		seen := logs.Listings{}
		for _, path := range t.take() {
			if c, ok := t.of(path); ok && ctx.Err() == nil {
				t.note(ctx, path, t.lookAfter(ctx, path, c, seen))
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.wake:
		case <-ticker.C:
			t.allThatAge()
		}
	}
}

func (t *Caretaker) take() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	due := t.due
	t.due = nil
	return due
}

// of is the care for a log that is written to.
func (t *Caretaker) of(path string) (Care, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.care[path]
	return c, ok
}

func (t *Caretaker) allThatAge() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for path, c := range t.care {
		if c.Rule.MaxAge > 0 && !slices.Contains(t.due, path) {
			t.due = append(t.due, path)
		}
	}
}

// note logs what went wrong with a log, once until it goes well again.
func (t *Caretaker) note(ctx context.Context, path string, err error) {
	switch {
	case ctx.Err() != nil: // it was interrupted
	case err == nil && t.failing[path]:
		t.log.Info("rotated logs are looked after again", "path", path)
		delete(t.failing, path)
	case err != nil && !t.failing[path]:
		t.log.Error("rotated logs are left as they are for now", "path", path, "err", err)
		t.failing[path] = true
	}
}

// lookAfter does what is to be done for one log. Each step leaves a directory
// from which the whole of it can be done again. What came into a directory
// after it was seen is looked after another time.
func (t *Caretaker) lookAfter(ctx context.Context, path string, c Care, seen logs.Listings) error {
	r := c.Rule
	if r.Off {
		return nil
	}
	parts, leftover, err := seen.Aside(path)
	if err != nil {
		return err
	}
	if err := t.remove(leftover); err != nil {
		return err
	}
	// A file counts for the cap with what it takes once it is compressed.
	uncapped := r
	uncapped.TotalCap = 0
	expired := uncapped.Expired(parts, time.Now())
	if err := t.remove(expired); err != nil {
		return err
	}
	if r.Compress != "" {
		for _, p := range parts {
			if p.Method != "" || slices.Contains(expired, p) {
				continue
			}
			if err = t.compressPart(ctx, r.Compress, p); err != nil {
				break // the next would fare no better
			}
		}
	}
	return errors.Join(err, t.enforceCap(path, c))
}

// enforceCap removes the oldest of all that counts for the cap of a log.
func (t *Caretaker) enforceCap(path string, c Care) error {
	if c.Rule.TotalCap <= 0 {
		return nil
	}
	var all []rotation.Part
	for _, log := range t.logsOf(path, c.App) {
		parts, err := logs.Rotated(log)
		if err != nil {
			return err
		}
		for _, p := range parts {
			// What another log has yet to be compressed counts when it is.
			if log == path || p.Method != "" || c.Rule.Compress == "" {
				all = append(all, p)
			}
		}
	}
	only := rotation.Rule{}
	only.TotalCap = c.Rule.TotalCap // the other logs have other rules beside it
	return t.remove(only.Expired(all, time.Now()))
}

// logsOf are all logs of the app that the one at a path is of, itself among
// them.
func (t *Caretaker) logsOf(path, app string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := []string{path}
	for other, c := range t.care {
		if other != path && app != "" && c.App == app {
			list = append(list, other)
		}
	}
	return list
}

// remove removes parts, and their times with the last of them, but for those
// that are the log of some app, whatever their names look like.
func (t *Caretaker) remove(parts []rotation.Part) error {
	var problems []error
	for _, p := range parts {
		if _, written := t.of(p.Path); written {
			continue
		}
		if err := os.Remove(p.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, logs.Problem("remove rotated log", p.Path, err))
			continue
		}
		if !p.Half && !slices.ContainsFunc(append(rotation.Packed(p.Plain()), p.Plain()), logs.Exists) {
			logs.DropTimes(p.Plain())
		}
	}
	return errors.Join(problems...)
}

// compressPart has a child compress a file beside it, and puts that in its
// place. A file that went meanwhile is nobody's loss.
func (t *Caretaker) compressPart(ctx context.Context, method string, p rotation.Part) error {
	if _, written := t.of(p.Path); written || !logs.Exists(p.Path) {
		return nil
	}
	done, half := packed(p.Path, method)
	if err := compressAside(ctx, method, p.Path); err != nil {
		return errors.Join(err, t.remove([]rotation.Part{{Path: half, Method: method, Half: true}}))
	}
	if err := os.Rename(half, done); err != nil {
		return logs.Problem("compress log", p.Path, err)
	}
	return t.remove([]rotation.Part{p})
}
