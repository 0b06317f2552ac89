package cli

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"

	"tend/api"
	"tend/internal/units"
)

// column is one of a table: its title, its width with a space on either side,
// and what it shows of an instance.
type column struct {
	title string
	width int
	cell  func(in *api.Instance, now time.Time) (string, style)
}

// plainWidth stands for the terminal where there is none.
const plainWidth = 300

// layout is the richest of PM2's three lists that fits into width.
func layout(list []api.Instance, width int) []column {
	if width == 0 {
		width = plainWidth
	}
	id, name := 4, 11
	if len(list) > 0 {
		name = 0
	}
	for i := range list {
		id = max(id, len(strconv.Itoa(list[i].ID))+2)
		name = max(name, displaywidth.String(marked(&list[i]))+5)
	}
	name = min(name, 40)
	full := []column{
		{"id", id, cellID},
		{"name", name, cellName},
		{"namespace", 13, cellNamespace},
		{"version", 9, cellVersion},
		{"mode", 9, cellMode},
		{"pid", 10, cellPid},
		{"uptime", 8, cellUptime},
		{"↺", 6, cellRestarts},
		{"status", 11, cellStatus},
		{"cpu", 10, cellCPU},
		{"mem", 10, cellMemory},
		{"user", 10, cellUser},
		{"watching", 10, cellWatching},
	}
	condensed := []column{
		{"id", id, cellID},
		{"name", min(name, 20), cellName},
		{"mode", 10, cellMode},
		{"↺", 6, cellRestarts},
		{"status", 11, cellStatus},
		{"cpu", 10, cellCPU},
		{"memory", 10, cellMemory},
	}
	mini := []column{
		{"id", id, cellID},
		{"name", min(name, 16), cellName},
		{"status", 11, cellStatus},
		{"cpu", 8, cellCPU},
		{"mem", 10, cellMemory},
	}
	for _, columns := range [][]column{full, condensed} {
		total := len(columns) + 1
		for _, c := range columns {
			total += c.width
		}
		if total <= width {
			return columns
		}
	}
	return mini
}

// isWide tells that the richest list fits.
func (e *Env) isWide(list []api.Instance) bool {
	return len(layout(list, e.Width)) == len(layout(list, 0))
}

// appendTable appends the list as PM2 prints it.
func (e *Env) appendTable(dst []byte, list []api.Instance, now time.Time) []byte {
	columns := layout(list, e.Width)
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = c.width
	}
	dst = e.appendRule(dst, widths, "┌┬┐")
	for _, c := range columns {
		dst = e.appendCell(dst, c.title, boldCyan, c.width)
	}
	dst = e.appendBorder(dst, "│\n")
	if len(list) > 0 {
		dst = e.appendRule(dst, widths, "├┼┤")
	}
	for i := range list {
		for _, c := range columns {
			text, s := c.cell(&list[i], now)
			dst = e.appendCell(dst, text, s, c.width)
		}
		dst = e.appendBorder(dst, "│\n")
	}
	return e.appendRule(dst, widths, "└┴┘")
}

// appendReasons appends why instances are as they are, where that is not
// plain: a line each, whole however narrow the terminal is.
func (e *Env) appendReasons(dst []byte, list []api.Instance) []byte {
	for i := range list {
		if in := &list[i]; in.Reason != "" {
			who := fmt.Sprintf("[%s](%d)", harmless(in.Name), in.ID)
			dst = fmt.Appendf(dst, "%s %s\n", e.paint(styleYellow, who), harmless(strings.ReplaceAll(in.Reason, "\n", " ")))
		}
	}
	return dst
}

// appendRule appends a line of a table's frame with the corners given: left,
// between two columns, right.
func (e *Env) appendRule(dst []byte, widths []int, corners string) []byte {
	left, size := utf8.DecodeRuneInString(corners)
	between, n := utf8.DecodeRuneInString(corners[size:])
	right := corners[size+n:]
	if e.Color {
		dst = append(dst, styleGrey...)
	}
	dst = utf8.AppendRune(dst, left)
	for i, w := range widths {
		if i > 0 {
			dst = utf8.AppendRune(dst, between)
		}
		for range w {
			dst = append(dst, "─"...)
		}
	}
	dst = append(dst, right...)
	if e.Color {
		dst = append(dst, ansiReset...)
	}
	return append(dst, '\n')
}

// appendCell appends a border and text, cut or filled up to width.
func (e *Env) appendCell(dst []byte, text string, s style, width int) []byte {
	dst = e.appendBorder(dst, "│")
	dst = append(dst, ' ')
	text, used := fit(text, width-2)
	if e.Color && s != "" {
		dst = append(dst, s...)
		dst = append(dst, text...)
		dst = append(dst, ansiReset...)
	} else {
		dst = append(dst, text...)
	}
	for range width - 1 - used {
		dst = append(dst, ' ')
	}
	return dst
}

func (e *Env) appendBorder(dst []byte, border string) []byte {
	if !e.Color {
		return append(dst, border...)
	}
	line, end := strings.CutSuffix(border, "\n")
	dst = append(dst, styleGrey...)
	dst = append(dst, line...)
	dst = append(dst, ansiReset...)
	if end {
		dst = append(dst, '\n')
	}
	return dst
}

