package supervisor

import (
	"context"
	"time"

	"tend/api"
	"tend/internal/lifecycle"
	"tend/internal/store"
	"tend/internal/sysinfo"
	"tend/internal/units"
)

// max_memory_restart is about the resident memory of an instance's first
// process, as with PM2: that of all its children together would count what
// they share once for each.
const (
	// weighEvery is how often it is looked at.
	weighEvery = 500 * time.Millisecond
	// A limit that a new process exceeds at once, or a reload that fails, is
	// tried again after growing pauses; an app that was below its limit for
	// weighCalm begins anew.
	weighPause = time.Second
	weighMost  = 30 * time.Second
	weighCalm  = time.Minute
)

// weight is what became of the limit of the instance at a place.
type weight struct {
	busy  bool      // it is being restarted
	acted time.Time // when it was last
	pause time.Duration
}

// may tells whether the limit may be acted upon, and notes that it is.
func (w *weight) may(now time.Time) bool {
	switch since := now.Sub(w.acted); {
	case w.busy, since < w.pause:
		return false
	case w.acted.IsZero() || since > weighCalm:
		w.pause = weighPause
	default:
		w.pause = min(2*w.pause, weighMost)
	}
	w.busy, w.acted = true, now
	return true
}

// weigh looks at the processes that have a limit. Where none has it waits
// without a clock.
func (s *Supervisor) weigh(ctx context.Context) {
	for {
		var tick <-chan time.Time
		if s.View().limits > 0 {
			tick = time.After(weighEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.limited:
		case <-tick:
			for _, row := range s.View().Rows {
				if row.MaxMemory == 0 || row.State != api.Online || row.PID == 0 {
					continue
				}
				rss, err := s.opts.Resident(sysinfo.Root{PID: row.PID, Start: row.StartTicks}, row.MaxMemory)
				if err == nil && rss > row.MaxMemory {
					s.mail.post(tooHeavy{row.ID, row.Key, rss})
				}
			}
		}
	}
}

type (
	// tooHeavy tells that a process exceeds the limit of its app.
	tooHeavy struct {
		id  int
		key string
		rss int64
	}
	weighed struct{ id int }
)

func (m tooHeavy) handle(s *Supervisor) {
	in := s.table[m.id]
	if in == nil || in.rec.Key != m.key || in.rec.Role != store.Current || in.rec.Life.State != lifecycle.Online || s.ending {
		return // it is another by now
	}
	limit := in.rec.Spec.MaxMemory
	if limit == 0 || m.rss <= limit {
		return
	}
	w := s.weights[m.id]
	if w == nil {
		w = &weight{}
		s.weights[m.id] = w
	}
	if !w.may(time.Now()) {
		return
	}
	o := renewal(in, "memory "+units.Bytes(m.rss)+" over "+units.Bytes(limit))
	o.note = "restarted for its " + o.why
	// A worker that serves nobody has nothing that a reload could keep going,
	// and would never be found ready.
	o.reload = in.replaceable() && (in.rec.Spec.WaitReady || s.opts.Channels.Status(m.key).Listening)
	s.opts.Log.Warn("memory exceeds max_memory_restart", "app", in.rec.Spec.Name, "instance", in.rec.ID, "pid", in.rec.Proc.PID,
		"memory", m.rss, "limit", limit, "act", o.verb())
	s.renew([]order{o}, weighed{m.id})
}

func (m weighed) handle(s *Supervisor) {
	if w := s.weights[m.id]; w != nil {
		w.busy = false
	}
}
