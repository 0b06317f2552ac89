package supervisor

import (
	"fmt"
	"time"

	"tend/api"
	"tend/internal/cron"
	"tend/internal/lifecycle"
)

// schedule is when an instance is restarted by its cron_restart.
type schedule struct {
	text    string
	pattern cron.Pattern
	due     time.Time // zero: never
}

// lookLeast bounds how long a timer goes by its own clock: that of the wall,
// which patterns mean, may be set, and stands still for neither a suspended
// machine nor a change of the season.
const lookLeast = time.Minute

// newSchedule is the schedule of a pattern, in the daemon's time zone. One that
// makes no sense never comes due: it was validated, but the journal of another
// version may differ.
func newSchedule(text string, now time.Time) *schedule {
	p, err := cron.Parse(text)
	if text == "" || err != nil {
		return nil
	}
	return &schedule{text: text, pattern: p, due: p.Next(now)}
}

// reschedule gives an instance the schedule that its Spec says. What came due
// while nobody was there to see it has passed.
func (in *instance) reschedule(now time.Time) {
	if in.schedule == nil && in.rec.Spec.Cron == "" || in.schedule != nil && in.schedule.text == in.rec.Spec.Cron {
		return
	}
	in.schedule = newSchedule(in.rec.Spec.Cron, now)
}

// syncCron has the one timer of all schedules go off at the next of them.
func (s *Supervisor) syncCron() {
	var next time.Time
	for _, in := range s.list {
		if c := in.schedule; c != nil && !c.due.IsZero() && (next.IsZero() || c.due.Before(next)) {
			next = c.due
		}
	}
	if next.IsZero() {
		return
	}
	now := time.Now()
	at := now.Add(min(max(0, wall(next).Sub(wall(now))), lookLeast))
	if !s.cronAt.IsZero() && !at.Before(s.cronAt) {
		return // it goes off earlier, and looks again
	}
	s.cronAt = at
	time.AfterFunc(time.Until(at), func() { s.mail.post(cronTick{at}) })
}

// wall is a time on the wall's clock alone.
func wall(t time.Time) time.Time { return t.Round(0) }

// cronTick tells that a schedule may have come due.
type cronTick struct{ at time.Time }

func (m cronTick) handle(s *Supervisor) {
	if m.at.Equal(s.cronAt) {
		s.cronAt = time.Time{}
	}
	s.stale = true // the timer is set anew
	now := time.Now()
	due := map[string][]order{}
	for _, in := range s.list {
		c := in.schedule
		if c == nil || c.due.IsZero() || wall(c.due).After(wall(now)) {
			continue
		}
		c.due = c.pattern.Next(now)
		if name := in.rec.Spec.Name; in.cronRestarts() && !s.ending && !s.cronBusy[name] {
			due[name] = append(due[name], renewal(in, "cron "+c.text))
		}
	}
	for name, orders := range due {
		s.opts.Log.Info("cron_restart is due", "app", name, "instances", len(orders))
		s.cronBusy[name] = true
		s.renew(orders, cronDone{name})
	}
}

// cronRestarts tells whether an instance is restarted when it is due. As with
// PM2 also one that was stopped is, unless its app wants it otherwise.
func (in *instance) cronRestarts() bool {
	life := &in.rec.Life
	resting := life.State == lifecycle.Stopped || life.Want == lifecycle.WantStopped && life.State == lifecycle.Stopping
	return life.Launch > 0 && !in.leaves() && !(in.rec.Spec.CronSparesStopped && resting)
}

// noteCron tells of apps that were stopped and will be started by their
// schedule.
func (s *Supervisor) noteCron(ids []int, tell func(api.Event)) {
	rows, noted := s.byID(), map[string]bool{}
	for _, id := range ids {
		row := rows[id]
		if row == nil || row.Cron == "" || noted[row.Name] {
			continue
		}
		noted[row.Name] = true
		tell(api.Event{Kind: api.EventWarning, Name: row.Name, Message: fmt.Sprintf(
			"app %s is stopped, but cron_restart starts it again: %s (cron_restart_stopped: false in its file prevents that)", row.Name, row.Cron)})
	}
}

type cronDone struct{ name string }

func (m cronDone) handle(s *Supervisor) { delete(s.cronBusy, m.name) }
