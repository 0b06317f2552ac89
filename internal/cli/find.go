package cli

import (
	"context"
	"slices"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
)

// find are the instances that a target of a command that only looks names: by
// their name or id, else as the daemon understands it, or as a file does.
func (e *Env) find(ctx context.Context, c *client.Client, op, target string) ([]api.Instance, error) {
	list, err := c.Instances(ctx, client.Query{})
	if err != nil {
		return nil, err
	}
	if found := named(list, target); len(found) > 0 {
		return found, nil
	}
	targets, err := e.resolveTarget(ctx, c, target, nil)
	if err != nil {
		return nil, err
	}
	if len(targets) == 0 { // a file of apps that are not in the list
		return nil, notFound(op, target)
	}
	list, err = c.Instances(ctx, client.Query{Targets: targets, Cwd: e.Cwd})
	if errs.KindOf(err) == errs.NotFound {
		return nil, notFound(op, target)
	}
	return list, err
}

// findEach are the instances of several targets, each once. One that names
// nothing keeps nobody from seeing the others.
func (e *Env) findEach(ctx context.Context, targets []string, find func(target string) ([]api.Instance, error)) ([]api.Instance, error) {
	var all []api.Instance
	err := e.each(ctx, targets, func(t string) error {
		list, err := find(t)
		for _, in := range list {
			if !slices.ContainsFunc(all, func(o api.Instance) bool { return o.ID == in.ID }) {
				all = append(all, in)
			}
		}
		return err
	})
	return all, err
}

// findAny are the instances of several targets, for a command that succeeds, as
// PM2's, where one of them names nothing.
func (e *Env) findAny(ctx context.Context, c *client.Client, op string, targets []string) ([]api.Instance, error) {
	return e.findEach(ctx, targets, func(t string) ([]api.Instance, error) {
		list, err := e.find(ctx, c, op, t)
		if errs.KindOf(err) == errs.NotFound {
			e.warn("%s", err)
			return nil, nil
		}
		return list, err
	})
}
