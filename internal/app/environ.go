package app

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"tend/api"
	"tend/internal/home"
)

// Merged is the whole environment of an app: what it inherited, without what
// its filter leaves out, and over it what it was given, but for its secrets.
func Merged(s *api.Spec, inherited map[string]string) map[string]string {
	env := make(map[string]string, len(inherited)+len(s.Env))
	for k, v := range inherited {
		if !filtered(s.FilterEnv, k) {
			env[k] = v
		}
	}
	maps.Copy(env, s.Env)
	for k := range s.Secrets {
		delete(env, k)
	}
	return env
}

// Shown is Merged for the instance with this number, with the variable that
// grows from one to the next.
func Shown(s *api.Spec, inherited map[string]string, index int) map[string]string {
	env := Merged(s, inherited)
	if s.IncrementVar != "" {
		env[s.IncrementVar] = counted(env, s, Launch{Index: index})[s.IncrementVar]
	}
	return env
}

func filtered(f *api.EnvFilter, name string) bool {
	if f == nil {
		return false
	}
	return f.All || slices.Contains(f.Exact, name) ||
		slices.ContainsFunc(f.Contains, func(part string) bool { return strings.Contains(name, part) })
}

// Heritage is what of a client's environment is kept for an app: nothing that
// it would not get, and nothing that it has from a secret. inherited itself is
// returned where that is all of it, for it is shared.
func Heritage(s *api.Spec, inherited map[string]string) map[string]string {
	secret := map[string]bool{}
	for name, from := range s.Secrets {
		secret[name], secret[from.Env] = true, true
	}
	drop := func(name string) bool { return secret[name] || filtered(s.FilterEnv, name) }
	kept := inherited
	for name := range inherited {
		if !drop(name) {
			continue
		}
		kept = maps.Clone(inherited)
		maps.DeleteFunc(kept, func(name, _ string) bool { return drop(name) })
		break
	}
	return kept
}

// Renewed is s with the values that vars has of the variables which it was given,
// as PM2's --update-env has it. Left alone are what its filter keeps out, its
// templates, and what it runs as another user for. s itself is returned where
// nothing differs.
func Renewed(s *api.Spec, vars map[string]string) *api.Spec {
	out := s
	for name, own := range s.Env {
		now, given := vars[name]
		now = literal(now)
		kept := filtered(s.FilterEnv, name) || len(Names(own)) > 0 || s.Account != "" && (name == "HOME" || name == "USER")
		if !given || kept || now == own {
			continue
		}
		if out == s {
			renewed := *s
			renewed.Env = maps.Clone(s.Env)
			out = &renewed
		}
		out.Env[name] = now
	}
	return out
}

// owns tells whether an app was given a variable by its file or by flags.
func owns(s *api.Spec, name string) bool {
	_, text := s.Env[name]
	_, secret := s.Secrets[name]
	return text || secret
}

// Environ is the environment of a process as execve(2) takes it, sorted. PM2
// exports every scalar field of its own record; these are the ones that apps
// are known to read (pm2-surface 2.5).
func Environ(s *api.Spec, inherited map[string]string, h home.Dir, f Files, l Launch) []string {
	env := Merged(s, inherited)
	maps.Copy(env, l.Secrets)
	numbers := counted(env, s, l)
	for k, v := range map[string]string{
		"PWD": s.Cwd, "PM2_HOME": string(h), "name": s.Name, "namespace": s.Namespace,
		"exec_mode": string(s.Mode) + "_mode", "instances": strconv.Itoa(l.Instances),
		"pm_exec_path": s.Script, "pm_cwd": s.Cwd, "pm_out_log_path": f.Out, "pm_err_log_path": f.Err,
		"pm_pid_path": f.Pid, "restart_time": strconv.Itoa(l.Restarts), "status": string(api.Launching),
		"username": s.Username, "instance_var": s.InstanceVar,
	} {
		if !owns(s, k) { // what the user set for the app is never overruled
			env[k] = v
		}
	}
	env["pm_id"] = strconv.Itoa(l.ID)
	env["unique_id"] = l.UniqueID
	maps.Copy(env, numbers)
	// What Node's child_process and cluster tell a child (node-ipc: they take
	// them out of its process.env again). Of whoever started us they mean
	// nothing here.
	for _, k := range []string{"NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", "NODE_UNIQUE_ID"} {
		delete(env, k)
	}
	if l.ChannelFD != 0 {
		env["NODE_CHANNEL_FD"], env["NODE_CHANNEL_SERIALIZATION_MODE"] = strconv.Itoa(l.ChannelFD), "json"
	}
	if l.Worker != 0 {
		env["NODE_UNIQUE_ID"] = strconv.FormatUint(l.Worker, 10)
	}
	return Listed(env)
}

// Listed is an environment as execve(2) takes it, sorted.
func Listed(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}
