package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/client"
)

func newReloadLogs(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "reloadLogs", Aliases: []string{"reloadlogs"}, Short: "open the log files anew, after something moved them",
		RunE: func(cmd *cobra.Command, _ []string) error { return runReloadLogs(cmd.Context(), env) },
	}
}

func runReloadLogs(ctx context.Context, env *Env) error {
	return env.with(ctx, func(c *client.Client) error {
		env.info("Reloading all logs...")
		if err := c.ReloadLogs(ctx); err != nil {
			return err
		}
		env.info("All logs reloaded")
		return nil
	})
}
