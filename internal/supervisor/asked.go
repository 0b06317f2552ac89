package supervisor

import (
	"context"
	"slices"

	"tend/api"
	"tend/internal/lifecycle"
	"tend/internal/store"
)

type askerKey struct{}

// AskedBy is ctx for what somebody asked for; who stands in the log beside what
// was decided because of that.
func AskedBy(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, askerKey{}, who)
}

// by is who asked for what is done under ctx.
func by(ctx context.Context) string {
	if who, ok := ctx.Value(askerKey{}).(string); ok {
		return who
	}
	return "unknown"
}

// request logs what somebody asks for. What comes of it has lines of its own.
func (s *Supervisor) request(ctx context.Context, act string, args ...any) {
	s.opts.Log.Info("asked to", append([]any{"act", act, "by", by(ctx)}, args...)...)
}

// reason is why an order was given.
func (m order) reason() string {
	if m.why != "" {
		return m.why
	}
	return m.verb() + " by " + m.by
}

// verb is what an order asks for, in the words of the API.
func (m order) verb() string {
	if m.reload {
		return api.ActReload
	}
	switch m.event.(type) {
	case lifecycle.Start:
		return api.ActStart
	case lifecycle.Restart:
		return api.ActRestart
	case lifecycle.Stop:
		return api.ActStop
	case lifecycle.Remove:
		return api.ActDelete
	}
	return api.ActReset
}

// logStep logs what a step decided about an instance that was was before, and
// why.
func (s *Supervisor) logStep(in *instance, was *store.Record, ev lifecycle.Event) {
	before, life := &was.Life, &in.rec.Life
	if life.Launch == before.Launch && life.State == before.State {
		return
	}
	log := s.opts.Log.With("app", in.rec.Spec.Name, "instance", in.rec.ID)
	if life.Launch != before.Launch {
		log.Info("starting", "why", in.cause(before, ev), "restarts", life.Restarts)
	}
	if life.State == before.State {
		return
	}
	switch life.State {
	case lifecycle.Online:
		log.Info("online", "pid", in.rec.Proc.PID)
	case lifecycle.Stopping:
		log.Info("stopping", "why", in.cause(before, ev), "pid", in.rec.Proc.PID)
	case lifecycle.Stopped:
		log.Info("stopped", "why", in.cause(before, ev))
	case lifecycle.Errored:
		log.Error("given up", "reason", life.Reason)
	case lifecycle.Waiting:
		log.Info("waiting before the next start", "why", in.cause(before, ev), "until", life.WakeAt)
	case lifecycle.Launching:
	}
}

// cause is why an event made of an instance what it is now.
func (in *instance) cause(before *lifecycle.Instance, ev lifecycle.Event) string {
	life := &in.rec.Life
	switch ev := ev.(type) {
	case lifecycle.SpawnFailed:
		if before.State != lifecycle.Stopping {
			return ev.Reason
		}
	case lifecycle.Exited:
		if before.State == lifecycle.Stopping {
			break
		}
		why := "it ended, " + howEnded(in.describe())
		switch {
		case life.State != lifecycle.Stopped:
		case !in.policy.Autorestart:
			why += ", and autorestart is off"
		case !slices.Contains(in.policy.StopCodes, life.Exit.Code):
			why += ", which is expected"
		default:
			why += ", which is one of stop_exit_codes"
		}
		return why
	case lifecycle.Elapsed:
		switch before.State {
		case lifecycle.Waiting:
			return "its delay is over"
		case lifecycle.Launching:
			return life.Reason
		case lifecycle.Stopped, lifecycle.Online, lifecycle.Stopping, lifecycle.Errored:
		}
	}
	if in.asked == "" { // the order came to a daemon before this one
		return "it was asked to"
	}
	return in.asked
}
