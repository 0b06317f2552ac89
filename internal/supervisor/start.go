package supervisor

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
	"tend/internal/lifecycle"
	"tend/internal/plan"
	"tend/internal/store"
)

// Start makes the table hold apps as a request wants them. What that takes is
// decided by package plan, at one moment for the whole request.
func (s *Supervisor) Start(ctx context.Context, req api.StartRequest, tell func(api.Event)) error {
	if err := checkStart(req); err != nil {
		return err
	}
	a, err := s.admit(ctx, req)
	if err != nil {
		return err
	}
	for i := range a.steps {
		step := a.steps[i].Step
		tell(api.Event{Kind: api.EventStep, Act: api.ActStart, Name: step.Name, IDs: step.IDs, Step: &step})
	}
	if req.DryRun {
		return nil
	}
	for i := range a.steps {
		s.note(ctx, &a.steps[i], req, a.added[i], tell)
	}
	failed := s.begin(ctx, a.removals, 0, api.ActDelete, tell)
	failed = append(failed, s.begin(ctx, a.orders, req.Parallel, api.ActStart, tell)...)
	return whole(failed, len(a.removals)+len(a.orders) == 1)
}

// checkStart says what is wrong with a request: nothing is done of a bad one.
func checkStart(req api.StartRequest) error {
	if len(req.Apps) == 0 {
		return &errs.Error{Op: "start", Kind: errs.Invalid, Err: errors.New("no app was given")}
	}
	var bad []error
	for i := range req.Apps {
		bad = append(bad, app.Validate(&req.Apps[i]))
	}
	if err := errors.Join(bad...); err != nil {
		return &errs.Error{Op: "start", Kind: errs.Invalid, Err: err}
	}
	return nil
}

// admit puts the apps of a request into the table.
func (s *Supervisor) admit(ctx context.Context, req api.StartRequest) (admission, error) {
	admitted := make(chan admission, 1)
	s.mail.post(admit{req: req, answer: admitted})
	select {
	case a := <-admitted:
		return a, a.err
	case <-ctx.Done():
		return admission{}, context.Cause(ctx)
	}
}

// note logs what is done about one app, and tells what the step did not.
func (s *Supervisor) note(ctx context.Context, step *plan.Step, req api.StartRequest, added []int, tell func(api.Event)) {
	if step.Do == api.StepUnchanged {
		return
	}
	s.request(ctx, api.ActStart, "app", step.Name, "do", step.Do, "instances", slices.Concat(step.IDs, added))
	if step.Do == api.StepAdd {
		tell(api.Event{Kind: api.EventApp, Act: api.ActStart, Name: step.Name, IDs: added, OK: true})
	}
	if req.Reload && (step.Do == api.StepReload || step.Do == api.StepRestart) {
		s.noteRestarts(step.IDs, req.Parallel, tell)
	}
}

// admit puts the apps of a request into the table, and gives the instances that
// are there their new Spec.
type admit struct {
	req    api.StartRequest
	answer chan<- admission
}

type admission struct {
	steps    []plan.Step
	added    [][]int // the ids of new instances, by step
	removals []order
	orders   []order
	err      error
}

func (m admit) handle(s *Supervisor) {
	a := admission{steps: plan.Make(s.planned(m.req.UpdateEnv), m.req.Apps, rules(m.req))}
	a.added = make([][]int, len(a.steps))
	if !m.req.DryRun {
		if a.err = s.enlarge(&a, m.req); a.err == nil {
			for i := range a.steps {
				s.carry(&a, i, m.req)
			}
		}
	}
	s.reply(func() { m.answer <- a })
}

func rules(req api.StartRequest) plan.Rules {
	r := plan.Rules{
		Force: req.Force && !req.Reload, Changed: req.Changed, Exact: req.Exact, Reload: req.Reload, Prune: req.Prune,
	}
	if req.UpdateEnv {
		r.Inherited = func(spec *api.Spec) map[string]string { return inheritedBy(spec, req.Inherited) }
	}
	return r
}

