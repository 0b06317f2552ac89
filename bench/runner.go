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
	peers    peers
	machine  machine
	notes    []string
	results  *results
	progress io.Writer
}

func newRunner(ctx context.Context, o options, progress io.Writer) (*runner, error) {
	peers, notes, err := peersFor(ctx, o, progress)
	if err != nil {
		return nil, err
	}
	floors, err := floors(ctx)
	if err != nil {
		return nil, err
	}
	return &runner{
		options: o, peers: peers, machine: thisMachine(), notes: append(notes, floors...),
		results: newResults(), progress: progress,
	}, nil
}

// run takes the measurements in order. It returns early only where ctx ends.
func (r *runner) run(ctx context.Context) error {
	for _, m := range measurements() {
		if only := r.options.only; len(only) > 0 && !slices.ContainsFunc(only, m.isOf) {
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

// round gives each of those that m is about its turn.
func (r *runner) round(ctx context.Context, m measurement, n, round int) error {
	all := m.of(r.peers)
	for i := range all {
		who := all[(round+i)%len(all)]
		if n > who.most() {
			continue
		}
		t := &turn{apps: n, who: who.name(), scale: r.options.scale, results: r.results}
		err := t.take(ctx, who, m)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			t.said = append(t.said, "FAILED: "+err.Error())
			r.results.failures = append(r.results.failures,
				fmt.Sprintf("%s, %d apps, round %d, %s: %v", m.name, n, round+1, who.name(), err))
		}
		_, _ = fmt.Fprintf(r.progress, "%-16s %4d apps  round %d  %-16s  %s\n", m.name, n, round+1, who.name(), strings.Join(t.said, ", "))
	}
	return nil
}

// turn is one manager's turn at one measurement.
type turn struct {
	*home
	apps    int
	who     string
	scale   scale
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

// remark keeps what a figure does not say.
func (t *turn) remark(format string, args ...any) {
	t.results.remarks = append(t.results.remarks, t.who+", "+fmt.Sprintf(format, args...)+".")
}
