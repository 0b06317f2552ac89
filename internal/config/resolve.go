package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
)

// isoDate is the date format that "time" stands for.
const isoDate = "YYYY-MM-DDTHH:mm:ss"

// A resolver makes one Spec and gathers what is to be said about it.
type resolver struct {
	c     Context
	where string
	o     Options

	entry  entry
	label  string // the app in messages: "app api", "app 2" without a name
	draft  draft
	faults faults
	notes  faults // what is not wrong, but should be known
}

func newResolver(c Context, where string, o Options) *resolver {
	r := &resolver{c: c, where: where, o: o, label: "app"}
	r.draft.spec = app.Default()
	r.draft.spec.Username = c.Username
	r.draft.spec.Extra = map[string]any{}
	r.draft.envs = map[string]variables{}
	return r
}

// fault notes that something is wrong.
func (r *resolver) fault(kind errs.Kind, hint, format string, args ...any) {
	r.faults = append(r.faults, fault{
		where: r.where, app: r.label, entry: r.entry, kind: kind, err: fmt.Errorf(format, args...), hint: hint,
	})
}

// invalid is fault for a field that holds what it cannot hold.
func (r *resolver) invalid(hint string, err error) { r.fault(errs.Invalid, hint, "%w", err) }

func (r *resolver) warn(format string, args ...any) {
	r.notes = append(r.notes, fault{where: r.where, app: r.label, entry: r.entry, err: fmt.Errorf(format, args...)})
}

// resolve makes the Spec; it is whole only when there are no faults.
func (r *resolver) resolve(f Fields) api.Spec {
	d, s := &r.draft, &r.draft.spec
	name := nameOf(f, r.o)
	if name != "" {
		r.label = "app " + name
	}
	d.settings(r.c.Env, r.invalid)
	d.fill(f, r.invalid)
	if v := r.c.Env["PM2_PROCESS_INSTANCE_VAR"]; v != "" { // it wins over every app's own
		s.InstanceVar = v
	}
	s.Name = name
	if r.o.Namespace != "" && look(f, "namespace") == nil {
		s.Namespace = r.o.Namespace
	}
	r.resolveCwd()
	r.resolveEnv()
	if shell := r.resolveScript(look(f, "script")); !shell {
		r.resolveInterpreter()
	}
	r.resolveInstances()
	r.resolveRestarts()
	r.resolveAccount()
	r.draft.spec.Limits = r.draft.limits
	r.resolveTemplates()
	r.resolveLog()
	r.resolveWatch()
	r.resolveExtra()
	if len(r.faults) == 0 {
		r.check()
	}
	return *s
}

// nameOf is the name that an app gets, empty when it says neither a name nor
// a script.
func nameOf(f Fields, o Options) string {
	name, _ := asText(look(f, "name")) // what is no text is told elsewhere
	if name == "" {
		script, _ := asText(look(f, "script"))
		name = defaultName(script)
	}
	if prefix, _ := asText(look(f, "name_prefix")); prefix != "" {
		name = prefix + ":" + name
	}
	if on, _ := asFlag(look(f, "append_env_to_name")); on && o.EnvName != "" {
		name += "-" + o.EnvName
	}
	return name
}

// defaultName is the last part of a script's path, or of a command line,
// without what follows its last dot.
func defaultName(script string) string {
	if script == "" {
		return ""
	}
	return stem(filepath.Base(script))
}

// stem is base without its extension; a dot at the beginning starts none.
func stem(base string) string {
	if dot := strings.LastIndexByte(base, '.'); dot > 0 {
		return base[:dot]
	}
	return base
}

