package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
)

// amended are the Specs that a request makes with its change and its environment,
// by the ids of the instances that get them. Nothing is done when one of them
// cannot be had.
func (s *Supervisor) amended(ctx context.Context, req api.ActRequest) (map[int]*api.Spec, error) {
	if len(req.Change) == 0 && req.Inherited == nil {
		return nil, nil
	}
	if len(req.Change) > 0 && !slices.Contains([]string{api.ActStart, api.ActRestart, api.ActReload}, req.Act) {
		return nil, &errs.Error{Op: req.Act, Kind: errs.Invalid, Err: errors.New("it can change nothing: only start, restart and reload do")}
	}
	out := map[int]*api.Spec{}
	for _, t := range req.Targets {
		ids, _ := s.Select(t, req.Cwd) // what is not there is told when its turn comes
		for _, id := range ids {
			out[id] = nil
		}
	}
	var bad error
	if err := s.ask(ctx, func(s *Supervisor) { bad = s.amend(out, req) }); err != nil {
		return nil, err
	}
	return out, bad
}

// amend makes the Specs of the instances that are keys of out.
func (s *Supervisor) amend(out map[int]*api.Spec, req api.ActRequest) error {
	made := map[*api.Spec]*api.Spec{} // the instances of an app share one
	for id := range out {
		in := s.table[id]
		if in == nil {
			continue
		}
		was := in.rec.Spec
		if made[was] == nil {
			spec := was
			if len(req.Change) > 0 {
				var err error
				if spec, err = app.Change(was, req.Change); err != nil {
					return err
				}
			}
			made[was] = app.Renewed(spec, req.Inherited)
		}
		if made[was] != was {
			out[id] = made[was]
		}
	}
	for was, spec := range made {
		if err := s.renames(was, spec, out); err != nil {
			return err
		}
	}
	return nil
}

// renames says why an app cannot get the name that spec has, nil when it can, or
// keeps its own. of are the instances that do.
func (s *Supervisor) renames(was, spec *api.Spec, of map[int]*api.Spec) error {
	if spec.Name == was.Name {
		return nil
	}
	for _, in := range s.list {
		_, too := of[in.rec.ID]
		switch {
		case !too && in.rec.Spec.Name == spec.Name: // instances of one name are one app
			return &errs.Error{
				Op: "rename", On: was.Name, Kind: errs.Exists, Err: fmt.Errorf("there is an app called %s already", spec.Name),
				Hint: "take another name, or delete that one first",
			}
		case too && in.rec.Spec == was && atWork(&in.rec): // it listens under the old one
			return &errs.Error{
				Op: "rename", On: was.Name, Kind: errs.Invalid, Err: errors.New("the workers of a cluster share what they listen on by the name of their app"),
				Hint: fmt.Sprintf("`tend stop %s`, then `tend start %s --name %s`", was.Name, was.Name, spec.Name),
			}
		}
	}
	return nil
}
