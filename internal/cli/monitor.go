package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
)

// newMonitor marks apps in the list. Without a target the command is one of
// PM2's service.
func newMonitor(env *Env) *cobra.Command {
	return newMark(env, api.ActMonitor, "mark apps in the list as monitored: [M]", func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return nil
		}
		return invalid("run", cmd.Name(), "with a target it marks apps in the list", errors.New(absentForGood))
	})
}

func newUnmonitor(env *Env) *cobra.Command {
	return newMark(env, api.ActUnmonitor, "take the mark of monitored apps away", needs("target"))
}

func newMark(env *Env, act, short string, wants cobra.PositionalArgs) *cobra.Command {
	return &cobra.Command{
		Use: act + " <target...>", Short: short, Args: wants,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runMark(cmd.Context(), env, act, args, listing(cmd.Flags()))
		},
	}
}

func runMark(ctx context.Context, env *Env, act string, targets []string, opts listOptions) error {
	return env.with(ctx, func(c *client.Client) error {
		err := env.each(ctx, targets, func(t string) error {
			return c.Act(ctx, api.ActRequest{Act: act, Targets: []string{t}, Cwd: env.Cwd}, env.remarks)
		})
		if err != nil {
			return err
		}
		return env.list(ctx, c, opts)
	})
}
