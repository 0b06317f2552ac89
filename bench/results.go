package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// quantity is what a value says something about: here, in clusterquantity.go or
// in logquantity.go. Times are in seconds, memory is in bytes, CPU in percent
// of one core.
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

	yamlTime    quantity = "start YAML"
	yamlAgain   quantity = "start YAML again"
	scriptTime  quantity = "start JavaScript"
	scriptAgain quantity = "start JavaScript again"
	nodeTime    quantity = "node -e 0"
)

// quantities are those of any app, in the order of the report.
func quantities() []quantity {
	return []quantity{
		memory, listTime, startTime, restartTime, deleteTime, killTime, restartGap, cpu,
		daemonSurvivors, daemonKept, keeperSurvivors, keeperKept,
		yamlTime, yamlAgain, scriptTime, scriptAgain, nodeTime,
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
	case yamlTime, scriptTime:
		return "`" + string(q) + "`, " + apps + " that are new"
	case yamlAgain, scriptAgain:
		return "`" + string(q) + "`, " + apps + ", nothing has changed"
	default:
		return string(q)
	}
}

// unit is what a figure is counted in.
type unit string

const (
	span    unit = "seconds"
	bulk    unit = "bytes"
	percent unit = "percent"
	whole   unit = "whole"
)

// trait is what has to be known of a quantity to deal with its values.
type trait struct {
	unit unit
	more bool // is better
	// of makes one number of all values, of which there is at least one.
	of func(values []float64) float64
}

// trait of q. Where apps or failures are counted a median would hide those that
// were lost.
func (q quantity) trait() trait {
	switch q.plain() {
	case daemonSurvivors, daemonKept, keeperSurvivors, keeperKept, oldWorkers, told:
		return trait{whole, true, slices.Min[[]float64]}
	case freshRate, keptRate, askedRate, lineRate:
		return trait{whole, true, median}
	case freshMade, keptMade, messagesMade, askedMade, badMade, floodTaken, linesMade:
		return trait{whole, true, sum}
	case freshFailed, keptFailed, messagesMissing, messagesRepeated, askedHeld, askedFailed, linesLost, linesBroken, linesRepeated:
		return trait{whole, false, sum}
	case memory, memoryBefore, memoryPeak, memoryAfter, crowdMemory, crowdDrift:
		return trait{bulk, false, median}
	case cpu, freshClient, keptClient, freshOthers, keptOthers, crowdCPU, followCPU:
		return trait{percent, false, median}
	default:
		return trait{span, false, median}
	}
}

// figure is the one number that stands for values, of which there is at least
// one.
func (q quantity) figure(values []float64) float64 { return q.trait().of(values) }

// format writes a value with its unit.
func (q quantity) format(value float64) string {
	switch q.trait().unit {
	case whole:
		return thousands(int(math.Round(value)))
	case bulk:
		return fmt.Sprintf("%.1f MiB", value/(1<<20))
	case percent:
		return fmt.Sprintf("%.2f %%", value)
	case span:
	}
	return seconds(value)
}

// thousands writes a number with a comma before each three digits.
func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// seconds writes a time with as much as matters of it.
func seconds(s float64) string {
	switch {
	case s < 0.001:
		return fmt.Sprintf("%.1f µs", 1e6*s)
	case s < 0.1:
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
		{yamlTime, filed}:          0.3,
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
	remarks  []string // what figures do not say
}

func newResults() *results { return &results{values: map[row]map[string][]float64{}} }

func (r *results) add(at row, who string, values ...float64) {
	if r.values[at] == nil {
		r.values[at] = map[string][]float64{}
	}
	r.values[at][who] = append(r.values[at][who], values...)
}

// rows are those of some quantities that have values, in their order.
func (r *results) rows(order []quantity) []row {
	all := make([]row, 0, len(r.values))
	for at := range r.values {
		if slices.Contains(order, at.quantity) {
			all = append(all, at)
		}
	}
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
	if more := q.trait().more; more && figure >= target || !more && figure <= target {
		return "met"
	}
	return "**missed**"
}

func sum(values []float64) (all float64) {
	for _, v := range values {
		all += v
	}
	return all
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
