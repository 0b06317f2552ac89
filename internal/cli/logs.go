package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"
	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
	"tend/internal/logs"
)

type logsOptions struct {
	targets  []string // none means all, and the daemon's own log
	lines    int
	raw      bool
	onlyErr  bool
	onlyOut  bool
	nostream bool
}

func newLogs(env *Env) *cobra.Command {
	var opts logsOptions
	cmd := &cobra.Command{
		Use: "logs [id|name|namespace|/regex/]", Aliases: []string{"log"}, Short: "show the last lines of the logs, and follow them",
		RunE: func(cmd *cobra.Command, args []string) error {
			if t := first(args); t != "" && t != "all" {
				opts.targets = []string{t}
			}
			return runLogs(cmd.Context(), env, opts)
		},
	}
	f := cmd.Flags()
	f.IntVar(&opts.lines, "lines", 15, "how many of the last lines of each file")
	f.BoolVar(&opts.raw, "raw", false, "without prefix")
	f.BoolVar(&opts.onlyErr, "err", false, "standard error only")
	f.BoolVar(&opts.onlyOut, "out", false, "standard output only")
	f.BoolVar(&opts.nostream, "nostream", false, "do not follow")
	return cmd
}

func runLogs(ctx context.Context, env *Env, opts logsOptions) error {
	return env.with(ctx, func(c *client.Client) error { return env.logs(ctx, c, opts) })
}

// source is a log file and whose it is.
type source struct {
	path string
	name string // "3|api", or the daemon's
	kind sourceKind
}

type sourceKind int

const (
	outSource sourceKind = iota
	errSource
	daemonSource
)

func (k sourceKind) style() style {
	switch k {
	case errSource:
		return styleRed
	case daemonSource:
		return styleBlue
	case outSource:
	}
	return styleGreen
}

func (e *Env) logs(ctx context.Context, c *client.Client, opts logsOptions) error {
	list, err := c.Instances(ctx, client.Query{Targets: opts.targets, Cwd: e.Cwd})
	if errs.KindOf(err) == errs.NotFound && err != nil {
		e.warn("%s", err) // PM2 shows nothing and calls it a success
		return nil
	}
	if err != nil {
		return err
	}
	sources := e.sources(list, opts)
	// The ends of the files are noted before the tail is read, so that no line
	// falls between the tail and what is followed.
	files := make([]logs.File, len(sources))
	for i := range sources {
		files[i] = logs.File{Path: sources[i].path, Label: &sources[i]}
	}
	if opts.nostream {
		return e.tail(sources, opts, func(i, n int) ([]string, error) { return logs.Tail(files[i].Path, n) })
	}
	f, err := logs.NewFollower(files)
	if err != nil {
		return err
	}
	if err := e.tail(sources, opts, f.Tail); err != nil {
		return err
	}
	p := streamPrinter{env: e, raw: opts.raw, width: 3}
	err = f.Run(ctx, func(label any, line []byte) error { return p.print(label.(*source), line) })
	if ctx.Err() != nil {
		return nil // Ctrl-C is how one leaves
	}
	return err
}

// sources are the files to show: each once, the longest untouched first and the
// daemon's before them.
func (e *Env) sources(list []api.Instance, opts logsOptions) []source {
	var out []source
	seen := map[string]bool{"": true, os.DevNull: true}
	add := func(path, name string, kind sourceKind) {
		if !seen[path] {
			seen[path] = true
			out = append(out, source{path, name, kind})
		}
	}
	for _, in := range list {
		name := fmt.Sprintf("%d|%s", in.ID, in.Name)
		if !opts.onlyOut {
			add(in.ErrFile, name, errSource)
		}
		if !opts.onlyErr {
			add(in.OutFile, name, outSource)
		}
	}
	touched := make(map[string]time.Time, len(out))
	for _, s := range out {
		if fi, err := os.Stat(s.path); err == nil {
			touched[s.path] = fi.ModTime()
		}
	}
	slices.SortStableFunc(out, func(a, b source) int { return touched[a.path].Compare(touched[b.path]) })
	if len(opts.targets) == 0 && !opts.raw && !opts.onlyErr && !opts.onlyOut {
		out = slices.Insert(out, 0, source{e.Home.Log(), e.Program, daemonSource})
	}
	return out
}

// tailWidth is the width of the names before the last lines.
const tailWidth = 10

// tail prints the last lines of each source.
func (e *Env) tail(sources []source, opts logsOptions, lines func(i, n int) ([]string, error)) error {
	n := max(opts.lines, -opts.lines)
	if n == 0 {
		return nil
	}
	what := "all] processes"
	if len(opts.targets) > 0 {
		what = strings.Join(opts.targets, ", ") + "] process"
	}
	e.print("%s\n", e.paint(styleGrey, fmt.Sprintf("[TAILING] Tailing last %d lines for [%s (change the value with --lines option)", n, what)))
	for i, s := range sources {
		text, err := lines(i, n)
		if err != nil {
			return err
		}
		e.print("%s\n", e.paint(styleGrey, fmt.Sprintf("%s last %d lines:", s.path, n)))
		for _, l := range text {
			if opts.raw {
				fmt.Fprintln(e.writer(s.kind), l)
			} else {
				e.print("%s%s\n", e.paint(s.kind.style(), padded(s.name, tailWidth)+" | "), l)
			}
		}
		if len(text) > 0 {
			e.print("\n")
		}
	}
	return e.out.Flush()
}

// writer is where the raw lines of a kind go.
func (e *Env) writer(k sourceKind) io.Writer {
	if k == errSource {
		return e.Stderr
	}
	return e.out
}

// padded is s filled up or cut to width.
func padded(s string, width int) string {
	s, used := fit(s, width)
	return s + strings.Repeat(" ", width-used)
}

// streamPrinter prints lines as they come, with names as wide as the longest
// so far.
type streamPrinter struct {
	env   *Env
	raw   bool
	width int
}

func (p *streamPrinter) print(s *source, line []byte) error {
	if len(line) == 0 {
		return nil
	}
	w := p.env.writer(s.kind)
	if p.raw {
		if _, err := fmt.Fprintf(w, "%s\n", line); err != nil {
			return err
		}
		return p.env.out.Flush()
	}
	if n := displaywidth.String(s.name); n > p.width {
		p.width = n + 1
	}
	p.env.print("%s%s\n", p.env.paint(s.kind.style(), padded(s.name, p.width)+" | "), line)
	return p.env.out.Flush()
}