// absolute is path seen from dir.
func absolute(path, dir string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// path is what the user wrote, seen from dir, with ~ for the user's home.
func (c Context) path(written, dir string) string {
	if rest, ok := strings.CutPrefix(written, "~"); ok && c.Home != "" && (rest == "" || rest[0] == '/') {
		return filepath.Join(c.Home, rest)
	}
	return absolute(written, dir)
}

func (r *resolver) resolveCwd() {
	written := r.draft.cwd
	if r.o.Cwd != "" {
		written = r.o.Cwd
	}
	cwd := r.c.path(written, r.c.Cwd)
	r.draft.spec.Cwd = cwd
	if app.Names(cwd) != nil {
		return // another for each instance: looked at when one starts
	}
	fi, err := os.Stat(cwd)
	switch {
	case err != nil:
		r.fault(kindOfFile(err), "", "cwd: look at %s: %w", cwd, cause(err))
	case !fi.IsDir():
		r.fault(errs.Invalid, "", "cwd: %s is not a directory", cwd)
	}
}

// resolveInstances works out the number and, from it, the mode. Node shares a
// port between instances only in cluster mode, and nothing else knows that mode:
// others run as often, each on its own.
func (r *resolver) resolveInstances() {
	d, s := &r.draft, &r.draft.spec
	asked := d.instances
	switch {
	case d.executeCommand:
		s.Mode = api.Fork
	case d.mode != "":
		s.Mode = d.mode
	case asked != nil && *asked >= -1 && app.IsNode(s.Interpreter):
		s.Mode = api.Cluster
	}
	if asked != nil {
		n := *asked
		if n <= 0 {
			n = max(int64(r.c.CPUs)+n, 1)
		}
		s.Instances = int(n)
	}
	if s.Balance != "" && s.Mode == api.Fork {
		r.warn("balance means nothing in fork mode")
	}
}

// resolveTemplates looks for the variables that templates stand for.
func (r *resolver) resolveTemplates() {
	s := &r.draft.spec
	env := app.Merged(s, r.c.Env)
	for _, name := range app.Variables(s) {
		known := name == s.InstanceVar || name == s.IncrementVar
		if _, ok := env[name]; !ok && !known {
			r.fault(errs.Invalid, "set it in env", "{{env.%s}}: there is no such variable", name)
		}
	}
}

func (r *resolver) resolveLog() {
	d, l := &r.draft, &r.draft.spec.Log
	paths := []*string{&l.Out, &l.Err, &l.Pid}
	if l.Combined != "true" { // which stands for the default path
		paths = append(paths, &l.Combined)
	}
	for _, p := range paths {
		switch *p {
		case "":
		case "NULL":
			*p = os.DevNull
		default:
			*p = r.c.path(*p, d.spec.Cwd)
		}
	}
	// PM2 names the logs before it makes a number of 0 and "max", and a mode of that.
	l.Merge = (d.mode != api.Cluster || d.spec.Mode == api.Fork) && (d.instances == nil || *d.instances == 0)
	if d.merge != nil {
		l.Merge = *d.merge
	}
	if d.time && l.Date == "" {
		l.Date = isoDate
	}
	l.Rotation = d.rotating.rotation(r.c.Rotation)
}

func (r *resolver) resolveWatch() {
	d, s := &r.draft, &r.draft.spec
	if !d.watch.on {
		// Kept for the day that watching is switched on.
		if d.ignore != nil {
			s.Extra["ignore_watch"] = d.ignore
		}
		if d.watchDelay != 0 {
			s.Extra["watch_delay"] = d.watchDelay
		}
		if d.watchOptions != nil {
			s.Extra["watch_options"] = d.watchOptions
		}
		return
	}
	s.Watch = &api.Watch{Ignore: d.ignore, Delay: d.watchDelay, Options: d.watchOptions}
	for _, name := range app.InertWatchOptions(d.watchOptions) {
		r.warn("watch_options: %s has no effect", name)
	}
	for _, p := range d.watch.paths {
		s.Watch.Paths = append(s.Watch.Paths, r.c.path(p, s.Cwd))
	}
	if len(d.watch.paths) == 0 {
		s.Watch.Paths = []string{s.Cwd}
	}
}

func (r *resolver) resolveExtra() {
	extra := r.draft.spec.Extra
	if extra["automation"] == false {
		extra["pmx"] = false
	}
	if len(extra) == 0 {
		r.draft.spec.Extra = nil
	}
}

// check has the rules of a Spec say what is left to say.
func (r *resolver) check() {
	err := app.Validate(&r.draft.spec)
	if err == nil {
		return
	}
	if e, ok := errors.AsType[*errs.Error](err); ok {
		err = e.Err // the app and the file are named here
	}
	for _, e := range each(err) {
		r.invalid("", e)
	}
}
