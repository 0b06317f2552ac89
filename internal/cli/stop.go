package cli

import (
	"github.com/spf13/cobra"

	"tend/api"
)

func newStop(env *Env) *cobra.Command {
	return newAct(env, api.ActStop, &cobra.Command{
		Use: "stop <target...>", Short: "stop apps and keep them in the list",
		Example: "  " + env.Program + " stop api          every instance of api\n" +
			"  " + env.Program + " stop 0 3         two instances\n" +
			"  " + env.Program + " stop app.yaml    the apps of a file",
	})
}
