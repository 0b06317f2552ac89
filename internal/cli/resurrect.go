package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
)

func newResurrect(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "resurrect", Short: "start the apps that were saved", Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runResurrect(cmd.Context(), env, listing(cmd.Flags()))
		},
	}
}

func runResurrect(ctx context.Context, env *Env, opts listOptions) error {
	return env.with(ctx, func(c *client.Client) error {
		env.info("Resurrecting")
		err := c.Resurrect(ctx, func(ev api.Event) {
			if ev.Kind == api.EventInstance && ev.OK {
				env.info("Process %s restored", ev.Name)
				return
			}
			env.progress(ev)
		})
		if err != nil && errs.KindOf(err) == errs.NotFound { // at boot, before anything was saved, too
			env.warn("%s", err)
		} else if err != nil {
			return err
		}
		return env.list(ctx, c, opts)
	})
}
