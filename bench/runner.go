package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// runner takes all measurements of one run.
type runner struct {
	options  options
	managers []manager
	machine  machine
	notes    []string
	results  *results
	progress io.Writer
}

func newRunner(ctx context.Context, o options, progress io.Writer) (*runner, error) {
	managers, notes, err := managersFor(ctx, o, progress)
	if err != nil {
		return nil, err
	}
	floors, err := floors(ctx)
	if err != nil {
		return nil, err
	}
	return &runner{
		options: o, managers: managers, machine: thisMachine(), notes: append(notes, floors...),
		results: newResults(), progress: progress,
	}, nil
}

// run takes the measurements in order. It returns early only where ctx ends.
func (r *runner) run(ctx context.Context) error {
	for _, m := range measurements() {
		if len(r.options.only) > 0 && !slices.Contains(r.options.only, m.name) {
			continue
		}
		for _, n := range m.sizes(r.options.sizes) {
			for round := range min(r.options.rounds, m.rounds) {
				if err := r.round(ctx, m, n, round); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// round gives each manager its turn.
func (r *runner) round(ctx context.Context, m measurement, n, round int) error {
	for i := range r.managers {
		who := r.managers[(round+i)%len(r.managers)]
		if n > who.most() || m.needsKeeper && who != r.managers[0] {
			continue
		}
		t := &turn{apps: n, who: who.name(), results: r.results}
		err := t.take(ctx, who, m)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			t.said = append(t.said, "FAILED: "+err.Error())
			r.results.failures = append(r.results.failures,
				fmt.Sprintf("%s, %d apps, round %d, %s: %v", m.name, n, round+1, who.name(), err))
		}
		_, _ = fmt.Fprintf(r.progress, "%-9s %4d apps  round %d  %-10s  %s\n", m.name, n, round+1, who.name(), strings.Join(t.said, ", "))
	}
	return nil
}

// turn is one manager's turn at one measurement.
type turn struct {
	*home
	apps    int
	who     string
	results *results
	said    []string // for the progress
}

// take opens a home, measures and closes it.
func (t *turn) take(ctx context.Context, who manager, m measurement) (err error) {
	t.home, err = openHome(ctx, who)
	if t.home != nil {
		defer func() {
			if closing := t.close(ctx); err == nil {
				err = closing
			}
		}()
	}
	if err != nil {
		return err
	}
	return m.take(ctx, t)
}

// record keeps values of q.
func (t *turn) record(q quantity, values ...float64) {
	t.results.add(row{q, t.apps}, t.who, values...)
	t.said = append(t.said, fmt.Sprintf("%s %s", q, q.format(q.figure(values))))
}
