package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"tend/client"
	"tend/internal/pm2env"
)

func newID(env *Env) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "id <name...>", Short: "print the ids of an app", Args: needs("name"),
		RunE: func(cmd *cobra.Command, args []string) error { return runID(cmd.Context(), env, args, json) },
	}
	asJSON(cmd, &json)
	return cmd
}

func runID(ctx context.Context, env *Env, names []string, json bool) error {
	return env.with(ctx, func(c *client.Client) error {
		list, err := c.Instances(ctx, client.Query{})
		if err != nil {
			return err
		}
		ids := []int{}
		for _, in := range list {
			if slices.Contains(names, in.Name) {
				ids = append(ids, in.ID)
			}
		}
		if json {
			return env.printJSON(ids)
		}
		env.print("%s\n", pm2env.Inspect(ids))
		return nil
	})
}
