package cli

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/app"
	"tend/internal/errs"
)

// actionInspect is the action by which a library of the app opens and closes
// the inspector.
const actionInspect = "internal:inspect"

func newInspect(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "inspect <name>", Short: "open the inspector of a node app", Args: needs("name"),
		RunE: func(cmd *cobra.Command, args []string) error { return runInspect(cmd.Context(), env, args[0]) },
	}
}

func runInspect(ctx context.Context, env *Env, target string) error {
	return env.with(ctx, func(c *client.Client) error {
		list, err := c.Instances(ctx, client.Query{Targets: []string{target}, Cwd: env.Cwd, Detail: true})
		if err != nil {
			return err
		}
		opened, err := env.toggleInspector(ctx, c, target)
		switch {
		case err == nil && opened:
			env.info("Inspect enabled on %s, open chrome://inspect", target)
			return nil
		case err == nil:
			env.info("Inspect disabled on %s", target)
			return nil
		case errs.KindOf(err) != errs.NotFound:
			return err
		}
		return env.openInspector(ctx, c, target, list)
	})
}

// inspectLimit is how long an app may take to answer.
const inspectLimit = 10 * time.Second

// toggleInspector asks an app that knows how to.
func (e *Env) toggleInspector(ctx context.Context, c *client.Client, target string) (opened bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, inspectLimit, errSilent)
	defer cancel()
	notices, err := c.Subscribe(ctx, nil, api.TopicReply) // first, for the answer may be there before the request has ended
	if err != nil {
		return false, err
	}
	defer notices.Close()
	req := api.TriggerRequest{Targets: []string{target}, Cwd: e.Cwd, Action: actionInspect}
	if err := c.Trigger(ctx, req, nil); err != nil {
		return false, err
	}
	for {
		n, err := notices.Next()
		if err != nil {
			return false, err
		}
		var data struct {
			Action string `json:"action_name"`
			Return struct {
				Enabled bool `json:"enabled"`
			} `json:"return"`
		}
		if json.Unmarshal(n.Data, &data) == nil && data.Action == actionInspect {
			return data.Return.Enabled, nil
		}
	}
}

// openInspector has node open its inspector itself, by the signal that it has
// for that. To anything else the signal would be the end.
func (e *Env) openInspector(ctx context.Context, c *client.Client, target string, list []api.Instance) error {
	switch {
	case len(list) != 1 || list[0].State != api.Online:
		e.warn("Unable to inspect %s: it takes one instance that is online", target)
		return nil
	case list[0].Detail == nil || !app.IsNode(list[0].Detail.Spec.Interpreter):
		e.warn("Unable to inspect %s: it is no app of node", target)
		return nil
	}
	req := api.ActRequest{Act: api.ActSignal, Targets: []string{target}, Cwd: e.Cwd, Signal: "SIGUSR1"}
	if err := c.Act(ctx, req, nil); err != nil {
		return err
	}
	e.info("Inspect enabled on %s, on 127.0.0.1:9229: open chrome://inspect", target)
	return nil
}
