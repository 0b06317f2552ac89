package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/internal/pm2env"
)

func newPrettylist(env *Env) *cobra.Command {
	var redacted bool
	cmd := &cobra.Command{
		Use: "prettylist", Short: "list the instances as JavaScript", Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPrettylist(cmd.Context(), env, redacted) },
	}
	redactable(cmd, &redacted)
	return cmd
}

func runPrettylist(ctx context.Context, env *Env, redacted bool) error {
	list, err := records(ctx, env, redacted)
	if err != nil {
		return err
	}
	return env.write([]byte(pm2env.Inspect(list) + "\n"))
}
