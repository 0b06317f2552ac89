package config

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"tend/internal/errs"
)

// document is a configuration file, read and taken apart but not resolved.
type document struct {
	where    string // as the user wrote the path
	path     string // absolute; empty where the text is from no file
	format   format
	text     []byte
	apps     []Fields
	include  []string // patterns of files that hold more apps
	included []*document
	deploy   map[string]any
	warnings []string
}

// topLevel are the keys of a document that is more than one app.
var topLevel = []string{"apps", "pm2", "deploy", "static", "include"} //nolint:gochecknoglobals // a table, never written

// schemaKey names the JSON Schema of a document to an editor, and means
// nothing else.
const schemaKey = "$schema"

var errNoApp = errors.New("it describes no app")

const hintApps = `add the key "apps" with a list of apps`

// newDocument finds the apps in v: under "apps", under "pm2", in a list, or v
// as the only app.
func newDocument(where string, v any) (*document, error) {
	d := &document{where: where}
	apps := v
	if top, ok := v.(map[string]any); ok {
		delete(top, schemaKey)
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
		if known("static") {
			d.warnings = append(d.warnings, "static servers are not started: tend has none yet")
		}
		var err error
		if known("include") && filepath.Base(where) != "package.json" {
			if d.include, err = asTexts(top["include"]); err != nil {
				return nil, d.refuse(errs.Invalid, `as in: "include": ["apps.d/*.json"]`, fmt.Errorf("include: %w", err))
			}
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

// open reads the files that the document includes. They stand beside it, and
// include nothing themselves: who reads the one file knows of all.
func (d *document) open(ctx context.Context, c Context) error {
	dir := c.Cwd
	if d.path != "" {
		dir = filepath.Dir(d.path)
	}
	seen := map[string]bool{d.path: true}
	for _, pattern := range d.include {
		paths, err := filepath.Glob(c.path(pattern, dir))
		if err != nil {
			return d.refuse(errs.Invalid, "", fmt.Errorf("include %q: %w", pattern, err))
		}
		if len(paths) == 0 {
			d.warnings = append(d.warnings, fmt.Sprintf("include: no file matches %q", pattern))
		}
		for _, path := range paths {
			if seen[path] {
				continue
			}
			seen[path] = true
			in, err := readOne(ctx, c, path)
			if err != nil {
				return err
			}
			if len(in.include) > 0 {
				return in.refuse(errs.Invalid, "include it in "+d.where, errors.New("a file that is included cannot include others"))
			}
			d.included = append(d.included, in)
		}
	}
	return nil
}

func (d *document) refuse(kind errs.Kind, hint string, err error) error {
	return &errs.Error{Op: "read", On: d.where, Kind: kind, Err: err, Hint: hint}
}

// An entry is one app of a document, and where it stands.
type entry struct {
	doc    *document
	at     int // its number among the apps of doc
	fields Fields
}

// entries are the apps of the document and of those that it includes.
func (d *document) entries() []entry {
	var all []entry
	for _, doc := range append([]*document{d}, d.included...) {
		for i, f := range doc.apps {
			all = append(all, entry{doc, i, f})
		}
	}
	return all
}

func (d *document) names(o Options) []string {
	entries := d.entries()
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if n := nameOf(e.fields, o); n != "" {
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

// result is what the document holds; an error is all that is wrong with it.
func (d *document) result(c Context, o Options) (Result, error) {
	r, faults, notes, err := d.resolve(c, o)
	if err == nil {
		err = faults.err(d.where)
	}
	r.Warnings = notes.texts() // the same environment is missing in each app, and is told once
	return r, err
}

// resolve makes Specs of the apps. What is wrong with single apps is in the
// faults, what their author should know in the notes, and what is wrong with the
// whole is the error.
func (d *document) resolve(c Context, o Options) (r Result, faults, notes faults, err error) {
	r = Result{Names: d.names(o), File: d.path}
	for _, doc := range append([]*document{d}, d.included...) {
		for _, w := range doc.warnings {
			notes = append(notes, fault{where: doc.where, err: errors.New(w)})
		}
	}
	entries := d.entries()
	if len(entries) == 0 {
		return r, nil, notes, d.refuse(errs.Invalid, hintApps, errNoApp)
	}
	if err := d.missing(d.names(Options{}), o.Only); err != nil {
		return r, nil, notes, err
	}
	if o.EnvName != "" {
		o.deployEnv = d.envOfDeploy(o.EnvName, &faults)
	}
	looked := 0
	for i, e := range entries {
		if len(o.Only) > 0 && !slices.Contains(o.Only, nameOf(e.fields, Options{})) {
			continue
		}
		res := newResolver(c, e.doc.where, o)
		res.label = fmt.Sprintf("app %d", i+1)
		res.entry = e
		res.draft.spec.File, res.draft.spec.FileEnv = d.path, o.EnvName
		spec := res.resolve(e.fields)
		if len(res.faults) == 0 {
			r.Apps = append(r.Apps, spec)
		}
		faults = append(faults, res.faults...)
		notes = append(notes, res.notes...)
		looked++
	}
	return r, faults, withNames(notes, looked), nil
}

func (d *document) envOfDeploy(name string, faults *faults) variables {
	target, _ := d.deploy[name].(map[string]any)
	env, err := asEnv(target["env"])
	if err != nil {
		*faults = append(*faults, fault{where: d.where, kind: errs.Invalid, err: fmt.Errorf("deploy.%s.env: %w", name, err)})
	}
	return env
}
