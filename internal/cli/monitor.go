package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
)

// newMonitor marks apps in the list. Without a target the command is one of
// PM2's service.
func newMonitor(env *Env) *cobra.Command {
	return newMark(env, api.ActMonitor, "mark apps in the list as monitored: [M]")
}

func newUnmonitor(env *Env) *cobra.Command {
	return newMark(env, api.ActUnmonitor, "take the mark of monitored apps away")
}

func newMark(env *Env, act, short string) *cobra.Command {
	return &cobra.Command{
		Use: act + " <target>", Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &errs.Error{
					Op: "run", On: act, Kind: errs.Invalid, Err: errors.New(absentForGood(env)), Hint: "with a target it marks apps in the list",
				}
			}
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
