package supervisor

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"tend/api"
	"tend/internal/app"
	"tend/internal/lifecycle"
)

// rolling is how many instances of one app are restarted at once where nobody
// asks for another number, as in PM2: the others serve on.
const rolling = 2

// run gives orders to many instances and hands each result to done, in the
// order in which they end. Apps of one priority are worked on together, and each
// level when the one before it is done: the lowest first, and last where they
// are to end. limit is for the instances of one app; see level.
func (s *Supervisor) run(ctx context.Context, orders []order, limit int, done func(result)) {
	levels, rows := map[int][]order{}, s.byID()
	for _, o := range orders {
		p := 0
		switch row := rows[o.id]; {
		case o.spec != nil:
			p = app.Priority(o.spec)
		case row != nil:
			p = row.Priority
		}
		if o.ends() {
			p = -p
		}
		levels[p] = append(levels[p], o)
	}
	for _, p := range slices.Sorted(maps.Keys(levels)) {
		if s.level(ctx, levels[p], limit, done); ctx.Err() != nil {
			return
		}
	}
}

// byPriority are the targets of a request in the order in which they come. That
// of a target is that of its first app.
func (s *Supervisor) byPriority(req api.ActRequest) []string {
	first, rows := map[string]int{}, s.byID()
	for _, t := range req.Targets {
		ids, err := s.Select(t, req.Cwd)
		if err != nil {
			continue // which is told when its turn comes
		}
		all := make([]int, len(ids))
		for i, id := range ids {
			if row := rows[id]; row != nil {
				all[i] = row.Priority
			}
		}
		first[t] = slices.Min(all)
		if req.Act == api.ActStop || req.Act == api.ActDelete {
			first[t] = -slices.Max(all)
		}
	}
	return slices.SortedStableFunc(slices.Values(req.Targets), func(a, b string) int { return cmp.Compare(first[a], first[b]) })
}

// ends tells whether an order is for the end of an instance.
func (m order) ends() bool { return m.goal == goalStopped || m.goal == goalGone }

// level carries out orders at one time. limit is how many instances with the
// same name are worked on at once; 0: all, or, of those that get another process,
// a few. After a reload that failed the rest of the app is spared.
func (s *Supervisor) level(ctx context.Context, orders []order, limit int, done func(result)) {
	rows := s.byID()
	name := func(id int) string {
		if row := rows[id]; row != nil {
			return row.Name
		}
		return ""
	}
	answers := make(chan result, len(orders)) // nobody waits to answer, even when we have left
	waiting := map[string][]order{}           // by name, in order
	who := by(ctx)
	for _, o := range orders {
		o.answer, o.by = answers, who
		waiting[name(o.id)] = append(waiting[name(o.id)], o)
	}
	begin := func(name string, n int) {
		list := waiting[name]
		n = min(n, len(list))
		for _, o := range list[:n] {
			s.mail.post(o)
		}
		waiting[name] = list[n:]
	}
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		first := waiting[name][0]
		begin(name, cmp.Or(limit, first.atOnce(rows[first.id]), len(orders)))
	}
	for left := len(orders); left > 0; left-- {
		select {
		case r := <-answers:
			if rest := waiting[name(r.id)]; !r.ok && len(rest) > 0 && rest[0].reload {
				r.spared = len(rest)
				left -= len(rest)
				delete(waiting, name(r.id))
			}
			begin(name(r.id), 1)
			done(r)
		case <-ctx.Done():
			return
		}
	}
}

// atOnce is how many such orders for instances of one app are carried out at
// once where nobody asks for another number; 0: all.
func (m order) atOnce(row *Row) int {
	_, renew := m.event.(lifecycle.Restart)
	switch {
	case m.reload && (row == nil || row.Mode != api.Cluster):
		return 1 // the others serve on
	case renew:
		return rolling
	}
	return 0
}
