package cli

import (
	"github.com/spf13/cobra"

	"tend/internal/config"
)

func newConfigSchema(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "print the JSON Schema of configuration files, for editors", Args: nothing,
		RunE: func(*cobra.Command, []string) error {
			env.print("%s", config.Schema())
			return nil
		},
	}
}
