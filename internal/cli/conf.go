package cli

import (
	"slices"

	"github.com/spf13/cobra"
)

// newConf is get, and with a value set: PM2 has these names too. Beside them it
// has commands about configuration files; keys of their names are left to get
// and set.
func newConf(env *Env) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "conf [key] [value]", Aliases: []string{"config"}, Short: "show what is set for the whole home, or set it",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all := slices.Concat(args, env.rest); len(all) < 2 {
				return env.showSettings(cmd.Context(), first(all), json)
			}
			return env.set(cmd, args)
		},
	}
	asJSON(cmd, &json)
	cmd.AddCommand(newConfigCheck(env), newConfigShow(env), newConfigSchema(env))
	return cmd
}
