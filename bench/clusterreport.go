package main

import (
	"fmt"
	"strings"
)

// cluster is the part of the report on cluster mode, empty where nothing of it
// was measured.
func (r *runner) cluster() string {
	var b strings.Builder
	for _, s := range sections() {
		if rows := r.sectionTable(s); len(rows) > 1 {
			fmt.Fprintf(&b, "\n### %s\n\n", s.head)
			if s.text != "" {
				b.WriteString(s.text + "\n\n")
			}
			b.WriteString(table(rows))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	if rows := r.kept(); len(rows) > 1 {
		b.WriteString("\n### Targets\n\n" + table(rows))
	}
	if rows := r.spread(clusterQuantities(), r.peers.clusters, 2); len(rows) > 1 {
		b.WriteString("\n### Spread of cluster mode\n\n" + table(rows))
	}
	return "\n## Cluster mode\n\n" +
		"Apps of Node in cluster mode: tend with each `balance`, PM2, and Node's own `cluster` with a plain primary and each of its policies, " +
		"in turns. Of failures and requests, the sum of all rounds; of other figures the median.\n" + b.String()
}

// sectionTable has a row for each peer that has a figure.
func (r *runner) sectionTable(s section) [][]string {
	beside := []string{pm2Title, nodeRoundRobin}
	if !s.ratios {
		beside = nil
	}
	head := []string{fmt.Sprintf("%d workers", s.workers)}
	if s.workers == 1 {
		head[0] = "1 worker"
	}
	for i, c := range s.columns {
		head = append(head, string(c.q.plain()))
		for _, other := range beside {
			if i == 0 {
				head = append(head, ": "+other)
			}
		}
	}
	rows := [][]string{head}
	for _, m := range r.peers.clusters {
		cells := []string{m.name()}
		var any bool
		for i, c := range s.columns {
			at := row{c.q, s.workers}
			_, ok := r.results.figure(at, m.name())
			any = any || ok
			cells = append(cells, r.part(c, s.workers, m.name()))
			for _, other := range beside {
				if i == 0 {
					cells = append(cells, r.times(at, m.name(), other))
				}
			}
		}
		if any {
			rows = append(rows, cells)
		}
	}
	return rows
}

// part is a cell, with what it is a part of.
func (r *runner) part(c column, workers int, who string) string {
	cell := r.cell(row{c.q, workers}, who)
	if c.of == "" || cell == "-" {
		return cell
	}
	return cell + " of " + r.cell(row{c.of, workers}, who)
}

// times is how many times other's figure who's is.
func (r *runner) times(at row, who, other string) string {
	own, ok := r.results.figure(at, who)
	base, known := r.results.figure(at, other)
	if !ok || !known || base == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f x", own/base)
}

// kept are the promises that something is known of.
func (r *runner) kept() [][]string {
	rows := [][]string{{"target", "who", "found", "target", ""}}
	for _, p := range promises() {
		figure, ok := r.results.figure(p.at, p.who)
		if !ok {
			continue
		}
		sign := "≤ "
		if p.at.quantity.trait().more {
			sign = "≥ "
		}
		found, bound := p.at.quantity.format(figure), sign+p.at.quantity.format(p.bound)
		limit := p.bound
		if p.times != "" {
			base, ok := r.results.figure(p.at, p.times)
			if !ok {
				continue
			}
			limit *= base
			found, bound = r.times(p.at, p.who, p.times), fmt.Sprintf("%s%.2f x %s", sign, p.bound, p.times)
		}
		rows = append(rows, []string{string(p.at.quantity), p.who, found, bound, verdict(p.at.quantity, figure, limit)})
	}
	return rows
}
