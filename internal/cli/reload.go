package cli

import (
	"github.com/spf13/cobra"

	"tend/api"
)

func newReload(env *Env) *cobra.Command {
	return newRenewal(env, api.ActReload, &cobra.Command{
		Use: "reload <target...>", Aliases: []string{"gracefulReload"},
		Short: "replace workers of a cluster one by one, without losing a request",
		Example: "  " + env.Program + " reload api                  every worker of api, each once its successor is ready\n" +
			"  " + env.Program + " reload ecosystem.config.js  the apps of a file, with what it says now\n" +
			"  " + env.Program + " reload api --force          although a reload of it is under way",
	})
}
