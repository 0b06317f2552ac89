package cli

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tend/internal/config"
	"tend/internal/errs"
)

// kind is what an option is and what becomes of it as the field of an app.
type kind int

const (
	setTrue  kind = iota // the field is true
	setFalse             // the field is false
	setText
	setMany  // may be repeated
	setMaybe // a text, or true when no text follows
	special  // has code of its own
)

// option is one of PM2's options. Any may stand with any command.
type option struct {
	name, short string
	kind        kind
	field       string // of an app; "" where the option is none
	value       string // what the help calls its value
	usage       string
	hidden      bool
}

// options is the grammar that all commands share.
var options = []option{ //nolint:gochecknoglobals // a table, never written
	{name: "name", short: "n", kind: setText, field: "name", value: "NAME", usage: "name of the app"},
	{name: "namespace", kind: setText, field: "namespace", value: "NAME", usage: "namespace of the app"},
	{name: "interpreter", kind: setText, field: "interpreter", value: "PROGRAM", usage: "what runs the script; none for the script itself"},
	{name: "interpreter-args", kind: setText, field: "interpreter_args", value: "ARGS", usage: "arguments of the interpreter"},
	{name: "node-args", kind: setText, field: "node_args", value: "ARGS", usage: "the same, as PM2 calls it"},
	{name: "cwd", kind: setText, value: "DIR", usage: "working directory of the app"},
	{name: "output", short: "o", kind: setText, field: "out_file", value: "FILE", usage: "where its standard output goes"},
	{name: "error", short: "e", kind: setText, field: "error_file", value: "FILE", usage: "where its standard error goes"},
	{name: "log", short: "l", kind: setMaybe, field: "log_file", value: "[FILE]", usage: "where both go together"},
	{name: "pid", short: "p", kind: setText, field: "pid_file", value: "FILE", usage: "where its pid is written"},
	{name: "merge-logs", kind: setTrue, field: "merge_logs", usage: "one log file for all instances"},
	{name: "disable-logs", kind: setTrue, field: "disable_logs", usage: "write no logs"},
	{name: "log-type", kind: setText, field: "log_type", value: "raw|json", usage: "form of the log files"},
	{name: "log-date-format", kind: setText, field: "log_date_format", value: "FORMAT", usage: "date before each line, in day.js tokens"},
	{name: "time", kind: setTrue, field: "time", usage: "date before each line, as YYYY-MM-DDTHH:mm:ss"},
	{name: "log-rate-limit", kind: setText, field: "log_rate_limit", value: "N", usage: "drop what a stream writes beyond N lines a second, and count it"},
	{name: "log-max-size", kind: setText, field: "log_max_size", value: "SIZE", usage: "put a log file aside at this size: 10M; 0: at none"},
	{name: "log-retain", kind: setText, field: "log_retain", value: "N|all", usage: "keep so many of the files put aside"},
	{name: "no-log-rotate", kind: setFalse, field: "log_rotate", usage: "let the log files of the app grow"},
	{name: "filter-env", kind: setMany, field: "filter_env", value: "PART", usage: "leave out inherited variables whose name holds PART"},
	{name: "instances", short: "i", kind: setText, field: "instances", value: "N|max", usage: "number of instances"},
	{name: "shutdown-with-message", kind: setTrue, field: "shutdown_with_message", usage: "ask the app to end by a message, not a signal"},
	{name: "kill-timeout", short: "k", kind: setText, field: "kill_timeout", value: "MS", usage: "wait this long before SIGKILL"},
	{name: "listen-timeout", kind: setText, field: "listen_timeout", value: "MS", usage: "wait this long for the app to be ready"},
	{name: "drain-timeout", kind: setText, field: "drain_timeout", value: "MS", usage: "let an old worker finish its requests this long in a reload; 0: not at all"},
	{name: "balance", kind: setText, field: "balance", value: "MODE", usage: "how connections are spread over a cluster: round-robin, shared or reuseport"},
	{name: "wait-ready", kind: setTrue, field: "wait_ready", usage: "the app says itself when it is ready"},
	{name: "max-memory-restart", kind: setText, field: "max_memory_restart", value: "SIZE", usage: "restart above this memory: 200M"},
	{name: "restart-delay", kind: setText, field: "restart_delay", value: "MS", usage: "wait this long before an automatic restart"},
	{name: "exp-backoff-restart-delay", kind: setText, field: "exp_backoff_restart_delay", value: "MS", usage: "the first of growing waits"},
	{name: "max-restarts", kind: setMaybe, field: "max_restarts", value: "[N]", usage: "give up after so many quick exits"},
	{name: "stop-exit-codes", kind: setMany, field: "stop_exit_codes", value: "CODE", usage: "do not restart after this exit code"},
	{name: "execute-command", short: "x", kind: setTrue, field: "execute_command", usage: "run in fork mode"},
	{name: "cron-restart", short: "c", kind: setText, field: "cron_restart", value: "PATTERN", usage: "restart at these times; 0 for never"},
	{name: "cron", kind: setText, field: "cron", value: "PATTERN", usage: "the same", hidden: true},
	{name: "watch", kind: special, field: "watch", value: "[PATH]", usage: "restart when a file changes"},
	{name: "ignore-watch", kind: setText, field: "ignore_watch", value: "PATHS", usage: "files whose change means nothing"},
	{name: "ext", kind: special, value: "EXTENSIONS", usage: "watch only files that end so: js,json"},
	{name: "watch-delay", kind: special, field: "watch_delay", value: "SECONDS", usage: "wait this long after a change"},
	{name: "no-autostart", kind: setFalse, field: "autostart", usage: "add the app without starting it"},
	{name: "no-autorestart", kind: setFalse, field: "autorestart", usage: "do not restart the app when it ends"},
	{name: "no-treekill", kind: setFalse, field: "treekill", usage: "signal only the main process"},
	{name: "uid", kind: special, value: "USER", usage: "run the app as this user (root only)"},
	{name: "gid", kind: special, value: "GROUP", usage: "run the app as this group (root only)"},
	{name: "user", short: "u", kind: special, value: "USER", usage: "the same as --uid", hidden: true},

	{name: "only", kind: special, value: "NAMES", usage: "of a file, only these apps"},
	{name: "env", kind: special, value: "NAME", usage: "of a file, merge env_NAME into the environment"},
	{name: "update-env", short: "a", kind: special, usage: "give the app the environment of this shell"},
	{name: "parallel", kind: special, value: "N", usage: "instances to work on at once"},
	{name: "force", short: "f", kind: special, usage: "do it although it looks like a mistake"},
	{name: "no-daemon", kind: special, usage: "run the daemon in the foreground where none runs"},
	{name: "write", short: "w", kind: special, usage: "write what starts the script to NAME-pm2.json, too"},
	{name: "attach", kind: special, usage: "follow the logs afterwards"},

	{name: "mini-list", short: "m", kind: special, usage: "list as plain text"},
	{name: "sort", kind: special, value: "FIELD[:desc]", usage: "order of the list"},
	{name: "silent", short: "s", kind: special, usage: "print nothing"},
	{name: "no-color", kind: special, usage: "print without colours"},
	{name: "version", short: "v", kind: special, usage: "print the version"},

	{name: "source-map-support", kind: setTrue, field: "source_map_support", hidden: true}, // as without
	{name: "disable-source-map-support", kind: setTrue, field: "disable_source_map_support", usage: "stack traces of node as it has them"},

	// What PM2 takes for its own wrapper around node; stored, and without effect.
	{name: "no-vizion", kind: setFalse, field: "vizion", hidden: true},
	{name: "no-pmx", kind: setFalse, field: "pmx", hidden: true},
	{name: "no-automation", kind: setFalse, field: "automation", hidden: true},
	{name: "trace", kind: setTrue, field: "trace", hidden: true},
	{name: "disable-trace", kind: setTrue, field: "disable_trace", hidden: true},
	{name: "v8", kind: setTrue, field: "v8", hidden: true},
	{name: "event-loop-inspector", kind: setTrue, field: "event_loop_inspector", hidden: true},
	{name: "deep-monitoring", kind: setTrue, field: "deep_monitoring", hidden: true},
}

