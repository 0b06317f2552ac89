package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tend/api"
	"tend/client"
	"tend/internal/app"
	"tend/internal/plan"
	"tend/internal/redact"
	"tend/internal/units"
)

func newDescribe(env *Env) *cobra.Command {
	var json, secrets bool
	cmd := &cobra.Command{
		Use: "describe <name|id...>", Aliases: []string{"desc", "info", "show"}, Short: "show all that is known of an app",
		Args: needs("name|id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDescribe(cmd.Context(), env, args, json, secrets)
		},
	}
	asJSON(cmd, &json)
	showSecrets(cmd.Flags(), &secrets)
	return cmd
}

// showSecrets defines the option to show what looks like a secret.
func showSecrets(set *pflag.FlagSet, on *bool) {
	set.BoolVar(on, "show-secrets", false, "show what looks like a secret too")
}

func runDescribe(ctx context.Context, env *Env, targets []string, json, secrets bool) error {
	return env.with(ctx, func(c *client.Client) error {
		list, failed := env.findEach(ctx, targets, func(t string) ([]api.Instance, error) { return env.find(ctx, c, "describe", t) })
		if len(list) == 0 {
			return failed
		}
		return errors.Join(env.describe(ctx, c, list, json, secrets), failed)
	})
}

func (e *Env) describe(ctx context.Context, c *client.Client, list []api.Instance, json, secrets bool) (err error) {
	for i := range list {
		if list[i], err = detailed(ctx, c, list[i].ID); err != nil {
			return err
		}
		if json && !secrets {
			conceal(&list[i])
		}
	}
	if json {
		return e.printJSON(list)
	}
	for _, in := range list {
		if !secrets {
			concealSpec(&in) // its environment is compared with ours first
		}
		if err := e.write(e.appendDescription(nil, in, secrets, time.Now())); err != nil {
			return err
		}
	}
	return nil
}

// conceal hides what looks like a secret.
func conceal(in *api.Instance) {
	in.Detail.Env = shown(in.Detail.Env, nil, false)
	concealSpec(in)
}

// concealSpec hides it in what was asked for, in arguments for one.
func concealSpec(in *api.Instance) {
	in.Script = redact.Text(in.Script)
	if in.Detail.Spec != nil {
		spec := plan.Redacted(*in.Detail.Spec)
		in.Detail.Spec = &spec
	}
}

// row is a line of a table of two columns.
type row struct {
	name, value string
	style       style
}

// description is what is known of in, in PM2's order and words.
func description(in api.Instance, now time.Time) []row {
	spec := api.Spec{Script: in.Script, Mode: in.Mode}
	if in.Detail.Spec != nil {
		spec = *in.Detail.Spec
	}
	watching := row{"watch & reload", "✘", styleRed}
	if in.Watching {
		watching = row{"watch & reload", "✔", boldGreen}
	}
	rows := []row{
		{"status", string(in.State), stateStyle(in.State)},
		{"name", in.Name, styleBold},
		{"namespace", in.Namespace, ""},
		{"version", in.Version, ""},
		{"restarts", strconv.Itoa(in.Restarts), ""},
	}
	optional := func(name, value string) {
		if value != "" {
			rows = append(rows, row{name, value, ""})
		}
	}
	if spec.MaxMemory > 0 {
		optional("max memory restart", units.Bytes(spec.MaxMemory))
	}
	optional("cron restart", spec.Cron)
	rows = append(rows, row{"uptime", uptime(&in, now), ""})
	optional("entire log path", in.LogFile)
	rows = append(rows,
		row{"script path", spec.Script, ""},
		row{"script args", strings.Join(spec.Args, " "), ""},
		row{"error log path", in.ErrFile, ""},
		row{"out log path", in.OutFile, ""},
		row{"pid path", in.PidFile, ""},
		row{"interpreter", cmp.Or(spec.Interpreter, "none"), ""},
		row{"interpreter args", strings.Join(spec.InterpreterArgs, " "), ""},
		row{"script id", strconv.Itoa(in.ID), ""},
		row{"exec cwd", spec.Cwd, ""},
		row{"exec mode", string(spec.Mode) + "_mode", ""},
	)
	if spec.Mode == api.Cluster {
		optional("balance", string(app.BalanceOf(&spec, in.Detail.Env)))
		optional("drain timeout", drain(spec.DrainTimeout))
	}
	rows = append(rows,
		row{"node.js version", in.Detail.NodeVersion, ""},
		row{"node env", in.Detail.Env["NODE_ENV"], ""},
		watching,
		row{"unstable restarts", strconv.Itoa(in.Unstable), ""},
		row{"created at", created(in), ""},
	)
	rows = append(rows, ownRows(&spec)...)
	optional("last exit", exit(in))
	optional("reason", in.Reason)
	return rows
}

