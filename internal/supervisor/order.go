package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
	"tend/internal/lifecycle"
	"tend/internal/store"
)

// order is an event for one instance and what is waited for. It comes from
// the goroutine of a request.
type order struct {
	id     int
	event  lifecycle.Event
	goal   goal
	change func(s *Supervisor, in *instance) // before the event; may be nil
	spec   *api.Spec                         // the one that change brings; nil: it has the same
	reload bool                              // beside the process that runs, where that can be done
	force  bool                              // also where a reload is under way
	drain  bool                              // what it is doing is finished first
	by     string                            // who asked
	why    string                            // the reason where nobody did
	heed   int                               // with it: what people had asked of the instance by then
	note   string                            // what a person should know afterwards
	answer chan<- result                     // has room for the answer
}

func (m order) handle(s *Supervisor) {
	in := s.table[m.id]
	switch {
	case in == nil:
		s.reply(func() { m.answer <- result{id: m.id, ok: m.goal == goalGone, reason: "it is not in the list any more"} })
	case in.leaves() && m.goal != goalGone:
		s.refuse(in, m, result{reason: "it is being deleted", kind: errs.NotFound})
	case m.why != "" && m.heed != in.heard:
		s.refuse(in, m, result{reason: "something else was asked of it meanwhile"})
	case m.reload && in.replaceable():
		s.replace(in, m)
	default:
		s.obey(in, m)
	}
}

// obey gives an instance the event of an order.
func (s *Supervisor) obey(in *instance, m order) {
	if m.goal != goalNone {
		in.asked, in.why = m.reason(), m.why
		if m.why == "" {
			in.heard++
		}
	}
	if m.change != nil {
		m.change(s, in)
		s.changed(in)
	}
	switch m.event.(type) {
	case lifecycle.Stop, lifecycle.Remove:
		s.hurry(in, "it was stopped")
	case lifecycle.Restart:
		s.hurry(in, "it was restarted")
		s.setNote(in, m.note)
	case lifecycle.Start:
		s.setNote(in, "")
	}
	in.waiters = append(in.waiters, waiter{goal: m.goal, answer: m.answer})
	if m.drain && in.replaceable() {
		s.retire(in)
	} else {
		s.step(in, m.event)
	}
	s.answerWaiters(in) // an event that changed nothing answers too
}

func (s *Supervisor) setNote(in *instance, note string) {
	if in.rec.Note != note {
		in.rec.Note = note
		s.changed(in)
	}
}

// places are the instances as a target names them.
func (s *Supervisor) places() []app.Place {
	all := s.View().Rows
	places := make([]app.Place, 0, len(all))
	for _, in := range all {
		places = append(places, app.Place{ID: in.ID, Name: in.Name, Namespace: in.Namespace, Script: in.Script})
	}
	return places
}

// Select is the ids of the instances that a target names; see app.Select.
func (s *Supervisor) Select(target, cwd string) ([]int, error) {
	return app.Select(target, cwd, s.places())
}

// acts are the verbs of an api.ActRequest that are orders.
var acts = map[string]struct { //nolint:gochecknoglobals // a table, never written
	event lifecycle.Event
	goal  goal
}{
	api.ActStart:   {lifecycle.Start{}, goalRunning},
	api.ActStop:    {lifecycle.Stop{}, goalStopped},
	api.ActRestart: {lifecycle.Restart{}, goalRunning},
	api.ActReload:  {lifecycle.Restart{}, goalRunning}, // for what cannot be reloaded; else see replace
	api.ActDelete:  {lifecycle.Remove{}, goalGone},
	api.ActReset:   {lifecycle.Reset{}, goalNone},
}

// errParts is the end of a request of which some parts failed; each was told
// of when it did.
var errParts = &errs.Error{Kind: errs.Crashed, Err: errors.New("not everything could be done, see above")}

