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
	"maps"
	"regexp"
	"slices"
	"time"

	"tend/api"
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
	File     string   // the absolute path; empty where the text was no file
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
	return doc.result(c, o)
}

// Parse is Load for text that was read already. Its name tells the format as
// a path does; "-" is standard input and holds JSON or a JavaScript object. A
// script needs its file: it is not parsed.
func Parse(ctx context.Context, c Context, name string, text []byte, o Options) (Result, error) {
	doc, err := given(ctx, c, name, text)
	if err != nil {
		return Result{}, err
	}
	return doc.result(c, o)
}

// given is the document of text that was read already, and of the files that it
// includes.
func given(ctx context.Context, c Context, name string, text []byte) (*document, error) {
	where, format := name, formatOf(name)
	if name == "-" {
		where, format = "standard input", jsonFormat
	}
	if format == scriptFormat {
		format = unknownFormat
	}
	doc, err := parse(ctx, c, where, format, text)
	if err != nil {
		return nil, err
	}
	return doc, doc.open(ctx, c)
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
		return api.Spec{}, r.notes.texts(), err
	}
	return spec, r.notes.texts(), nil
}
