package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tend/api"
	"tend/internal/home"
)

// devOptions are what dev is asked for beside what start is.
type devOptions struct {
	start      startOptions
	screen     screenOptions
	ignore     []string
	postExec   string
	silentExec bool
	autoExit   bool
}

func newDev(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "dev [start] <script|file>", Short: "run apps in the foreground, and restart them when their files change",
	}
	f := cmd.Flags()
	f.Bool("raw", false, "lines without the name of their app")
	f.String("timestamp", "", "when each line came, in day.js tokens")
	f.Lookup("timestamp").NoOptDefVal = stampFormat
	f.String("ignore", "", "files whose change means nothing, with commas between")
	f.String("post-exec", "", "a shell command after each restart")
	f.Bool("silent-exec", false, "without its output")
	f.Bool("auto-exit", false, "end when nothing is online any more")
	f.Bool("test-mode", false, "")
	f.Lookup("test-mode").Hidden = true
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 && args[0] == "start" {
			args = args[1:]
		}
		if err := needs("script|file")(cmd, args); err != nil {
			return err
		}
		opts, err := parseDev(env, cmd.Flags(), args)
		if err != nil {
			return err
		}
		return runDev(cmd.Context(), env, opts)
	}
	return cmd
}

func parseDev(env *Env, set *pflag.FlagSet, targets []string) (devOptions, error) {
	opts := devOptions{
		ignore: append(names(str(set, "ignore")), "node_modules"), postExec: str(set, "post-exec"),
		silentExec: on(set, "silent-exec"), autoExit: on(set, "auto-exit") || on(set, "test-mode"),
		screen: screenOptions{
			logsOptions: logsOptions{raw: on(set, "raw"), stamp: str(set, "timestamp")},
			label:       func(id int, app string) string { return fmt.Sprintf("%s-%d", app, id) },
		},
	}
	var err error
	opts.start, err = parseStart(env, set, targets)
	opts.start.adjust = func(s *api.Spec) { develop(s, opts.ignore) }
	return opts, err
}

// devDelay is how long an app that ended by itself is let be.
const devDelay = 1000

// develop makes an app one that is being worked on.
func develop(s *api.Spec, ignore []string) {
	quieten(s, "", "", false)
	s.Autostart, s.Autorestart, s.RestartDelay = true, true, devDelay
	if s.Watch == nil {
		s.Watch = &api.Watch{Paths: []string{s.Cwd}}
	}
	watch := *s.Watch
	watch.Ignore = append(append([]string{}, watch.Ignore...), ignore...)
	s.Watch = &watch
}

// devHome is the home of what is being worked on, apart from what is to last.
func (e *Env) devHome() home.Dir {
	base := ".tend-dev"
	if strings.HasPrefix(e.Program, "pm2") {
		base = ".pm2-dev"
	}
	return home.Dir(filepath.Join(e.context().Home, base))
}

func runDev(ctx context.Context, env *Env, opts devOptions) error {
	dev := *env
	dev.Home = env.devHome()
	_, there := os.Stat(string(dev.Home))
	f, ctx := foreground(ctx)
	defer f.stop()
	o, err := dev.own(ctx)
	if err != nil {
		return err
	}
	o.show(opts.screen)
	err = f.finish(ctx, o, o.develop(ctx, f, opts))
	if errors.Is(there, os.ErrNotExist) { // we made it
		err = errors.Join(err, os.RemoveAll(string(dev.Home)))
	}
	return err
}

// develop starts the apps and waits until somebody has worked enough.
func (o *owner) develop(ctx context.Context, f *front, opts devOptions) error {
	if err := o.start(ctx, opts.start); err != nil {
		return err
	}
	f.serve(o)
	o.env.heading(opts)
	began := time.Now()
	_, err := o.watch(ctx, opts.autoExit, func(n api.Notice, event string) {
		if event == "online" && n.At > began.UnixMilli() {
			o.env.print("[rundev] App %s restarted\n", n.Name)
			_ = o.env.out.Flush() // as for any line of progress
			o.wg.Go(func() { o.env.afterwards(o.life, opts) })
		}
	})
	if err != nil {
		return err
	}
	o.env.note("No app is online any more: the end")
	return exitCode(codeFailed)
}

// heading says what is being done.
func (e *Env) heading(opts devOptions) {
	e.print("--- %s development mode ---\n", e.Program)
	e.print("Apps:             %s\n", strings.Join(*opts.start.started, ", "))
	e.print("Restarted when:   a file changes\n")
	e.print("Ignored:          %s\n", strings.Join(opts.ignore, ", "))
	_ = e.out.Flush() // as for any line of progress
}

// afterwards runs what is to be done after a restart.
func (e *Env) afterwards(ctx context.Context, opts devOptions) {
	if opts.postExec == "" {
		return
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", opts.postExec) //nolint:gosec // it is asked for as a shell command
	cmd.Dir, cmd.Env = e.Cwd, e.Environ
	if !opts.silentExec {
		cmd.Stdout, cmd.Stderr = e.Stdout, e.Stderr
	}
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		fmt.Fprintf(e.Stderr, "[rundev] %s: %s\n", opts.postExec, err) // beside whoever prints through e
	}
}
