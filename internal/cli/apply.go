package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/config"
)

type applyOptions struct {
	file      string
	config    config.Options
	prune     bool
	dryRun    bool
	json      bool
	updateEnv bool
	parallel  int
	listing   listOptions
}

func newApply(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "apply [file|-]", Short: "make what runs be what a file says: show the plan, and do it",
		Args: oneFile,
		Example: "  " + env.Program + " apply ecosystem.config.js --dry-run   what would be done; exit code 2 if anything\n" +
			"  " + env.Program + " apply ecosystem.config.js --prune     also remove what the file has no more",
	}
	set := cmd.Flags()
	prune := set.Bool("prune", false, "remove the apps that came from this file and are not in it any more")
	dryRun := set.Bool("dry-run", false, "show the plan and do nothing; exit code 2 when something would be done")
	var json bool
	asJSON(cmd, &json)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		parallel, err := env.parallel(cmd.Flags())
		if err != nil {
			return err
		}
		return runApply(cmd.Context(), env, applyOptions{
			file: cmp.Or(first(args), env.defaultFile()), config: fileOptions(cmd.Flags()), prune: *prune, dryRun: *dryRun, json: json,
			updateEnv: on(cmd.Flags(), "update-env"), parallel: parallel, listing: listing(cmd.Flags()),
		})
	}
	return cmd
}

func runApply(ctx context.Context, env *Env, opts applyOptions) error {
	req, err := env.applyRequest(ctx, opts)
	if err != nil {
		return err
	}
	return env.with(ctx, func(c *client.Client) error {
		p := &planView{Steps: []api.Step{}, DryRun: opts.dryRun}
		err := c.Start(ctx, req, func(ev api.Event) { p.see(env, ev, opts.json) })
		if opts.json {
			return errors.Join(env.printJSON(p), err, p.differs())
		}
		p.print(env)
		switch {
		case err != nil:
			return err
		case opts.dryRun:
			return p.differs()
		}
		return env.list(ctx, c, opts.listing)
	})
}

// applyRequest is what the daemon is asked. A file with any fault is not
// applied at all: half of it may be worse than nothing.
func (e *Env) applyRequest(ctx context.Context, opts applyOptions) (api.StartRequest, error) {
	switch {
	case opts.prune && len(opts.config.Only) > 0:
		return api.StartRequest{}, invalid("apply", opts.file, "leave one of them out",
			errors.New("--prune looks at the whole file, and --only at a part of it"))
	case opts.prune && opts.file == "-":
		return api.StartRequest{}, invalid("apply", "standard input", "give it a file",
			errors.New("--prune removes what came from a file, and this is none"))
	}
	r, err := e.load(ctx, opts.file, opts.config)
	e.warnAll(r.Warnings)
	if err != nil {
		return api.StartRequest{}, err
	}
	req := api.StartRequest{
		Inherited: e.inherited(), Apps: r.Apps, Changed: true, Exact: true, Reload: true,
		UpdateEnv: opts.updateEnv, DryRun: opts.dryRun, Parallel: opts.parallel,
	}
	if opts.prune {
		req.Prune = r.File
	}
	return req, nil
}

// planView is a plan as it is shown, and the JSON of --json.
type planView struct {
	DryRun bool       `json:"dry_run"`
	Steps  []api.Step `json:"steps"`

	printed bool
}

// see takes an event: the steps come first, and the work after the last.
func (p *planView) see(e *Env, ev api.Event, quiet bool) {
	switch {
	case ev.Kind == api.EventStep:
		p.Steps = append(p.Steps, *ev.Step)
	case quiet:
		if ev.Kind == api.EventInstance && !ev.OK || ev.Kind == api.EventWarning {
			e.progress(ev)
		}
	default:
		p.print(e)
		e.progress(ev)
	}
}

// differs is errDiffers for a dry run that would have done something.
func (p *planView) differs() error {
	if p.DryRun && slices.ContainsFunc(p.Steps, func(s api.Step) bool { return s.Do != api.StepUnchanged }) {
		return errDiffers
	}
	return nil
}

// signs stand before what is done about an app, as in a patch.
var signs = map[string]struct { //nolint:gochecknoglobals // a table, never written
	sign  string
	style style
}{
	api.StepAdd: {"+", styleGreen}, api.StepRemove: {"-", styleRed}, api.StepUnchanged: {"=", styleGrey},
}

// print prints the plan, once.
func (p *planView) print(e *Env) {
	if p.printed {
		return
	}
	p.printed = true
	width, counts := 0, map[string]int{}
	for _, s := range p.Steps {
		width = max(width, len(s.Name))
		counts[s.Do]++
	}
	for _, s := range p.Steps {
		mark, known := signs[s.Do]
		if !known {
			mark.sign, mark.style = "~", styleYellow
		}
		head := fmt.Sprintf("  %s %-*s  %-9s", mark.sign, width, s.Name, s.Do)
		why := reasons(s)
		e.print("%s\n", strings.TrimRight(e.paint(mark.style, head)+"  "+first(why), " "))
		for _, line := range why[min(1, len(why)):] {
			e.print("%s  %s\n", strings.Repeat(" ", len(head)), line)
		}
	}
	var all []string
	for _, do := range []string{
		api.StepAdd, api.StepStart, api.StepRestart, api.StepReload, api.StepScale, api.StepUpdate, api.StepRemove, api.StepUnchanged,
	} {
		if n := counts[do]; n > 0 {
			all = append(all, fmt.Sprintf("%d %s", n, do))
		}
	}
	e.info("Plan: %s", strings.Join(all, ", "))
}

// reasons are why something is done about an app, a line each.
func reasons(s api.Step) []string {
	var lines []string
	for _, c := range s.Changes {
		lines = append(lines, fmt.Sprintf("%s: %s → %s", c.Field, cmp.Or(harmless(c.Old), "(none)"), cmp.Or(harmless(c.New), "(none)")))
	}
	switch {
	case s.Do == api.StepAdd:
		lines = append(lines, counted(s.After, "instance"))
	case s.Do == api.StepStart:
		lines = append(lines, "it does not run")
	}
	return lines
}
