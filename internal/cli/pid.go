package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/client"
)

func newPid(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "pid [name]", Short: "print the pids of an app, or of all",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPid(cmd.Context(), env, first(args))
		},
	}
}

// first is the first of args, "" where there is none.
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func runPid(ctx context.Context, env *Env, name string) error {
	return env.with(ctx, func(c *client.Client) error {
		list, err := c.Instances(ctx, client.Query{})
		if err != nil {
			return err
		}
		if name != "" {
			list = named(list, name)
		}
		if len(list) == 0 {
			env.print("\n") // scripts read one line
		}
		for _, in := range list {
			env.print("%d\n", in.PID)
		}
		return nil
	})
}
