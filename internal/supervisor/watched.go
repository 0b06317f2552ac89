package supervisor

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
	"tend/internal/watch"
)

// watcher is what the supervisor needs to hear of files.
type watcher interface {
	Watch(key string, t watch.Target)
	Forget(key string)
	Own(files, dirs []string)
}

var _ watcher = (*watch.Watcher)(nil)

// watched are the instances of one app that are restarted together when a file
// changes.
type watched struct {
	*app.Watching

	key  string
	name string
	// busy: a restart is waited for, or under way; again: another change came
	// while it was.
	busy, underWay bool
	again          string // the path; "": none

	// A change right after a restart may be the app's own doing: row counts those,
	// quick those of the same path.
	last       string
	renewed    time.Time
	quick, row int
}

const (
	// quickly is how soon after a restart a change may be its consequence.
	quickly = 5 * time.Second
	// quickFree is how many times in a row that is nobody's concern; from then on
	// the delay grows, from quickDelay to quickMost.
	quickFree  = 3
	rowFree    = 20 // of different paths
	quickDelay = time.Second
	quickMost  = 30 * time.Second
)

// watchKey is the same for instances that are watched together: of one name,
// and with the same Watch. It is "" where nothing is watched.
func watchKey(spec *api.Spec) string {
	if spec.Watch == nil {
		return ""
	}
	how, err := json.Marshal(spec.Watch)
	if err != nil {
		return "" // it came as JSON
	}
	return spec.Name + "\x00" + spec.Cwd + "\x00" + string(how)
}

// isWatched tells whether a change of a file would restart an instance: one
// that was never started is not.
func (in *instance) isWatched() bool {
	return in.watchKey != "" && in.rec.Life.Launch > 0 && !in.leaves()
}

// watchedBy are the instances of a key.
func (s *Supervisor) watchedBy(key string) (all []*instance) {
	for _, in := range s.list {
		if in.watchKey == key && in.isWatched() {
			all = append(all, in)
		}
	}
	return all
}

// syncWatches has watched what is to be watched now, and no more.
func (s *Supervisor) syncWatches() {
	if s.opts.Watch == nil {
		return
	}
	since := map[string]time.Time{}
	for _, in := range s.list {
		if !in.isWatched() {
			continue
		}
		mine := in.watchedSince()
		if at, ok := since[in.watchKey]; !ok || at.IsZero() || !mine.IsZero() && mine.Before(at) {
			since[in.watchKey] = mine
		}
	}
	for key := range s.watched {
		if _, ok := since[key]; !ok {
			delete(s.watched, key)
			s.opts.Watch.Forget(key)
		}
	}
	if len(since) == 0 {
		return
	}
	s.disown()
	for key, at := range since {
		if s.watched[key] == nil {
			s.beginWatch(key, at)
		}
	}
}

// watchedSince is the time after which a change was not seen by the daemon
// before: what changed while it watched has led to a restart. Zero: nobody has
// watched yet.
func (in *instance) watchedSince() time.Time {
	r := &in.rec
	if r.Watched.IsZero() || r.Life.Started.Before(r.Watched) {
		return r.Watched
	}
	return r.Life.Started
}

func (s *Supervisor) beginWatch(key string, since time.Time) {
	in := s.watchedBy(key)[0]
	w, err := app.WatchingOf(in.rec.Spec.Watch, in.rec.Spec.Cwd)
	if err != nil { // it was validated; the journal of another version may differ
		s.opts.Log.Error("watch files", "app", in.rec.Spec.Name, "err", err)
	}
	s.watched[key] = &watched{Watching: w, key: key, name: in.rec.Spec.Name}
	s.opts.Watch.Watch(key, watch.Target{Watching: w, Since: since})
}

// disown keeps what we write ourselves from being a change.
func (s *Supervisor) disown() {
	var files []string
	for _, in := range s.list {
		files = append(files, in.files.Out, in.files.Err, in.files.Pid)
		if in.files.Combined != "" {
			files = append(files, in.files.Combined)
		}
	}
	if !slices.Equal(files, s.owned) {
		s.owned = files
		s.opts.Watch.Own(files, []string{string(s.opts.Home)})
	}
}

// FilesWatched tells that the files of a key are watched from now on.
func (s *Supervisor) FilesWatched(key string) { s.mail.post(filesWatched{key}) }

// FilesChanged tells of a change.
func (s *Supervisor) FilesChanged(key, path string) { s.mail.post(fileChanged{key, path}) }

// FilesUnwatched tells that not all files of a key can be watched.
func (s *Supervisor) FilesUnwatched(key string, err error) { s.mail.post(filesUnwatched{key, err}) }

