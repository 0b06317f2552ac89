package cli

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
)

type scaleOptions struct {
	name     string
	count    int
	relative bool
	listing  listOptions
}

func newScale(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "scale <name> <n|+n|-n>", Short: "change the number of instances of an app", Args: needs("name", "number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := parseScale(args[0], args[1])
			if err != nil {
				return err
			}
			opts.listing = listing(cmd.Flags())
			return runScale(cmd.Context(), env, opts)
		},
	}
}

func parseScale(name, number string) (scaleOptions, error) {
	n, err := strconv.Atoi(number)
	if err != nil {
		return scaleOptions{}, invalid("scale", name, "a number, or +N and -N for more and fewer", errors.New(strconv.Quote(number)+" is not a number of instances"))
	}
	return scaleOptions{name: name, count: n, relative: strings.ContainsAny(number[:1], "+-")}, nil
}

func runScale(ctx context.Context, env *Env, opts scaleOptions) error {
	return env.with(ctx, func(c *client.Client) error {
		req := api.ScaleRequest{Name: opts.name, Cwd: env.Cwd, Count: opts.count, Relative: opts.relative}
		err := c.Scale(ctx, req, func(ev api.Event) {
			switch {
			case ev.Kind != api.EventApp:
				env.progress(ev)
				return
			case env.measure(len(ev.IDs)):
				return
			}
			for range max(1, len(ev.IDs)) {
				env.info("Scaling up application")
			}
		})
		if err != nil {
			return err
		}
		return env.list(ctx, c, opts.listing)
	})
}
