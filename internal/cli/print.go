package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/internal/errs"
)

// style is what switches a colour or a weight on; ansiReset ends each.
type style string

const (
	styleBold    style = "\x1b[1m"
	styleGrey    style = "\x1b[90m"
	styleRed     style = "\x1b[31m"
	styleGreen   style = "\x1b[32m"
	styleYellow  style = "\x1b[33m"
	styleBlue    style = "\x1b[34m"
	styleCyan    style = "\x1b[36m"
	styleInverse style = "\x1b[1;7m"

	boldRed    style = "\x1b[1;31m"
	boldGreen  style = "\x1b[1;32m"
	boldYellow style = "\x1b[1;33m"
	boldBlue   style = "\x1b[1;34m"
	boldCyan   style = "\x1b[1;36m"

	ansiReset = "\x1b[0m"
)

// Colored tells whether output is coloured: on a terminal, or where
// FORCE_COLOR asks for it, and never where NO_COLOR forbids it.
func Colored(terminal bool, getenv func(string) string) bool {
	if getenv("NO_COLOR") != "" {
		return false
	}
	if force := getenv("FORCE_COLOR"); force != "" {
		return force != "0"
	}
	return terminal && getenv("TERM") != "dumb"
}

func (e *Env) paint(s style, text string) string {
	if !e.Color {
		return text
	}
	return string(s) + text + ansiReset
}

// print writes to standard output. An error of it stays with the writer until
// Main flushes it.
func (e *Env) print(format string, args ...any) { fmt.Fprintf(e.out, format, args...) }

// tag is the name that stands before each line of progress.
func (e *Env) tag() string {
	if e.asPM2() {
		return "[PM2]"
	}
	return "[tend]"
}

// info tells what is being done, at once.
func (e *Env) info(format string, args ...any) {
	e.line(e.out, styleGreen, e.tag(), fmt.Sprintf(format, args...))
}

// note is an info that stays out of output that programs read.
func (e *Env) note(format string, args ...any) {
	e.line(e.Stderr, styleGreen, e.tag(), fmt.Sprintf(format, args...))
}

// warn tells what a person should know, all of it however narrow the terminal
// is: what to do about it often comes last.
func (e *Env) warn(format string, args ...any) {
	e.tagged(e.Stderr, styleYellow, e.tag()+"[WARN]", fmt.Sprintf(format, args...))
}

// fail tells what went wrong with one of several things, all of it however
// narrow the terminal is.
func (e *Env) fail(text string) {
	e.wipeMeter()
	_ = e.out.Flush() // an error stays with the writer until Main sees it
	fmt.Fprintln(e.Stderr, e.paint(styleRed, e.tag()+"[ERROR]")+" "+e.inMargin(text))
}

// line prints a line of progress, no wider than the terminal.
func (e *Env) line(w io.Writer, s style, tag, text string) {
	if e.Width > 0 {
		text, _ = fit(text, max(e.Width-len(tag)-1, 1))
	}
	e.tagged(w, s, tag, text)
}

func (e *Env) tagged(w io.Writer, s style, tag, text string) {
	e.wipeMeter()
	fmt.Fprintln(w, e.paint(s, tag)+" "+text)
	e.drawMeter()
	_ = e.out.Flush() // an error stays with the writer until Main sees it
}

// report prints an error: what was being done, what a person can do about it,
// and the last lines of an app that died.
func (e *Env) report(err error) {
	e.endMeter()
	_ = e.out.Flush() // an error stays with the writer, and another is being told
	w := errs.Wire(err)
	if w.Error() == e.told {
		return
	}
	tag := e.Program + ":"
	if e.asPM2() {
		tag = "[PM2][ERROR]"
	}
	_, _ = io.WriteString(e.Stderr, e.paint(styleRed, tag)+" "+e.inMargin(w.Error())+"\n"+e.help(w)) // there is nobody left to tell
}

// margin stands before what belongs to the line above.
func (e *Env) margin() string { return strings.Repeat(" ", len(e.Program)+len(": ")) }

func (e *Env) inMargin(text string) string { return strings.ReplaceAll(text, "\n", "\n"+e.margin()) }

// ourName has the commands in a hint begin with the name that we were called by;
// the daemon, where most hints come from, does not know it.
func (e *Env) ourName(hint string) string {
	if !e.asPM2() {
		return hint
	}
	return strings.ReplaceAll(hint, "`tend ", "`pm2 ")
}

