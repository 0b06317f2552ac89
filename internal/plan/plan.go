// Package plan works out what has to be done so that the table holds the apps
// that somebody wants: what is added, restarted, scaled, removed, and which
// fields are the reason. It is pure and carries nothing out.
package plan

import (
	"maps"
	"slices"
	"strconv"

	"tend/api"
)

// Instance is one of the table, as far as a plan looks at it.
type Instance struct {
	ID   int
	Spec *api.Spec
	// Inherited is what its Spec lets through of the environment it was started
	// from.
	Inherited map[string]string
	Running   bool // it has a process, or will have one by itself
}

// Rules say what counts as a reason to do something.
type Rules struct {
	Force   bool // add every app, whatever the table holds
	Changed bool // see api.StartRequest
	Exact   bool
	Reload  bool
	Prune   string
	// Inherited is what an app of that Spec would inherit now; nil: that is no
	// reason.
	Inherited func(*api.Spec) map[string]string
}

// Step is what is done about one app. Want is nil where it is removed.
type Step struct {
	api.Step
	Want *api.Spec
	// Drop are the instances that are taken away, Keep those that stay.
	Drop, Keep []Instance
}

// Make is what has to be done to table, which is in the order of ids, so that
// it holds the wanted apps: what leaves first, since what comes may need its
// port, and then app by app in the order that they are wanted.
func Make(table []Instance, wanted []api.Spec, r Rules) []Step {
	var steps []Step
	owned := assign(table, wanted)
	if r.Prune != "" {
		steps = leaving(table, slices.Concat(owned...), r.Prune)
	}
	if r.Force {
		owned = make([][]Instance, len(wanted))
	}
	for i := range wanted {
		steps = append(steps, stepFor(&wanted[i], owned[i], r))
	}
	return steps
}

// leaving are the apps that came from file and are none of those that stay.
func leaving(table, stay []Instance, file string) []Step {
	var steps []Step
	at := map[string]int{}
	for _, in := range table {
		if in.Spec.File != file || slices.ContainsFunc(stay, func(s Instance) bool { return s.ID == in.ID }) {
			continue
		}
		name := in.Spec.Name
		i, seen := at[name]
		if !seen {
			i = len(steps)
			at[name] = i
			steps = append(steps, Step{Step: api.Step{Do: api.StepRemove, Name: name}})
		}
		step := &steps[i]
		step.Drop = append(step.Drop, in)
		step.IDs = append(step.IDs, in.ID)
		step.Before++
	}
	return steps
}

// assign says which instances each wanted app has. A name tells, unless several
// of the wanted have it: then those that are the same go together, and of the
// others those that run the same script, each as many as it wants.
func assign(table []Instance, wanted []api.Spec) [][]Instance {
	often := map[string]int{}
	for _, w := range wanted {
		often[w.Name]++
	}
	owned := make([][]Instance, len(wanted))
	taken := map[int]bool{}
	take := func(fits func(have, want *api.Spec) bool) {
		for i := range wanted {
			want := &wanted[i]
			if len(owned[i]) > 0 {
				continue
			}
			for _, in := range table {
				if taken[in.ID] || in.Spec.Name != want.Name || !fits(in.Spec, want) {
					continue
				}
				if often[want.Name] > 1 && (len(owned[i]) == want.Instances || len(owned[i]) > 0 && !same(owned[i][0].Spec, in.Spec)) {
					continue
				}
				taken[in.ID] = true
				owned[i] = append(owned[i], in)
			}
		}
	}
	take(func(have, want *api.Spec) bool { return often[want.Name] == 1 || same(have, want) })
	take(func(have, want *api.Spec) bool { return have.Script == want.Script })
	return owned
}

// stepFor is what has to be done about one wanted app that has these instances.
func stepFor(want *api.Spec, have []Instance, r Rules) Step {
	s := Step{Step: api.Step{Do: api.StepAdd, Name: want.Name, Before: len(have), After: want.Instances}, Want: want}
	if len(have) == 0 {
		return s
	}
	s.Changes = r.changes(want, have)
	s.After = r.count(want, have)
	if n := len(have) - s.After; n > 0 { // the lowest ids go first, as in PM2
		s.Drop, have = have[:n], have[n:]
	}
	s.Keep = have
	idle := slices.DeleteFunc(slices.Clone(have), func(in Instance) bool { return in.Running })
	renew := !r.Changed || slices.ContainsFunc(s.Changes, func(c api.Change) bool { return c.Field != instances })
	switch {
	case renew && r.Changed && !want.Autostart && len(idle) == len(have):
		s.Do = api.StepUpdate
	case renew && r.Reload && replaceable(want, have):
		s.Do, s.IDs = api.StepReload, ids(have)
	case renew:
		s.Do, s.IDs = api.StepRestart, ids(have)
	case s.After != s.Before:
		s.Do, s.IDs = api.StepScale, ids(s.Drop)
	case len(idle) > 0 && want.Autostart:
		s.Do, s.IDs = api.StepStart, ids(idle)
	default:
		s.Do = api.StepUnchanged
	}
	return s
}

// Starts tells whether an instance that the app keeps is started, or started
// anew.
func (s *Step) Starts(in Instance) bool {
	switch s.Do {
	case api.StepRestart, api.StepReload:
		return true
	case api.StepStart, api.StepScale:
		return !in.Running && s.Want.Autostart
	}
	return false
}

// instances is the field whose change needs no new process.
const instances = "instances"

// changes are what differs between an app and what is wanted of it, by field.
func (r Rules) changes(want *api.Spec, have []Instance) []api.Change {
	all := map[string]api.Change{}
	note := func(changes []api.Change) {
		for _, c := range changes {
			if _, told := all[c.Field]; !told {
				all[c.Field] = c
			}
		}
	}
	var last *api.Spec
	for _, in := range have {
		if in.Spec != last { // instances share their Spec
			last = in.Spec
			note(Diff(in.Spec, want))
		}
		if r.Inherited != nil {
			note(inherited(in.Inherited, r.Inherited(want)))
		}
	}
	if r.Exact && len(have) != want.Instances {
		all[instances] = api.Change{Field: instances, Old: strconv.Itoa(len(have)), New: strconv.Itoa(want.Instances)}
	}
	if r.count(want, have) == len(have) {
		delete(all, instances) // it was scaled, and that stays
	}
	var out []api.Change
	for _, field := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[field])
	}
	return out
}

// count is how many instances an app is to have. Who scaled it by hand wanted
// so, until its file says another number than it did.
func (r Rules) count(want *api.Spec, have []Instance) int {
	if r.Exact || want.File != "" && slices.ContainsFunc(have, func(in Instance) bool { return in.Spec.Instances != want.Instances }) {
		return want.Instances
	}
	return len(have)
}

// replaceable tells whether a new process can stand beside one of these.
func replaceable(want *api.Spec, have []Instance) bool {
	return want.Mode == api.Cluster && slices.ContainsFunc(have, func(in Instance) bool {
		return in.Running && in.Spec.Mode == api.Cluster
	})
}

func ids(list []Instance) []int {
	var out []int
	for _, in := range list {
		out = append(out, in.ID)
	}
	return out
}
