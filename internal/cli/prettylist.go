package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/internal/pm2env"
)

func newPrettylist(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "prettylist", Short: "list the instances as JavaScript", Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPrettylist(cmd.Context(), env) },
	}
}

func runPrettylist(ctx context.Context, env *Env) error {
	list, err := records(ctx, env)
	if err != nil {
		return err
	}
	return env.write([]byte(pm2env.Inspect(list) + "\n"))
}
