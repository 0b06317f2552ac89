package supervisor

import (
	"encoding/json"

	"tend/api"
	"tend/internal/lifecycle"
	"tend/internal/store"
)

// notices is who tells the world what happened.
type notices interface {
	Publish(n api.Notice)
}

// notify publishes a change in the life of an instance; key is the launch that
// it is about.
func (s *Supervisor) notify(in *instance, key, event string) {
	if s.opts.Notices == nil {
		return
	}
	what := map[string]string{"event": event}
	if in.why != "" && (event == "restart" || event == "reload") {
		what["reason"], in.why = in.why, ""
	}
	data, err := json.Marshal(what)
	if err != nil {
		return // a string can always be written
	}
	s.opts.Notices.Publish(api.Notice{
		Topic: api.TopicProcess, ID: in.rec.ID, Name: in.rec.Spec.Name, Namespace: in.rec.Spec.Namespace,
		UniqueID: key, Data: data,
	})
}

// tellOf publishes what a step made of an instance that was was
// before. A daemon that dies in between leaves it untold.
func (s *Supervisor) tellOf(in *instance, was *store.Record, ev lifecycle.Event) {
	before, life := was.Life, in.rec.Life
	_, exited := ev.(lifecycle.Exited)
	if exited {
		s.notify(in, was.Key, "exit")
	}
	if life.State == before.State {
		return
	}
	switch life.State {
	case lifecycle.Online:
		s.notify(in, in.rec.Key, "online")
		if life.Restarts > in.restarts {
			s.notify(in, in.rec.Key, "restart")
		}
		in.restarts = life.Restarts
	case lifecycle.Stopped:
		if life.Want == lifecycle.WantStopped && in.of == nil { // somebody ordered it
			s.notify(in, was.Key, "stop")
		}
	case lifecycle.Errored:
		if exited {
			s.notify(in, was.Key, "restart overlimit")
		}
	case lifecycle.Launching, lifecycle.Stopping, lifecycle.Waiting:
	}
}
