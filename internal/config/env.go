package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/joho/godotenv"

	"tend/api"
	"tend/internal/errs"
)

// A variable is what an app says of one: its text, or where its secret is found.
type variable struct {
	text   string
	secret *api.Secret
}

type variables map[string]variable

// asEnv reads variables. Objects and lists become JSON, as in PM2, but for one
// that refers to a secret; null leaves a variable out.
func asEnv(v any) (variables, error) {
	if v == nil || v == "" {
		return nil, nil
	}
	object, err := asObject(v)
	if err != nil {
		return nil, wants("an object of variables", v)
	}
	env := make(variables, len(object))
	var bad []error
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if object[name] == nil {
			continue
		}
		one, err := asVariable(object[name])
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", name, err))
		}
		env[name] = one
	}
	return env, errors.Join(bad...)
}

func asVariable(v any) (variable, error) {
	secret, err := asSecret(v)
	if err != nil || secret != nil {
		return variable{secret: secret}, err
	}
	if text, ok := v.(string); ok {
		return variable{text: text}, nil
	}
	text, err := stringified(v)
	return variable{text: text}, err
}

const (
	// secretField is the one field of an object that refers to a secret.
	secretField = "from"
	// secretPrefix makes a reference of a text, where there are no objects. A bare
	// "file:" would not do: DATABASE_URL="file:./dev.db" means what it says.
	secretPrefix = "secret:"
)

// scheme is what a reference begins with, whether we know it or not.
var scheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:`)

// asSecret is the reference that v makes, nil where it makes none.
func asSecret(v any) (*api.Secret, error) {
	switch v := v.(type) {
	case string:
		if text, ok := strings.CutPrefix(v, secretPrefix); ok && known(text) {
			return reference(text)
		}
	case map[string]any:
		if text, ok := v[secretField].(string); ok && len(v) == 1 && scheme.MatchString(text) {
			return reference(text)
		}
	}
	return nil, nil
}

// known tells whether text begins as a reference does.
func known(text string) bool {
	return strings.HasPrefix(text, "file:") || strings.HasPrefix(text, "env:") || strings.HasPrefix(text, "cmd:")
}

// reference reads file:PATH, env:NAME or cmd:COMMAND.
func reference(text string) (*api.Secret, error) {
	kind, rest, _ := strings.Cut(text, ":")
	rest = strings.TrimSpace(rest)
	switch {
	case !known(text):
		return nil, fmt.Errorf("want file:PATH, env:NAME or cmd:COMMAND behind %q, got %q", secretField, text)
	case rest == "":
		return nil, fmt.Errorf("%q says nothing behind the colon", text)
	case kind == "file":
		return &api.Secret{File: rest}, nil
	case kind == "env":
		return &api.Secret{Env: rest}, nil
	}
	return &api.Secret{Cmd: words(rest)}, nil
}

// without is the note that an app has nothing for the environment that was
// asked for.
type without struct{ env, app string }

// Error is in PM2's words, which do not say whom they are about.
func (w without) Error() string {
	return fmt.Sprintf("Environment [%s] is not defined in process file", w.env)
}

// withNames says in the notes on so many apps which have nothing for the
// environment, where others have.
func withNames(notes faults, apps int) faults {
	var names []string
	var last without
	rest := slices.DeleteFunc(slices.Clone(notes), func(f fault) bool {
		w, ok := errors.AsType[without](f.err)
		if ok {
			last, names = w, append(names, w.app)
		}
		return ok
	})
	if len(names) == 0 || len(names) == apps {
		return notes
	}
	return append(rest, fault{err: fmt.Errorf("%w for %s", last, strings.Join(names, ", "))})
}

// resolveEnv merges what the app says of its variables, low to high.
func (r *resolver) resolveEnv() {
	d, env := &r.draft, variables{}
	for _, path := range d.envFiles {
		maps.Copy(env, r.envFile(path))
	}
	maps.Copy(env, r.o.deployEnv)
	maps.Copy(env, d.env)
	if name := r.o.EnvName; name != "" {
		chosen, ok := d.envs[name]
		if !ok {
			r.notes = append(r.notes, fault{err: without{name, strings.TrimPrefix(r.label, "app ")}})
		}
		maps.Copy(env, chosen)
	}
	if d.port != "" {
		env["PORT"] = variable{text: d.port}
	}
	if io, ok := d.spec.Extra["io"]; ok {
		if text, err := stringified(io); err == nil {
			env["io"] = variable{text: text} // where PM2's agent in the app looks for it
		}
	}
	d.spec.Env = map[string]string{}
	for name, v := range env {
		if v.secret == nil {
			d.spec.Env[name] = v.text
			continue
		}
		if d.spec.Secrets == nil {
			d.spec.Secrets = map[string]api.Secret{}
		}
		d.spec.Secrets[name] = r.located(name, *v.secret)
	}
}

// located is a reference without anything that depends on where the client is.
// Whether there is a secret is seen at each start: the client may not be
// allowed to look.
func (r *resolver) located(name string, s api.Secret) api.Secret {
	switch {
	case s.File != "":
		s.File = r.c.path(s.File, r.draft.spec.Cwd)
	case len(s.Cmd) > 0:
		path, err := r.program(s.Cmd[0])
		if err != nil {
			r.fault(errs.Invalid, "name a program that is in PATH, or its path; there is no shell: for one, write sh -c \"…\"",
				"env: %s: program %s: %w", name, s.Cmd[0], err)
		}
		s.Cmd = append([]string{path}, s.Cmd[1:]...)
	}
	return s
}

// program is the absolute path of what is run.
func (r *resolver) program(written string) (string, error) {
	if !strings.Contains(written, "/") {
		return lookPath(r.c, written)
	}
	path := r.c.path(written, r.draft.spec.Cwd)
	return path, runnable(path)
}

// envFile reads the variables of a .env file. What is wrong is said without a
// word of what the file holds.
func (r *resolver) envFile(written string) variables {
	const hint = "env_file is looked for from the directory of the app (cwd); write the file, or take env_file away"
	path := r.c.path(written, r.draft.spec.Cwd)
	text, err := readText(path)
	if err != nil {
		r.fault(errs.Invalid, hint, "env_file: read %s: %w", path, err)
		return nil
	}
	env, err := parseEnvFile(text)
	for _, e := range each(err) {
		r.fault(errs.Invalid, `each line is NAME=value, a comment or empty; a value of several lines stands in quotes`,
			"env_file: %s: %w", path, e)
	}
	return env
}

var errEnvLine = errors.New("a line is no NAME=value")

func parseEnvFile(text []byte) (variables, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	parsed, err := godotenv.UnmarshalBytes(text)
	if err != nil { // it quotes the file, which is full of secrets
		return nil, wrongLine(text)
	}
	env := make(variables, len(parsed))
	var bad []error
	for _, name := range slices.Sorted(maps.Keys(parsed)) {
		if env[name], err = asVariable(parsed[name]); err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", name, err))
		}
	}
	return env, errors.Join(bad...)
}

// wrongLine says where the first statement stands that cannot be read: behind
// the longest beginning of the file that can.
func wrongLine(text []byte) error {
	const most = 1000 // lines, for each costs a reading
	lines := bytes.SplitAfter(text, []byte("\n"))
	if len(lines) > most {
		return errEnvLine
	}
	for n := range slices.Backward(lines) {
		if _, err := godotenv.UnmarshalBytes(bytes.Join(lines[:n], nil)); err == nil {
			return fmt.Errorf("line %d is no NAME=value", n+1)
		}
	}
	return errEnvLine
}