type (
	filesWatched   struct{ key string }
	filesUnwatched struct {
		key string
		err error
	}
	fileChanged struct{ key, path string }
	// watchDue tells that the delay after a change is over.
	watchDue struct {
		of   *watched
		path string
	}
	// watchDone tells that the restart after a change is over.
	watchDone struct{ of *watched }
)

func (m filesWatched) handle(s *Supervisor) {
	for _, in := range s.watchedBy(m.key) {
		in.rec.Watched = time.Now()
		s.changed(in)
	}
}

func (m filesUnwatched) handle(s *Supervisor) {
	for i, in := range s.watchedBy(m.key) {
		if i == 0 {
			s.opts.Log.Error("not all files are watched", "app", in.rec.Spec.Name, "err", m.err, "hint", errs.Wire(m.err).Hint)
		}
		s.setNote(in, "not all of its files are watched: "+m.err.Error())
	}
}

func (m fileChanged) handle(s *Supervisor) {
	w := s.watched[m.key]
	switch {
	case w == nil || s.ending: // it is not watched any more
	case w.underWay:
		w.again = m.path
	case !w.busy:
		s.arrange(w, m.path)
	}
}

// arrange has an app restarted after its delay.
func (s *Supervisor) arrange(w *watched, path string) {
	w.busy = true
	delay := w.Delay + w.patience(path, time.Now())
	s.opts.Log.Info("file changed", "app", w.name, "path", path, "restart_in", delay.String())
	if delay == 0 {
		watchDue{w, path}.handle(s)
		return
	}
	time.AfterFunc(delay, func() { s.mail.post(watchDue{w, path}) })
}

// patience is what is waited beyond the delay for an app that may be changing
// the file itself each time it starts: it would be restarted for ever.
func (w *watched) patience(path string, now time.Time) time.Duration {
	calm := now.Sub(w.renewed) > quickly
	if calm {
		w.row = 0
	}
	if calm || path != w.last {
		w.quick = 0
	}
	w.last = path
	w.quick++
	w.row++
	over := max(w.quick-quickFree, w.row-rowFree)
	if over <= 0 {
		return 0
	}
	if over > 5 { // of 2: more than the most
		return quickMost
	}
	return quickDelay << (over - 1)
}

// suspicion is what a person should know of a change that was waited for; "":
// nothing.
func (w *watched) suspicion(path string) string {
	switch {
	case w.quick > quickFree:
		return path + " changes each time it starts, and restarts it: name it in ignore_watch"
	case w.row > rowFree:
		return "each time it starts a file changes, the last was " + path + ", and restarts it: name them in ignore_watch"
	}
	return ""
}

func (m watchDue) handle(s *Supervisor) {
	w := m.of
	if s.watched[w.key] != w || s.ending {
		return
	}
	var orders []order
	for _, in := range s.watchedBy(w.key) {
		o := renewal(in, "file changed: "+m.path)
		o.note = w.suspicion(m.path)
		orders = append(orders, o)
	}
	w.underWay = true
	s.renew(orders, watchDone{w})
}

func (m watchDone) handle(s *Supervisor) {
	w := m.of
	w.busy, w.underWay, w.renewed = false, false, time.Now()
	path := w.again
	if w.again = ""; path != "" && s.watched[w.key] == w {
		s.arrange(w, path)
	}
}

// watchingOf is what an act changes about watching; nil: nothing.
func watchingOf(req api.ActRequest) (func(*Supervisor, *instance), error) {
	switch {
	case req.Act == api.ActStop:
		return rewatch(""), nil // as PM2: who stops an app does not want a file to start it
	case req.Watch == "":
		return nil, nil //nolint:nilnil // as its comment says
	case req.Watch != api.WatchOn && req.Watch != api.WatchToggle, req.Act != api.ActStart && req.Act != api.ActRestart:
		return nil, &errs.Error{Op: req.Act, On: "watch " + req.Watch, Kind: errs.Invalid, Err: errors.New("no such change")}
	}
	return rewatch(req.Watch), nil
}

// rewatch changes whether the files of instances are watched, as an
// api.ActRequest asks for it.
func rewatch(how string) func(*Supervisor, *instance) {
	made := map[*api.Spec]*api.Spec{} // instances share a Spec before and after
	return func(s *Supervisor, in *instance) {
		was := in.rec.Spec
		spec := made[was]
		if spec == nil {
			spec = app.Unwatched(was)
			if how == api.WatchOn || how == api.WatchToggle && was.Watch == nil {
				spec = app.WatchedAgain(was)
			}
			made[was] = spec
		}
		if spec != was {
			s.setSpec(in, spec)
			s.opts.Log.Info("watching files", "app", spec.Name, "instance", in.rec.ID, "on", spec.Watch != nil)
		}
	}
}
