package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/client"
	"tend/internal/errs"
)

func newFlush(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "flush [name|id]", Short: "empty the log files",
		RunE: func(cmd *cobra.Command, args []string) error { return runFlush(cmd.Context(), env, args) },
	}
}

func runFlush(ctx context.Context, env *Env, targets []string) error {
	return env.with(ctx, func(c *client.Client) error {
		list, err := c.Instances(ctx, client.Query{Targets: targets, Cwd: env.Cwd})
		if err == nil {
			err = c.FlushLogs(ctx, targets)
		}
		if err != nil && errs.KindOf(err) == errs.NotFound {
			env.warn("%s", err) // PM2 calls it a success
		} else if err != nil {
			return err
		}
		env.info("Flushing:")
		for _, in := range list {
			env.info("%s", in.OutFile)
			env.info("%s", in.ErrFile)
		}
		if len(targets) == 0 {
			env.info("%s", env.Home.Log())
		}
		env.info("Logs flushed")
		return nil
	})
}
