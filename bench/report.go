package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// machine is what a reader has to know of where the figures come from.
type machine struct {
	kernel, cpu, load string
	cores             int
	began             time.Time
}

func thisMachine() machine {
	read := func(path string) string {
		text, _ := os.ReadFile(path) // what is not known is left empty
		return strings.TrimSpace(string(text))
	}
	m := machine{kernel: read("/proc/sys/kernel/osrelease"), cores: runtime.NumCPU(), began: time.Now()}
	m.load, _, _ = strings.Cut(read("/proc/loadavg"), " ")
	for line := range strings.Lines(read("/proc/cpuinfo")) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			m.cpu = ", " + strings.TrimSpace(value)
			break
		}
	}
	return m
}

// chapters are the parts of the report with tables of their own.
func chapters() []chapter { return []chapter{clusterChapter(), logChapter()} }

// report is what was found, in Markdown.
func (r *runner) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Measured on %s\n\n", r.machine.began.Format(time.DateOnly))
	fmt.Fprintf(&b, "Linux %s, %d cores%s; %s; load %s at the start.\n\n"+
		"Made by `make bench`. Medians of up to %d rounds; of apps that are counted, the worst round. \"Manager\" is all of its processes.\n\n",
		r.machine.kernel, r.machine.cores, r.machine.cpu, runtime.Version(), r.machine.load,
		r.options.rounds)
	if len(r.results.rows(quantities())) > 0 {
		b.WriteString(table(r.comparison()))
		if growth := r.growth(); len(growth) > 1 {
			b.WriteString("\n## How tend's costs grow\n\nTime for each app; the same at every size is linear.\n\n")
			b.WriteString(table(growth))
		}
		b.WriteString("\n## Spread\n\n")
		b.WriteString(table(r.spread(quantities(), r.peers.managers, 1)))
	}
	for _, c := range chapters() {
		b.WriteString(r.chapter(c))
	}
	for _, part := range []struct {
		head  string
		lines []string
	}{{"Notes", append(slices.Clone(r.notes), r.results.remarks...)}, {"Failures", r.results.failures}} {
		if len(part.lines) > 0 {
			fmt.Fprintf(&b, "\n## %s\n\n- %s\n", part.head, strings.Join(part.lines, "\n- "))
		}
	}
	return b.String()
}

// comparison is the main table: a row for what was measured, a column for each
// manager and for how it compares with tend.
func (r *runner) comparison() [][]string {
	head := []string{"what"}
	for _, m := range r.peers.managers {
		head = append(head, m.name()+" "+m.version())
	}
	others := r.peers.managers[1:]
	for _, m := range others {
		head = append(head, m.name()+" : tend")
	}
	rows := [][]string{append(head, "target", "")}
	for _, at := range r.results.rows(quantities()) {
		cells := []string{at.quantity.title(at.apps)}
		for _, m := range r.peers.managers {
			cells = append(cells, r.cell(at, m.name()))
		}
		own, measured := r.results.figure(at, r.peers.managers[0].name())
		for _, m := range others {
			cells = append(cells, r.ratio(at, own, m.name()))
		}
		if target, ok := targets()[at]; ok && measured {
			sign := "≤ "
			if at.quantity.trait().more {
				sign = ""
			}
			cells = append(cells, sign+at.quantity.format(target), verdict(at.quantity, own, target))
		} else {
			cells = append(cells, "", "")
		}
		rows = append(rows, cells)
	}
	return rows
}

func (r *runner) cell(at row, who string) string {
	if value, ok := r.results.figure(at, who); ok {
		return at.quantity.format(value)
	}
	return "-"
}

// ratio is how often tend's own figure goes into who's.
func (r *runner) ratio(at row, own float64, who string) string {
	value, ok := r.results.figure(at, who)
	if !ok || at.quantity.trait().unit == whole || own <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f x", value/own)
}

// growth has tend's time for each app, by the number of apps.
func (r *runner) growth() [][]string {
	timed := []quantity{startTime, restartTime, deleteTime, killTime}
	head := []string{"apps"}
	for _, q := range timed {
		head = append(head, "`"+string(q)+"`")
	}
	rows := [][]string{head}
	for _, n := range r.options.sizes {
		cells := []string{fmt.Sprint(n)}
		for _, q := range timed {
			cell := "-"
			if value, ok := r.results.figure(row{q, n}, r.peers.managers[0].name()); ok {
				cell = fmt.Sprintf("%.2f ms", 1000*value/float64(n))
			}
			cells = append(cells, cell)
		}
		if slices.ContainsFunc(cells[1:], func(c string) bool { return c != "-" }) {
			rows = append(rows, cells)
		}
	}
	return rows
}

// spread has how far apart the values behind each figure are, where one of who
// has at least so many.
func (r *runner) spread(order []quantity, who []manager, least int) [][]string {
	head := []string{"least - most (values)"}
	for _, m := range who {
		head = append(head, m.name())
	}
	rows := [][]string{head}
	for _, at := range r.results.rows(order) {
		cells := []string{at.quantity.title(at.apps)}
		var known int
		for _, m := range who {
			cell := "-"
			if values := r.results.values[at][m.name()]; len(values) > 0 {
				known = max(known, len(values))
				cell = fmt.Sprintf("%s - %s (%d)", at.quantity.format(slices.Min(values)), at.quantity.format(slices.Max(values)), len(values))
			}
			cells = append(cells, cell)
		}
		if known >= least {
			rows = append(rows, cells)
		}
	}
	return rows
}

// table writes rows of cells as Markdown, the first row as the head.
func table(rows [][]string) string {
	var b strings.Builder
	width := make([]int, len(rows[0]))
	for _, cells := range rows {
		for i, c := range cells {
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	for n, cells := range rows {
		for i, c := range cells {
			pad := strings.Repeat(" ", width[i]-len([]rune(c)))
			if i == 0 {
				fmt.Fprintf(&b, "| %s%s ", c, pad)
			} else {
				fmt.Fprintf(&b, "| %s%s ", pad, c)
			}
		}
		b.WriteString("|\n")
		if n == 0 {
			for i, w := range width {
				if i == 0 {
					b.WriteString("|" + strings.Repeat("-", w+2))
				} else {
					b.WriteString("|" + strings.Repeat("-", w+1) + ":")
				}
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}