// help is what an error says below its first line.
func (e *Env) help(w *api.Error) string {
	var b strings.Builder
	margin := e.margin()
	if w.Hint != "" {
		b.WriteString(margin + e.inMargin(e.ourName(w.Hint)) + "\n")
	}
	if len(w.Lines) > 0 {
		b.WriteString(margin + "its last lines:\n")
	}
	for _, l := range w.Lines {
		b.WriteString(margin + e.paint(styleGrey, "| ") + harmless(l) + "\n")
	}
	return b.String()
}

// progress prints the events of a request as PM2 words them.
func (e *Env) progress(ev api.Event) {
	switch ev.Kind {
	case api.EventTarget:
		e.info("Applying action %s on app [%s](ids: %s)", action(ev.Act), ev.Target, idsInLine(ev.IDs))
		e.measure(len(ev.IDs))
	case api.EventInstance:
		if !e.count(ev) {
			e.done(ev)
		}
	case api.EventApp:
		e.info("App [%s] launched (%s)", ev.Name, counted(len(ev.IDs), "instance"))
		e.measure(len(ev.IDs))
	case api.EventStep:
		e.step(ev.Step)
	case api.EventNote:
		e.info("%s", ev.Message)
	case api.EventWarning:
		e.warn("%s", ev.Message)
	}
}

// step tells what is done about one app of a file. That one was added is told
// when its instances are known.
func (e *Env) step(s *api.Step) {
	if len(s.Changes) > 0 {
		e.info("App [%s] has changed: %s", s.Name, changed(s.Changes))
	}
	switch s.Do {
	case api.StepStart, api.StepRestart, api.StepReload:
		e.info("Applying action %s on app [%s](ids: %s)", action(s.Do), s.Name, idsInLine(s.IDs))
		e.measure(len(s.IDs))
	case api.StepUnchanged:
		e.info("App [%s] is unchanged", s.Name)
	case api.StepScale:
		e.info("App [%s] goes from %s to %d", s.Name, counted(s.Before, "instance"), s.After)
	}
}

// changed are the first of the fields that differ.
func changed(changes []api.Change) string {
	const most = 5
	var names []string
	for _, c := range changes[:min(len(changes), most)] {
		names = append(names, c.Field)
	}
	text := strings.Join(names, ", ")
	if more := len(changes) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// remarks prints, of the events of a request, what is no plain success.
func (e *Env) remarks(ev api.Event) {
	switch ev.Kind {
	case api.EventNote, api.EventWarning:
		e.progress(ev)
	case api.EventInstance:
		if !ev.OK {
			e.done(ev)
		}
	}
}

// done tells how the work on one instance ended.
func (e *Env) done(ev api.Event) {
	if ev.Error == nil && ev.OK {
		e.info("[%s](%d) ✓", ev.Name, ev.ID)
		return
	}
	text := ev.Message
	if ev.Error != nil {
		text = ev.Error.Error()
	}
	if ev.ID >= 0 { // below 0 it did not come to an instance
		text = fmt.Sprintf("[%s](%d) ✗ %s", ev.Name, ev.ID, text)
	}
	e.fail(text)
	if ev.Error != nil {
		_, _ = io.WriteString(e.Stderr, e.help(ev.Error)) // as for the line above
		e.told = ev.Error.Error()
	}
}

// idsInLine are ids as PM2 shows them, however many in one line.
func idsInLine(ids []int) string {
	if len(ids) == 0 {
		return "[]"
	}
	text := make([]string, 0, len(ids))
	for _, id := range ids {
		text = append(text, strconv.Itoa(id))
	}
	return "[ " + strings.Join(text, ", ") + " ]"
}

// action is a verb as PM2 shows it.
func action(act string) string {
	switch act {
	case api.ActReset, api.ActSignal, "":
		return act
	}
	return act + "ProcessId"
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// moment is a time of the API, milliseconds since the epoch.
func moment(ms int64) time.Time { return time.UnixMilli(ms) }

// asJSON gives a command that reports facts the option to print them for
// programs.
func asJSON(cmd *cobra.Command, on *bool) { cmd.Flags().BoolVar(on, "json", false, "as JSON") }

// printJSON prints v so that a person can read it too.
func (e *Env) printJSON(v any) error {
	enc := json.NewEncoder(e.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
