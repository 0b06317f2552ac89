package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"tend/client"
)

func newKill(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "kill", Short: "stop every app, and the daemon", Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// systemd runs what stops a unit also when the process that it watches
			// has ended by itself (systemd.exec(5), SERVICE_RESULT). That is the
			// keeper, and the daemon has another one by then: the apps live on.
			if on(cmd.Flags(), unlessCrashed) && env.Getenv("SERVICE_RESULT") != "success" {
				env.info("The keeper ended, and nobody asked to stop: the apps run on")
				return nil
			}
			return runKill(cmd.Context(), env)
		},
	}
	cmd.Flags().Bool(unlessCrashed, false, "")
	cmd.Flags().Lookup(unlessCrashed).Hidden = true
	return cmd
}

// unlessCrashed is the option that the units of package startup give.
const unlessCrashed = "unless-crashed"

func runKill(ctx context.Context, env *Env) error {
	c, err := env.Connect(ctx, false)
	if errors.Is(err, client.ErrAbsent) {
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
