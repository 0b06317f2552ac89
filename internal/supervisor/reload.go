package supervisor

import (
	"fmt"
	"slices"
	"time"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/lifecycle"
	"tend/internal/store"
)

// A reload puts a process beside the one that runs: an instance of its own,
// hidden behind the one whose place it is to take. Ready in time, it takes the
// place, and the old one is hidden behind it until it has finished and is gone.
// Each step is in the journal before it is taken, so that the next daemon goes
// on wherever this one dies.

// join hides an instance behind the one that has its place.
func (s *Supervisor) join(of, in *instance) {
	in.of = of
	of.hidden = append(of.hidden, in)
	s.serial[in.rec.Serial] = in
	if in.rec.Key != "" {
		s.keys[in.rec.Key] = in
	}
}

// waits tells whether processes are hidden behind an instance that will still
// end. One that could not be killed will not.
func (in *instance) waits() bool {
	return slices.ContainsFunc(in.hidden, func(h *instance) bool { return h.rec.Life.State != lifecycle.Errored })
}

// leaves tells whether an instance is to leave the table whatever is ordered.
func (in *instance) leaves() bool { return in.rec.Role == store.Retired || in.over() }

// over tells whether an instance has nothing left to do but to leave.
func (in *instance) over() bool {
	l := &in.rec.Life
	return l.State == lifecycle.Stopped && l.Want == lifecycle.WantRemoved && l.Live == 0
}

// replaceable tells whether a process can be put beside the one of an
// instance.
func (in *instance) replaceable() bool {
	return in.rec.Worker != 0 && in.rec.Life.State == lifecycle.Online
}

// replace begins a reload.
func (s *Supervisor) replace(in *instance, m order) {
	if in.waits() && !m.force {
		s.refuse(in, m, result{
			reason: "a reload of it is under way already", kind: errs.Exists,
			hint: "--force gives that one up and begins anew",
		})
		return
	}
	next := s.newInstance(store.Record{
		Serial: s.opts.Store.Serial(), ID: in.rec.ID, Index: in.rec.Index, Spec: in.rec.Spec, Inherited: in.rec.Inherited,
		Life: lifecycle.Instance{Restarts: in.rec.Life.Restarts + 1}, Role: store.Successor, Alt: !in.rec.Alt,
		Monitored: in.rec.Monitored,
	})
	if m.change != nil {
		m.change(s, next)
	}
	if next.rec.Spec.Mode != api.Cluster { // it is to be one no more
		s.obey(in, m)
		return
	}
	for _, h := range slices.Clone(in.hidden) {
		if h.rec.Role == store.Successor {
			s.giveUp(h, "another reload was forced")
		}
	}
	if err := s.opts.Store.Put(next.rec); err != nil { // what would be forgotten is not begun
		s.refuse(in, m, result{reason: err.Error(), kind: errs.Full})
		return
	}
	s.join(in, next)
	next.asked, next.why, next.note = m.reason(), m.why, m.note
	if m.why == "" {
		in.heard++
	}
	next.waiters = append(next.waiters, waiter{goal: goalReplaced, answer: m.answer})
	s.step(next, lifecycle.Start{})
}

// refuse answers an order that is not carried out.
func (s *Supervisor) refuse(in *instance, m order, r result) {
	r.id, r.name, r.state = in.rec.ID, in.rec.Spec.Name, in.rec.Life.State
	s.reply(func() { m.answer <- r })
}

// giveUp ends an attempt at a reload.
func (s *Supervisor) giveUp(next *instance, why string) {
	if next.rec.Life.Want != lifecycle.WantRemoved { // else it has failed already
		next.rec.Note = why
	}
	next.asked = why
	s.step(next, lifecycle.Remove{})
}

// hurry ends whatever is hidden behind an instance, without letting it finish.
func (s *Supervisor) hurry(in *instance, why string) {
	for _, h := range slices.Clone(in.hidden) {
		if h.rec.Role == store.Successor {
			s.giveUp(h, why)
		} else {
			s.step(h, lifecycle.Remove{})
		}
	}
}

// attend does what is next for an instance that is to take a place, or has
// lost its own.
func (s *Supervisor) attend(in *instance) {
	life := &in.rec.Life
	switch {
	case in.left, in.rec.Role == store.Current, in.over():
	case life.Live == 0:
		s.step(in, lifecycle.Remove{})
	case in.rec.Role == store.Retired:
		s.finish(in)
	case life.State == lifecycle.Online:
		s.promote(in)
	}
}

