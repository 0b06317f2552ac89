package main

import (
	"fmt"
	"slices"
)

// quantity is what a value says something about. Times are in seconds, memory
// is in bytes, CPU in percent of one core.
type quantity string

// The quantities.
const (
	memory          quantity = "memory"
	listTime        quantity = "ls"
	startTime       quantity = "start"
	restartTime     quantity = "restart"
	deleteTime      quantity = "delete"
	killTime        quantity = "kill"
	restartGap      quantity = "exit to start"
	cpu             quantity = "CPU"
	daemonSurvivors quantity = "alive"
	daemonKept      quantity = "kept"
	keeperSurvivors quantity = "alive without keeper"
	keeperKept      quantity = "kept without keeper"
)

// quantities are all of them, in the order of the report.
func quantities() []quantity {
	return []quantity{
		memory, listTime, startTime, restartTime, deleteTime, killTime, restartGap, cpu,
		daemonSurvivors, daemonKept, keeperSurvivors, keeperKept,
	}
}

// title is q with n apps, as a line of the report.
func (q quantity) title(n int) string {
	apps := fmt.Sprintf("%d apps", n)
	switch q {
	case memory:
		if n == 0 {
			apps = "no apps"
		}
		return "manager's memory (RSS), " + apps
	case listTime, startTime, restartTime, deleteTime, killTime:
		return "`" + string(q) + "`, " + apps
	case restartGap:
		return "exit to next start of an app"
	case cpu:
		return "manager's CPU, of one core, " + apps + " that do nothing"
	case daemonSurvivors:
		return fmt.Sprintf("daemon killed: of %d apps live on", n)
	case daemonKept:
		return fmt.Sprintf("daemon killed: of %d apps are in the list as before", n)
	case keeperSurvivors:
		return fmt.Sprintf("keeper killed: of %d apps live on", n)
	case keeperKept:
		return fmt.Sprintf("keeper killed: of %d apps are in the list as before", n)
	}
	return string(q)
}

// counts tells that more is better, and that the worst round is the figure: a
// median would hide a lost app.
func (q quantity) counts() bool {
	return slices.Contains([]quantity{daemonSurvivors, daemonKept, keeperSurvivors, keeperKept}, q)
}

// figure is the one number that stands for values, of which there is at least
// one.
func (q quantity) figure(values []float64) float64 {
	if q.counts() {
		return slices.Min(values)
	}
	return median(values)
}

// format writes a value with its unit.
func (q quantity) format(value float64) string {
	switch {
	case q.counts():
		return fmt.Sprint(value)
	case q == memory:
		return fmt.Sprintf("%.1f MiB", value/(1<<20))
	case q == cpu:
		return fmt.Sprintf("%.2f %%", value)
	}
	return seconds(value)
}

// seconds writes a time with as much as matters of it.
func seconds(s float64) string {
	if s < 0.1 {
		return fmt.Sprintf("%.1f ms", 1000*s)
	}
	return fmt.Sprintf("%.2f s", s)
}

// targets are what tend promises, by quantity and number of apps.
func targets() map[row]float64 {
	const mib = 1 << 20
	return map[row]float64{
		{memory, 0}: 16 * mib, {memory, 100}: 20 * mib, {memory, 1000}: 60 * mib,
		{listTime, 10}: 0.010, {listTime, 100}: 0.010, {listTime, 1000}: 0.040,
		{startTime, 100}: 0.25, {startTime, 1000}: 2.5,
		{restartTime, 100}: 0.4, {restartTime, 1000}: 4,
		{deleteTime, 100}:          0.15,
		{killTime, 1000}:           1.5,
		{restartGap, 1}:            0.004,
		{cpu, 100}:                 0.3,
		{cpu, 1000}:                1,
		{daemonSurvivors, victims}: victims, {daemonKept, victims}: victims,
		{keeperSurvivors, victims}: victims, {keeperKept, victims}: victims,
	}
}

// row is what is compared: a quantity with a number of apps.
type row struct {
	quantity quantity
	apps     int
}

// results are all values of a run.
type results struct {
	values   map[row]map[string][]float64 // by the manager's name
	failures []string
}

func newResults() *results { return &results{values: map[row]map[string][]float64{}} }

func (r *results) add(at row, who string, values ...float64) {
	if r.values[at] == nil {
		r.values[at] = map[string][]float64{}
	}
	r.values[at][who] = append(r.values[at][who], values...)
}

// rows are those that have values, in the order of the report.
func (r *results) rows() []row {
	all := make([]row, 0, len(r.values))
	for at := range r.values {
		all = append(all, at)
	}
	order := quantities()
	slices.SortFunc(all, func(a, b row) int {
		if d := slices.Index(order, a.quantity) - slices.Index(order, b.quantity); d != 0 {
			return d
		}
		return a.apps - b.apps
	})
	return all
}

// figure is the one number that stands for all values of who, if there is any.
func (r *results) figure(at row, who string) (value float64, ok bool) {
	values := r.values[at][who]
	if len(values) == 0 {
		return 0, false
	}
	return at.quantity.figure(values), true
}

// verdict is what has become of a target.
func verdict(q quantity, figure, target float64) string {
	if q.counts() && figure >= target || !q.counts() && figure <= target {
		return "met"
	}
	return "**missed**"
}

// median is the middle of values, of which there is at least one.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
