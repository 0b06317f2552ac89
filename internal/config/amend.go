package config

import (
	"maps"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
)

// reset is the text that takes a field back to what it is without, as with PM2.
const reset = "null"

// watchFields are those that are kept in Extra while an app is not watched.
var watchFields = []string{"ignore_watch", "watch_delay", "watch_options"} //nolint:gochecknoglobals // a table, never written

// Amend is an app that is in the list, with the fields that somebody gives for
// it where he stands, in place of its own. Paths are seen from the app's own
// directory, as at its start.
func Amend(c Context, base api.Spec, f Fields, o Options) (api.Spec, []string, error) {
	r := newResolver(c, commandLine, o)
	r.label = "app " + base.Name
	r.amend(base, f)
	if err := r.faults.err(commandLine); err != nil {
		return base, r.notes.texts(), err
	}
	return r.draft.spec, r.notes.texts(), nil
}

// commandLine is where options come from, in errors.
const commandLine = "command line"

func (r *resolver) amend(base api.Spec, given Fields) {
	d, s, fresh := &r.draft, &r.draft.spec, r.draft
	*s = base
	s.Env, s.Extra, s.Limits = maps.Clone(base.Env), maps.Clone(base.Extra), maps.Clone(base.Limits)
	if s.Env == nil {
		s.Env = map[string]string{}
	}
	if s.Extra == nil {
		s.Extra = map[string]any{}
	}
	f := Fields{}
	for key, v := range given {
		known := spellings[key]
		if v == reset && known != nil {
			known.reset(d, &fresh, known.name)
			continue
		}
		f[key] = plain(v)
	}
	if look(f, "instances") != nil {
		r.fault(errs.Invalid, "`tend scale "+base.Name+" N` adds and removes some", "instances: those of an app that is in the list are not changed so")
		delete(f, "instances")
	}
	r.keepWatch(base.Watch, f)
	d.merge = &base.Log.Merge
	d.fill(f, r.invalid)
	if r.o.Cwd != "" {
		r.resolveCwd()
	}
	r.amendInterpreter(&base, f)
	if d.executeCommand {
		s.Mode = api.Fork
	}
	r.resolveRestarts()
	r.resolveAccount()
	r.resolveLog()
	if !d.rotating.given {
		s.Log.Rotation = base.Log.Rotation
	}
	r.resolveWatch()
	r.resolveExtra()
	if len(r.faults) == 0 {
		r.check()
	}
}

// keepWatch has what an app is watched by stand in the draft, and in f, as if it
// was given too.
func (r *resolver) keepWatch(w *api.Watch, f Fields) {
	d := &r.draft
	d.spec.Watch = nil
	if w != nil {
		d.watch = watching{on: true, paths: w.Paths}
		d.ignore, d.watchDelay, d.watchOptions = w.Ignore, w.Delay, w.Options
		return
	}
	for _, name := range watchFields {
		if v, kept := d.spec.Extra[name]; kept && look(f, name) == nil {
			f[name] = plain(v)
		}
		delete(d.spec.Extra, name)
	}
}

// amendInterpreter has another program run the script, or the same with other
// arguments.
func (r *resolver) amendInterpreter(base *api.Spec, f Fields) {
	d, s := &r.draft, &r.draft.spec
	switch {
	case d.interpreter == "" && look(f, "node_args") == nil:
		return
	case app.IsCommandLine(base):
		r.fault(errs.Invalid, "delete it and start it anew", "interpreter: it is a command line, which a shell runs")
	case d.interpreter == none:
		s.Interpreter = ""
		r.runItself()
	case d.interpreter != "":
		s.Interpreter = r.explicit(d.interpreter)
	}
	if s.Interpreter == "" && len(s.InterpreterArgs) > 0 && len(r.faults) == 0 {
		r.warn("node_args are left out: the script runs itself")
		s.InterpreterArgs = nil
	}
}
