// Package pm2env is PM2's shape of an instance: what jlist prints and what
// dump.pm2 holds. It maps names and types between that shape and package api,
// both ways, and is pure: it reads no file, looks no interpreter up and decides
// nothing.
package pm2env

import (
	"maps"
	"math"
	"slices"

	"tend/api"
)

// Encode is in as an element of PM2's jlist. Every environment variable is a
// member of pm2_env too, as tools expect, but none hides or pretends to be one
// of PM2's own fields.
func Encode(in api.Instance) Object {
	monit := Object{{"memory", 0}, {"cpu", 0}}
	if in.State == api.Online {
		monit = Object{{"memory", in.Memory}, {"cpu", math.Round(in.CPU*10) / 10}}
	}
	return Object{
		{"pid", in.PID},
		{"name", in.Name},
		{"pm2_env", instance(in)},
		{"pm_id", in.ID},
		{"monit", monit},
	}
}

func instance(in api.Instance) Object {
	spec := api.Spec{Name: in.Name, Namespace: in.Namespace, Script: in.Script, Mode: in.Mode, Username: in.User}
	var env map[string]string
	id, node := "", ""
	var revision any
	actions, metrics := []Object{}, Object{}
	if in.Detail != nil {
		env, id, node = in.Detail.Env, in.Detail.UniqueID, in.Detail.NodeVersion
		actions, metrics = actionsOf(in.Detail), metricsOf(in.Detail)
		if v := in.Detail.Versioning; v != nil {
			revision = versioning(v)
		}
		if in.Detail.Spec != nil {
			spec = *in.Detail.Spec
		}
	}
	if !in.Watching {
		spec.Watch = nil
	}
	var b builder
	b.definition(spec, env)
	b.put("instances", spec.Instances)
	for _, name := range []string{"vizion", "pmx", "automation", "windowsHide"} {
		b.put(name, true) // what PM2 says of an app that does not say otherwise
	}
	b.put("kill_retry_time", 100)
	b.paths(in.OutFile, in.ErrFile, in.LogFile, in.PidFile)
	b.put("pm_id", in.ID)
	b.put("status", string(in.State))
	b.put("pm_uptime", in.StartedAt)
	b.put("created_at", in.CreatedAt)
	b.put("restart_time", in.Restarts)
	b.put("unstable_restarts", in.Unstable)
	b.put("prev_restart_delay", in.PrevDelay)
	if in.Exited {
		b.put("exit_code", in.ExitCode)
	}
	b.some("exit_signal", in.ExitSignal)
	b.put("version", in.Version)
	b.some("node_version", node)
	b.put("versioning", revision)
	b.some("unique_id", id)
	b.put("vizion_running", false)
	b.put("km_link", false)
	if in.Monitored {
		b.put("_km_monitored", true)
	}
	b.put("axm_actions", actions)
	b.put("axm_monitor", metrics)
	b.put("axm_options", Object{})
	b.put("axm_dynamic", Object{})
	b.number(spec.InstanceVar, spec.InstanceStart+in.Index)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !reserved[name] {
			b.put(name, env[name])
		}
	}
	return b.object
}

func actionsOf(d *api.Detail) []Object {
	out := make([]Object, 0, len(d.Actions))
	for _, a := range d.Actions {
		out = append(out, Object{{"action_name", a.Name}, {"action_type", or(a.Type, "custom")}, {"arity", a.Arity}})
	}
	return out
}

func metricsOf(d *api.Detail) Object {
	out := Object{}
	for _, name := range slices.Sorted(maps.Keys(d.Metrics)) {
		m := d.Metrics[name]
		var b builder
		b.put("value", m.Value)
		b.some("unit", m.Unit)
		b.some("type", m.Type)
		b.put("historic", m.Historic)
		out = append(out, Member{name, b.object})
	}
	return out
}

// versioning is v as PM2 has it, without what only git itself could tell.
func versioning(v *api.Versioning) Object {
	var b builder
	b.put("type", v.Type)
	b.some("url", v.URL)
	b.put("revision", v.Revision)
	b.put("comment", v.Comment)
	b.some("branch", v.Branch)
	if v.Remote != "" {
		b.put("remotes", []string{v.Remote})
		b.put("remote", v.Remote)
	}
	b.some("update_time", v.UpdateTime)
	b.put("repo_path", v.RepoPath)
	return b.object
}

// reserved are the fields of PM2 that are not always there: a variable of such
// a name is not copied beside them, where it would be read as the field.
var reserved = func() map[string]bool { //nolint:gochecknoglobals // a table, never written
	m := make(map[string]bool)
	for _, name := range carried {
		m[name] = true
	}
	for _, name := range []string{
		"args", "increment_var", "uid", "gid", "stop_exit_codes", "exp_backoff_restart_delay",
		"max_memory_restart", "cron_restart", "shutdown_with_message", "wait_ready", "ignore_watch",
		"watch_delay", "watch_options", "log_date_format", "log_type", "disable_logs", "pm_log_path",
		"prev_restart_delay", "exit_code", "exit_signal", "unique_id", "node_version", "pmx_module", "tend",
	} {
		m[name] = true
	}
	return m
}()

// isField tells whether PM2 or tend means something of its own by a member of
// that name.
func isField(name string) bool { return reserved[name] || constant[name] }

// constant are the fields of PM2 that are always there.
var constant = map[string]bool{ //nolint:gochecknoglobals // a table, never written
	"name": true, "namespace": true, "pm_exec_path": true, "pm_cwd": true, "node_args": true, "exec_interpreter": true,
	"exec_mode": true, "instance_var": true, "env": true, "filter_env": true, "username": true, "autostart": true,
	"autorestart": true, "max_restarts": true, "min_uptime": true, "restart_delay": true, "kill_timeout": true,
	"treekill": true, "listen_timeout": true, "watch": true, "merge_logs": true, "pm_out_log_path": true,
	"pm_err_log_path": true, "pm_pid_path": true, "instances": true, "status": true, "pm_uptime": true, "created_at": true,
	"restart_time": true, "unstable_restarts": true, "version": true, "pm_id": true,
}

// fate are the members by which PM2 says how a process fares: they end with it.
var fate = map[string]bool{ //nolint:gochecknoglobals // a table, never written
	"axm_actions": true, "axm_monitor": true, "axm_options": true, "axm_dynamic": true, "km_link": true,
	"vizion_running": true, "versioning": true, "node_version": true, "prev_restart_delay": true, "exit_code": true,
	"_pm2_version": true, "_tree_pids": true, "unique_id": true, "pm_uptime": true,
}

// carried are the fields of PM2 that tend stores and does not act on; they
// live in Spec.Extra under these names.
var carried = []string{ //nolint:gochecknoglobals // a table, never written
	"pmx", "vizion", "automation", "windowsHide", "kill_retry_time", "source_map_support",
	"disable_source_map_support", "trace", "disable_trace", "v8", "event_loop_inspector",
	"deep_monitoring", "io", "post_update", "exec_timeout", "install_url", "execute_command",
	"write", "append_env_to_name", "port", "name_prefix", "force",
}

// known are the fields in Spec.Extra that PM2 has a place for: those that say
// how to watch are kept there while nothing is watched.
func known(w *api.Watch) []string {
	if w != nil {
		return carried
	}
	return append([]string{"ignore_watch", "watch_delay", "watch_options"}, carried...)
}

// builder makes an Object in which the first value of a key stays.
type builder struct {
	object Object
	seen   map[string]bool
}

func (b *builder) put(key string, value any) {
	if b.seen == nil {
		b.seen = make(map[string]bool)
		b.object = make(Object, 0, 96)
	}
	if !b.seen[key] {
		b.seen[key] = true
		b.object = append(b.object, Member{key, value})
	}
}

// some puts a text that is not empty.
func (b *builder) some(key, value string) {
	if value != "" {
		b.put(key, value)
	}
}

// number puts value under a key that is not empty.
func (b *builder) number(key string, value int) {
	if key != "" {
		b.put(key, value)
	}
}

// positive puts a number above 0, which PM2 leaves out otherwise.
func (b *builder) positive(key string, value int64) {
	if value > 0 {
		b.put(key, value)
	}
}

// set puts a flag that PM2 leaves out when it is off.
func (b *builder) set(key string, value bool) {
	if value {
		b.put(key, true)
	}
}

// definition puts what was asked for, and env as the whole environment.
func (b *builder) definition(s api.Spec, env map[string]string) {
	b.put("name", s.Name)
	b.put("namespace", s.Namespace)
	script, interpreter, nodeArgs, args := launch(s)
	b.put("pm_exec_path", script)
	b.put("pm_cwd", s.Cwd)
	if len(args) > 0 {
		b.put("args", args)
	}
	b.put("node_args", nodeArgs)
	b.put("exec_interpreter", interpreter)
	b.put("exec_mode", string(s.Mode)+"_mode")
	b.put("instance_var", s.InstanceVar)
	b.some("increment_var", s.IncrementVar)
	b.put("env", sorted(env))
	b.put("filter_env", filter(s.FilterEnv))
	b.put("username", s.Username)
	if s.UID != nil {
		b.put("uid", *s.UID)
	}
	if s.GID != nil {
		b.put("gid", *s.GID)
	}
	b.policy(s)
	b.watch(s.Watch, s.Cwd)
	b.put("merge_logs", s.Log.Merge)
	b.some("log_date_format", s.Log.Date)
	b.some("log_type", s.Log.Type)
	b.set("disable_logs", s.Log.Disabled)
	for _, name := range known(s.Watch) {
		if v, ok := s.Extra[name]; ok {
			b.put(name, v)
		}
	}
}

// policy puts when the app starts, ends and starts again.
func (b *builder) policy(s api.Spec) {
	b.put("autostart", s.Autostart)
	b.put("autorestart", s.Autorestart)
	if len(s.StopCodes) > 0 {
		b.put("stop_exit_codes", s.StopCodes)
	}
	b.put("max_restarts", s.MaxRestarts)
	b.put("min_uptime", s.MinUptime)
	b.put("restart_delay", s.RestartDelay)
	b.positive("exp_backoff_restart_delay", s.Backoff)
	b.positive("max_memory_restart", s.MaxMemory)
	b.some("cron_restart", s.Cron)
	b.put("kill_timeout", s.KillTimeout)
	b.put("treekill", s.TreeKill)
	b.set("shutdown_with_message", s.ShutdownMessage)
	b.set("wait_ready", s.WaitReady)
	b.put("listen_timeout", s.ListenTimeout)
}

// watch puts what is watched: PM2 says true of the working directory.
func (b *builder) watch(w *api.Watch, cwd string) {
	switch {
	case w == nil:
		b.put("watch", false)
		return
	case len(w.Paths) == 1 && w.Paths[0] == cwd:
		b.put("watch", true)
	default:
		b.put("watch", w.Paths)
	}
	if len(w.Ignore) > 0 {
		b.put("ignore_watch", w.Ignore)
	}
	b.positive("watch_delay", w.Delay)
	if w.Options != nil {
		b.put("watch_options", w.Options)
	}
}

// paths puts the files of an instance, as they are open now.
func (b *builder) paths(out, err, log, pid string) {
	b.some("pm_out_log_path", out)
	b.some("pm_err_log_path", err)
	b.some("pm_log_path", log)
	b.some("pm_pid_path", pid)
}

// noInterpreter is how PM2 says that a script runs itself.
const noInterpreter = "none"

// launch is how PM2 would run s: a shell command line is, there, the shell as
// a script with the line among its arguments.
func launch(s api.Spec) (script, interpreter string, nodeArgs, args []string) {
	switch {
	case s.Interpreter == "":
		return s.Script, noInterpreter, s.InterpreterArgs, s.Args
	case isCommandLine(s):
		return s.Interpreter, noInterpreter, nil, slices.Concat(s.InterpreterArgs, []string{s.Script}, s.Args)
	}
	return s.Script, s.Interpreter, s.InterpreterArgs, s.Args
}

// isCommandLine tells that the script of s is text for its interpreter and no
// file.
func isCommandLine(s api.Spec) bool {
	n := len(s.InterpreterArgs)
	return s.Interpreter != "" && n > 0 && s.InterpreterArgs[n-1] == "-c"
}

// filter is f in PM2's three forms: true, a variable's name, or a list of
// parts of names.
func filter(f *api.EnvFilter) any {
	switch {
	case f == nil:
		return []any{}
	case f.All:
		return true
	case len(f.Exact) == 1 && len(f.Contains) == 0:
		return f.Exact[0]
	}
	return f.Contains
}
