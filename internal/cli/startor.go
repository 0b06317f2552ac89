package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"tend/client"
	"tend/internal/config"
)

func newStartOrRestart(env *Env) *cobra.Command {
	return newStartOr(env, false, &cobra.Command{
		Use: "startOrRestart <file...>", Short: "start the apps of a file, and restart those that run",
	})
}

func newStartOrReload(env *Env) *cobra.Command {
	return newStartOr(env, true, &cobra.Command{
		Use: "startOrReload <file...>", Aliases: []string{"startOrGracefulReload"},
		Short: "start the apps of a file, and reload those that run",
	})
}

// newStartOr is the grammar of the commands that know files only.
func newStartOr(env *Env, reload bool, cmd *cobra.Command) *cobra.Command {
	cmd.Args = needs("file|-")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := parseStart(env, cmd.Flags(), args)
		if err != nil {
			return err
		}
		opts.renew, opts.reload = true, reload
		return runStartOr(cmd.Context(), env, cmd.Name(), opts)
	}
	return cmd
}

func runStartOr(ctx context.Context, env *Env, name string, opts startOptions) error {
	for _, t := range opts.targets {
		if t != "-" && !config.IsFile(t) {
			return invalid(name, t, "`"+env.Program+" restart "+t+"` restarts an app that is in the list",
				errors.New("it is no configuration file"))
		}
	}
	return env.with(ctx, func(c *client.Client) error {
		if err := env.each(ctx, opts.targets, func(t string) error { return env.startFile(ctx, c, t, opts) }); err != nil {
			return err
		}
		return env.list(ctx, c, opts.listing)
	})
}
