package main

import (
	"fmt"
	"strings"
)

// chapter is a part of the report with tables of its own.
type chapter struct {
	head, text string
	of         func(peers) []manager // who has a row
	counted    string                // what a section has a number of: "worker"
	beside     []string              // whose figures others are compared with
	sections   []section
	promises   []promise
}

// section is a table of a chapter with what it says.
type section struct {
	head, text string
	count      int // of apps, or workers
	columns    []column
	ratios     bool // of the first column, to the figures of those beside
}

// column is one of a table.
type column struct {
	q  quantity
	of quantity // what it is a part of, if anything
}

// promise is what tend has to keep.
type promise struct {
	at    row
	who   string
	bound float64
	times string // whose figure the bound is a multiple of; "" where it is the figure
}

// quantities are those of all sections, in the order of the report.
func (c *chapter) quantities() (all []quantity) {
	for _, s := range c.sections {
		for _, column := range s.columns {
			all = append(all, column.q)
		}
	}
	return all
}

// chapter is a part of the report, empty where nothing of it was measured.
func (r *runner) chapter(c chapter) string {
	var b strings.Builder
	for _, s := range c.sections {
		if rows := r.sectionTable(&c, s); len(rows) > 1 {
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
	if rows := r.kept(c.promises); len(rows) > 1 {
		b.WriteString("\n### Targets\n\n" + table(rows))
	}
	if rows := r.spread(c.quantities(), c.of(r.peers), 2); len(rows) > 1 {
		fmt.Fprintf(&b, "\n### Spread of %s\n\n%s", strings.ToLower(c.head), table(rows))
	}
	return fmt.Sprintf("\n## %s\n\n%s\n%s", c.head, c.text, b.String())
}

// sectionTable has a row for each peer that has a figure.
func (r *runner) sectionTable(c *chapter, s section) [][]string {
	beside := c.beside
	if !s.ratios {
		beside = nil
	}
	head := []string{fmt.Sprintf("%d %ss", s.count, c.counted)}
	if s.count == 1 {
		head[0] = "1 " + c.counted
	}
	for i, column := range s.columns {
		head = append(head, string(column.q.plain()))
		for _, other := range beside {
			if i == 0 {
				head = append(head, ": "+other)
			}
		}
	}
	rows := [][]string{head}
	for _, m := range c.of(r.peers) {
		cells := []string{m.name()}
		var any bool
		for i, column := range s.columns {
			at := row{column.q, s.count}
			_, ok := r.results.figure(at, m.name())
			any = any || ok
			cells = append(cells, r.part(column, s.count, m.name()))
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
func (r *runner) part(c column, count int, who string) string {
	cell := r.cell(row{c.q, count}, who)
	if c.of == "" || cell == "-" {
		return cell
	}
	return cell + " of " + r.cell(row{c.of, count}, who)
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
func (r *runner) kept(promises []promise) [][]string {
	rows := [][]string{{"target", "who", "found", "target", ""}}
	for _, p := range promises {
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
