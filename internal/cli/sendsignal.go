package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/app"
)

type signalOptions struct {
	signal  string
	targets []string
	listing listOptions
}

func newSendSignal(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "sendSignal <signal> <target...>", Aliases: []string{"sendsignal"}, Short: "send a signal to apps",
		Args: needs("signal", "id|name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSendSignal(cmd.Context(), env, signalOptions{args[0], args[1:], listing(cmd.Flags())})
		},
	}
}

func runSendSignal(ctx context.Context, env *Env, opts signalOptions) error {
	if _, err := app.Signal(opts.signal); err != nil {
		return invalid("send signal", opts.signal, "SIGUSR2, USR2 or 12, for example", err)
	}
	return env.with(ctx, func(c *client.Client) error {
		err := env.each(ctx, opts.targets, func(t string) error {
			env.info("Sending signal to process %s %s", nameOrID(t), t)
			req := api.ActRequest{Act: api.ActSignal, Targets: []string{t}, Cwd: env.Cwd, Signal: opts.signal}
			if err := c.Act(ctx, req, env.remarks); err != nil {
				return err
			}
			env.info("Successfully sent signal %s to process %s %s", opts.signal, nameOrID(t), t)
			return nil
		})
		if err != nil {
			return err
		}
		return env.list(ctx, c, opts.listing)
	})
}
