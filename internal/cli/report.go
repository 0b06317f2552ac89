package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/logs/read"
	"tend/internal/units"
)

// reportLines is how much of the daemon's log a report quotes.
const reportLines = 20

func newReport(env *Env) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "report", Short: "print what a bug report should hold; no environment, no arguments of apps",
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts := listing(cmd.Flags())
			opts.json = json
			return runReport(cmd.Context(), env, opts)
		},
	}
	asJSON(cmd, &json)
	return cmd
}

// section is a part of a report: facts in their order.
type section struct {
	Title string `json:"title"`
	Facts []fact `json:"facts"`
}

type fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func runReport(ctx context.Context, env *Env, opts listOptions) error {
	c, err := env.Connect(ctx, false)
	if err != nil && !errors.Is(err, client.ErrAbsent) {
		return err
	}
	var pong api.Pong
	var list []api.Instance
	if c != nil {
		defer c.Close()
		if pong, err = c.Ping(ctx); err != nil {
			return err
		}
		if list, err = c.Instances(ctx, client.Query{}); err != nil {
			return err
		}
	}
	now := time.Now()
	sections := []section{env.aboutDaemon(pong, now), env.aboutItself(), aboutMachine()}
	tail, err := read.Tail(env.Home.Log(), reportLines)
	if err != nil {
		tail = []string{err.Error()} // a report is for when something is wrong
	}
	for i := range tail {
		tail[i] = harmless(tail[i])
	}
	if opts.json {
		return env.printJSON(map[string]any{
			"date": now.Format(time.RFC3339), "sections": sections, "instances": states(list), "log": tail,
		})
	}
	plain := *env
	plain.Color = false
	env.print("\n\n\n```\n")
	env.ruled(env.tagName()+" report", fact{"Date", now.Format(time.RFC1123Z)})
	for _, s := range sections {
		env.ruled(s.Title, s.Facts...)
	}
	env.ruled(env.tagName() + " list")
	if err := env.write(plain.appendList(nil, list, opts, now)); err != nil {
		return err
	}
	env.ruled("Daemon logs")
	env.print("%s\n", strings.Join(tail, "\n"))
	env.print("```\n\nLook it over, and put it into the issue that you open.\n")
	return nil
}

// reportWidth is the width of the lines between the parts.
const reportWidth = 79

// ruled prints a part of a report.
func (e *Env) ruled(title string, facts ...fact) {
	e.print("--- %s %s\n", title, strings.Repeat("-", max(reportWidth-len("---  ")-len(title), 0)))
	for _, f := range facts {
		e.print("%-20s : %s\n", f.Name, f.Value)
	}
	if len(facts) > 0 {
		e.print("%s\n", strings.Repeat("=", reportWidth))
	}
}

func (e *Env) tagName() string { return strings.Trim(e.tag(), "[]") }

func (e *Env) aboutDaemon(pong api.Pong, now time.Time) section {
	s := section{Title: "Daemon"}
	if pong.PID == 0 {
		s.Facts = []fact{{"state", "none runs in " + string(e.Home)}}
		return s
	}
	s.Facts = []fact{
		{"version", pong.Version},
		{"pid", fmt.Sprint(pong.PID)},
		{"keeper pid", fmt.Sprint(pong.Keeper)},
		{"binary", pong.DaemonExe},
		{"keeper binary", pong.KeeperExe},
		{"home", pong.Home},
		{"uptime", units.Since(now.Sub(moment(pong.Started)))},
		{"taken over", counted(pong.Adopted, "instance")},
	}
	return s
}

func (e *Env) aboutItself() section {
	s := section{"CLI", []fact{
		{"version", e.Version},
		{"called as", e.Program},
		{"go version", runtime.Version()},
		{"uid", fmt.Sprint(os.Getuid())},
		{"gid", fmt.Sprint(os.Getgid())},
	}}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, set := range info.Settings {
			if strings.HasPrefix(set.Key, "vcs.") || set.Key == "CGO_ENABLED" {
				s.Facts = append(s.Facts, fact{set.Key, set.Value})
			}
		}
	}
	return s
}

func aboutMachine() section {
	s := section{"System info", []fact{
		{"arch", runtime.GOARCH},
		{"platform", runtime.GOOS},
		{"cpus nb", fmt.Sprint(runtime.NumCPU())},
	}}
	if text, err := os.ReadFile("/proc/version"); err == nil {
		s.Facts = append(s.Facts, fact{"kernel", strings.TrimSpace(string(text))})
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, _ := strings.Cut(line, ":"); name == "MemTotal" || name == "MemAvailable" {
				s.Facts = append(s.Facts, fact{name, strings.TrimSpace(value)})
			}
		}
	}
	return s
}

// state is what a report says of an instance.
type state struct {
	ID       int    `json:"id"`
	Name     string `json:"name"`
	Status   string `json:"status"`
	Restarts int    `json:"restarts"`
	Mode     string `json:"mode"`
	Reason   string `json:"reason,omitempty"`
}

func states(list []api.Instance) []state {
	out := make([]state, 0, len(list))
	for i := range list {
		in := &list[i]
		out = append(out, state{in.ID, in.Name, string(in.State), in.Restarts, string(in.Mode), in.Reason})
	}
	return out
}
