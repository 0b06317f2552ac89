package cli

import (
	"github.com/spf13/cobra"
)

// newDeepUpdate is update: PM2 fetches its newest version first, and tend
// fetches nothing.
func newDeepUpdate(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "deepUpdate", Short: "the same as update, but for PM2's way of fetching itself", Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			env.warn("nothing is downloaded: the daemon goes over to the binaries that are installed")
			return runUpdate(cmd.Context(), env, listing(cmd.Flags()))
		},
	}
}