// Act carries out an act on everything that its targets name, tells of each
// instance, and returns an error when any part failed. All targets are tried.
func (s *Supervisor) Act(ctx context.Context, req api.ActRequest, tell func(api.Event)) error {
	act, known := acts[req.Act]
	if req.Act == api.ActSignal {
		return s.actSignal(ctx, req, tell)
	}
	if req.Act == api.ActMonitor || req.Act == api.ActUnmonitor {
		return s.actMonitor(ctx, req, tell)
	}
	if !known {
		return &errs.Error{Op: "act", On: req.Act, Kind: errs.Invalid, Err: errors.New("no such act")}
	}
	if len(req.Targets) == 0 {
		return &errs.Error{Op: req.Act, Kind: errs.Invalid, Err: errors.New("no target was named")}
	}
	amended, err := s.amended(ctx, req)
	if err != nil {
		return err
	}
	watching, err := watchingOf(req)
	if err != nil {
		return err
	}
	s.request(ctx, req.Act, "targets", req.Targets)
	return s.eachTarget(req.Act, s.byPriority(req), req.Cwd, tell, func(_ string, ids []int) []error {
		orders := make([]order, 0, len(ids))
		for _, id := range ids {
			orders = append(orders, order{
				id: id, event: act.event, goal: act.goal, spec: amended[id],
				change: both(s.inherit(req.Inherited, amended[id]), watching),
				reload: req.Act == api.ActReload, force: req.Force,
			})
		}
		if req.Act == api.ActReload {
			s.noteRestarts(ids, req.Parallel, tell)
		}
		failed := s.begin(ctx, orders, req.Parallel, req.Act, tell)
		if req.Act == api.ActStop {
			s.noteCron(ids, tell)
		}
		return failed
	})
}

// both is two changes of an instance; either may be nil.
func both(one, other func(*Supervisor, *instance)) func(*Supervisor, *instance) {
	if one == nil || other == nil {
		if one == nil {
			return other
		}
		return one
	}
	return func(s *Supervisor, in *instance) {
		one(s, in)
		other(s, in)
	}
}

// eachTarget does work for the instances that each target names, also after
// one that failed, and returns the error of the whole.
func (s *Supervisor) eachTarget(
	act string, targets []string, cwd string, tell func(api.Event), work func(target string, ids []int) []error,
) error {
	var failed []error
	for _, target := range targets {
		ids, err := s.Select(target, cwd)
		if err != nil {
			failed = append(failed, err)
			if len(targets) > 1 {
				tell(api.Event{Kind: api.EventInstance, Act: act, Target: target, ID: -1, Error: errs.Wire(err)})
			}
			continue
		}
		tell(api.Event{Kind: api.EventTarget, Act: act, Target: target, IDs: ids})
		failed = append(failed, work(target, ids)...)
	}
	return whole(failed, len(targets) == 1)
}

// whole is the error of a request whose parts failed so. A single failure of
// a request for a single thing is that failure.
func whole(failed []error, single bool) error {
	switch {
	case len(failed) == 0:
		return nil
	case len(failed) == 1 && single:
		return failed[0]
	default:
		return errParts
	}
}

// inherit merges variables over what an instance inherited, and gives it the
// Spec; nil: none.
func (s *Supervisor) inherit(vars map[string]string, spec *api.Spec) func(*Supervisor, *instance) {
	if vars == nil && spec == nil {
		return nil
	}
	return func(s *Supervisor, in *instance) {
		merged := maps.Clone(in.rec.Inherited.Vars)
		if merged == nil {
			merged = map[string]string{}
		}
		maps.Copy(merged, vars)
		in.rec.Inherited = s.opts.Store.Intern(app.Heritage(cmp.Or(spec, in.rec.Spec), merged))
		s.setSpec(in, cmp.Or(spec, in.rec.Spec))
	}
}