// fit is text without control characters and no wider than width, and how wide
// it is.
func fit(text string, width int) (string, int) {
	simple := true
	for i := range len(text) {
		simple = simple && text[i] >= ' ' && text[i] < 0x7f
	}
	if simple && len(text) <= width {
		return text, len(text)
	}
	// x/ansi measures with this very package, and costs 20 ms at start-up for
	// tables that it does not need for that.
	text = displaywidth.TruncateString(harmless(text), width, "…")
	return text, displaywidth.String(text)
}

// harmless is text without what would move the cursor or change the colours.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, text)
}

func cellID(in *api.Instance, _ time.Time) (string, style) { return strconv.Itoa(in.ID), boldCyan }

func cellName(in *api.Instance, _ time.Time) (string, style) {
	return marked(in), ""
}

// marked is the name of an instance with the mark that it may have.
func marked(in *api.Instance) string {
	if in.Monitored {
		return "[M] " + in.Name
	}
	return in.Name
}

func cellNamespace(in *api.Instance, _ time.Time) (string, style) { return in.Namespace, "" }

func cellVersion(in *api.Instance, _ time.Time) (string, style) {
	return cmp.Or(in.Version, notAvailable), ""
}

func cellMode(in *api.Instance, _ time.Time) (string, style) {
	if in.Mode == api.Cluster {
		return string(in.Mode), boldBlue
	}
	return string(in.Mode), styleInverse
}

func cellPid(in *api.Instance, _ time.Time) (string, style) { return strconv.Itoa(in.PID), "" }

func cellUptime(in *api.Instance, now time.Time) (string, style) { return uptime(in, now), "" }

func cellRestarts(in *api.Instance, _ time.Time) (string, style) {
	return strconv.Itoa(in.Restarts), ""
}

func cellStatus(in *api.Instance, _ time.Time) (string, style) {
	return string(in.State), stateStyle(in.State)
}

func cellCPU(in *api.Instance, _ time.Time) (string, style) {
	return strconv.FormatFloat(math.Round(in.CPU*10)/10, 'f', -1, 64) + "%", ""
}

func cellMemory(in *api.Instance, _ time.Time) (string, style) { return units.Bytes(in.Memory), "" }

func cellUser(in *api.Instance, _ time.Time) (string, style) { return in.User, styleBold }

func cellWatching(in *api.Instance, _ time.Time) (string, style) {
	if in.Watching {
		return "enabled", boldGreen
	}
	return "disabled", styleGrey
}

// notAvailable is what PM2 shows for what it does not know.
const notAvailable = "N/A"

// uptime is the age of the process, "0" when none is online.
func uptime(in *api.Instance, now time.Time) string {
	if in.State != api.Online {
		return "0"
	}
	return units.Since(now.Sub(moment(in.StartedAt)))
}

func stateStyle(s api.State) style {
	switch s {
	case api.Online:
		return boldGreen
	case api.Launching:
		return boldBlue
	case api.Stopping, api.Stopped, api.Waiting, api.Errored:
	}
	return boldRed
}

// order compares two instances.
type order func(a, b *api.Instance) int

// parseOrder reads the value of --sort: a field, and ":desc" for the other way
// round. Equal instances stay in the order of their ids.
func parseOrder(s string) (order, error) {
	field, way, _ := strings.Cut(s, ":")
	by := map[string]order{
		"":          byName,
		"name":      byName,
		"namespace": func(a, b *api.Instance) int { return strings.Compare(a.Namespace, b.Namespace) },
		"pid":       func(a, b *api.Instance) int { return cmp.Compare(a.PID, b.PID) },
		"id":        byID,
		"cpu":       func(a, b *api.Instance) int { return cmp.Compare(a.CPU, b.CPU) },
		"memory":    func(a, b *api.Instance) int { return cmp.Compare(a.Memory, b.Memory) },
		"uptime":    func(a, b *api.Instance) int { return cmp.Compare(a.StartedAt, b.StartedAt) },
		"status":    func(a, b *api.Instance) int { return strings.Compare(string(a.State), string(b.State)) },
	}[field]
	const hint = "name, namespace, pid, id, cpu, memory, uptime or status, and :desc for the other way round"
	if by == nil {
		return nil, invalid("sort by", field, hint, errors.New("there is no such column"))
	}
	switch way {
	case "", "asc":
		return by, nil
	case "desc":
		return func(a, b *api.Instance) int { return by(b, a) }, nil
	}
	return nil, invalid("sort", way, hint, errors.New("it is neither asc nor desc"))
}

func byName(a, b *api.Instance) int { return strings.Compare(a.Name, b.Name) }

func byID(a, b *api.Instance) int { return cmp.Compare(a.ID, b.ID) }

// sorted puts list into the order that s asks for.
func sorted(list []api.Instance, s string) []api.Instance {
	by, err := parseOrder(s)
	if err != nil {
		by = byName // the option was checked before
	}
	// Instances are large: pointers are sorted, and each is copied once.
	refs := make([]*api.Instance, len(list))
	for i := range list {
		refs[i] = &list[i]
	}
	slices.SortFunc(refs, func(a, b *api.Instance) int { return cmp.Or(by(a, b), byID(a, b)) })
	out := make([]api.Instance, len(list))
	for i, in := range refs {
		out[i] = *in
	}
	return out
}
