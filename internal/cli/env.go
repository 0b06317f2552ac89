package cli

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
)

func newEnv(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "env <id>", Short: "print the environment of an instance", Args: needs("id"),
		RunE: func(cmd *cobra.Command, args []string) error { return runEnv(cmd.Context(), env, args[0]) },
	}
}

func runEnv(ctx context.Context, env *Env, target string) error {
	id, err := strconv.Atoi(target)
	if err != nil {
		return invalid("read id", target, "`"+env.Program+" id NAME` prints the ids of an app", errors.New("it is not a number"))
	}
	return env.with(ctx, func(c *client.Client) error {
		in, err := detailed(ctx, c, id)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(in.Detail.Env)) {
			env.print("%s: %s\n", name, env.paint(styleGreen, in.Detail.Env[name]))
		}
		return nil
	})
}

// detailed is the instance of this id, with its Detail.
func detailed(ctx context.Context, c *client.Client, id int) (api.Instance, error) {
	target := strconv.Itoa(id)
	list, err := c.Instances(ctx, client.Query{Targets: []string{target}, Detail: true})
	if err != nil && errs.KindOf(err) != errs.NotFound {
		return api.Instance{}, err
	}
	// An app that is called like a number has its name looked at first.
	if !slices.ContainsFunc(list, func(in api.Instance) bool { return in.ID == id }) {
		if list, err = c.Instances(ctx, client.Query{Detail: true}); err != nil {
			return api.Instance{}, err
		}
	}
	for _, in := range list {
		if in.ID == id && in.Detail != nil {
			return in, nil
		}
	}
	return api.Instance{}, notFound("find", target)
}
