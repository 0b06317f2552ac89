package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
	"tend/internal/lifecycle"
	"tend/internal/pm2env"
	"tend/internal/store"
)

// ask runs f with the table and waits for its end.
func (s *Supervisor) ask(ctx context.Context, f func(s *Supervisor)) error {
	done := make(chan struct{})
	s.mail.post(question{f, done})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type question struct {
	f    func(s *Supervisor)
	done chan<- struct{}
}

func (m question) handle(s *Supervisor) {
	m.f(s)
	s.reply(func() { close(m.done) })
}

// Details are the instances of these ids with all that lists leave out, in
// the order of ids; one that is gone is left out.
func (s *Supervisor) Details(ctx context.Context, ids []int) ([]api.Instance, error) {
	out := make([]api.Instance, 0, len(ids))
	err := s.ask(ctx, func(s *Supervisor) {
		for _, id := range ids {
			in := s.table[id]
			if in == nil {
				continue
			}
			d := in.describe()
			d.Detail = &api.Detail{
				Spec: in.rec.Spec, Env: app.Shown(in.spec, in.rec.Inherited.Vars, in.rec.Index), UniqueID: in.rec.Key,
				NodeVersion: in.rec.Node, Versioning: in.rec.Versioning,
				Actions: in.rec.Actions, Metrics: s.opts.Channels.Status(in.rec.Key).Metrics,
			}
			out = append(out, d)
		}
	})
	return out, err
}

// saved is the list as dump.pm2 has it.
func (s *Supervisor) saved(ctx context.Context) ([]pm2env.Saved, error) {
	var list []pm2env.Saved
	err := s.ask(ctx, func(s *Supervisor) {
		for _, in := range s.list {
			if in.leaves() {
				continue
			}
			life := in.rec.Life
			list = append(list, pm2env.Saved{
				Spec: *in.rec.Spec, Env: app.Merged(in.rec.Spec, in.rec.Inherited.Vars), Index: in.rec.Index,
				Stopped:  life.State == lifecycle.Stopped || life.State == lifecycle.Stopping && life.Want != lifecycle.WantRunning,
				Restarts: life.Restarts, Unstable: life.Unstable,
				CreatedAt: millis(life.Created), StartedAt: millis(life.Started), ExitCode: life.Exit.Code,
				Version: in.rec.Version,
				OutFile: in.files.Out, ErrFile: in.files.Err, LogFile: in.files.Combined, PidFile: in.files.Pid,
			})
		}
	})
	return list, err
}

// Save writes the list for resurrect. An empty list is written only by force, or
// where that is what was asked for.
func (s *Supervisor) Save(ctx context.Context, req api.SaveRequest) (api.SaveResponse, error) {
	var list []pm2env.Saved
	var err error
	if !req.Clear {
		list, err = s.saved(ctx)
	}
	out := api.SaveResponse{Path: s.opts.Home.Dump(), Saved: len(list)}
	if err != nil || len(list) == 0 && !req.Force && !req.Clear {
		return out, err
	}
	s.request(ctx, "save", "instances", len(list))
	return out, store.SaveList(s.opts.Home, list)
}

// Resurrect starts what the saved list holds, but for names that are in the
// table already. What was stopped is put into the table, stopped.
func (s *Supervisor) Resurrect(ctx context.Context, tell func(api.Event)) error {
	dump, path, err := store.LoadList(s.opts.Home, s.opts.Log)
	if err != nil {
		return err
	}
	if path == "" {
		tell(api.Event{Kind: api.EventNote, Message: "no list was saved: " + s.opts.Home.Dump() + " does not exist"})
		return nil
	}
	s.request(ctx, "resurrect", "path", path, "instances", len(dump.List))
	tell(api.Event{Kind: api.EventNote, Message: "Restoring processes located in " + path})
	for _, name := range dump.Modules {
		tell(api.Event{Kind: api.EventWarning, Name: name, Message: "module " + name + " is left out: modules are programs for PM2 alone"})
	}
	var r restoration
	if err := s.ask(ctx, func(s *Supervisor) { r = s.restoreAll(dump.List) }); err != nil {
		return err
	}
	for _, name := range r.there {
		tell(api.Event{Kind: api.EventNote, Name: name, Message: "app " + name + " is in the list already, and left as it is"})
	}
	for _, err := range r.failed {
		tell(api.Event{Kind: api.EventInstance, Act: api.ActStart, ID: -1, Error: errs.Wire(err)})
	}
	for _, in := range r.stopped {
		tell(api.Event{Kind: api.EventInstance, Act: api.ActStop, ID: in.ID, Name: in.Name, OK: true})
	}
	return whole(append(r.failed, s.begin(ctx, r.orders, 0, api.ActStart, tell)...), false)
}

// restoration is what becomes of a saved list.
type restoration struct {
	there   []string // the names that the table had already
	failed  []error
	stopped []api.Instance
	orders  []order
}

func (s *Supervisor) restoreAll(list []pm2env.Saved) restoration {
	var r restoration
	there := map[string]bool{}
	for _, in := range s.table {
		there[in.rec.Spec.Name] = true
	}
	for i := range list {
		name := list[i].Spec.Name
		if there[name] {
			if !slices.Contains(r.there, name) {
				r.there = append(r.there, name)
			}
			continue
		}
		in, err := s.restore(&list[i])
		switch {
		case err != nil:
			r.failed = append(r.failed, err)
		case list[i].Stopped:
			r.stopped = append(r.stopped, in.describe())
		default:
			r.orders = append(r.orders, starts([]int{in.rec.ID})...)
		}
	}
	return r
}

// restore makes the instance that was saved.
func (s *Supervisor) restore(saved *pm2env.Saved) (*instance, error) {
	if err := findInterpreter(saved); err != nil {
		return nil, err
	}
	if !app.IsNode(saved.Spec.Interpreter) {
		saved.Spec.Mode = api.Fork // PM2 saves bun in cluster mode too
	}
	if saved.Foreign {
		app.Literal(&saved.Spec)
	}
	if err := app.Validate(&saved.Spec); err != nil {
		return nil, err
	}
	ids, err := s.add(&saved.Spec, s.opts.Store.Intern(saved.Env), 1)
	if err != nil {
		return nil, err
	}
	in := s.table[ids[0]]
	if saved.Index >= 0 {
		in.rec.Index = saved.Index
		s.derive(in)
	}
	if saved.Stopped {
		in.rec.Life.Restarts = saved.Restarts
	}
	s.changed(in)
	return in, nil
}

// Kill ends every app and empties the table. The list as it was is kept for a
// resurrect without a save.
func (s *Supervisor) Kill(ctx context.Context, tell func(api.Event)) error {
	s.request(ctx, "kill")
	list, err := s.saved(ctx)
	if err != nil {
		return err
	}
	var kept error
	if len(list) > 0 {
		kept = store.KeepList(s.opts.Home, list) // a full disk does not keep anybody from stopping
	}
	ids := s.ids()
	if len(ids) > 0 {
		tell(api.Event{Kind: api.EventTarget, Act: api.ActDelete, Target: "all", IDs: ids})
	}
	return errors.Join(s.drop(ctx, ids, false, tell), kept)
}

// Shutdown ends every app, and leaves in the journal that they run: the next
// daemon of this home starts them again, as after a start of the machine.
func (s *Supervisor) Shutdown(ctx context.Context) {
	_ = s.ask(ctx, func(s *Supervisor) { // it fails only when we are ending anyway
		for _, in := range s.serial {
			if in.rec.Life.Live != 0 {
				rec := in.rec
				rec.Proc.Boot = "" // their end will be nobody's crash
				_ = s.opts.Store.Put(rec)
			}
		}
		s.opts.Store.Freeze()
		s.ending = true
	})
	ids := s.ids()
	orders := make([]order, 0, len(ids))
	for _, id := range ids {
		orders = append(orders, order{id: id, event: lifecycle.Stop{}, goal: goalStopped})
	}
	s.run(ctx, orders, 0, func(result) {}) // what went wrong is in the log; we leave anyway
}

func (s *Supervisor) ids() []int {
	return slices.Sorted(maps.Keys(s.byID()))
}

// signalOne signals the first process of an instance.
func (s *Supervisor) signalOne(ctx context.Context, id int, sig syscall.Signal, ev *api.Event) error {
	var err error
	asked := s.ask(ctx, func(s *Supervisor) {
		in := s.table[id]
		if in == nil {
			err = errNotRunning
			return
		}
		ev.Name = in.rec.Spec.Name
		if err = s.opts.Keeper.Signal(in.rec.Key, sig, false); err != nil {
			err = errNotRunning
		}
	})
	if err = errors.Join(err, asked); err == nil {
		return nil
	}
	return &errs.Error{
		Op: "send " + app.SignalName(sig) + " to", On: fmt.Sprintf("%s (%d)", ev.Name, id), Kind: errs.Invalid, Err: err,
		Hint: "`tend ls` shows what runs",
	}
}
