package supervisor

import (
	"context"

	"tend/internal/lifecycle"
)

// A trigger is a reason of the daemon's own to give an app other processes: a
// file that changed, the time, what it takes of the memory. Each gives orders
// as a person does, and the reason goes with them.

// renewal is such an order for one instance. What a person asks of it before
// the order comes to it makes the order void: who stops an app while its
// instances are restarted one after the other means all of them.
func renewal(in *instance, why string) order {
	return order{id: in.rec.ID, event: lifecycle.Restart{}, goal: goalRunning, why: why, heed: in.heard}
}

// renew carries orders out, aside, and posts after when all of it is over.
func (s *Supervisor) renew(orders []order, after message) {
	s.aside(func(ctx context.Context) {
		s.run(ctx, orders, 0, func(r result) {
			if !r.ok {
				s.opts.Log.Warn("not restarted", "app", r.name, "instance", r.id, "reason", r.reason, "state", r.state.String())
			}
		})
		s.mail.post(after)
	})
}

// syncTriggers brings what may trigger in line with a table that has changed.
func (s *Supervisor) syncTriggers() {
	s.syncWatches()
	s.syncCron()
}
