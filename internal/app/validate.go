package app

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"tend/api"
	"tend/internal/cron"
	"tend/internal/errs"
	"tend/internal/rotation"
)

// maxInstances bounds what a slip of the finger can start.
const maxInstances = 10_000

// maxName leaves room for what the names of log files have behind it, also of
// those put aside: a file system takes 255 bytes.
const maxName = 200

// Validate says what is wrong with s, all of it, or nil. The error is an
// *errs.Error of kind Invalid that names the app.
func Validate(s *api.Spec) error {
	var all []error
	bad := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }

	switch {
	case s.Name == "":
		bad("name: it is empty")
	case s.Name == "all":
		bad("name: %q is reserved: commands use it for every app", s.Name)
	case strings.ContainsFunc(s.Name, unicode.IsControl):
		bad("name: %q holds a control character", s.Name)
	case len(s.Name) > maxName:
		bad("name: it has %d bytes, and files are named after it: at most %d", len(s.Name), maxName)
	}
	switch {
	case s.Namespace == "":
		bad("namespace: it is empty")
	case strings.ContainsFunc(s.Namespace, unicode.IsControl):
		bad("namespace: %q holds a control character", s.Namespace)
	}
	if s.Script == "" {
		bad("script: it is missing")
	} else if s.Interpreter == "" && !filepath.IsAbs(s.Script) {
		bad("script: %q is not absolute", s.Script)
	}
	if !filepath.IsAbs(s.Cwd) {
		bad("cwd: %q is not absolute", s.Cwd)
	}
	if s.Interpreter != "" && !filepath.IsAbs(s.Interpreter) {
		bad("interpreter: %q is not absolute", s.Interpreter)
	}
	for _, list := range [][]string{{s.Script, s.Cwd, s.Interpreter}, s.Args, s.InterpreterArgs} {
		if slices.ContainsFunc(list, func(a string) bool { return strings.ContainsRune(a, 0) }) {
			bad("args: one holds a zero byte, which no process can be given")
			break
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(s.Env[name], 0) {
			bad("env: %q cannot be the name of a variable, or its value holds a zero byte", name)
		}
	}
	all = append(all, checkSecrets(s.Secrets)...)
	for _, v := range []struct{ field, name string }{{"instance_var", s.InstanceVar}, {"increment_var", s.IncrementVar}} {
		if strings.ContainsAny(v.name, "=\x00") {
			bad("%s: %q cannot be the name of a variable", v.field, v.name)
		}
	}
	all = append(all, checkAllTemplates(s)...)
	for _, id := range append([]*int{s.UID, s.GID}, pointers(s.Groups)...) {
		if id != nil && (*id < 0 || int64(*id) >= math.MaxUint32) {
			bad("uid, gid: %d is no user or group", *id)
		}
	}
	if s.Instances < 1 || s.Instances > maxInstances {
		bad("instances: %d is not between 1 and %d", s.Instances, maxInstances)
	}
	switch {
	case s.Mode != api.Fork && s.Mode != api.Cluster:
		bad("exec_mode: %q is neither fork nor cluster", s.Mode)
	case s.Mode == api.Cluster && !IsNode(s.Interpreter):
		bad("exec_mode: %s cannot run in cluster mode, which needs Node's own cluster protocol; run it with exec_mode fork",
			filepath.Base(cmp.Or(s.Interpreter, s.Script)))
	}
	if !slices.Contains([]api.Balance{"", api.RoundRobin, api.Shared, api.Reuseport}, s.Balance) {
		bad("balance: %q is none of round-robin, shared and reuseport", s.Balance)
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"max_restarts", int64(s.MaxRestarts)},
		{"min_uptime", s.MinUptime},
		{"start_secs", s.StartTime},
		{"start_retries", int64(orZero(s.StartRetries))},
		{"instance_start", int64(s.InstanceStart)},
		{"restart_delay", s.RestartDelay},
		{"exp_backoff_restart_delay", s.Backoff},
		{"max_memory_restart", s.MaxMemory},
		{"kill_timeout", s.KillTimeout},
		{"listen_timeout", s.ListenTimeout},
		{"drain_timeout", s.DrainTimeout},
		{"log_rate_limit", s.Log.RateLimit},
	} {
		if f.value < 0 {
			bad("%s: %d is negative", f.name, f.value)
		}
	}
	if _, err := Signal(s.StopSignal); err != nil {
		bad("stop_signal: %w", err)
	}
	if u := orZero(s.Umask); u < 0 || u > maxUmask {
		bad("umask: %#o is not between 0 and 0777", u)
	}
	for _, code := range slices.Concat(s.StopCodes, s.ExpectedCodes) {
		if code < 0 || code > 255 {
			bad("exit codes: %d is not between 0 and 255", code)
		}
	}
	all = append(all, checkLimits(s.Limits)...)
	if s.Watch != nil {
		if _, err := WatchingOf(s.Watch, s.Cwd); err != nil {
			all = append(all, err)
		}
	}
	if s.Cron != "" {
		if _, err := cron.Parse(s.Cron); err != nil {
			bad("cron_restart: %w", err)
		}
	}
	all = append(all, checkLog(&s.Log)...)
	if len(all) == 0 {
		return nil
	}
	return &errs.Error{Op: "check app", On: s.Name, Kind: errs.Invalid, Err: errors.Join(all...)}
}