// planned is the table as a plan looks at it.
func (s *Supervisor) planned(withEnv bool) []plan.Instance {
	table := make([]plan.Instance, 0, len(s.list))
	for _, in := range s.list {
		if in.leaves() {
			continue
		}
		p := plan.Instance{ID: in.rec.ID, Spec: in.rec.Spec, Running: in.runs()}
		if withEnv && in.rec.Inherited != nil {
			p.Inherited = inheritedBy(p.Spec, in.rec.Inherited.Vars)
		}
		table = append(table, p)
	}
	return table
}

// runs tells whether an instance has a process, or will have one by itself.
func (in *instance) runs() bool {
	switch in.rec.Life.State {
	case lifecycle.Launching, lifecycle.Online, lifecycle.Waiting:
		return true
	case lifecycle.Stopping:
		return in.rec.Life.Want == lifecycle.WantRunning
	case lifecycle.Stopped, lifecycle.Errored:
	}
	return false
}

// inheritedBy is what comes through to an app of the environment that it was
// started from.
func inheritedBy(spec *api.Spec, vars map[string]string) map[string]string {
	env := app.Merged(&api.Spec{FilterEnv: spec.FilterEnv}, vars)
	for name := range spec.Env {
		delete(env, name)
	}
	for name := range spec.Secrets {
		delete(env, name)
	}
	return env
}

// enlarge adds the instances that steps ask for: all or none.
func (s *Supervisor) enlarge(a *admission, req api.StartRequest) error {
	for i := range a.steps {
		step := &a.steps[i]
		n := step.After - len(step.Keep)
		if n <= 0 {
			continue
		}
		var err error
		if a.added[i], err = s.add(step.Want, s.heritage(step.Want, req), n); err == nil {
			continue
		}
		for _, id := range slices.Concat(a.added...) {
			s.remove(s.table[id])
		}
		return err
	}
	return nil
}

// heritage is what of the environment of a request is kept for an app.
func (s *Supervisor) heritage(spec *api.Spec, req api.StartRequest) *store.Environment {
	return s.opts.Store.Intern(app.Heritage(spec, req.Inherited))
}

// carry gives the orders of one step, the instances of which are in the table.
func (s *Supervisor) carry(a *admission, i int, req api.StartRequest) {
	step := &a.steps[i]
	for _, in := range step.Drop {
		a.removals = append(a.removals, order{id: in.ID, event: lifecycle.Remove{}, goal: goalGone, drain: true})
	}
	for _, in := range step.Keep {
		o := order{id: in.ID, event: lifecycle.Start{}, goal: goalRunning, change: respec(step.Want, s.heritage(step.Want, req)), spec: step.Want}
		switch {
		case !step.Starts(in):
			s.update(s.table[in.ID], step.Want)
			continue
		case step.Do == api.StepRestart, step.Do == api.StepReload:
			o.event, o.reload, o.force = lifecycle.Restart{}, req.Reload, req.Force
		}
		a.orders = append(a.orders, o)
	}
	if step.Want != nil && step.Want.Autostart {
		a.orders = append(a.orders, starts(a.added[i])...)
	}
}

// update gives an instance a Spec that its process need not know of.
func (s *Supervisor) update(in *instance, spec *api.Spec) {
	if !reflect.DeepEqual(in.rec.Spec, spec) {
		s.setSpec(in, spec)
		s.changed(in)
	}
}

func starts(ids []int) []order {
	var orders []order
	for _, id := range ids {
		orders = append(orders, order{id: id, event: lifecycle.Start{}, goal: goalRunning})
	}
	return orders
}

func respec(spec *api.Spec, env *store.Environment) func(*Supervisor, *instance) {
	return func(s *Supervisor, in *instance) {
		in.rec.Inherited = env
		s.setSpec(in, spec)
	}
}
