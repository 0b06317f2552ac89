package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
)

func newReset(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "reset <name|id|all>", Short: "set the counters of an app to zero", Args: needs("name|id|all"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReset(cmd.Context(), env, args[0], listing(cmd.Flags()))
		},
	}
}

func runReset(ctx context.Context, env *Env, target string, opts listOptions) error {
	return env.with(ctx, func(c *client.Client) error {
		req := api.ActRequest{Act: api.ActReset, Targets: []string{target}, Cwd: env.Cwd}
		err := c.Act(ctx, req, func(ev api.Event) {
			switch {
			case ev.Kind == api.EventInstance && ev.OK:
				env.info("Resetting meta for process id %d", ev.ID)
			case ev.Kind != api.EventTarget:
				env.progress(ev)
			}
		})
		if err != nil {
			return err
		}
		return env.list(ctx, c, opts)
	})
}
