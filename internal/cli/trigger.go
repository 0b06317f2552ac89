package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
)

type triggerOptions struct {
	target, action, params string
	timeout                int // seconds
}

func newTrigger(env *Env) *cobra.Command {
	var opts triggerOptions
	cmd := &cobra.Command{
		Use: "trigger <target> <action> [params]", Short: "have apps carry out an action, and print what they answer",
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := env.exactly(cmd, args, "id|name|namespace|all|/regex/", "action", "params")
			if len(args) == 2 {
				args, err = append(args, ""), nil // an action may do without
			}
			if err != nil {
				return err
			}
			opts.target, opts.action, opts.params = args[0], args[1], args[2]
			return runTrigger(cmd.Context(), env, opts)
		},
	}
	cmd.Flags().IntVar(&opts.timeout, "timeout", 30, "wait so many seconds for the answers")
	return cmd
}

func runTrigger(ctx context.Context, env *Env, opts triggerOptions) error {
	if opts.timeout < 1 {
		return invalid("read option", "--timeout", "", fmt.Errorf("%d is not a number above 0", opts.timeout))
	}
	return env.with(ctx, func(c *client.Client) error {
		ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(opts.timeout)*time.Second, errSilent)
		defer cancel()
		// First, for an answer may be there before the request has ended.
		notices, err := c.Subscribe(ctx, nil, api.TopicReply, api.TopicProcess)
		if err != nil {
			return err
		}
		defer notices.Close()
		asked := asked{action: opts.action, by: map[int]string{}}
		failed := c.Trigger(ctx, api.TriggerRequest{
			Targets: []string{opts.target}, Cwd: env.Cwd, Action: opts.action, Params: opts.params,
		}, func(ev api.Event) {
			env.remarks(ev)
			if ev.Kind == api.EventInstance && ev.OK {
				asked.by[ev.ID] = ev.Name
			}
		})
		switch {
		case len(asked.by) > 0:
		case failed != nil:
			return failed
		default:
			return errUnheard(opts)
		}
		env.print("%s\n", env.paint(styleBold, fmt.Sprintf("%d processes have received command %s", len(asked.by), opts.action)))
		return errors.Join(failed, env.answers(notices, &asked))
	})
}

func errUnheard(opts triggerOptions) error {
	return &errs.Error{
		Op: "trigger " + opts.action + " of", On: opts.target, Kind: errs.NotFound, Err: errors.New("no process has received the command"),
		Hint: "an app says what it can do by the message axm:action, while it runs",
	}
}

// errSilent is why waiting for answers ends without them.
var errSilent = errors.New("no answer came in time")

// asked are the instances that have an action to answer for.
type asked struct {
	action string
	by     map[int]string // names by id
	ended  []string       // who cannot answer any more
}

// answers prints what instances answer until all have.
func (e *Env) answers(notices *client.Subscription, a *asked) error {
	for len(a.by) > 0 {
		if err := e.out.Flush(); err != nil {
			return err
		}
		n, err := notices.Next()
		if errors.Is(err, errSilent) {
			return a.err("did not answer in time", "--timeout N waits N seconds", a.waiting())
		}
		if err != nil {
			return err
		}
		if text, ok := a.hear(n); ok {
			e.print("[%s:%d:%s]=%s\n", n.Name, n.ID, n.Namespace, text)
		}
	}
	if len(a.ended) > 0 {
		return a.err("ended without an answer", "`tend logs` shows why", a.ended)
	}
	return nil
}

// hear takes a notice in; text is the answer that it is, as JSON.
func (a *asked) hear(n api.Notice) (text string, ok bool) {
	var data struct {
		Event  string          `json:"event"`
		Action string          `json:"action_name"`
		Return json.RawMessage `json:"return"`
	}
	name, waits := a.by[n.ID]
	if err := json.Unmarshal(n.Data, &data); err != nil || !waits {
		return "", false // of an app that makes notices of its own
	}
	switch {
	case n.Topic == api.TopicReply && data.Action == a.action:
		delete(a.by, n.ID)
		return harmless(cmp.Or(string(data.Return), "undefined")), true
	case n.Topic == api.TopicProcess && (data.Event == "exit" || data.Event == "delete"):
		delete(a.by, n.ID)
		a.ended = append(a.ended, whom(n.ID, name))
	}
	return "", false
}

func (a *asked) waiting() []string {
	var all []string
	for id, name := range a.by {
		all = append(all, whom(id, name))
	}
	slices.Sort(all)
	return append(a.ended, all...)
}

func (a *asked) err(what, hint string, who []string) error {
	return &errs.Error{
		Op: "trigger", On: a.action, Kind: errs.Timeout, Err: fmt.Errorf("%s %s", strings.Join(who, ", "), what),
		Hint: hint,
	}
}

func whom(id int, name string) string { return fmt.Sprintf("[%s](%d)", name, id) }
