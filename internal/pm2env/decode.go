package pm2env

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"tend/api"
)

// reader takes the members of an entry by name and type. It is lenient where
// PM2 is: numbers may be text, lists may be one value, null is absent. The
// first member of a type that makes no sense is remembered in err.
type reader struct {
	members map[string]json.RawMessage
	err     error
}

// value is a member as JSON's own types, nil where it is null or absent.
func (r *reader) value(key string) any {
	var v any
	r.decode(key, &v)
	return v
}

func (r *reader) decode(key string, into any) {
	text, ok := r.members[key]
	if !ok {
		return
	}
	if err := json.Unmarshal(text, into); err != nil && r.err == nil {
		r.err = fmt.Errorf("%s: %w", key, err)
	}
}

func (r *reader) refuse(key, want string) {
	if r.err == nil {
		text := r.members[key]
		r.err = fmt.Errorf("%s: want %s, found %.40s", key, want, text)
	}
}

// text is a string, or a number or a boolean as text.
func (r *reader) text(key string) string {
	v := r.value(key)
	switch v.(type) {
	case []any, map[string]any:
		r.refuse(key, "text")
		return ""
	}
	return plainText(v)
}

// plainText is v as an environment holds it: PM2 keeps numbers and objects.
func plainText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	return string(AppendJSON(nil, v))
}

// number is an integer, def where there is none.
func (r *reader) number(key string, def int64) int64 {
	v := r.value(key)
	if v == nil {
		return def
	}
	n, ok := integer(v)
	if !ok {
		r.refuse(key, "a number")
		return def
	}
	return n
}

func integer(v any) (int64, bool) {
	var f float64
	switch v := v.(type) {
	case float64:
		f = v
	case string:
		parsed, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil {
			return 0, false
		}
		f = parsed
	default:
		return 0, false
	}
	const exact = 1 << 53
	if math.IsNaN(f) || math.Abs(f) > exact {
		return 0, false
	}
	return int64(f), true
}

func (r *reader) flag(key string, def bool) bool {
	switch v := r.value(key).(type) {
	case nil:
		return def
	case bool:
		return v
	case string:
		return v == "true"
	case float64:
		return v != 0
	}
	r.refuse(key, "true or false")
	return def
}

// list is a list of texts, or the words of one text.
func (r *reader) list(key string) []string {
	switch v := r.value(key).(type) {
	case nil:
		return nil
	case string:
		return strings.Fields(v)
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, plainText(e))
		}
		return out
	}
	r.refuse(key, "a list")
	return nil
}

func (r *reader) integers(key string) []int {
	v := r.value(key)
	if v == nil {
		return nil
	}
	many, ok := v.([]any)
	if !ok {
		many = []any{v}
	}
	var out []int
	for _, e := range many {
		n, ok := integer(e)
		if !ok {
			r.refuse(key, "numbers")
			return nil
		}
		out = append(out, int(n))
	}
	return out
}

func (r *reader) environment(key string) map[string]string {
	env := make(map[string]string)
	switch v := r.value(key).(type) {
	case nil:
	case map[string]any:
		for name, value := range v {
			env[name] = plainText(value)
		}
	default:
		r.refuse(key, "an object")
	}
	return env
}

// id is a user's or group's number; nil where there is none or it is a name.
func (r *reader) id(key string) *int {
	n, ok := integer(r.value(key))
	if !ok {
		return nil
	}
	id := int(n)
	return &id
}

// The values of PM2, and of tend for drains, for what an entry leaves out
// (milliseconds).
const (
	defaultMaxRestarts   = 16
	defaultMinUptime     = 1000
	defaultKillTimeout   = 1600
	defaultListenTimeout = 3000
	defaultDrainTimeout  = 5000
	defaultInstanceVar   = "NODE_APP_INSTANCE"
	defaultStopSignal    = "SIGINT"
	defaultNamespace     = "default"
)

// definition is the inverse of builder.definition, as far as PM2's names go.
func (r *reader) definition() api.Spec {
	s := api.Spec{
		Name:            r.text("name"),
		Namespace:       or(r.text("namespace"), defaultNamespace),
		Script:          r.text("pm_exec_path"),
		Args:            r.list("args"),
		InterpreterArgs: r.list("node_args"),
		Cwd:             r.text("pm_cwd"),
		FilterEnv:       r.filter(),
		Instances:       1,
		Mode:            api.Fork,
		InstanceVar:     defaultInstanceVar,
		IncrementVar:    r.text("increment_var"),
		Username:        r.text("username"),
		UID:             r.id("uid"),
		GID:             r.id("gid"),
		Autostart:       r.flag("autostart", true),
		Autorestart:     r.flag("autorestart", true),
		StopCodes:       r.integers("stop_exit_codes"),
		MaxRestarts:     int(r.number("max_restarts", defaultMaxRestarts)),
		MinUptime:       r.number("min_uptime", defaultMinUptime),
		RestartDelay:    r.number("restart_delay", 0),
		Backoff:         r.number("exp_backoff_restart_delay", 0),
		MaxMemory:       r.number("max_memory_restart", 0),
		StopSignal:      defaultStopSignal,
		KillTimeout:     r.number("kill_timeout", defaultKillTimeout),
		TreeKill:        r.flag("treekill", true),
		ShutdownMessage: r.flag("shutdown_with_message", false),
		WaitReady:       r.flag("wait_ready", false),
		ListenTimeout:   r.number("listen_timeout", defaultListenTimeout),
		DrainTimeout:    defaultDrainTimeout,
		Watch:           r.watch(),
		Log: api.Log{
			Merge:    r.flag("merge_logs", false),
			Date:     r.text("log_date_format"),
			Type:     r.text("log_type"),
			Disabled: r.flag("disable_logs", false),
		},
	}
	if i := r.text("exec_interpreter"); i != noInterpreter {
		s.Interpreter = i
	}
	if strings.HasPrefix(r.text("exec_mode"), string(api.Cluster)) {
		s.Mode = api.Cluster
	}
	if r.members["instance_var"] != nil {
		s.InstanceVar = r.text("instance_var")
	}
	if c := r.text("cron_restart"); c != "0" && c != "false" {
		s.Cron = c
	}
	for _, name := range known(s.Watch) {
		if v := r.value(name); v != nil {
			if s.Extra == nil {
				s.Extra = make(map[string]any)
			}
			s.Extra[name] = v
		}
	}
	return s
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

func (r *reader) filter() *api.EnvFilter {
	switch v := r.value("filter_env").(type) {
	case bool:
		if v {
			return &api.EnvFilter{All: true}
		}
	case string:
		if v != "" {
			return &api.EnvFilter{Exact: []string{v}}
		}
	case []any:
		if parts := r.list("filter_env"); len(parts) > 0 {
			return &api.EnvFilter{Contains: parts}
		}
	}
	return nil
}

func (r *reader) watch() *api.Watch {
	var w api.Watch
	switch v := r.value("watch").(type) {
	case bool:
		if !v {
			return nil
		}
		w.Paths = []string{r.text("pm_cwd")}
	case string:
		w.Paths = []string{v}
	case []any:
		w.Paths = r.list("watch")
	default:
		return nil
	}
	w.Ignore = r.list("ignore_watch")
	w.Delay = r.number("watch_delay", 0)
	r.decode("watch_options", &w.Options)
	return &w
}
