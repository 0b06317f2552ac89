package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/clipperhouse/displaywidth"

	"tend/api"
	"tend/internal/dayjs"
	"tend/internal/logs/read"
)

const (
	styleGreyBold   style = "\x1b[1;90m"
	styleDim        style = "\x1b[2;90m"
	styleBackground style = "\x1b[100m"

	ansiBackgroundOff = "\x1b[49m"
)

// palette is the colours of the names of apps, in the order in which they are
// seen.
var palette = []style{styleCyan, styleYellow, "\x1b[35m", "\x1b[94m", "\x1b[92m", "\x1b[96m", "\x1b[93m", "\x1b[95m"} //nolint:gochecknoglobals // a table

// The widths of the names before lines: those that are there, and of those that
// come the first.
const (
	pastWidth  = 10
	firstWidth = 3
)

// logPrinter prints lines of logs in one of PM2's forms. All but tell belongs to
// one goroutine.
type logPrinter struct {
	env    *Env
	opts   logsOptions
	keep   func([]byte) bool
	stamp  *dayjs.Format    // nil: no times
	colors map[string]style // by app
	width  int              // of names: the widest so far
	stderr *bufio.Writer
	line   []byte

	mu     sync.Mutex
	events [][]byte // told and not printed
}

func (e *Env) newLogPrinter(opts logsOptions, keep func([]byte) bool) *logPrinter {
	p := &logPrinter{
		env: e, opts: opts, keep: keep, colors: map[string]style{}, width: firstWidth,
		stderr: bufio.NewWriter(e.Stderr),
	}
	if opts.stamp != "" {
		p.stamp = dayjs.Parse(opts.stamp)
	}
	return p
}

// past prints a line that was there before.
func (p *logPrinter) past(l read.Line) error {
	s := l.Label.(*source)
	switch {
	case p.opts.json || p.opts.format:
		return p.formatted(s, l)
	case p.opts.raw:
		return p.inTurn(s, l.Text)
	}
	p.line = p.prefix(p.line[:0], s, pastWidth)
	p.line = p.highlight(p.line, l.Text)
	return p.write(nil, p.line)
}

// Line prints a line that came.
func (p *logPrinter) Line(l read.Line) error {
	if len(l.Text) == 0 || p.keep != nil && !p.keep(l.Text) {
		return nil
	}
	s := l.Label.(*source)
	if p.opts.json || p.opts.format {
		return p.formatted(s, l)
	}
	p.line = p.line[:0]
	if p.stamp != nil {
		p.line = p.painted(p.line, styleDim, func(b []byte) []byte { return p.stamp.Append(b, time.Now()) })
		p.line = append(p.line, ' ')
	}
	if !p.opts.raw {
		if n := displaywidth.String(s.name); n > p.width {
			p.width = n + 1
		}
		p.line = p.prefix(p.line, s, p.width)
	}
	p.line = p.highlight(p.line, l.Text)
	return p.write(s, p.line)
}

// Flush lets everything out.
func (p *logPrinter) Flush() error {
	p.mu.Lock()
	events := p.events
	p.events = nil
	p.mu.Unlock()
	for _, ev := range events {
		if err := p.write(nil, ev); err != nil {
			return err
		}
	}
	return p.flush()
}

func (p *logPrinter) flush() error {
	if err := p.stderr.Flush(); err != nil {
		return err
	}
	return p.env.out.Flush()
}

// write writes a line: raw ones of standard error to our own.
func (p *logPrinter) write(s *source, line []byte) error {
	w := p.env.out
	if p.opts.raw && s != nil && s.kind == errSource {
		w = p.stderr
	}
	if _, err := w.Write(line); err != nil {
		return err
	}
	return w.WriteByte('\n')
}

// inTurn writes a raw line behind all that was printed before it: on a terminal
// the two outputs are one.
func (p *logPrinter) inTurn(s *source, line []byte) error {
	before := p.stderr
	if s.kind == errSource {
		before = p.env.out
	}
	if before.Buffered() > 0 {
		if err := p.flush(); err != nil {
			return err
		}
	}
	return p.write(s, line)
}

