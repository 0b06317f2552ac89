package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
	"tend/internal/pm2env"
	"tend/internal/units"
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
			return env.write(appendTree(nil, machineTree(host), ""))
		}
		env.print("%s\n", pm2env.Inspect(pm2env.Metrics(host)))
		return nil
	})
}

// node is one of a tree that is printed: a text, and what belongs to it.
type node struct {
	text  string
	inner []node
}

func machineTree(h api.Host) []node {
	leaf := func(name, format string, args ...any) node {
		return node{text: name + ": " + fmt.Sprintf(format, args...)}
	}
	var all []node
	if h.CPU != nil {
		all = append(all, node{"cpu", []node{leaf("usage", "%.1f%%", *h.CPU)}})
	}
	m := h.Memory
	all = append(all, node{"memory", []node{
		leaf("usage", "%.1f%%", pm2env.MemoryUse(m)), leaf("total", "%s", units.Bytes(m.Total)),
		leaf("available", "%s", units.Bytes(m.Available)), leaf("active", "%s", units.Bytes(m.Active)),
	}})
	var nets, mounts []node
	for _, n := range h.Nets {
		nets = append(nets, node{harmless(n.Name), []node{
			leaf("received", "%s/s", units.Bytes(int64(n.Received))), leaf("sent", "%s/s", units.Bytes(int64(n.Sent))),
			leaf("errors", "%.0f/min", n.RxErrors+n.TxErrors), leaf("dropped", "%.0f/min", n.RxDropped+n.TxDropped),
		}})
	}
	if len(nets) > 0 {
		all = append(all, node{"net", nets})
	}
	if d := h.Disk; d != nil {
		all = append(all, node{"disk", []node{leaf("reads", "%s/s", units.Bytes(int64(d.Read))), leaf("writes", "%s/s", units.Bytes(int64(d.Written)))}})
	}
	for _, mount := range h.Mounts {
		mounts = append(mounts, leaf(harmless(mount.Path), "%.0f%% of %s", mount.Use, units.Bytes(mount.Size)))
	}
	if len(mounts) > 0 {
		all = append(all, node{"fs", mounts})
	}
	return all
}

// appendTree appends nodes a line each, the way `tree` draws them.
func appendTree(dst []byte, nodes []node, margin string) []byte {
	for i, n := range nodes {
		branch, below := "├── ", "│   "
		if i == len(nodes)-1 {
			branch, below = "└── ", "    "
		}
		dst = append(dst, margin+branch+n.text+"\n"...)
		dst = appendTree(dst, n.inner, margin+below)
	}
	return dst
}
