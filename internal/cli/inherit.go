package cli

import (
	"os"
	"os/user"
	"runtime"
	"strings"

	"tend/api"
	"tend/internal/config"
	"tend/internal/settings"
)

// context is where this client stands, for package config.
func (e *Env) context() config.Context {
	c := config.Context{
		Cwd:      e.Cwd,
		Env:      environment(e.Environ),
		Home:     e.Getenv("HOME"),
		Username: e.Getenv("USER"),
		UID:      os.Getuid(),
		CPUs:     runtime.NumCPU(),
		Rotation: e.rotation(),
	}
	if u, err := user.Current(); err == nil {
		c.Username = u.Username
		if c.Home == "" {
			c.Home = u.HomeDir
		}
	}
	return c
}

// rotation is how this home rotates logs. Where its settings cannot be read the
// daemon has told of it, and takes the defaults too.
func (e *Env) rotation() api.Rotation {
	set, _ := settings.Read(e.Home)
	r, _ := set.Rotation()
	return r
}

// environment is environ by name.
func environment(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok && name != "" {
			env[name] = value
		}
	}
	return env
}

// inherited is what an app gets of this client's environment. When the client
// itself runs inside an app, what tend or PM2 told that app of itself is
// nothing that another should be told.
func (e *Env) inherited() map[string]string {
	env := environment(e.Environ)
	if _, ok := env["pm_id"]; !ok {
		return env
	}
	for name := range env {
		if strings.HasPrefix(name, "axm_") {
			delete(env, name)
		}
	}
	if v := env["instance_var"]; v != "" {
		delete(env, v)
	}
	for _, name := range []string{
		"name", "namespace", "exec_mode", "env", "args", "pm_cwd", "exec_interpreter", "pm_exec_path", "node_args",
		"pm_out_log_path", "pm_err_log_path", "pm_log_path", "pm_pid_path", "pm_id", "status", "pm_uptime",
		"created_at", "windowsHide", "username", "merge_logs", "kill_retry_time", "prev_restart_delay",
		"instance_var", "unstable_restarts", "restart_time", "pmx_module", "command", "watch", "filter_env",
		"versioning", "vizion_runing", "vizion_running", "MODULE_DEBUG", "pmx", "vizion", "instances", "automation",
		"autostart", "autorestart", "stop_exit_codes", "unstable_restart", "treekill", "exit_code", "unique_id",
		"version", "node_version", "km_link", "NODE_APP_INSTANCE", "NODE_UNIQUE_ID", "NODE_CHANNEL_FD",
		"NODE_CHANNEL_SERIALIZATION_MODE", "PM2_USAGE", "PM2_JSON_PROCESSING",
	} {
		delete(env, name)
	}
	return env
}
