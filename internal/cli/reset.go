package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
)

func newReset(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "reset <target...>", Short: "set the counters of apps to zero", Args: needs("id|name|namespace|all|/regex/"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReset(cmd.Context(), env, args, listing(cmd.Flags()))
		},
	}
}

func runReset(ctx context.Context, env *Env, targets []string, opts listOptions) error {
	return env.with(ctx, func(c *client.Client) error {
		err := env.each(ctx, targets, func(t string) error {
			req := api.ActRequest{Act: api.ActReset, Targets: []string{t}, Cwd: env.Cwd}
			return c.Act(ctx, req, func(ev api.Event) {
				switch {
				case ev.Kind == api.EventInstance && ev.OK:
					env.info("Resetting meta for process id %d", ev.ID)
				case ev.Kind != api.EventTarget:
					env.progress(ev)
				}
			})
		})
		if err != nil {
			return err
		}
		return env.list(ctx, c, opts)
	})
}