// given is the value of an option that may have one and has none.
const given = "true"

func defineOptions(set *pflag.FlagSet) {
	set.SortFlags = false
	for _, o := range options {
		switch {
		case o.value == "":
			set.BoolP(o.name, o.short, false, o.usage)
		case o.kind == setMany, o.name == "watch":
			set.StringArrayP(o.name, o.short, nil, o.usage)
		default:
			set.StringP(o.name, o.short, "", o.usage)
		}
		if strings.HasPrefix(o.value, "[") {
			set.Lookup(o.name).NoOptDefVal = given
		}
		set.Lookup(o.name).Hidden = o.hidden
	}
	// pflag knows only one letter an option.
	set.BoolP("Version", "V", false, "")
	set.Lookup("Version").Hidden = true
}

// apply does what the options mean that every command heeds.
func (e *Env) apply(set *pflag.FlagSet) error {
	if on(set, "version") || on(set, "Version") {
		e.print("%s\n", e.shownVersion())
		return errDone
	}
	if on(set, "silent") || e.Getenv("PM2_SILENT") == "true" {
		e.out.Reset(io.Discard)
		e.Stderr = io.Discard
	}
	e.stays = on(set, "no-daemon")
	if on(set, "no-color") {
		e.Color = false
	}
	if s := str(set, "sort"); s != "" {
		if _, err := parseOrder(s); err != nil {
			return err
		}
	}
	return nil
}

