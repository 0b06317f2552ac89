package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/client"
	"tend/internal/pm2env"
)

func newPing(env *Env) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "ping", Short: "see that the daemon answers, or start it",
		RunE: func(cmd *cobra.Command, _ []string) error { return runPing(cmd.Context(), env, json) },
	}
	asJSON(cmd, &json)
	return cmd
}

func runPing(ctx context.Context, env *Env, json bool) error {
	return env.with(ctx, func(c *client.Client) error { // connecting has pinged it
		if json {
			pong, err := c.Ping(ctx)
			if err != nil {
				return err
			}
			return env.printJSON(pong)
		}
		env.print("%s\n", pm2env.Inspect(pm2env.Object{{Key: "msg", Value: "pong"}}))
		return nil
	})
}