func (r result) err(act string) error {
	if r.ok {
		return nil
	}
	reason := r.reason
	if reason == "" {
		reason = "it is " + r.state.String()
	}
	on, kind := r.name, cmp.Or(r.kind, errs.Crashed)
	if r.name == "" {
		on, kind = fmt.Sprint(r.id), errs.NotFound
	}
	return &errs.Error{
		Op: act, On: on, Kind: kind, Err: errors.New(reason),
		Hint: cmp.Or(r.hint, "`tend describe "+on+"` shows what it runs"),
	}
}

// err is what went wrong with an order, with the last words of a process that
// was to take over.
func (s *Supervisor) err(ctx context.Context, r result, act string) error {
	if r.ended == nil {
		return r.err(act)
	}
	return &errs.Error{
		Op: act, On: fmt.Sprintf("%s (%d)", r.name, r.id), Kind: errs.Crashed, Err: errors.New(r.reason),
		Hint:  fmt.Sprintf("the old process was left as it is; `tend logs %s` shows what the new one wrote", r.name),
		Lines: s.lastWords(ctx, r.ended),
	}
}

// actSignal sends a signal to the first process of each running instance.
func (s *Supervisor) actSignal(ctx context.Context, req api.ActRequest, tell func(api.Event)) error {
	sig, err := app.Signal(req.Signal)
	if err != nil {
		return &errs.Error{
			Op: "send signal", On: req.Signal, Kind: errs.Invalid, Err: err, Hint: "SIGUSR2, USR2 or 12, for example",
		}
	}
	s.request(ctx, req.Act, "signal", app.SignalName(sig), "targets", req.Targets)
	return s.eachTarget(req.Act, req.Targets, req.Cwd, tell, func(_ string, ids []int) (failed []error) {
		var absent []api.Event
		var missed []error
		for _, id := range ids {
			ev := api.Event{Kind: api.EventInstance, Act: req.Act, ID: id, OK: true}
			err := s.signalOne(ctx, id, sig, &ev)
			ev.OK, ev.Error = err == nil, errs.Wire(err)
			if errors.Is(err, errNotRunning) {
				absent, missed = append(absent, ev), append(missed, err)
				continue
			}
			if err != nil {
				failed = append(failed, err)
			}
			tell(ev)
		}
		// Who does not run is no failure where others do, as in PM2.
		if len(absent) < len(ids) {
			return failed
		}
		for _, ev := range absent {
			tell(ev)
		}
		return missed
	})
}

// begin gives orders, tells of each result, and watches what was started for
// a moment.
func (s *Supervisor) begin(ctx context.Context, orders []order, limit int, act string, tell func(api.Event)) (failed []error) {
	var begun []*Row
	s.run(ctx, orders, limit, func(r result) {
		err := s.err(ctx, r, act)
		switch {
		case err != nil:
			failed = append(failed, err)
		case r.state == lifecycle.Online && act != api.ActReset:
			begun = append(begun, r.row)
		}
		tell(api.Event{Kind: api.EventInstance, Act: act, ID: r.id, Name: r.name, OK: r.ok, Error: errs.Wire(err)})
		if r.spared > 0 {
			tell(api.Event{
				Kind: api.EventWarning, Name: r.name,
				Message: fmt.Sprintf("app %s: the reload ends here; the %d instances that were still to come are left as they are", r.name, r.spared),
			})
		}
	})
	return append(failed, s.settle(ctx, begun, act, tell)...)
}

// add makes n new instances of an app, stopped. It makes none when the journal
// cannot be written: an app that would be forgotten is not begun.
func (s *Supervisor) add(spec *api.Spec, env *store.Environment, n int) ([]int, error) {
	used := map[int]bool{}
	for _, in := range s.table {
		if in.rec.Spec.Name == spec.Name {
			used[in.rec.Index] = true
		}
	}
	var made []*instance
	index := 0
	for range n {
		for used[index] { // the smallest number that is free, as PM2
			index++
		}
		used[index] = true
		in := s.newInstance(store.Record{
			Serial: s.opts.Store.Serial(), ID: s.nextID, Index: index, Spec: spec, Inherited: env,
		})
		s.insert(in)
		made = append(made, in)
		if err := s.opts.Store.Put(in.rec); err != nil {
			for _, in := range made {
				s.remove(in)
			}
			return nil, err
		}
	}
	ids := make([]int, 0, n)
	for _, in := range made {
		ids = append(ids, in.rec.ID)
	}
	return ids, nil
}

