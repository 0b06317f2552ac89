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
	"tend/internal/plan"
	"tend/internal/redact"
)

// envOptions are what env is asked for.
type envOptions struct {
	targets []string
	diff    bool
	json    bool
	secrets bool // show what looks like one
}

func newEnv(env *Env) *cobra.Command {
	var opts envOptions
	cmd := &cobra.Command{
		Use: "env <id|name...>", Short: "print the environment of an app, or how it differs from its file", Args: needs("id|name"),
		Example: "  " + env.Program + " env api          what it got; what looks like a secret is hidden\n" +
			"  " + env.Program + " env api --diff   running (-) against its file (+): exit code 0 when they are the same, 1 when not",
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.targets = args
			return runEnv(cmd.Context(), env, opts)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&opts.diff, "diff", false, "compare with the file that the app came from")
	asJSON(cmd, &opts.json)
	showSecrets(f, &opts.secrets)
	return cmd
}

func runEnv(ctx context.Context, env *Env, opts envOptions) error {
	return env.with(ctx, func(c *client.Client) error {
		list, failed := env.findEach(ctx, opts.targets, func(t string) ([]api.Instance, error) { return env.instancesOf(ctx, c, t) })
		if len(list) == 0 {
			return failed
		}
		return errors.Join(env.showEnvironments(ctx, list, opts), failed)
	})
}

func (e *Env) showEnvironments(ctx context.Context, list []api.Instance, opts envOptions) error {
	switch {
	case opts.diff:
		return e.compare(ctx, list, opts)
	case opts.json:
		return e.printJSON(environments(list, opts.secrets))
	}
	for i, in := range list {
		if len(list) > 1 {
			e.print("%s%s\n", blankBefore(i), e.paint(styleBold, title(in)))
		}
		vars := shown(in.Detail.Env, in.Detail.Spec, opts.secrets)
		for _, name := range slices.Sorted(maps.Keys(vars)) {
			e.print("%s: %s\n", name, e.paint(styleGreen, vars[name]))
		}
	}
	return nil
}

// title is how an instance is called above what belongs to it.
func title(in api.Instance) string { return in.Name + " (" + strconv.Itoa(in.ID) + ")" }

// blankBefore is an empty line before all but the first.
func blankBefore(i int) string {
	if i == 0 {
		return ""
	}
	return "\n"
}

// environmentJSON is an environment as --json prints it.
type environmentJSON struct {
	ID      int               `json:"id"`
	Name    string            `json:"name"`
	Env     map[string]string `json:"env"`
	Secrets map[string]string `json:"secrets"` // where each is found
}

func environments(list []api.Instance, secrets bool) []environmentJSON {
	out := make([]environmentJSON, 0, len(list))
	for _, in := range list {
		one := environmentJSON{in.ID, in.Name, shown(in.Detail.Env, nil, secrets), map[string]string{}}
		if s := in.Detail.Spec; s != nil {
			for name, from := range s.Secrets {
				one.Secrets[name] = found(from, secrets)
			}
		}
		out = append(out, one)
	}
	return out
}

// shown is an environment as a person may see it: what looks like a secret is
// hidden unless secrets is set, and of the secrets of spec, which nobody here
// knows, there is where they are found.
func shown(env map[string]string, spec *api.Spec, secrets bool) map[string]string {
	out := make(map[string]string, len(env))
	for name, value := range env {
		if !secrets {
			value = redact.Variable(name, value)
		}
		out[name] = value
	}
	if spec != nil {
		for name, from := range spec.Secrets {
			out[name] = "[from " + found(from, secrets) + "]"
		}
	}
	return out
}

// found is where a secret is found; a command may be given another one.
func found(from api.Secret, secrets bool) string {
	if !secrets {
		from = plan.Reference(from)
	}
	return from.String()
}

// instancesOf are the instance of an id, or all that a target names, with their
// Detail.
func (e *Env) instancesOf(ctx context.Context, c *client.Client, target string) ([]api.Instance, error) {
	if id, err := strconv.Atoi(target); err == nil {
		in, err := detailed(ctx, c, id)
		if errs.KindOf(err) != errs.NotFound {
			return []api.Instance{in}, err
		}
	}
	list, err := e.find(ctx, c, "find", target)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i], err = detailed(ctx, c, list[i].ID); err != nil {
			return nil, err
		}
	}
	return list, nil
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
