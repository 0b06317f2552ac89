package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
)

func newFlush(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "flush [name|id...]", Short: "empty the log files",
		RunE: func(cmd *cobra.Command, args []string) error { return runFlush(cmd.Context(), env, args) },
	}
}

func runFlush(ctx context.Context, env *Env, targets []string) error {
	return env.with(ctx, func(c *client.Client) error {
		list, err := env.flush(ctx, c, targets)
		if err != nil {
			return err
		}
		env.info("Flushing:")
		for _, in := range list {
			for _, path := range []string{in.LogFile, in.OutFile, in.ErrFile} {
				if path != "" {
					env.info("%s", path)
				}
			}
		}
		if len(targets) == 0 {
			env.info("%s", env.Home.Log())
		}
		env.info("Logs flushed")
		return nil
	})
}

// flush empties the log files of targets, of all where there are none, and gives
// the instances whose those are.
func (e *Env) flush(ctx context.Context, c *client.Client, targets []string) ([]api.Instance, error) {
	if len(targets) == 0 {
		list, err := c.Instances(ctx, client.Query{})
		return list, errors.Join(err, c.FlushLogs(ctx, nil))
	}
	return e.findEach(ctx, targets, func(t string) ([]api.Instance, error) {
		list, err := c.Instances(ctx, client.Query{Targets: []string{t}, Cwd: e.Cwd})
		if err == nil {
			err = c.FlushLogs(ctx, []string{t})
		}
		if errs.KindOf(err) == errs.NotFound {
			e.warn("%s", err) // PM2 calls it a success
			return nil, nil
		}
		return list, err
	})
}
