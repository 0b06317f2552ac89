package cli

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
)

// runOptions are what run is asked for beside what start is.
type runOptions struct {
	start    startOptions
	screen   screenOptions
	autoExit bool
	delay    time.Duration
}

func newRun(env *Env) *cobra.Command {
	called := typed(env.Program, "run")
	cmd := &cobra.Command{
		Use: "run [start] <script|file>", Short: "run apps in the foreground, as the first process of a container",
		Example: "  " + called + " server.js             its output is ours, and its exit code\n" +
			"  " + called + " ecosystem.config.js   several apps\n" +
			"  " + called + " --json -i max api.js  one JSON object a line",
	}
	f := cmd.Flags()
	f.Bool("raw", false, "lines as they are, in our own standard output and error (default)")
	f.Bool("formatted", false, "lines with the name of their app before them")
	f.Bool("format", false, "lines as key=value")
	f.Bool("json", false, "lines and changes of apps, one JSON object a line")
	f.Bool("auto-exit", true, "end when nothing is online any more")
	f.Bool("no-auto-exit", false, "run on when nothing is online any more")
	f.Float64("delay", 0, "wait so many seconds before the apps are started")
	f.String("web", "", "")
	f.Lookup("web").NoOptDefVal = given
	for _, name := range []string{"secret", "public", "machine-name"} { // of PM2's service; without effect
		f.String(name, "", "")
	}
	for _, name := range []string{"web", "secret", "public", "machine-name"} {
		f.Lookup(name).Hidden = true
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 && args[0] == "start" {
			args = args[1:]
		}
		if err := needs("script|file")(cmd, args); err != nil {
			return err
		}
		opts, err := parseRun(env, cmd.Flags(), args)
		if err != nil {
			return err
		}
		return runRun(cmd.Context(), env, opts)
	}
	return cmd
}

func parseRun(env *Env, set *pflag.FlagSet, targets []string) (runOptions, error) {
	if set.Changed("web") {
		return runOptions{}, invalid("run", strings.Join(targets, " "), "`curl --unix-socket $TEND_HOME/tend.sock http://tend/v1/instances` asks the daemon",
			errors.New("--web is not here"))
	}
	delay, err := set.GetFloat64("delay")
	if err == nil && delay < 0 {
		err = invalid("read option", "--delay", "", errors.New("a time is not negative"))
	}
	if err != nil {
		return runOptions{}, err
	}
	start, err := parseStart(env, set, targets)
	start.adjust = func(s *api.Spec) { quieten(s, str(set, "output"), str(set, "error"), on(set, "no-autorestart")) }
	start.ignored = slices.DeleteFunc(start.ignored, func(o string) bool {
		return slices.Contains([]string{"--output", "--error", "--no-autorestart"}, o)
	})
	look := logsOptions{json: on(set, "json"), format: on(set, "format")}
	look.raw = !look.json && !look.format && !on(set, "formatted")
	return runOptions{
		start: start, screen: screenOptions{logsOptions: look, deaf: os.Getpid() == 1},
		autoExit: on(set, "auto-exit") && !on(set, "no-auto-exit"), delay: time.Duration(delay * float64(time.Second)),
	}, err
}

// quieten has an app write no log files that nobody asked for: what it writes is
// our output.
func quieten(s *api.Spec, out, fault string, once bool) {
	if s.Log.Out == "" || out != "" {
		s.Log.Out = absolute(s.Cwd, out)
	}
	if s.Log.Err == "" || fault != "" {
		s.Log.Err = absolute(s.Cwd, fault)
	}
	if once {
		s.Autorestart = false
	}
}

func runRun(ctx context.Context, env *Env, opts runOptions) error {
	f, ctx := foreground(ctx)
	defer f.stop()
	o, err := env.toStderr().own(ctx)
	if err != nil {
		return err
	}
	o.show(opts.screen)
	return f.finish(ctx, o, o.carry(ctx, f, opts))
}

// absolute is the path of a log, below dir where it does not say; nowhere, when
// it is empty.
func absolute(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return cmp.Or(path, os.DevNull)
	}
	return filepath.Join(dir, path)
}

// toStderr is e for messages that are not to stand among the lines of apps.
func (e *Env) toStderr() *Env {
	own := *e
	own.out.Reset(e.Stderr)
	return &own
}

// carry starts the apps and waits until it is time to end. The error may be an
// exitCode.
func (o *owner) carry(ctx context.Context, f *front, opts runOptions) error {
	if !wait(ctx, opts.delay) {
		return nil
	}
	if err := o.start(ctx, opts.start); err != nil {
		return err
	}
	f.serve(o)
	o.wg.Go(func() { reap(o.life) })
	var hear func(api.Notice, string)
	if opts.screen.json {
		hear = o.screen.tell
	}
	list, err := o.watch(ctx, opts.autoExit, hear)
	if err != nil {
		return err
	}
	code := codeOf(list)
	o.env.note("No app is online any more: the end, with exit code %d", code)
	return code
}

// start starts the apps. That one has ended, or a daemon died in the middle of
// it, is told of, and no reason to end: there is a policy for that.
func (o *owner) start(ctx context.Context, opts startOptions) error {
	err := o.env.startEach(ctx, o.c, opts)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, client.ErrBroken):
		if !o.holds(ctx) {
			return err
		}
	case err != nil && errs.KindOf(err) != errs.Crashed:
		return err
	}
	if err != nil {
		o.env.report(err)
	}
	return nil
}

// holds tells whether the daemon has any app, whichever daemon it is by then. Where
// it and its keeper are gone that is for watch to find out.
func (o *owner) holds(ctx context.Context) bool {
	for !o.unheld() {
		if list, err := o.c.Instances(ctx, client.Query{}); err == nil {
			return len(list) > 0
		}
		if !wait(ctx, ownerAgain) {
			break
		}
	}
	return true
}

// wait waits for a time, and tells whether ctx let it.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