// prefix is whose a line is: the name in the colour of the app, the bar in that
// of the stream.
func (p *logPrinter) prefix(b []byte, s *source, width int) []byte {
	if !p.env.Color {
		return append(append(b, padded(s.name, width)...), " | "...)
	}
	b = append(b, p.color(s)...)
	b = append(b, padded(s.name, width)...)
	b = append(b, s.kind.style()...)
	return append(append(b, " | "...), ansiReset...)
}

func (p *logPrinter) color(s *source) style {
	if s.kind == daemonSource {
		return styleBlue
	}
	c, ok := p.colors[s.app]
	if !ok {
		c = palette[len(p.colors)%len(palette)]
		p.colors[s.app] = c
	}
	return c
}

// highlight appends a line, with what is to be highlighted marked where it
// comes first.
func (p *logPrinter) highlight(b, line []byte) []byte {
	at := -1
	if p.opts.mark != "" && p.env.Color {
		at = bytes.Index(line, []byte(p.opts.mark))
	}
	if at < 0 {
		return append(b, line...)
	}
	end := at + len(p.opts.mark)
	b = append(append(b, line[:at]...), styleBackground...)
	b = append(append(b, line[at:end]...), ansiBackgroundOff...)
	return append(b, line[end:]...)
}

func (p *logPrinter) painted(b []byte, s style, text func([]byte) []byte) []byte {
	if !p.env.Color {
		return text(b)
	}
	return append(text(append(b, s...)), ansiReset...)
}

// padded is s filled up or cut to width.
func padded(s string, width int) string {
	s, used := fit(s, width)
	return s + strings.Repeat(" ", width-used)
}

// jsonLine is a line as --json prints it.
type jsonLine struct {
	Message   string `json:"message"`
	Timestamp string `json:"timestamp,omitempty"`
	Type      string `json:"type"`
	ID        any    `json:"process_id"`
	App       string `json:"app_name"`
}

// jsonEvent is a change in the life of an app, between the lines.
type jsonEvent struct {
	Timestamp string `json:"timestamp"`
	Type      string `json:"type"`
	Status    string `json:"status"`
	App       string `json:"app_name"`
}

// jsonTime is the form of times in JSON.
const jsonTime = "2006-01-02T15:04:05.000Z"

// formatted prints a line as --json or --format do.
func (p *logPrinter) formatted(s *source, l read.Line) error {
	if !p.opts.json {
		p.line = appendKeys(p.line[:0], s, l)
		return p.write(nil, p.line)
	}
	out := jsonLine{Message: string(l.Text), Type: "out", ID: s.id, App: s.app}
	switch s.kind {
	case errSource:
		out.Type = "err"
	case daemonSource:
		out.Type, out.ID = s.app, s.app
	case outSource:
	}
	if !l.At.IsZero() {
		out.Timestamp = l.At.UTC().Format(jsonTime)
	}
	b, err := encoded(out)
	if err != nil {
		return err
	}
	return p.write(nil, b)
}

// appendKeys is a line as key=value.
func appendKeys(b []byte, s *source, l read.Line) []byte {
	kind, id := "out", strconv.Itoa(s.id)
	switch s.kind {
	case errSource:
		kind = "error"
	case daemonSource:
		kind, id = s.app, s.app
	case outSource:
	}
	if !l.At.IsZero() {
		b = l.At.AppendFormat(append(b, "timestamp="...), "2006-01-02-15:04:05-0700 ")
	}
	for _, kv := range [][2]string{{"app=", s.app}, {" id=", id}, {" type=", kind}, {" message=", ""}} {
		b = append(append(b, kv[0]...), kv[1]...)
	}
	return append(b, l.Text...)
}

// encoded is v as JSON in one line, with nothing in it escaped that need not
// be.
func encoded(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// tell has a change in the life of an app printed with the next Flush. It may
// be called by anybody.
func (p *logPrinter) tell(n api.Notice, event string) {
	b, err := encoded(jsonEvent{moment(n.At).UTC().Format(jsonTime), "process_event", event, n.Name})
	if err != nil {
		return // strings can always be written
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, slices.Clone(b))
}
