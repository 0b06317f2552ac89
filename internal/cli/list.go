package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tend/api"
	"tend/client"
)

type listOptions struct {
	mini  bool
	sort  string
	watch bool
	json  bool // for a list that was asked for as such
}

func newList(env *Env) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls", "l", "ps", "status"}, Short: "list the instances",
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts := listing(cmd.Flags())
			opts.json = json
			return runList(cmd.Context(), env, opts)
		},
	}
	asJSON(cmd, &json)
	return cmd
}

// listing are the options of every command that ends with the list.
func listing(set *pflag.FlagSet) listOptions {
	return listOptions{mini: on(set, "mini-list"), sort: str(set, "sort"), watch: set.Changed("watch")}
}

func runList(ctx context.Context, env *Env, opts listOptions) error {
	return env.with(ctx, func(c *client.Client) error {
		if opts.watch {
			return env.relist(ctx, c, opts)
		}
		return env.list(ctx, c, opts)
	})
}

// relistEvery is the pace of `list --watch`, as PM2's.
const relistEvery = 900 * time.Millisecond

const ansiClear = "\x1b[H\x1b[2J\x1b[3J"

// relist prints the list again and again, on a terminal in the same place.
func (e *Env) relist(ctx context.Context, c *client.Client, opts listOptions) error {
	again := time.NewTicker(relistEvery)
	defer again.Stop()
	for {
		if e.Width > 0 && !opts.json {
			e.print(ansiClear)
			e.print("Last refresh:  %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"))
		}
		err := e.list(ctx, c, opts)
		if err == nil {
			err = e.out.Flush()
		}
		if ctx.Err() != nil {
			return nil // Ctrl-C is how one leaves
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// list prints the list of everything.
func (e *Env) list(ctx context.Context, c *client.Client, opts listOptions) error {
	list, err := c.Instances(ctx, client.Query{})
	if err != nil {
		return err
	}
	if opts.json {
		return e.printJSON(sorted(list, opts.sort))
	}
	text := e.appendList(nil, list, opts, time.Now())
	if host, err := c.Host(ctx); err == nil && !opts.mini { // an older daemon knows nothing of it
		text = e.appendHost(text, host, e.isWide(list))
	}
	return e.write(text)
}

func (e *Env) appendList(dst []byte, list []api.Instance, opts listOptions, now time.Time) []byte {
	if opts.mini {
		return appendMini(dst, list, now)
	}
	list = sorted(list, opts.sort)
	return e.appendReasons(e.appendTable(dst, list, now), list)
}

// write prints text as it is.
func (e *Env) write(text []byte) error {
	_, err := e.out.Write(text)
	return err
}
