package cli

import (
	"fmt"
	"strings"

	"tend/api"
)

// meter is how far an action on many instances has come: on a terminal, one line
// that is drawn over until all is done, in place of a line for each.
type meter struct{ done, failed, total int }

// meterFrom is how many instances are better counted than named.
const meterFrom = 10

const ansiWipe = "\r\x1b[K"

// measure begins to count n more instances, where they are many and there is a
// terminal, and tells whether it does.
func (e *Env) measure(n int) bool {
	if e.Width == 0 || n <= meterFrom && e.meter == nil {
		return false
	}
	if e.meter == nil {
		e.meter = new(meter)
	}
	e.meter.total += n
	e.drawMeter()
	return true
}

// count takes an instance in whose work has ended, and tells whether that is all
// there is to say of it.
func (e *Env) count(ev api.Event) bool {
	m := e.meter
	if m == nil || ev.ID < 0 {
		return false
	}
	m.done++
	if !ev.OK {
		m.failed++
	}
	if m.done < m.total {
		e.drawMeter()
		return ev.OK
	}
	e.endMeter()
	if !ev.OK {
		return false
	}
	e.info("%s", m)
	return true
}

// String is what is left of a meter that came to its end.
func (m *meter) String() string {
	if m.failed > 0 {
		return fmt.Sprintf("%d of %d ✓, %d ✗", m.done-m.failed, m.total, m.failed)
	}
	return fmt.Sprintf("%d of %d ✓", m.done, m.total)
}

// drawMeter draws the line where the cursor is, without an end.
func (e *Env) drawMeter() {
	const most = 40
	m := e.meter
	if m == nil {
		return
	}
	full := most * m.done / max(m.total, 1)
	bar := strings.Repeat("━", full) + strings.Repeat("─", most-full)
	text, _ := fit(fmt.Sprintf("%d of %d %s", m.done, m.total, bar), max(e.Width-len(e.tag())-2, 1))
	e.print("%s%s %s", ansiWipe, e.paint(styleGreen, e.tag()), text)
	_ = e.out.Flush() // an error stays with the writer until Main sees it
}

// wipeMeter makes room for a line in its place.
func (e *Env) wipeMeter() {
	if e.meter != nil {
		e.print(ansiWipe)
		_ = e.out.Flush() // as above
	}
}

// endMeter takes it away.
func (e *Env) endMeter() {
	e.wipeMeter()
	e.meter = nil
}
