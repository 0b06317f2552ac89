package cli

import (
	"github.com/spf13/cobra"

	"tend/api"
)

func newUnset(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "unset <key|all>", Short: "take back what was set",
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := env.exactly(cmd, args, "key")
			if err != nil {
				return err
			}
			return env.changeSettings(cmd.Context(), api.SettingsRequest{Unset: args})
		},
	}
}
