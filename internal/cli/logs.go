package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
	"tend/internal/logs/read"
)

type logsOptions struct {
	targets  []string // none means all, and the daemon's own log
	lines    int
	counted  bool // lines was asked for
	raw      bool
	onlyErr  bool
	onlyOut  bool
	nostream bool
	json     bool
	format   bool
	stamp    string
	mark     string // what is highlighted

	since, until  string
	grep, exclude string
}

func newLogs(env *Env) *cobra.Command {
	var opts logsOptions
	cmd := &cobra.Command{
		Use: "logs [id|name|namespace|/regex/|" + env.Program + "...]", Aliases: []string{"log"}, Short: "show the last lines of the logs, and follow them",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(args, "all") {
				opts.targets = args
			}
			opts.counted = cmd.Flags().Changed("lines")
			return runLogs(cmd.Context(), env, opts)
		},
	}
	f := cmd.Flags()
	f.IntVar(&opts.lines, "lines", 15, "how many of the last lines of each log")
	f.BoolVar(&opts.raw, "raw", false, "without prefix")
	f.BoolVar(&opts.onlyErr, "err", false, "standard error only")
	f.BoolVar(&opts.onlyOut, "out", false, "standard output only")
	f.BoolVar(&opts.nostream, "nostream", false, "do not follow")
	f.BoolVar(&opts.json, "json", false, "follow, one JSON object a line")
	f.BoolVar(&opts.format, "format", false, "follow, as key=value")
	f.StringVar(&opts.stamp, "timestamp", "", "when each line came, in day.js tokens")
	f.Lookup("timestamp").NoOptDefVal = stampFormat
	f.StringVar(&opts.mark, "highlight", "", "highlight this text")
	f.StringVar(&opts.since, "since", "", "lines written since then: 10m, 14:30, 2026-11-22 14:30")
	f.StringVar(&opts.until, "until", "", "and until then, without following")
	f.StringVar(&opts.grep, "grep", "", "only lines that match this regular expression")
	f.StringVar(&opts.exclude, "exclude", "", "no lines that match this one")
	return cmd
}

func runLogs(ctx context.Context, env *Env, opts logsOptions) error {
	if _, err := env.newLogView(opts, time.Now()); err != nil {
		return err // before a daemon is started for it
	}
	return env.with(ctx, func(c *client.Client) error { return env.logs(ctx, c, opts) })
}

// logs shows logs as the command does.
func (e *Env) logs(ctx context.Context, c *client.Client, opts logsOptions) error {
	v, err := e.newLogView(opts, time.Now())
	if err != nil {
		return err
	}
	return v.run(ctx, c)
}

// logView is what one call of logs shows.
type logView struct {
	env     *Env
	opts    logsOptions
	query   read.Query
	printer *logPrinter

	seen     map[string]bool // paths
	sources  []*source
	ids      map[int]bool // instances whose logs are in sources
	follower *read.Follower
	started  time.Time
}

func (e *Env) newLogView(opts logsOptions, now time.Time) (*logView, error) {
	v := &logView{
		env: e, opts: opts, started: now, ids: map[int]bool{},
		seen:  map[string]bool{"": true, "/dev/null": true},
		query: read.Query{Lines: max(opts.lines, -opts.lines)},
	}
	var filter read.Filter
	var err error
	for _, part := range []struct {
		option, text string
		into         **regexp.Regexp
	}{{"--grep", opts.grep, &filter.Grep}, {"--exclude", opts.exclude, &filter.Exclude}} {
		if part.text == "" {
			continue
		}
		if *part.into, err = regexp.Compile(part.text); err != nil {
			return nil, invalid("read option", part.option, "regular expressions are Go's (RE2): no look-ahead and no back-references", err)
		}
	}
	if v.query.Since, err = momentOf("--since", opts.since, now); err != nil {
		return nil, err
	}
	if v.query.Until, err = momentOf("--until", opts.until, now); err != nil {
		return nil, err
	}
	if opts.since != "" && !opts.counted {
		v.query.Lines = -1
	}
	// PM2's programs read these for what is new.
	if (opts.json || opts.format) && !opts.nostream && opts.since == "" && opts.until == "" {
		v.query.Lines = 0
	}
	v.query.Keep = filter.Keep()
	v.printer = e.newLogPrinter(opts, v.query.Keep)
	return v, nil
}

func (v *logView) run(ctx context.Context, c *client.Client) error {
	err := v.show(ctx, c)
	if err == nil && v.follows() {
		err = v.follow(ctx, c)
	}
	if v.follows() && ctx.Err() != nil {
		return nil // Ctrl-C is how one leaves
	}
	return err
}

