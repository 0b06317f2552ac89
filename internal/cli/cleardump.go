package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
)

func newCleardump(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "cleardump", Short: "save an empty list; what runs goes on", Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCleardump(cmd.Context(), env) },
	}
}

func runCleardump(ctx context.Context, env *Env) error {
	return env.with(ctx, func(c *client.Client) error {
		res, err := c.Save(ctx, api.SaveRequest{Clear: true})
		if err != nil {
			return err
		}
		env.info("Successfully created %s", res.Path)
		return nil
	})
}
