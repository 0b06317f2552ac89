package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"tend/client"
	"tend/internal/errs"
	"tend/internal/pm2env"
)

type slistOptions struct {
	tree, json bool
}

func newSlist(env *Env) *cobra.Command {
	var opts slistOptions
	cmd := &cobra.Command{
		Use: "slist", Aliases: []string{"sysinfos", "sysmonit"}, Short: "show what the machine has and uses",
		RunE: func(cmd *cobra.Command, _ []string) error { return runSlist(cmd.Context(), env, opts) },
	}
	cmd.Flags().BoolVarP(&opts.tree, "tree", "t", false, "as a tree")
	asJSON(cmd, &opts.json)
	return cmd
}

func runSlist(ctx context.Context, env *Env, opts slistOptions) error {
	return env.with(ctx, func(c *client.Client) error {
		host, err := c.Host(ctx)
		switch {
		case err != nil:
			return err
		case host.Off:
			return invalid("look at", "the machine", "`"+env.Program+" set pm2:sysmonit true` switches it on", errors.New("pm2:sysmonit is set to false"))
		case host.Memory.Total == 0:
			return &errs.Error{
				Op: "look at", On: "the machine", Kind: errs.Unavailable, Err: errors.New("its figures cannot be read in time, or not at all on this system"),
				Hint: "`" + env.Program + " report` quotes the daemon's log, which says why",
			}
		case opts.json:
			return env.printJSON(host)
		case opts.tree:
			return env.write(appendTree(nil, pm2env.Metrics(host), ""))
		}
		env.print("%s\n", pm2env.Inspect(pm2env.Metrics(host)))
		return nil
	})
}

// appendTree appends the members of an object, a line each, with what is in them
// below.
func appendTree(dst []byte, o pm2env.Object, margin string) []byte {
	for i, m := range o {
		branch, below := "├─ ", "│  "
		if i == len(o)-1 {
			branch, below = "└─ ", "   "
		}
		dst = append(dst, margin+branch+harmless(m.Key)...)
		if inner, ok := m.Value.(pm2env.Object); ok {
			dst = appendTree(append(dst, '\n'), inner, margin+below)
		} else {
			dst = fmt.Appendf(dst, ": %s\n", plainValue(m.Value))
		}
	}
	return dst
}

// plainValue is a figure or a text as it is.
func plainValue(v any) string {
	if n, ok := v.(float64); ok {
		return plainNumber(n)
	}
	return fmt.Sprint(v)
}