// Scale adds or removes instances of an app until there are as many as asked.
func (s *Supervisor) Scale(ctx context.Context, req api.ScaleRequest, tell func(api.Event)) error {
	ids, err := s.oneApp(req.Name, req.Cwd)
	if err != nil {
		return err
	}
	want := req.Count
	if req.Relative {
		want += len(ids)
	}
	s.request(ctx, "scale", "app", req.Name, "from", len(ids), "to", want)
	switch {
	case want < 1:
		return &errs.Error{
			Op: "scale", On: req.Name, Kind: errs.Invalid, Err: fmt.Errorf("it has %d instances and would have %d", len(ids), want),
			Hint: "`tend delete` removes an app",
		}
	case want == len(ids):
		return &errs.Error{
			Op: "scale", On: req.Name, Kind: errs.Invalid, Err: fmt.Errorf("it has %d instances already", want),
			Hint: "+N and -N add and remove instances",
		}
	case want < len(ids):
		// The lowest ids go first, as in PM2.
		return s.drop(ctx, ids[:len(ids)-want], true, tell)
	}
	admitted := make(chan admission, 1)
	s.mail.post(grow{id: ids[0], by: want - len(ids), answer: admitted})
	var a admission
	select {
	case a = <-admitted:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if a.err != nil {
		return a.err
	}
	tell(api.Event{Kind: api.EventApp, Act: api.ActStart, Name: req.Name, IDs: a.added[0], OK: true})
	failed := s.begin(ctx, a.orders, 0, api.ActStart, tell)
	return whole(failed, len(a.added[0]) == 1)
}

// oneApp is the ids of all instances of the one app that a target points at:
// what would scale several, "all" or a namespace, would delete most of them.
func (s *Supervisor) oneApp(target, cwd string) ([]int, error) {
	places := s.places()
	ids, err := app.Select(target, cwd, places)
	if err != nil {
		return nil, err
	}
	name := places[slices.IndexFunc(places, func(p app.Place) bool { return p.ID == ids[0] })].Name
	var all []int
	for _, p := range places {
		switch {
		case p.Name == name:
			all = append(all, p.ID)
		case slices.Contains(ids, p.ID):
			return nil, &errs.Error{
				Op: "scale", On: target, Kind: errs.Invalid, Err: errors.New("it names more than one app"),
				Hint: "scale one after the other, by name",
			}
		}
	}
	return all, nil
}

// drop takes instances out of the table; with drain workers of a cluster
// finish what they have first.
func (s *Supervisor) drop(ctx context.Context, ids []int, drain bool, tell func(api.Event)) error {
	orders := make([]order, 0, len(ids))
	for _, id := range ids {
		orders = append(orders, order{id: id, event: lifecycle.Remove{}, goal: goalGone, drain: drain})
	}
	return whole(s.begin(ctx, orders, 0, api.ActDelete, tell), len(ids) == 1)
}

// grow adds instances of the app that an instance belongs to.
type grow struct {
	id, by int
	answer chan<- admission
}

func (m grow) handle(s *Supervisor) {
	in := s.table[m.id]
	if in == nil {
		m.answer <- admission{err: &errs.Error{Op: "scale", Kind: errs.NotFound, Err: errors.New("the app was just deleted")}}
		return
	}
	ids, err := s.add(in.rec.Spec, in.rec.Inherited, m.by)
	a := admission{added: [][]int{ids}, orders: starts(ids), err: err}
	s.reply(func() { m.answer <- a })
}