// promote gives a successor the place in the table.
func (s *Supervisor) promote(in *instance) {
	old := in.of
	old.asked = "another process has taken its place"
	s.setRole(old, store.Retired)
	s.setRole(in, store.Current)
	s.table[in.rec.ID] = in
	if at, ok := slices.BinarySearchFunc(s.list, in.rec.ID, byID); ok {
		s.list[at] = in
	}
	in.hidden = append(slices.DeleteFunc(old.hidden, func(h *instance) bool { return h == in }), old)
	in.of, old.hidden = nil, nil
	for _, h := range in.hidden {
		h.of = in
	}
	// Who waits for the place goes on with the new one; who waits for the
	// reload, until the old one is gone.
	in.waiters, old.waiters = old.waiters, in.waiters
	in.rec.Watched, in.heard = old.rec.Watched, old.heard
	if in.note != "" {
		s.setNote(in, in.note)
	}
	if old.files.Pid != in.files.Pid {
		s.removePidFile(old)
	}
	s.writePidFile(in)
	s.opts.Log.Info("reloaded: the new process has taken over", "app", in.rec.Spec.Name, "instance", in.rec.ID,
		"pid", in.rec.Proc.PID, "old_pid", old.rec.Proc.PID)
	s.attend(old)
}

func (s *Supervisor) setRole(in *instance, role store.Role) {
	in.rec.Role = role
	in.policy = policyOf(&in.rec)
	s.changed(in)
}

// retire ends an instance for good, but lets it finish first.
func (s *Supervisor) retire(in *instance) {
	s.setRole(in, store.Retired)
	s.attend(in)
}

// finish lets a worker that has lost its place finish what it has, and then
// ends it.
func (s *Supervisor) finish(in *instance) {
	life, limit := &in.rec.Life, time.Duration(in.rec.Spec.DrainTimeout)*time.Millisecond
	switch life.State {
	case lifecycle.Online:
		if limit > 0 && s.opts.Channels.Status(in.rec.Key).Open {
			if !in.draining {
				in.draining = true
				s.opts.Channels.Drain(in.rec.Key, limit)
			}
			return
		}
		s.step(in, lifecycle.Remove{})
	case lifecycle.Launching:
		s.step(in, lifecycle.Remove{})
	case lifecycle.Stopping:
		if life.Want != lifecycle.WantRemoved {
			s.step(in, lifecycle.Remove{})
		}
	case lifecycle.Stopped, lifecycle.Waiting, lifecycle.Errored:
	}
}

// drained goes on with a worker that has finished.
func (s *Supervisor) drained(in *instance) {
	if in.rec.Role == store.Retired && in.rec.Life.State == lifecycle.Online {
		s.step(in, lifecycle.Remove{})
	}
}

// unhide takes a hidden instance away, and notes on the one in front of it
// what came of the reload.
func (s *Supervisor) unhide(in *instance) {
	of := in.of
	of.hidden = slices.DeleteFunc(of.hidden, func(h *instance) bool { return h == in })
	if unread := s.unread(slices.Concat(in.rec.Earlier, []string{in.rec.Key})); len(unread) > 0 && !of.left {
		s.remember(&of.rec, unread...)
		s.changed(of)
	}
	if in.rec.Role == store.Retired {
		s.notify(of, of.rec.Key, "reload")
		return
	}
	s.opts.Log.Warn("the reload has failed; the old process stays", "app", of.rec.Spec.Name, "instance", of.rec.ID,
		"reason", in.failure())
	if in.rec.Note == "" && !of.left {
		s.setNote(of, "reload failed: "+in.failure())
	}
}

// failure is why a successor did not take over.
func (in *instance) failure() string {
	life := &in.rec.Life
	switch {
	case in.rec.Note != "":
		return "it was given up: " + in.rec.Note
	case life.Reason != "":
		return life.Reason
	}
	return "the new process ended before it was ready (" + howEnded(in.describe()) + ")"
}

// followed goes on with an instance after one that was hidden behind it has
// changed.
func (s *Supervisor) followed(of *instance) {
	if !of.left && of.over() && !of.waits() {
		s.remove(of)
	}
	s.answerWaiters(of)
}

// noteRestarts tells of apps whose reload is no more than a restart.
func (s *Supervisor) noteRestarts(ids []int, parallel int, tell func(api.Event)) {
	rows, noted := s.byID(), map[string]bool{}
	for _, id := range ids {
		row := rows[id]
		if row == nil || row.Mode == api.Cluster || noted[row.Name] {
			continue
		}
		noted[row.Name] = true
		text := "app " + row.Name + " runs in fork mode: its reload is a restart"
		if parallel <= 1 {
			text += ", one instance after the other"
		}
		tell(api.Event{Kind: api.EventNote, Name: row.Name, Message: text})
	}
}

// howEnded is the end of a process in a few words.
func howEnded(in api.Instance) string {
	switch {
	case in.ExitSignal != "":
		return in.ExitSignal
	case in.ExitUnknown:
		return "exit code unknown"
	}
	return fmt.Sprintf("exit code %d", in.ExitCode)
}
