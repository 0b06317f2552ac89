package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/client"
	"tend/internal/pm2env"
)

func newJlist(env *Env) *cobra.Command {
	var redacted bool
	cmd := &cobra.Command{
		Use: "jlist", Short: "list the instances as JSON",
		RunE: func(cmd *cobra.Command, _ []string) error { return runJlist(cmd.Context(), env, redacted) },
	}
	redactable(cmd, &redacted)
	return cmd
}

// redactable gives a list for programs the option to hide what looks like a
// secret. They find everything there otherwise, as in PM2, for they rely on it.
func redactable(cmd *cobra.Command, on *bool) {
	cmd.Flags().BoolVar(on, "redact", false, "hide what looks like a secret")
}

func runJlist(ctx context.Context, env *Env, redacted bool) error {
	list, err := records(ctx, env, redacted)
	if err != nil {
		return err
	}
	_, err = env.raw.Write(pm2env.AppendJSON(nil, list))
	return err
}

// records is the list in PM2's shape.
func records(ctx context.Context, env *Env, redacted bool) ([]pm2env.Object, error) {
	var out []pm2env.Object
	err := env.with(ctx, func(c *client.Client) error {
		list, err := c.Instances(ctx, client.Query{Detail: true})
		for _, in := range list {
			if redacted && in.Detail != nil {
				conceal(&in)
			}
			out = append(out, pm2env.Encode(in))
		}
		return err
	})
	return out, err
}
