package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/client"
	"tend/internal/pm2env"
)

func newPing(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "ping", Short: "see that the daemon answers, or start it",
		RunE: func(cmd *cobra.Command, _ []string) error { return runPing(cmd.Context(), env) },
	}
}

func runPing(ctx context.Context, env *Env) error {
	return env.with(ctx, func(*client.Client) error { // connecting has pinged it
		env.print("%s\n", pm2env.Inspect(pm2env.Object{{Key: "msg", Value: "pong"}}))
		return nil
	})
}
