package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
)

type sendOptions struct {
	target, line string
	listing      listOptions
}

func newSend(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "send <target> <line>", Short: "write a line to the standard input of an app",
		Example: "  " + env.Program + " send 0 \"say hello\"\n" +
			"  " + env.Program + " send api -- --help    a line that looks like an option",
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := env.exactly(cmd, args, "id|name|namespace|all|/regex/", "line")
			if err != nil {
				return err
			}
			return runSend(cmd.Context(), env, sendOptions{args[0], args[1], listing(cmd.Flags())})
		},
	}
}

func runSend(ctx context.Context, env *Env, opts sendOptions) error {
	return env.with(ctx, func(c *client.Client) error {
		req := api.InputRequest{Targets: []string{opts.target}, Cwd: env.Cwd, Line: opts.line}
		if err := c.Input(ctx, req, env.remarks); err != nil {
			return err
		}
		env.info("Successfully sent a line to process %s %s", nameOrID(opts.target), opts.target)
		return env.list(ctx, c, opts.listing)
	})
}
