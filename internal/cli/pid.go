package cli

import (
	"context"

	"github.com/spf13/cobra"

	"tend/client"
)

func newPid(env *Env) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "pid [name...]", Short: "print the pids of an app, or of all",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPid(cmd.Context(), env, args, json)
		},
	}
	asJSON(cmd, &json)
	return cmd
}

// first is the first of args, "" where there is none.
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// pidJSON is a process as --json prints it.
type pidJSON struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	PID  int    `json:"pid"`
}

func runPid(ctx context.Context, env *Env, targets []string, json bool) error {
	return env.with(ctx, func(c *client.Client) error {
		list, err := c.Instances(ctx, client.Query{})
		if err != nil {
			return err
		}
		if len(targets) > 0 {
			if list, err = env.findAny(ctx, c, "find the pid of", targets); err != nil {
				return err
			}
		}
		if json {
			pids := make([]pidJSON, 0, len(list))
			for i := range list {
				pids = append(pids, pidJSON{list[i].ID, list[i].Name, list[i].PID})
			}
			return env.printJSON(pids)
		}
		if len(list) == 0 {
			env.print("\n") // scripts read one line
		}
		for _, in := range list {
			env.print("%d\n", in.PID)
		}
		return nil
	})
}