func orZero(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// maxUmask is all the bits that a umask may have.
const maxUmask = 0o777

// LimitNames are the resources that may be limited, as ulimit and limits.conf
// call them.
func LimitNames() []string {
	return []string{
		"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
		"rtprio", "rttime", "sigpending", "stack",
	}
}

func checkLimits(limits map[string]api.Limit) (all []error) {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		l := limits[name]
		switch {
		case !slices.Contains(LimitNames(), name):
			all = append(all, fmt.Errorf("limits: %q is no resource; there are %s", name, strings.Join(LimitNames(), ", ")))
		case l.Soft < -1 || l.Hard < -1:
			all = append(all, fmt.Errorf("limits: %s: a limit is not negative", name))
		case l.Hard >= 0 && (l.Soft > l.Hard || l.Soft < 0):
			all = append(all, fmt.Errorf("limits: %s: the soft limit is above the hard one", name))
		}
	}
	return all
}

func checkSecrets(secrets map[string]api.Secret) (all []error) {
	bad := func(name, format string, args ...any) {
		all = append(all, fmt.Errorf("env: %s: %w", name, fmt.Errorf(format, args...)))
	}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		from := secrets[name]
		said := 0
		for _, one := range []bool{from.File != "", from.Env != "", len(from.Cmd) > 0} {
			if one {
				said++
			}
		}
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			bad(name, "that cannot be the name of a variable")
		case said != 1:
			bad(name, "a secret is from a file, a variable or a command, and from one of them")
		case from.File != "" && (!filepath.IsAbs(from.File) || strings.ContainsRune(from.File, 0)):
			bad(name, "file %q is not absolute", from.File)
		case strings.ContainsAny(from.Env, "=\x00"):
			bad(name, "%q cannot be the name of a variable", from.Env)
		case len(from.Cmd) > 0 && (!filepath.IsAbs(from.Cmd[0]) || strings.ContainsRune(strings.Join(from.Cmd, ""), 0)):
			bad(name, "program %q is not absolute, or an argument holds a zero byte", from.Cmd[0])
		}
	}
	return all
}

func checkLog(l *api.Log) (all []error) {
	bad := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	for _, p := range []string{l.Out, l.Err, l.Pid, l.Combined} {
		if p != "true" && p != "" && !filepath.IsAbs(p) {
			bad("log: %q is not absolute", p)
		}
	}
	if t := l.Type; t != "" && t != "raw" && t != "json" {
		bad("log_type: %q is neither raw nor json", t)
	}
	if strings.ContainsAny(l.Date, "\n\r") {
		bad("log_date_format: %q holds a line break, and would break every line", l.Date)
	}
	if l.Rotation != nil {
		if err := rotation.Check(l.Rotation); err != nil {
			bad("log_rotate: %w", err)
		}
	}
	return all
}

func pointers(list []int) []*int {
	var out []*int
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}