func created(in api.Instance) string {
	if in.CreatedAt == 0 {
		return notAvailable
	}
	return moment(in.CreatedAt).UTC().Format("2006-01-02T15:04:05.000Z")
}

func drain(ms int64) string {
	if ms == 0 {
		return "off"
	}
	return milliseconds(ms)
}

func milliseconds(n int64) string { return strconv.FormatInt(n, 10) + " ms" }

// exit is how the last process ended, "" when none did.
func exit(in api.Instance) string {
	switch {
	case !in.Exited:
		return ""
	case in.ExitUnknown:
		return "unknown"
	case in.ExitSignal != "":
		return in.ExitSignal
	}
	return "code " + strconv.Itoa(in.ExitCode)
}

func (e *Env) appendDescription(dst []byte, in api.Instance, secrets bool, now time.Time) []byte {
	heading := func(text string) { dst = fmt.Appendf(dst, "%s\n", e.paint(styleInverse, " "+text+" ")) }
	heading(fmt.Sprintf("Describing process with id %d - name %s", in.ID, in.Name))
	dst = e.appendRows(dst, description(in, now))
	if v := in.Detail.Versioning; v != nil {
		heading("Revision control metadata")
		dst = e.appendRows(dst, revision(v))
	}
	if d := in.Detail; len(d.Actions) > 0 {
		heading("Actions available")
		grid := make([][]cell, 0, len(d.Actions))
		for _, a := range d.Actions {
			grid = append(grid, []cell{{a.Name, boldCyan}})
		}
		dst = e.appendGrid(dst, grid)
		dst = fmt.Appendf(dst, " Trigger via: %s trigger %s <action_name>\n\n", e.Program, in.Name)
	}
	if d := in.Detail; len(d.Metrics) > 0 {
		heading("Code metrics value")
		dst = e.appendRows(dst, metricRows(d.Metrics))
	}
	heading("Divergent env variables from local env")
	if rows := e.divergent(in.Detail, secrets); len(rows) > 0 {
		dst = e.appendRows(dst, rows)
	}
	return fmt.Appendf(dst, "\n Its logs: `%[1]s logs %[2]s`; its whole environment: `%[1]s env %[3]d`\n", e.Program, in.Name, in.ID)
}

// metricRows are the figures that an app tells of itself.
func metricRows(metrics map[string]api.Metric) []row {
	rows := make([]row, 0, len(metrics))
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		m := metrics[name]
		rows = append(rows, row{name, strings.TrimSpace(fmt.Sprint(m.Value) + " " + m.Unit), ""})
	}
	return rows
}

// revision is what an app stood in when it was launched.
func revision(v *api.Versioning) []row {
	comment, _ := fit(v.Comment, maxComment)
	return []row{
		{"revision control", v.Type, ""},
		{"remote url", v.URL, ""},
		{"repository root", v.RepoPath, ""},
		{"last update", v.UpdateTime, ""},
		{"revision", v.Revision, ""},
		{"comment", comment, ""},
		{"branch", v.Branch, ""},
	}
}

// maxComment is how much of a revision's comment is shown, as in PM2.
const maxComment = 60

// divergent are the variables that an app has otherwise than this shell.
func (e *Env) divergent(d *api.Detail, secrets bool) []row {
	var rows []row
	vars := shown(d.Env, d.Spec, secrets)
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if value, plain := d.Env[name]; !plain || value != e.Getenv(name) {
			rows = append(rows, row{name, vars[name], ""})
		}
	}
	return rows
}

// appendRows appends a table of two columns, as wide as its content and no
// wider than the terminal.
func (e *Env) appendRows(dst []byte, rows []row) []byte {
	grid := make([][]cell, 0, len(rows))
	for _, r := range rows {
		value := cmp.Or(strings.ReplaceAll(r.value, "\n", " "), notAvailable)
		grid = append(grid, []cell{{r.name, boldCyan}, {value, r.style}})
	}
	return e.appendGrid(dst, grid)
}

// cell is a text in a table without titles.
type cell struct {
	text  string
	style style
}

// appendGrid appends a table whose last column gives way to a narrow terminal.
func (e *Env) appendGrid(dst []byte, grid [][]cell) []byte {
	widths := make([]int, len(grid[0]))
	for _, line := range grid {
		for i, c := range line {
			widths[i] = max(widths[i], displaywidth.String(harmless(c.text))+2)
		}
	}
	last := len(widths) - 1
	room := e.Width - len(widths) - 1 // borders
	for _, w := range widths[:last] {
		room -= w
	}
	if e.Width > 0 {
		widths[last] = min(widths[last], max(room, 10))
	}
	dst = e.appendRule(dst, widths, "┌┬┐")
	for _, line := range grid {
		for i, c := range line {
			dst = e.appendCell(dst, c.text, c.style, widths[i])
		}
		dst = e.appendBorder(dst, "│\n")
	}
	return e.appendRule(dst, widths, "└┴┘")
}
