package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"tend/client"
)

func newKill(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "kill", Short: "stop every app, and the daemon", Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error { return runKill(cmd.Context(), env) },
	}
}

func runKill(ctx context.Context, env *Env) error {
	c, err := env.Connect(ctx, false)
	if errors.Is(err, client.ErrAbsent) {
		if err := env.besidePM2(ctx); err != nil {
			return err
		}
		env.info("No daemon runs in %s", env.Home)
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	// The daemon may be gone before its last event has left.
	if err := c.Kill(ctx, env.progress); err != nil && !errors.Is(err, client.ErrBroken) {
		return err
	}
	env.info("[v] All Applications Stopped")
	env.info("[v] Daemon Stopped")
	return nil
}
