// Package config turns what a user types or writes into a file into complete
// api.Spec values: it knows PM2's fields and file formats, evaluates
// JavaScript, finds scripts and interpreters, and says all that is wrong at
// once. It reads the machine of the client (files, PATH, accounts) and changes
// nothing there; it never talks to the daemon.
//
// This is the only package that knows PM2's names of fields, and the only one
// that links a JavaScript engine, a bundler, YAML and TOML.
package config

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"tend/api"
	"tend/internal/errs"
)

// evalLimit is how long a configuration file may compute.
const evalLimit = 10 * time.Second

// Context is where the client stands.
type Context struct {
	Cwd      string            // absolute
	Env      map[string]string // the client's environment: PATH, NVM_DIR and PM2's settings are read from here
	Home     string            // the user's home directory, for ~
	Username string            // who asks
	UID      int
	CPUs     int
	// Rotation is that of the home, for what an app's log_rotate leaves out.
	Rotation api.Rotation
	NoNode   bool // evaluate JavaScript with the embedded engine even where node is there

	limit time.Duration // in place of evalLimit; tests are quick
}

// Fields is one app object as PM2 names its fields: {"script": "app.js",
// "kill_timeout": 3000}. Values are what a JSON document can hold, in any Go
// type that marshals to it.
type Fields map[string]any

// Options is what the command line adds to the apps of a file. UID and GID
// are a number or a name; nil leaves them to the app.
type Options struct {
	EnvName   string   // --env: merge env_<EnvName> over env
	Only      []string // names of the apps to resolve; empty means all
	Cwd       string   // wins over the app's own
	Namespace string   // for apps that name none
	UID, GID  any

	deployEnv variables // the variables of deploy.<EnvName>, below those of the app
}

// Result is what a file holds.
type Result struct {
	Apps     []api.Spec
	Warnings []string
	Names    []string // of all apps in the file, also those that Only leaves out
}

// scriptSuffixes are the endings of JavaScript and TypeScript files.
var scriptSuffixes = []string{".js", ".cjs", ".mjs", ".ts", ".cts", ".mts"} //nolint:gochecknoglobals // a table, never written

// IsFile tells whether what the user typed names a configuration file: by
// its ending, so that my.json.backup is none. JavaScript is configuration only
// as *.config.js or ecosystem.js; every other .js is a script.
func IsFile(target string) bool {
	return formatOf(target) != unknownFormat
}

// Load reads the configuration file at path, relative to c.Cwd, and resolves
// its apps. With an error, Result still holds the names and those apps that
// have no fault.
func Load(ctx context.Context, c Context, path string, o Options) (Result, error) {
	doc, err := read(ctx, c, path)
	if err != nil {
		return Result{}, err
	}
	r, err := doc.resolve(c, o)
	for i := range r.Apps {
		r.Apps[i].File, r.Apps[i].FileEnv = c.path(path, c.Cwd), o.EnvName
	}
	return r, err
}

// Parse is Load for text that was read already. Its name tells the format as
// a path does; "-" is standard input and holds JSON or a JavaScript object. A
// script needs its file: it is not parsed.
func Parse(ctx context.Context, c Context, name string, text []byte, o Options) (Result, error) {
	where, format := name, formatOf(name)
	if name == "-" {
		where, format = "standard input", jsonFormat
	}
	if format == scriptFormat {
		format = unknownFormat
	}
	doc, err := parse(ctx, c, where, format, text)
	if err != nil {
		return Result{}, err
	}
	return doc.resolve(c, o)
}

// Names are the names of the apps in the file at path, those in only where it
// is not empty. Nothing else of an app is looked at: a file must be good for
// stop and delete when its scripts are gone.
func Names(ctx context.Context, c Context, path string, only []string) ([]string, error) {
	doc, err := read(ctx, c, path)
	if err != nil {
		return nil, err
	}
	names := doc.names(Options{})
	if len(only) == 0 {
		return names, nil
	}
	if err := doc.missing(names, only); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(names, func(n string) bool { return !slices.Contains(only, n) }), nil
}

// document is a configuration file, read and taken apart but not resolved.
type document struct {
	where    string // as the user wrote the path
	apps     []Fields
	deploy   map[string]any
	warnings []string
}

// topLevel are the keys of a document that is more than one app.
var topLevel = []string{"apps", "pm2", "deploy", "static"} //nolint:gochecknoglobals // a table, never written