func on(set *pflag.FlagSet, name string) bool {
	v, _ := set.GetBool(name)
	return v
}

func str(set *pflag.FlagSet, name string) string {
	v, _ := set.GetString(name)
	return v
}

func texts(set *pflag.FlagSet, name string) []string {
	v, _ := set.GetStringArray(name)
	return v
}

// number is the value of an option that takes a positive number, 0 where it
// was not given.
func number(set *pflag.FlagSet, name string) (int, error) {
	s := str(set, name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, invalid("read option", "--"+name, "", fmt.Errorf("%q is not a number above 0", s))
	}
	return n, nil
}

// parallel is how many instances are worked on at once: PM2's variable says it
// where the option does not.
func (e *Env) parallel(set *pflag.FlagSet) (int, error) {
	v := e.Getenv("PM2_CONCURRENT_ACTIONS")
	if set.Changed("parallel") || v == "" {
		return number(set, "parallel")
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, invalid("read environment variable", "PM2_CONCURRENT_ACTIONS", "unset it, or mend it", fmt.Errorf("%q is not a number above 0", v))
	}
	return n, nil
}

func invalid(op, on, hint string, err error) error {
	return &errs.Error{Op: op, On: on, Kind: errs.Invalid, Err: err, Hint: hint}
}

// fields are the options in set that describe an app, as a file would.
func fields(set *pflag.FlagSet) config.Fields {
	f := config.Fields{}
	for _, o := range options {
		if o.field == "" || !set.Changed(o.name) {
			continue
		}
		switch o.kind {
		case setTrue:
			f[o.field] = on(set, o.name)
		case setFalse:
			f[o.field] = !on(set, o.name)
		case setText:
			f[o.field] = str(set, o.name)
		case setMany:
			f[o.field] = texts(set, o.name)
		case setMaybe:
			if v := str(set, o.name); v != given {
				f[o.field] = v
			} else if o.field == "log_file" {
				f[o.field] = true
			}
		case special:
		}
	}
	if paths := texts(set, "watch"); len(paths) > 0 {
		f["watch"] = paths
		if slices.Contains(paths, given) {
			f["watch"] = true
		}
		if ext := names(str(set, "ext")); len(ext) > 0 {
			f["watch"] = ending(paths, ext)
		}
	}
	if d := str(set, "watch-delay"); d != "" {
		f["watch_delay"] = d
		if s, err := strconv.ParseFloat(d, 64); err == nil { // a bare number is seconds here, and here only
			f["watch_delay"] = s * 1000
		}
	}
	return f
}

