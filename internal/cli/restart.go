package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/config"
)

func newRestart(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "restart <target...>", Short: "restart apps; of a file, start those that are missing",
		Args: needs("id|name|namespace|all|/regex/|file|-"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := parseStart(env, cmd.Flags(), args)
			if err != nil {
				return err
			}
			return runRestart(cmd.Context(), env, opts)
		},
	}
}

func runRestart(ctx context.Context, env *Env, opts startOptions) error {
	return env.with(ctx, func(c *client.Client) error {
		err := env.each(ctx, opts.targets, func(t string) error {
			opts := opts
			opts.present = t == "-"
			if opts.present || config.IsFile(t) {
				return env.startFile(ctx, c, t, opts)
			}
			if !opts.updateEnv {
				env.print("%s\n", env.paint(boldBlue, "Use --update-env to update environment variables"))
			}
			return env.actOn(ctx, c, api.ActRestart, t, opts)
		})
		if err != nil {
			return err
		}
		return env.conclude(ctx, c, opts)
	})
}
