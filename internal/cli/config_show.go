package cli

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/internal/config"
	"tend/internal/plan"
)

type showOptions struct {
	file   string
	config config.Options
	json   bool
}

func newConfigShow(env *Env) *cobra.Command {
	cmd := &cobra.Command{Use: "show [file|-]", Short: "print the apps of a configuration file as they will be run", Args: oneFile}
	var json bool
	asJSON(cmd, &json)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return runConfigShow(cmd.Context(), env, showOptions{
			file: cmp.Or(first(args), env.defaultFile()), config: fileOptions(cmd.Flags()), json: json,
		})
	}
	return cmd
}

func runConfigShow(ctx context.Context, env *Env, opts showOptions) error {
	r, err := env.load(ctx, opts.file, opts.config)
	env.warnAll(r.Warnings)
	if err != nil {
		return err
	}
	if opts.json {
		apps := []api.Spec{}
		for _, s := range r.Apps {
			apps = append(apps, plan.Redacted(s))
		}
		return env.printJSON(apps)
	}
	for i := range r.Apps {
		env.showSpec(&r.Apps[i])
	}
	return nil
}

// showSpec prints what is said of an app, a field a line.
func (e *Env) showSpec(s *api.Spec) {
	e.print("%s\n", e.paint(boldCyan, s.Name))
	shown := plan.Shown(s)
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		if name != "name" {
			e.print("  %-28s %s\n", name, harmless(shown[name]))
		}
	}
}