var errNoApp = errors.New("it describes no app")

const hintApps = `add the key "apps" with a list of apps`

// newDocument finds the apps in v: under "apps", under "pm2", in a list, or v
// as the only app.
func newDocument(where string, v any) (*document, error) {
	d := &document{where: where}
	apps := v
	if top, ok := v.(map[string]any); ok {
		known := func(key string) bool { return top[key] != nil }
		switch {
		case known("apps"):
			apps = top["apps"]
		case known("pm2"):
			apps = top["pm2"]
		case len(top) == 0 || slices.ContainsFunc(topLevel, known):
			apps = nil // deploy or static alone
		case filepath.Base(where) == "package.json":
			return nil, d.refuse(errs.Invalid, hintApps, errNoApp)
		}
		if _, ok := top["static"]; ok {
			d.warnings = append(d.warnings, where+": static is not supported yet")
		}
		d.deploy, _ = top["deploy"].(map[string]any)
	}
	switch apps := apps.(type) {
	case nil:
	case map[string]any:
		d.apps = []Fields{apps}
	case []any:
		for i, a := range apps {
			fields, ok := a.(map[string]any)
			if !ok {
				return nil, d.refuse(errs.Invalid, "", fmt.Errorf("app %d: want an object, got %s", i+1, show(a)))
			}
			d.apps = append(d.apps, fields)
		}
	default:
		return nil, d.refuse(errs.Invalid, "", fmt.Errorf("want an object or a list of apps, got %s", show(apps)))
	}
	return d, nil
}

func (d *document) refuse(kind errs.Kind, hint string, err error) error {
	return &errs.Error{Op: "read", On: d.where, Kind: kind, Err: err, Hint: hint}
}

func (d *document) names(o Options) []string {
	names := make([]string, 0, len(d.apps))
	for _, f := range d.apps {
		if n := nameOf(f, o); n != "" {
			names = append(names, n)
		}
	}
	return names
}

// missing says which names in only no app has.
func (d *document) missing(names, only []string) error {
	for _, n := range only {
		if !slices.Contains(names, n) {
			return d.refuse(errs.NotFound, "it has: "+strings.Join(names, ", "), fmt.Errorf("no app is called %q", n))
		}
	}
	return nil
}

func (d *document) resolve(c Context, o Options) (Result, error) {
	r := Result{Warnings: d.warnings, Names: d.names(o)}
	if len(d.apps) == 0 {
		return r, d.refuse(errs.Invalid, hintApps, errNoApp)
	}
	plain := d.names(Options{})
	if err := d.missing(plain, o.Only); err != nil {
		return r, err
	}
	var faults faults
	if o.EnvName != "" {
		o.deployEnv = d.envOfDeploy(o.EnvName, &faults)
	}
	for i, f := range d.apps {
		if len(o.Only) > 0 && !slices.Contains(o.Only, nameOf(f, Options{})) {
			continue
		}
		res := newResolver(c, d.where, o)
		res.label = fmt.Sprintf("app %d", i+1)
		spec := res.resolve(f)
		if len(res.faults) == 0 {
			r.Apps = append(r.Apps, spec)
		}
		faults = append(faults, res.faults...)
		for _, w := range res.warnings {
			// The same environment is missing in each app, and is told once.
			if !slices.Contains(r.Warnings, w) {
				r.Warnings = append(r.Warnings, w)
			}
		}
	}
	return r, faults.err(d.where)
}

func (d *document) envOfDeploy(name string, faults *faults) variables {
	target, _ := d.deploy[name].(map[string]any)
	env, err := asEnv(target["env"])
	if err != nil {
		faults.add(d.where, errs.Invalid, "", fmt.Errorf("deploy.%s.env: %w", name, err))
	}
	return env
}

// envField matches the fields that add variables for one --env.
var envField = regexp.MustCompile(`^env_\S+$`)

// Resolve makes one complete, validated Spec of raw fields, and says what a
// person should know of it. where names the origin in errors: a file, or
// "command line".
func Resolve(c Context, where string, f Fields, o Options) (api.Spec, []string, error) {
	r := newResolver(c, where, o)
	// Values of any Go type become those that a document holds.
	f = maps.Clone(f)
	for k, v := range f {
		f[k] = plain(v)
	}
	spec := r.resolve(f)
	if err := r.faults.err(where); err != nil {
		return api.Spec{}, r.warnings, err
	}
	return spec, r.warnings, nil
}
