package supervisor

import (
	"context"
	"errors"
	"fmt"

	"tend/api"
	"tend/internal/errs"
)

// actMonitor sets or takes away the mark of what people keep an eye on.
func (s *Supervisor) actMonitor(ctx context.Context, req api.ActRequest, tell func(api.Event)) error {
	on := req.Act == api.ActMonitor
	s.request(ctx, req.Act, "targets", req.Targets)
	return s.eachTarget(req.Act, req.Targets, req.Cwd, tell, func(_ string, ids []int) (failed []error) {
		for _, id := range ids {
			ev := api.Event{Kind: api.EventInstance, Act: req.Act, ID: id}
			err := s.ask(ctx, func(s *Supervisor) {
				in := s.table[id]
				if in == nil {
					return
				}
				ev.OK, ev.Name = true, in.rec.Spec.Name
				if in.rec.Monitored != on {
					in.rec.Monitored = on
					s.changed(in)
				}
			})
			if err == nil && !ev.OK {
				err = &errs.Error{Op: req.Act, On: fmt.Sprint(id), Kind: errs.NotFound, Err: errors.New("it is not in the list any more")}
			}
			if err != nil {
				failed = append(failed, err)
				ev.OK, ev.Error = false, errs.Wire(err)
			}
			tell(ev)
		}
		return failed
	})
}
