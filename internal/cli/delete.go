package cli

import (
	"github.com/spf13/cobra"

	"tend/api"
)

func newDelete(env *Env) *cobra.Command {
	return newAct(env, api.ActDelete, &cobra.Command{
		Use: "delete <target...>", Aliases: []string{"del"}, Short: "stop apps and take them out of the list",
	})
}
