package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"
	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/app"
	"tend/internal/units"
)

func newDescribe(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "describe <name|id>", Aliases: []string{"desc", "info", "show"}, Short: "show all that is known of an app",
		Args: needs("name|id"),
		RunE: func(cmd *cobra.Command, args []string) error { return runDescribe(cmd.Context(), env, args[0]) },
	}
}

func runDescribe(ctx context.Context, env *Env, target string) error {
	return env.with(ctx, func(c *client.Client) error {
		list, err := c.Instances(ctx, client.Query{})
		if err != nil {
			return err
		}
		list = named(list, target)
		if len(list) == 0 {
			return notFound("describe", target)
		}
		versions := make(map[string]string)
		for _, in := range list {
			if in, err = detailed(ctx, c, in.ID); err != nil {
				return err
			}
			node := nodeOf(in)
			if _, ok := versions[node]; !ok {
				versions[node] = env.versionOf(ctx, node)
			}
			if err := env.write(env.appendDescription(nil, in, versions[node], time.Now())); err != nil {
				return err
			}
		}
		return nil
	})
}

// nodeOf is the node that runs in, "" where none does.
func nodeOf(in api.Instance) string {
	if s := in.Detail.Spec; s != nil && app.IsNode(s.Interpreter) {
		return s.Interpreter
	}
	return ""
}

// versionLimit is how long an interpreter may take to say its version.
const versionLimit = 2 * time.Second

// versionOf is what an interpreter says of its version.
func (e *Env) versionOf(ctx context.Context, interpreter string) string {
	if interpreter == "" {
		return notAvailable
	}
	ctx, cancel := context.WithTimeout(ctx, versionLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, interpreter, "--version")
	cmd.Env = e.Environ
	// A child that inherited the pipe must not keep us waiting after the limit.
	cmd.WaitDelay = versionLimit / 4
	text, err := cmd.Output()
	if err != nil {
		return notAvailable
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimPrefix(strings.TrimSpace(line), "v")
}

// row is a line of a table of two columns.
type row struct {
	name, value string
	style       style
}

// description is what is known of in, in PM2's order and words.
func description(in api.Instance, node string, now time.Time) []row {
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
		row{"node.js version", node, ""},
		row{"node env", in.Detail.Env["NODE_ENV"], ""},
		watching,
		row{"unstable restarts", strconv.Itoa(in.Unstable), ""},
		row{"created at", created(in), ""},
	)
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
	return strconv.FormatInt(ms, 10) + " ms"
}

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

func (e *Env) appendDescription(dst []byte, in api.Instance, node string, now time.Time) []byte {
	title := func(text string) { dst = fmt.Appendf(dst, "%s\n", e.paint(styleInverse, " "+text+" ")) }
	title(fmt.Sprintf("Describing process with id %d - name %s", in.ID, in.Name))
	dst = e.appendRows(dst, description(in, node, now))

	var divergent []row
	for _, name := range slices.Sorted(maps.Keys(in.Detail.Env)) {
		if v := in.Detail.Env[name]; v != e.Getenv(name) {
			divergent = append(divergent, row{name, v, ""})
		}
	}
	title("Divergent env variables from local env")
	if len(divergent) > 0 {
		dst = e.appendRows(dst, divergent)
	}
	return fmt.Appendf(dst, "\n Its logs: `%[1]s logs %[2]s`; its whole environment: `%[1]s env %[3]d`\n", e.Program, in.Name, in.ID)
}

// appendRows appends a table of two columns, as wide as its content and no
// wider than the terminal.
func (e *Env) appendRows(dst []byte, rows []row) []byte {
	widths := []int{0, 0}
	for i := range rows {
		rows[i].value = cmp.Or(strings.ReplaceAll(rows[i].value, "\n", " "), notAvailable)
		widths[0] = max(widths[0], displaywidth.String(rows[i].name)+2)
		widths[1] = max(widths[1], displaywidth.String(rows[i].value)+2)
	}
	const borders = 3
	if room := e.Width - widths[0] - borders; e.Width > 0 {
		widths[1] = min(widths[1], max(room, 10))
	}
	dst = e.appendRule(dst, widths, "┌┬┐")
	for _, r := range rows {
		dst = e.appendCell(dst, r.name, boldCyan, widths[0])
		dst = e.appendCell(dst, r.value, r.style, widths[1])
		dst = e.appendBorder(dst, "│\n")
	}
	return e.appendRule(dst, widths, "└┴┘")
}
