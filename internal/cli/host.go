package cli

import (
	"math"
	"strconv"
	"strings"

	"tend/api"
	"tend/internal/pm2env"
)

// appendHost appends the line about the machine that stands below a list; of
// disks only where it is wide.
func (e *Env) appendHost(dst []byte, h api.Host, wide bool) []byte {
	if h.Memory.Total == 0 {
		return dst // switched off, or nobody knows
	}
	parts := []string{e.paint(boldCyan, "host metrics")}
	add := func(label string, figures ...string) {
		parts = append(parts, e.paint(styleBold, label)+": "+strings.Join(figures, " "))
	}
	if h.CPU != nil {
		add("cpu", e.graded(pm2env.Rounded(*h.CPU, 1), "%", 40, 70))
	}
	add("ram usage", e.graded(pm2env.Rounded(pm2env.MemoryUse(h.Memory), 1), "%", 70, 90))
	for _, n := range h.Nets {
		if in, out := pm2env.Megabytes(n.Received), pm2env.Megabytes(n.Sent); in > 0 || out > 0 {
			add(harmless(n.Name), append(e.flow(in, out), e.troubles(n)...)...)
		}
	}
	if wide && h.Disk != nil {
		add("disk", e.flow(pm2env.Megabytes(h.Disk.Read), pm2env.Megabytes(h.Disk.Written))...)
	}
	for _, m := range h.Mounts {
		const worthTelling = 60
		if use := math.Ceil(m.Use); wide && use > worthTelling {
			parts = append(parts, e.paint(styleBold, harmless(m.Path))+" "+e.graded(use, "%", 80, 90))
		}
	}
	return append(append(dst, strings.Join(parts, " | ")...), '\n')
}

// flow is what comes in and goes out, in megabytes a second.
func (e *Env) flow(in, out float64) []string {
	return []string{"⇓", e.graded(in, "mb/s", 10, 20), "⇑", e.graded(out, "mb/s", 10, 20)}
}

// troubles are what an interface could not deliver.
func (e *Env) troubles(n api.HostNet) (out []string) {
	for _, t := range []struct {
		name  string
		count float64
	}{{"err", n.RxErrors + n.TxErrors}, {"drop", n.RxDropped + n.TxDropped}} {
		if t.count > 0 {
			out = append(out, t.name, e.paint(boldRed, plainNumber(math.Ceil(t.count))+"/min"))
		}
	}
	return out
}

// graded is a figure in the colour of how bad it is.
func (e *Env) graded(v float64, unit string, fair, bad float64) string {
	s := styleGreen
	switch {
	case v >= bad:
		s = boldRed
	case v >= fair:
		s = boldYellow
	}
	return e.paint(s, plainNumber(v)+unit)
}

// plainNumber is v with no more digits than it needs.
func plainNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
