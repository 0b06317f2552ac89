package cli

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"

	"tend/api"
	"tend/client"
	"tend/internal/app"
	"tend/internal/config"
)

// amendment is what is to change for some of the instances of a request.
type amendment struct {
	patch []byte
	ids   []string
}

// amend carries out a request with the options of the command line in place of
// what the apps have. Nothing is done when they do not fit one of them.
func (e *Env) amend(ctx context.Context, c *client.Client, req api.ActRequest, opts startOptions) error {
	all, err := e.amendments(ctx, c, req, opts)
	if err != nil {
		return err
	}
	if len(all) == 1 { // the same for all that the target names
		req.Change = all[0].patch
		return c.Act(ctx, req, e.progress)
	}
	var failed []error
	for _, a := range all {
		req.Targets, req.Change = a.ids, a.patch
		failed = append(failed, c.Act(ctx, req, e.progress))
	}
	return errors.Join(failed...)
}

// amendments are the changes that the options mean for the instances of a
// request: a path, for one, is seen from the directory of each app.
func (e *Env) amendments(ctx context.Context, c *client.Client, req api.ActRequest, opts startOptions) ([]amendment, error) {
	list, err := c.Instances(ctx, client.Query{Targets: req.Targets, Cwd: req.Cwd, Detail: true})
	if err != nil {
		return nil, err
	}
	f := maps.Clone(opts.fields)
	if len(opts.args) > 0 {
		f["args"] = opts.args
	}
	var all []amendment
	said := map[string]bool{}
	for _, in := range list {
		was := in.Detail.Spec
		to, warnings, err := config.Amend(e.context(), *was, f, opts.file)
		for _, w := range warnings {
			if !said[w] { // once for all instances of an app
				said[w] = true
				e.warn("%s", w)
			}
		}
		if err != nil {
			return nil, err
		}
		patch, id := app.Patch(was, &to), strconv.Itoa(in.ID)
		at := slices.IndexFunc(all, func(a amendment) bool { return bytes.Equal(a.patch, patch) })
		if at < 0 {
			all = append(all, amendment{patch: patch})
			at = len(all) - 1
		}
		all[at].ids = append(all[at].ids, id)
	}
	return all, nil
}
