package config

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var update = flag.Bool("update", false, "rewrite docs/schema.json")

// compiled is the schema as an editor uses it.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("mem:///schema.json", v); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mem:///schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// valid tells what the schema says of a document.
func valid(t *testing.T, s *jsonschema.Schema, doc any) error {
	t.Helper()
	text, err := stringified(doc)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

func TestSchemaIsUpToDate(t *testing.T) {
	const path = "../../docs/schema.json"
	if *update {
		if err := os.WriteFile(path, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(Schema())); diff != "" {
		t.Errorf("docs/schema.json is not what the fields say (`make schema` writes it) (-file +fields):\n%s", diff)
	}
}

func TestEachFieldHasAMeaning(t *testing.T) {
	var names []string
	for _, f := range table {
		names = append(names, f.name)
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(meanings()))); diff != "" {
		t.Errorf("fields without a meaning, and meanings without a field (-field +meaning):\n%s", diff)
	}
	for name, m := range meanings() {
		if m.text == "" || strings.HasSuffix(m.text, ".") || strings.Contains(m.text, "\n") {
			t.Errorf("%s: want one line that says what it is for, got %q", name, m.text)
		}
	}
}

// values are what a field may hold, of each kind.
var values = []any{
	true, false, "true", "false", int64(0), int64(1), int64(-1), int64(80), int64(70000), 1.5, -2.5, 1e12,
	"", "x", "a b", "5", "0", "-1", " 7 ", "1e3", "0x10", "max", "fork", "cluster_mode", "rr", "shared", "json", "raw", "SIGTERM", "USR2", "12",
	"3s", "200M", "1.5h", "2 d", "10kb", "* * * * *", "@daily", "gzip", "none", "all", "7d", "YYYY-MM-DD", "inf", "1_000",
	[]any{},
	[]any{"a", "b"},
	[]any{int64(1), "2"},
	[]any{true},
	[]any{[]any{}},
	[]any{map[string]any{}},
	map[string]any{},
	map[string]any{"a": int64(1)},
	map[string]any{"max_size": "10M"},
	map[string]any{"retain": "all", "maxAge": "7d"},
}

// TestEachFieldIsDocumented: docs/FIELDS.md has each field and each other name of
// it in a row.
func TestEachFieldIsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "FIELDS.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `") {
			rows.WriteString(line)
		}
	}
	for _, f := range table {
		for _, name := range append([]string{f.name}, f.aliases...) {
			if !strings.Contains(rows.String(), "`"+name+"`") {
				t.Errorf("docs/FIELDS.md has no %s", name)
			}
		}
	}
}

// The schema refuses nothing that a field takes; and what it takes and the field
// does not is a matter of what a text says, not of what kind of value it is.
func TestSchemaAgreesWithTheFields(t *testing.T) {
	s := compiled(t)
	for i := range table {
		f := &table[i]
		for _, v := range values {
			d := draft{}
			d.spec.Extra = map[string]any{}
			takes := f.set(&d, f.name, v)
			allows := valid(t, s, map[string]any{"apps": []any{map[string]any{"script": "x", f.name: v}}})
			_, isText := v.(string)
			switch {
			case takes == nil && allows != nil:
				t.Errorf("%s takes %s, which the schema refuses: %v", f.name, show(v), allows)
			case takes != nil && allows == nil && !isText && !excusable(f.name, v):
				t.Errorf("the schema allows %s in %s, which says: %v", show(v), f.name, takes)
			}
		}
	}
}

// excusable are values whose fault is their size, or what a part of them says.
func excusable(field string, v any) bool {
	if _, isList := v.([]any); isList {
		return true
	}
	_, isObject := v.(map[string]any)
	n, isNumber := v.(float64)
	whole, isWhole := v.(int64)
	switch {
	case isObject:
		return field == "env"
	case isNumber:
		return n > 1e9 || strings.HasPrefix(field, "log_") ||
			slices.Contains([]string{"min_uptime", "port", "stop_signal", "cron_restart"}, field)
	case isWhole:
		return slices.Contains([]string{"min_uptime", "port", "stop_signal", "cron_restart", "kill_timeout"}, field) ||
			strings.HasPrefix(field, "log_") || whole > 1000
	}
	return strings.HasPrefix(field, "log_") // true and false are rotations of their own
}

// Documents that load pass the schema, and those with faults that it can see do
// not.
func TestSchemaOfDocuments(t *testing.T) {
	s := compiled(t)
	for doc, fits := range map[string]bool{
		`{"$schema": "./schema.json", "apps": [{"script": "app.js", "env_production": {"A": 1}}]}`:   true,
		`[{"script": "app.js"}, {"cmd": "app.js", "killTimeout": 3000}]`:                             true,
		`{"script": "app.js", "$schema": "x", "max_restarts": null}`:                                 true,
		`{"pm2": {"script": "app.js"}}`:                                                              true,
		`{"apps": [{"script": "app.js"}], "include": "apps.d/*.json", "deploy": {"production": {}}}`: true,
		`{"apps": [{"skript": "app.js"}]}`:                                                           false,
		`{"apps": [{"script": "app.js", "instances": "many"}]}`:                                      false,
		`{"apps": [{"script": "app.js", "autorestart": "yes"}]}`:                                     false,
		`{"apps": [{"script": "app.js", "env": ["A=1"]}]}`:                                           false,
		`{"apps": "app.js"}`:              false,
		`{"app": [{"script": "app.js"}]}`: false,
		`"app.js"`:                        false,
	} {
		t.Run(doc, func(t *testing.T) {
			v, err := decodeJSON([]byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			if err := valid(t, s, v); (err == nil) != fits {
				t.Errorf("the schema says %v, want it to fit: %v", err, fits)
			}
			_, err = Parse(t.Context(), world(t, map[string]string{"app.js": ""}), "a.json", []byte(doc), Options{})
			if (err == nil) != fits && fmt.Sprint(err) != "" {
				t.Errorf("the loader says %v, want it to load: %v", err, fits)
			}
		})
	}
}

// The examples are good ones.
func TestExamplesFitTheSchema(t *testing.T) {
	s := compiled(t)
	paths, err := filepath.Glob("../../examples/*")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, path := range paths {
		if !IsFile(path) {
			continue
		}
		text, err := readText(path)
		if err != nil {
			t.Fatal(err)
		}
		path, err = filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		v, err := decode(t.Context(), withNode(t, world(t, nil)), path, formatOf(path), text)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(t, s, plain(v)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		checked++
	}
	if checked == 0 {
		t.Error("there is no example")
	}
}
