package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/config"
)

func newRestart(env *Env) *cobra.Command {
	return newRenewal(env, api.ActRestart, &cobra.Command{
		Use: "restart <target...>", Short: "restart apps; of a file, start those that are missing",
	})
}

// newRenewal is the grammar of a command that gives apps new processes.
func newRenewal(env *Env, act string, cmd *cobra.Command) *cobra.Command {
	cmd.Args = needs("id|name|namespace|all|/regex/|file|-")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := parseStart(env, cmd.Flags(), args)
		if err != nil {
			return err
		}
		opts.renew, opts.reload, opts.toggle = true, act == api.ActReload, act == api.ActRestart
		return runRenewal(cmd.Context(), env, act, opts)
	}
	return cmd
}

func runRenewal(ctx context.Context, env *Env, act string, opts startOptions) error {
	return env.with(ctx, func(c *client.Client) error {
		err := env.each(ctx, opts.targets, func(t string) error {
			opts := opts
			opts.present = t == "-"
			if opts.present || config.IsFile(t) {
				return env.startFile(ctx, c, t, opts)
			}
			if err := opts.needsFile(act, t); err != nil {
				return err
			}
			if !opts.updateEnv {
				env.print("%s\n", env.paint(boldBlue, "Use --update-env to update environment variables"))
			}
			return env.actOn(ctx, c, act, t, opts)
		})
		if err != nil {
			return err
		}
		return env.conclude(ctx, c, opts)
	})
}

// needsFile refuses for what is no file what only a file can hold.
func (o startOptions) needsFile(op, target string) error {
	if o.file.EnvName == "" {
		return nil
	}
	return invalid(op, target, "variables of one environment stand in a file, as env_"+o.file.EnvName,
		errors.New("--env works with a configuration file only"))
}
