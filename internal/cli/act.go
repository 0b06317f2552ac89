package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tend/api"
	"tend/client"
	"tend/internal/config"
)

// actOptions are what stop, restart and delete have in common.
type actOptions struct {
	act      string
	targets  []string
	parallel int
	only     []string
	listing  listOptions
}

func parseAct(env *Env, act string, set *pflag.FlagSet, targets []string) (actOptions, error) {
	n, err := env.parallel(set)
	return actOptions{act, targets, n, names(str(set, "only")), listing(set)}, err
}

// newAct is the grammar of a command that does one thing to its targets.
func newAct(env *Env, act string, cmd *cobra.Command) *cobra.Command {
	cmd.Args = needs("id|name|namespace|all|/regex/|file|-")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := parseAct(env, act, cmd.Flags(), args)
		if err != nil {
			return err
		}
		return runAct(cmd.Context(), env, opts)
	}
	return cmd
}

func runAct(ctx context.Context, env *Env, opts actOptions) error {
	return env.with(ctx, func(c *client.Client) error {
		err := env.each(ctx, opts.targets, func(t string) error {
			targets, err := env.resolveTarget(ctx, c, t, opts.only)
			if err != nil {
				return err
			}
			if len(targets) == 0 {
				env.warn("%s: none of its apps is in the list", t)
				return nil
			}
			req := api.ActRequest{Act: opts.act, Targets: targets, Cwd: env.Cwd, Parallel: opts.parallel}
			return c.Act(ctx, req, env.progress)
		})
		if err != nil {
			return err
		}
		return env.list(ctx, c, opts.listing)
	})
}

// each works through targets from left to right. One that fails is told of and
// keeps no other from its turn; but then there is no list at the end: the
// error is what matters.
func (e *Env) each(ctx context.Context, targets []string, do func(target string) error) error {
	var failed error
	for _, t := range targets {
		err := do(t)
		switch {
		case err == nil:
		case len(targets) == 1, ctx.Err() != nil:
			return err
		default:
			e.report(err)
			failed = errTold
		}
	}
	return failed
}

// resolveTarget is target as the daemon takes it: itself, or those apps of a
// configuration file that are in the list.
func (e *Env) resolveTarget(ctx context.Context, c *client.Client, target string, only []string) ([]string, error) {
	if target != "-" && !config.IsFile(target) {
		return []string{target}, nil
	}
	names, err := e.appsOf(ctx, target, only)
	if err != nil {
		return nil, err
	}
	list, err := c.Instances(ctx, client.Query{})
	if err != nil {
		return nil, err
	}
	return present(names, list), nil
}

// appsOf are the names of the apps in a configuration file, or on standard
// input. Nothing else of an app need be right for it to be stopped.
func (e *Env) appsOf(ctx context.Context, file string, only []string) ([]string, error) {
	if file != "-" {
		return config.Names(ctx, e.context(), file, only)
	}
	text, err := e.readStdin()
	if err != nil {
		return nil, err
	}
	r, err := config.Parse(ctx, e.context(), file, text, config.Options{})
	if len(r.Names) == 0 {
		return nil, err
	}
	if len(only) > 0 {
		r.Names = slices.DeleteFunc(r.Names, func(n string) bool { return !slices.Contains(only, n) })
	}
	return r.Names, nil
}

// present are the names that something in list has.
func present(names []string, list []api.Instance) []string {
	have := make(map[string]bool, len(list))
	for _, in := range list {
		have[in.Name] = true
	}
	var out []string
	for _, n := range names {
		if have[n] {
			out = append(out, n)
		}
	}
	return out
}

// maxStdin bounds a configuration on standard input.
const maxStdin = 16 << 20

func (e *Env) readStdin() ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(e.Stdin, maxStdin))
	if err != nil {
		return nil, fmt.Errorf("read standard input: %w", err)
	}
	return text, nil
}
