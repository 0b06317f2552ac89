package cli

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
)

type attachOptions struct{ target, separator string }

func newAttach(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "attach <id|name> [separator]", Short: "show what an app writes, and write to it what is typed",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needs("id|name")(cmd, args); err != nil {
				return err
			}
			opts := attachOptions{target: args[0]}
			if len(args) > 1 {
				opts.separator = args[1]
			}
			return runAttach(cmd.Context(), env, opts)
		},
	}
}

func runAttach(ctx context.Context, env *Env, opts attachOptions) error {
	return env.with(ctx, func(c *client.Client) error {
		id, err := env.single(ctx, c, opts.target)
		if err != nil {
			return err
		}
		view, err := env.newLogView(logsOptions{targets: []string{id}}, time.Now())
		if err != nil {
			return err
		}
		// From here on the logs are followed: an answer to the first line is seen.
		if err := view.show(ctx, c); err != nil {
			return err
		}
		ctx, end := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer end()
		wg.Go(func() {
			_ = view.follow(ctx, c) // it ends when we do, or nobody reads us
			end()
		})
		return env.passInput(ctx, c, id, opts.separator)
	})
}

// single is the id of the one instance that a target names.
func (e *Env) single(ctx context.Context, c *client.Client, target string) (string, error) {
	list, err := c.Instances(ctx, client.Query{Targets: []string{target}, Cwd: e.Cwd})
	switch {
	case err != nil:
		return "", err
	case len(list) == 1:
		return strconv.Itoa(list[0].ID), nil
	}
	ids := make([]string, 0, len(list))
	for _, in := range list {
		ids = append(ids, strconv.Itoa(in.ID))
	}
	return "", invalid("attach to", target, "name one of them: "+strings.Join(ids, ", "), fmt.Errorf("it has %s", counted(len(list), "instance")))
}

// passInput writes what is typed to an instance, line by line, until there is
// no more.
func (e *Env) passInput(ctx context.Context, c *client.Client, id, separator string) error {
	typed := make(chan string)
	fault := make(chan error, 1) // it is told whether we wait for it or not
	// Not waited for: nobody can end a read of a terminal, but our own end does.
	var reading sync.WaitGroup
	reading.Go(func() {
		in := bufio.NewScanner(e.Stdin)
		in.Buffer(nil, 2*api.MaxLine)
		for in.Scan() {
			select {
			case typed <- in.Text():
			case <-ctx.Done():
				return
			}
		}
		fault <- in.Err()
	})
	for {
		select {
		case <-ctx.Done():
			return nil // Ctrl-C is how one leaves
		case err := <-fault:
			return err
		case line := <-typed:
			req := api.InputRequest{Targets: []string{id}, Line: line, Separator: separator}
			if err := c.Input(ctx, req, nil); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}
