package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
)

func newSave(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "save", Aliases: []string{"dump"}, Short: "write the list to a file that resurrect reads", Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSave(cmd.Context(), env, on(cmd.Flags(), "force") || env.Getenv("FORCE") != "")
		},
	}
}

func runSave(ctx context.Context, env *Env, force bool) error {
	return env.with(ctx, func(c *client.Client) error {
		env.info("Saving current process list...")
		res, err := c.Save(ctx, api.SaveRequest{Force: force})
		if err != nil {
			return err
		}
		if res.Saved == 0 && !force {
			env.warn("The list is empty, so nothing was saved")
			env.warn("To save the empty list: %s save --force", env.Program)
			return nil
		}
		env.info("Successfully saved in %s", res.Path)
		return nil
	})
}
