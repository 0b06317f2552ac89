package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/client"
	"tend/internal/pm2env"
)

func newJlist(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "jlist", Short: "list the instances as JSON",
		RunE: func(cmd *cobra.Command, _ []string) error { return runJlist(cmd.Context(), env) },
	}
}

func runJlist(ctx context.Context, env *Env) error {
	list, err := records(ctx, env)
	if err != nil {
		return err
	}
	_, err = env.raw.Write(pm2env.AppendJSON(nil, list))
	return err
}

// records is the list in PM2's shape.
func records(ctx context.Context, env *Env) ([]pm2env.Object, error) {
	var out []pm2env.Object
	err := env.with(ctx, func(c *client.Client) error {
		list, err := c.Instances(ctx, client.Query{Detail: true})
		for _, in := range list {
			out = append(out, pm2env.Encode(in))
		}
		return err
	})
	return out, err
}
