package cli

import (
	"slices"

	"github.com/spf13/cobra"
)

func newGet(env *Env) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "get [key]", Short: "show what is set for the whole home",
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.showSettings(cmd.Context(), first(slices.Concat(args, env.rest)), json)
		},
	}
	asJSON(cmd, &json)
	return cmd
}
