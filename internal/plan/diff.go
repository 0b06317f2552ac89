package plan

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"tend/api"
	"tend/internal/redact"
)

// labels are fields of a Spec that no process sees and no rule heeds: who asked,
// and where it stood. They are taken over without being a change.
var labels = []string{"file", "file_env", "username"} //nolint:gochecknoglobals // a table, never written

// Diff is what differs between two Specs, by field. It compares what would
// travel over the socket, so that what was journalled and read again is the
// same.
func Diff(old, want *api.Spec) []api.Change {
	if reflect.DeepEqual(old, want) {
		return nil
	}
	a, b := fields(old), fields(want)
	var out []api.Change
	for _, name := range names(a, b) {
		if a[name] != b[name] && !slices.Contains(labels, name) {
			out = append(out, change(name, a[name], b[name]))
		}
	}
	return out
}

func same(a, b *api.Spec) bool { return a == b || len(Diff(a, b)) == 0 }

// inherited is what differs between what an app inherited and what it would
// inherit now.
func inherited(old, now map[string]string) []api.Change {
	var out []api.Change
	for _, name := range names(old, now) {
		was, had := old[name]
		is, has := now[name]
		if (was != is || had != has) && !slices.Contains(restless, name) {
			out = append(out, change("inherited."+name, was, is))
		}
	}
	return out
}

// restless are variables that differ from one command line to the next and say
// nothing.
var restless = []string{"_", "OLDPWD", "PWD", "SHLVL"} //nolint:gochecknoglobals // a table, never written

// names are the keys of both, sorted.
func names(a, b map[string]string) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// fields are the fields of a Spec as texts: those of what is inside others as
// "env.PORT".
func fields(s *api.Spec) map[string]string {
	out := map[string]string{}
	text, err := json.Marshal(s)
	if err != nil {
		// Only Extra can hold what JSON cannot say, and then no request held it.
		return map[string]string{"extra": err.Error()}
	}
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	_ = d.Decode(&v) // it was just encoded
	flatten(out, "", v)
	return out
}

func flatten(out map[string]string, prefix string, object map[string]any) {
	for key, v := range object {
		name := prefix + key
		switch v := v.(type) {
		case map[string]any:
			if name == "extra" { // where PM2's fields are that have no other place
				name = ""
			} else {
				name += "."
			}
			flatten(out, name, v)
		case string:
			out[unitless(name)] = v
		case nil:
		default:
			text, _ := json.Marshal(v) // it was just decoded
			out[unitless(name)] = string(text)
		}
	}
}

// Shown are the fields of a Spec as they may be shown, by the name that a
// change of them would have.
func Shown(s *api.Spec) map[string]string {
	out := fields(s)
	for name, text := range out {
		out[name] = redacted(name, text)
	}
	return out
}

// Redacted is a Spec without what looks like a secret in it.
func Redacted(s api.Spec) api.Spec {
	s.Env = maps.Clone(s.Env)
	for name, value := range s.Env {
		s.Env[name] = redact.Variable(name, value)
	}
	for _, list := range []*[]string{&s.Args, &s.InterpreterArgs} {
		if text := strings.Join(*list, " "); redact.Text(text) != text {
			*list = []string{redact.Hidden}
		}
	}
	s.Script = redact.Text(s.Script)
	s.Secrets = maps.Clone(s.Secrets)
	for name, from := range s.Secrets {
		s.Secrets[name] = Reference(from)
	}
	return s
}

// Reference is where a secret is found, without what looks like another: a
// command may be given a token.
func Reference(from api.Secret) api.Secret {
	if len(from.Cmd) > 0 && redact.Value(from.String()) != from.String() {
		return api.Secret{Cmd: []string{from.Cmd[0], redact.Hidden}}
	}
	return from
}

// unitless is the name of a field as a file has it: no unit belongs to it.
func unitless(name string) string {
	if strings.HasPrefix(name, "env.") {
		return name
	}
	name = strings.TrimSuffix(name, "_ms")
	return strings.TrimSuffix(name, "_bytes")
}

// change is a field that differs, fit to be shown.
func change(field, old, now string) api.Change {
	return api.Change{Field: field, Old: short(redacted(field, old)), New: short(redacted(field, now))}
}

// redacted is the value of a field as everybody may see it.
func redacted(field, value string) string {
	if strings.HasPrefix(field, "secrets.") {
		return redact.Value(value)
	}
	if _, variable, nested := strings.Cut(field, "."); nested {
		value = redact.Variable(variable, value)
	}
	return redact.Text(value)
}

func short(text string) string {
	const most = 80
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