// ending are the patterns of files below paths that have one of some extensions.
func ending(paths, extensions []string) []string {
	var out []string
	for _, p := range paths {
		if p == given {
			p = "."
		}
		for _, ext := range extensions {
			out = append(out, p+"/**/*."+strings.TrimPrefix(ext, "."))
		}
	}
	return out
}

// fileOptions are the options in set that a configuration file heeds.
func fileOptions(set *pflag.FlagSet) config.Options {
	o := config.Options{
		EnvName:   str(set, "env"),
		Only:      names(str(set, "only")),
		Cwd:       str(set, "cwd"),
		Namespace: str(set, "namespace"),
	}
	for _, name := range []string{"user", "uid"} {
		if v := str(set, name); v != "" {
			o.UID = v
		}
	}
	if v := str(set, "gid"); v != "" {
		o.GID = v
	}
	return o
}

// names is a list as --only takes it, with commas or spaces.
func names(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// describing are the options in set that describe an app, by name.
func describing(set *pflag.FlagSet) []string {
	var out []string
	for _, o := range options {
		if (o.field != "" || slices.Contains([]string{"cwd", "uid", "gid", "user"}, o.name)) && set.Changed(o.name) {
			out = append(out, "--"+o.name)
		}
	}
	return out
}

// usage prints what a command, or the whole program, understands.
func (e *Env) usage(w io.Writer, cmd *cobra.Command) {
	bold := func(s string) string { return e.paint(styleBold, s) }
	if !cmd.HasParent() {
		fmt.Fprintf(w, "%s %s [command] [options] [-- arguments of the app]\n\n%s\n", bold("Usage:"), e.Program, bold("Commands:"))
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() && c.Name() != "help" {
				fmt.Fprintf(w, "  %s %s\n", inColumn(c.Use, 34), c.Short)
			}
		}
	} else {
		fmt.Fprintf(w, "%s\n\n%s %s\n", sentence(cmd.Short), bold("Usage:"), use(cmd))
		if len(cmd.Aliases) > 0 {
			fmt.Fprintf(w, "%s %s\n", bold("Also:"), strings.Join(cmd.Aliases, ", "))
		}
		for _, c := range cmd.Commands() {
			fmt.Fprintf(w, "  %s %s\n", inColumn(cmd.Name()+" "+c.Use, 34), c.Short)
		}
		if cmd.Example != "" {
			fmt.Fprintf(w, "\n%s\n%s\n", bold("Examples:"), cmd.Example)
		}
		own := cmd.LocalNonPersistentFlags()
		if f := own.Lookup("help"); f != nil {
			f.Hidden = true
		}
		if own.HasAvailableFlags() {
			fmt.Fprintf(w, "\n%s\n%s", bold("Its options:"), own.FlagUsages())
		}
	}
	fmt.Fprintf(w, "\n%s\n", bold("Options:"))
	for _, o := range options {
		if o.hidden {
			continue
		}
		short := "   "
		if o.short != "" {
			short = "-" + o.short + ","
		}
		fmt.Fprintf(w, "  %s --%-34s %s\n", short, strings.TrimSpace(o.name+" "+o.value), o.usage)
	}
	fmt.Fprintf(w, "\nExit code 0 when all went well, 1 when something failed.\n")
}

// inColumn is s filled up to width; what is longer leaves the next line to what
// stands beside it.
func inColumn(s string, width int) string {
	if len(s) > width {
		return s + "\n  " + strings.Repeat(" ", width)
	}
	return s + strings.Repeat(" ", width-len(s))
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }
