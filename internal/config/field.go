package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"tend/api"
)

// A field is one thing that an app object may say.
type field struct {
	name    string
	aliases []string // each, and name, may also be written in camelCase
	slot
}

// A slot is where the value of a field goes.
type slot struct {
	set setter
	// reset gives it the value that it has in fresh.
	reset func(d, fresh *draft, name string)
}

// A setter puts the value of the field called name into d.
type setter func(d *draft, name string, v any) error

// into puts the value that as reads to the slot that at points at.
func into[T any](as func(any) (T, error), at func(*draft) *T) slot {
	return slot{
		set: func(d *draft, _ string, v any) (err error) {
			t, err := as(v)
			if err == nil {
				*at(d) = t
			}
			return err
		},
		reset: func(d, fresh *draft, _ string) { *at(d) = *at(fresh) },
	}
}

// extra keeps what has no place in a Spec, once as has read it.
func extra[T any](as func(any) (T, error)) slot {
	return slot{
		set: func(d *draft, name string, v any) error {
			t, err := as(v)
			if err == nil {
				d.spec.Extra[name] = t
			}
			return err
		},
		reset: func(d, _ *draft, name string) { delete(d.spec.Extra, name) },
	}
}

// by has set read the value.
func by(set setter) slot { return slot{set: set, reset: func(_, _ *draft, _ string) {}} }

// A draft is an app as its fields give it, before the machine is asked.
type draft struct {
	spec api.Spec // what needs no more work

	prefix         string
	script         string
	cwd            string
	interpreter    string
	env            variables
	envs           map[string]variables // of env_<name>
	envFiles       []string
	port           string
	appendEnv      bool
	uid, gid       string // a name or a number
	groups         []string
	restarts       restarts
	expected       []int
	limits         map[string]api.Limit
	instances      *int64
	mode           api.Mode
	executeCommand bool
	watch          watching
	ignore         []string
	watchDelay     int64
	watchOptions   map[string]any
	merge          *bool
	time           bool
	rotating       rotating
}

// table is every field that PM2 knows; of Supervisor those that PM2 has no like
// of; and of tend env_file, cron_restart_stopped, stop_signal, balance,
// drain_timeout, log_rate_limit, and what log_rotate holds. docs/FIELDS.md says
// what each means.
var table = []field{ //nolint:gochecknoglobals // never written
	// Identity and launch.
	{"script", []string{"exec", "cmd", "command"}, into(asText, func(d *draft) *string { return &d.script })},
	{"name", nil, into(asText, func(d *draft) *string { return &d.spec.Name })},
	{"name_prefix", nil, into(asText, func(d *draft) *string { return &d.prefix })},
	{"namespace", nil, into(asText, func(d *draft) *string { return &d.spec.Namespace })},
	{"cwd", nil, into(asText, func(d *draft) *string { return &d.cwd })},
	{"args", nil, into(asWords, func(d *draft) *[]string { return &d.spec.Args })},
	{"exec_interpreter", []string{"interpreter"}, into(asText, func(d *draft) *string { return &d.interpreter })},
	{"node_args", []string{"interpreter_args"}, into(asWords, func(d *draft) *[]string { return &d.spec.InterpreterArgs })},
	{"exec_mode", nil, into(asMode, func(d *draft) *api.Mode { return &d.mode })},
	{"execute_command", nil, into(asFlag, func(d *draft) *bool { return &d.executeCommand })},
	{"instances", []string{"numprocs"}, into(asInstances, func(d *draft) **int64 { return &d.instances })},
	{"instance_start", []string{"numprocs_start"}, into(asCount, func(d *draft) *int { return &d.spec.InstanceStart })},
	{"balance", nil, into(asBalance, func(d *draft) *api.Balance { return &d.spec.Balance })},
	{"instance_var", nil, into(asText, func(d *draft) *string { return &d.spec.InstanceVar })},
	{"increment_var", nil, into(asText, func(d *draft) *string { return &d.spec.IncrementVar })},
	{"port", nil, into(asPort, func(d *draft) *string { return &d.port })},
	{"uid", []string{"user"}, into(asAccount, func(d *draft) *string { return &d.uid })},
	{"gid", nil, into(asAccount, func(d *draft) *string { return &d.gid })},
	{"groups", nil, into(asAccounts, func(d *draft) *[]string { return &d.groups })},
	{"umask", nil, into(asUmask, func(d *draft) **int { return &d.spec.Umask })},
	{"limits", nil, by(setLimits)},
	{"nofile", nil, by(setLimit)},
	{"nproc", nil, by(setLimit)},
	{"core", nil, by(setLimit)},
	{"priority", nil, into(asPriority, func(d *draft) **int { return &d.spec.Priority })},
	{"username", nil, into(asText, func(d *draft) *string { return &d.spec.Username })},
	{"env", nil, into(asEnv, func(d *draft) *variables { return &d.env })},
	{"env_file", nil, into(asTexts, func(d *draft) *[]string { return &d.envFiles })},
	{"filter_env", nil, into(asFilter, func(d *draft) **api.EnvFilter { return &d.spec.FilterEnv })},
	{"append_env_to_name", nil, into(asFlag, func(d *draft) *bool { return &d.appendEnv })},
	{"autostart", nil, into(asFlag, func(d *draft) *bool { return &d.spec.Autostart })},
	{"io", nil, extra(asObject)},
	{"force", nil, extra(asFlag)},
	{"install_url", nil, extra(asText)},
	{"write", nil, extra(asFlag)},
	{"windowsHide", []string{"windows_hide"}, extra(asFlag)},
	{"trace", nil, extra(asFlag)},
	{"disable_trace", nil, extra(asFlag)},
	{"v8", nil, extra(asFlag)},
	{"event_loop_inspector", nil, extra(asFlag)},
	{"deep_monitoring", nil, extra(asFlag)},
	{"pmx", nil, extra(asFlag)},
	{"automation", nil, extra(asFlag)},
	{"vizion", nil, extra(asFlag)},
	{"source_map_support", nil, extra(asFlag)},
	{"disable_source_map_support", nil, extra(asFlag)},

	// Restart policy and lifecycle.
	{"autorestart", nil, into(asRestarts, func(d *draft) *restarts { return &d.restarts })},
	{"stop_exit_codes", nil, into(asCodes, func(d *draft) *[]int { return &d.spec.StopCodes })},
	{"expected_exit_codes", []string{"exitcodes", "exit_codes"}, into(asCodes, func(d *draft) *[]int { return &d.expected })},
	{"start_secs", []string{"startsecs"}, into(asSeconds, func(d *draft) *int64 { return &d.spec.StartTime })},
	{"start_retries", []string{"startretries"}, into(asSetCount, func(d *draft) **int { return &d.spec.StartRetries })},
	{"max_restarts", nil, into(asCount, func(d *draft) *int { return &d.spec.MaxRestarts })},
	{"min_uptime", nil, into(atLeast(100, asMillis), func(d *draft) *int64 { return &d.spec.MinUptime })},
	{"restart_delay", nil, into(asMillis, func(d *draft) *int64 { return &d.spec.RestartDelay })},
	{"exp_backoff_restart_delay", nil, into(asMillis, func(d *draft) *int64 { return &d.spec.Backoff })},
	{"max_memory_restart", nil, into(asSize, func(d *draft) *int64 { return &d.spec.MaxMemory })},
	{"cron_restart", []string{"cron"}, into(asCron, func(d *draft) *string { return &d.spec.Cron })},
	{"cron_restart_stopped", nil, into(asNot, func(d *draft) *bool { return &d.spec.CronSparesStopped })},
	{"stop_signal", []string{"kill_signal", "stopsignal"}, into(asSignal, func(d *draft) *string { return &d.spec.StopSignal })},
	{"kill_timeout", nil, into(asMillis, func(d *draft) *int64 { return &d.spec.KillTimeout })},
	{"kill_retry_time", nil, extra(asMillis)},
	{"treekill", nil, by(setTreeKill)},
	{"shutdown_with_message", nil, into(asFlag, func(d *draft) *bool { return &d.spec.ShutdownMessage })},
	{"wait_ready", nil, into(asFlag, func(d *draft) *bool { return &d.spec.WaitReady })},
	{"listen_timeout", nil, into(asMillis, func(d *draft) *int64 { return &d.spec.ListenTimeout })},
	{"drain_timeout", nil, into(asMillis, func(d *draft) *int64 { return &d.spec.DrainTimeout })},
	{"watch", nil, into(asWatch, func(d *draft) *watching { return &d.watch })},
	{"ignore_watch", nil, into(asWords, func(d *draft) *[]string { return &d.ignore })},
	{"watch_delay", nil, into(asMillis, func(d *draft) *int64 { return &d.watchDelay })},
	{"watch_options", nil, into(asObject, func(d *draft) *map[string]any { return &d.watchOptions })},
	{"post_update", nil, extra(asCommands)},
	{"exec_timeout", nil, extra(asMillis)},

	// Logs.
	{"out_file", []string{"out", "output", "out_log"}, into(asText, func(d *draft) *string { return &d.spec.Log.Out })},
	{"error_file", []string{"error", "err", "err_file", "err_log"}, into(asText, func(d *draft) *string { return &d.spec.Log.Err })},
	{"log_file", []string{"log"}, into(asCombined, func(d *draft) *string { return &d.spec.Log.Combined })},
	{"pid_file", []string{"pid"}, into(asText, func(d *draft) *string { return &d.spec.Log.Pid })},
	{"merge_logs", []string{"combine_logs"}, into(asSetFlag, func(d *draft) **bool { return &d.merge })},
	{"log_date_format", nil, into(asText, func(d *draft) *string { return &d.spec.Log.Date })},
	{"time", nil, into(asFlag, func(d *draft) *bool { return &d.time })},
	{"log_type", nil, into(asLogType, func(d *draft) *string { return &d.spec.Log.Type })},
	{"disable_logs", nil, into(asFlag, func(d *draft) *bool { return &d.spec.Log.Disabled })},
	{"log_rate_limit", nil, into(asRate, func(d *draft) *int64 { return &d.spec.Log.RateLimit })},
	{"log_rotate", nil, by(setRotating)},
	{"log_max_size", nil, rotates("max_size")},
	{"log_retain", nil, rotates("retain")},
	{"log_max_age", nil, rotates("max_age")},
	{"log_rotate_interval", nil, rotates("interval")},
	{"log_compress", nil, rotates("compress")},
	{"log_rotate_date_format", nil, rotates("date_format")},
	{"log_total_cap", nil, rotates("total_cap")},
}

// spellings are all ways to write a field, and what they stand for.
var spellings = func() map[string]*field { //nolint:gochecknoglobals // made of table, never written
	all := map[string]*field{}
	for i := range table {
		for _, name := range append([]string{table[i].name}, table[i].aliases...) {
			all[name], all[camel(name)] = &table[i], &table[i]
		}
	}
	return all
}()

// camel is a name in camelCase.
func camel(name string) string {
	first, rest, ok := strings.Cut(name, "_")
	if !ok || rest == "" {
		return name
	}
	return first + strings.ToUpper(rest[:1]) + camel(rest[1:])
}

// fill reads f into d; it tells what is wrong field by field.
func (d *draft) fill(f Fields, fault func(hint string, err error)) {
	seen := map[*field]string{}
	for _, key := range slices.Sorted(maps.Keys(f)) {
		v := f[key]
		if isEnv(key, v) {
			env, err := asEnv(v)
			for _, e := range each(err) {
				fault("", fmt.Errorf("%s: %w", key, e))
			}
			d.envs[strings.TrimPrefix(key, "env_")] = env
			continue
		}
		known := spellings[key]
		switch {
		case key == schemaKey:
		case known == nil:
			fault(meant(key), fmt.Errorf("unknown field %q", key))
		case v == nil: // as if absent
		case seen[known] != "":
			fault("keep one of them", fmt.Errorf("%q and %q are the same field", seen[known], key))
		default:
			seen[known] = key
			for _, e := range each(known.set(d, known.name, v)) {
				fault("", fmt.Errorf("%s: %w", key, e))
			}
		}
	}
}

// each are the errors that err joins, or err alone.
func each(err error) []error {
	if err == nil {
		return nil
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	return []error{err}
}

// isEnv tells whether a field adds variables for one --env. Files of PM2 may have
// one called "file".
func isEnv(key string, v any) bool {
	_, isObject := v.(map[string]any)
	return envField.MatchString(key) && (isObject || spellings[key] == nil)
}

// meant is a hint for a field that nobody knows.
func meant(key string) string {
	all := append(slices.Sorted(maps.Keys(spellings)), topLevel...)
	guess := similar(strings.ToLower(key), all)
	for _, name := range all {
		if guess == "" && len(key) > 2 && strings.HasPrefix(name, key) {
			guess = name
		}
	}
	if guess == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", guess)
}

// look is the value of the field called name in f, nil when it is not there.
func look(f Fields, name string) any {
	for _, key := range slices.Sorted(maps.Keys(f)) {
		if known := spellings[key]; known != nil && known.name == name && f[key] != nil {
			return f[key]
		}
	}
	return nil
}

// settings reads the defaults that the client's environment gives.
func (d *draft) settings(env map[string]string, fault func(hint string, err error)) {
	for _, s := range []struct {
		variable string
		set      setter
	}{
		{"PM2_KILL_SIGNAL", spellings["stop_signal"].set},
		{"PM2_KILL_TIMEOUT", spellings["kill_timeout"].set},
		{"PM2_KILL_USE_MESSAGE", spellings["shutdown_with_message"].set},
		{"PM2_GRACEFUL_LISTEN_TIMEOUT", spellings["listen_timeout"].set},
	} {
		v := env[s.variable]
		if v == "" {
			continue
		}
		if err := s.set(d, "", v); err != nil {
			fault("unset it, or mend it", fmt.Errorf("environment variable %s: %w", s.variable, err))
		}
	}
}