// follows tells whether what comes is shown too.
func (v *logView) follows() bool { return !v.opts.nostream && v.query.Until.IsZero() }

// show prints what is there, and makes the follower of what comes.
func (v *logView) show(ctx context.Context, c *client.Client) error {
	list, err := v.instances(ctx, c)
	if err != nil {
		return err
	}
	v.join(list)
	v.sortSources()
	if (len(v.opts.targets) == 0 && len(v.opts.streams()) == 2 && !v.opts.raw) || slices.ContainsFunc(v.opts.targets, func(t string) bool { return v.isDaemon(t, list) }) {
		v.addDaemon()
	}
	if !v.follows() {
		return v.history(func(i int, each func(read.Line) error) error {
			return read.History(ctx, v.sources[i].file(), v.query, each)
		})
	}
	files := make([]read.File, len(v.sources))
	for i, s := range v.sources {
		files[i] = s.file()
	}
	// Where the logs are followed from is noted before the rest is read, so that
	// no line falls between the two.
	if v.follower, err = read.NewFollower(files); err != nil {
		return err
	}
	err = v.history(func(i int, each func(read.Line) error) error { return v.follower.History(ctx, i, v.query, each) })
	if err != nil && !errors.Is(err, errTold) {
		v.follower.Close()
		return err
	}
	return nil
}

// streams are the outputs of an app that are shown. A log that both share is
// known by the first.
func (o logsOptions) streams() []sourceKind {
	switch {
	case o.onlyErr && !o.onlyOut:
		return []sourceKind{errSource}
	case o.onlyOut && !o.onlyErr:
		return []sourceKind{outSource}
	}
	return []sourceKind{outSource, errSource}
}

// instances are those of the target. That there are none is worth a warning
// only: they may come, and PM2 calls it a success.
func (v *logView) instances(ctx context.Context, c *client.Client) ([]api.Instance, error) {
	if len(v.opts.targets) == 0 {
		return c.Instances(ctx, client.Query{})
	}
	return v.env.findEach(ctx, v.opts.targets, func(t string) ([]api.Instance, error) {
		list, err := c.Instances(ctx, client.Query{Targets: []string{t}, Cwd: v.env.Cwd})
		if errs.KindOf(err) != errs.NotFound {
			return list, err
		}
		if v.follower == nil && !v.isDaemon(t, nil) {
			v.env.warn("%s", err)
		}
		return nil, nil
	})
}

// isDaemon tells whether a target is the daemon's own log: by the name of this
// program, unless an app in list has that.
func (v *logView) isDaemon(target string, list []api.Instance) bool {
	taken := func(in api.Instance) bool { return in.Name == target || in.Namespace == target }
	return (target == v.env.Program || target == "tend") && !slices.ContainsFunc(list, taken)
}

// history prints the lines that are there, log by log. Of what cannot be read it
// tells, and goes on with the rest.
func (v *logView) history(lines func(i int, each func(read.Line) error) error) error {
	if v.query.Lines == 0 {
		return nil
	}
	e, plain := v.env, v.opts.json || v.opts.format
	var failed error
	if !plain {
		e.print("%s\n", e.paint(styleGreyBold, v.title()))
	}
	for i, s := range v.sources {
		if !plain {
			e.print("%s\n", e.paint(styleGrey, s.path+" "+v.which()+":"))
		}
		shown := false
		err := lines(i, func(l read.Line) error {
			shown = true
			return v.printer.past(l)
		})
		unread, damaged := errors.AsType[*read.Unread](err)
		if err != nil && !damaged {
			return err
		}
		if shown && !plain {
			e.print("\n")
		}
		if err := v.printer.flush(); err != nil {
			return err
		}
		if damaged {
			failed = errTold
			for _, part := range unread.Parts {
				e.report(part)
			}
		}
	}
	if err := v.printer.flush(); err != nil {
		return err
	}
	return failed
}

// which says which lines of a log are shown.
func (v *logView) which() string {
	var parts []string
	if v.query.Lines > 0 {
		parts = append(parts, fmt.Sprintf("last %d lines", v.query.Lines))
	}
	if v.opts.since != "" {
		parts = append(parts, "since "+v.opts.since)
	}
	if v.opts.until != "" {
		parts = append(parts, "until "+v.opts.until)
	}
	return strings.Join(parts, " ")
}

func (v *logView) title() string {
	what := "[all] processes"
	if len(v.opts.targets) > 0 {
		what = "[" + strings.Join(v.opts.targets, ", ") + "] process"
	}
	return fmt.Sprintf("[TAILING] Tailing %s for %s (change the value with --lines option)", v.which(), what)
}
