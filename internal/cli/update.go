package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
)

func newUpdate(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "update", Aliases: []string{"updatePM2"}, Short: "bring the daemon to the installed version; apps run on",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runUpdate(cmd.Context(), env, listing(cmd.Flags()))
		},
	}
}

func runUpdate(ctx context.Context, env *Env, opts listOptions) error {
	tend, keeper, err := env.Binaries()
	if err != nil {
		return err
	}
	return env.with(ctx, func(c *client.Client) error {
		old, err := c.Update(ctx, api.UpdateRequest{Daemon: tend, Keeper: keeper})
		if err != nil {
			return err
		}
		now, err := successor(ctx, env.Home.Socket(), old.PID)
		if err != nil {
			return err
		}
		env.info("Updated the daemon: pid %d (%s) -> pid %d (%s); %s of apps ran on",
			old.PID, old.Version, now.PID, now.Version, counted(now.Adopted, "instance"))
		return env.list(ctx, c, opts)
	})
}

// An update may take so long; a daemon that is still the old one is asked again
// after a moment.
const (
	updateLimit = 15 * time.Second
	updatePause = 20 * time.Millisecond
)

// successor waits for a daemon with another pid than old.
func successor(ctx context.Context, socket string, old int) (api.Pong, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, updateLimit, fmt.Errorf("daemon %d still answers after %s", old, updateLimit))
	defer cancel()
	for {
		c := client.New(socket) // an old connection leads to the old daemon
		pong, err := c.Ping(ctx)
		c.Close()
		if err == nil && pong.PID != old {
			return pong, nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.Canceled) {
				return pong, context.Cause(ctx)
			}
			return pong, &errs.Error{
				Op: "update", On: "the daemon", Kind: errs.Timeout, Err: context.Cause(ctx),
				Hint: "the daemon's log says why; apps are not affected",
			}
		case <-time.After(updatePause):
		}
	}
}
