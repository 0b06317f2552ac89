package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/internal/errs"
)

// told is a problem as one line.
func told(p Problem) string {
	kind := "error"
	if p.Warning {
		kind = "warning"
	}
	return fmt.Sprintf("%s:%d:%d %s %s.%s: %s (%s)", p.File, p.Line, p.Column, kind, p.App, p.Field, p.Message, p.Hint)
}

func TestCheckNamesThePlace(t *testing.T) {
	const yaml = `# comment
base: &base
  script: app.js
  kil_timeout: 3
apps:
  - <<: *base
    name: one
  - name: two
    script: app.js
    "min_uptime": 5
    env: {kill_timeout: 1}
  - name: three
`
	const json = `{"$schema": "x", "apps": [
  {"name": "one", "script": "app.js", "env": {"instances": "x"}, "instances": "many"},
  {"name": "two", "nam": "x",
   "script": "nosuch.js"}
]}`
	const toml = `deploy = {}
[[apps]]
name = "one"
script = "app.js"
[apps.env]
kill_timeout = "x"

[[apps]]
name = "two"
script = "app.js"
  kill_timeout = "soon"
exec_mode = "both"
`
	const script = `// apps: [{ name: "no" }]
const common = { script: 'app.js' }
module.exports = {
  apps: [
    { name: 'one', ...common, watch: 5, },
    {
      name: 'two',
      args: "a, b: [c", /* kill_timeout: 1 */
      exec_mode: common ? 'bad' : 'fork',
      ...common,
      killTimeout: -5,
    },
  ],
}
`
	const lenient = "{ apps: [ { script: 'app.js' },\n { cmd: 'nosuch.js', }, ] }"
	for name, tt := range map[string]struct {
		file, text string
		want       []string
	}{
		"YAML, with a field from elsewhere": {"a.yaml", yaml, []string{
			`a.yaml:6:5 error one.kil_timeout: unknown field "kil_timeout" (did you mean "kill_timeout"?)`,
			`a.yaml:10:5 error two.min_uptime: min_uptime: 5 is less than 100, the least that is allowed ()`,
			`a.yaml:12:5 error three.script: script is missing (name the file to run: "script": "app.js")`,
		}},
		"strict JSON": {"a.json", json, []string{
			`a.json:2:66 error one.instances: instances: want a whole number or "max", got "many" ()`,
			`a.json:3:19 error two.nam: unknown field "nam" (did you mean "name"?)`,
			`a.json:4:4 error two.script: script not found: DIR/nosuch.js (it is neither in DIR nor a command in PATH)`,
		}},
		"TOML": {"a.toml", toml, []string{
			`a.toml:12:1 error two.exec_mode: exec_mode: want "fork" or "cluster", got "both" ()`,
			`a.toml:11:3 error two.kill_timeout: kill_timeout: "soon" is not a duration: a number of milliseconds, or one with ms, s, m, h or d like "3s" ()`,
		}},
		"a script": {"ecosystem.js", script, []string{
			`ecosystem.js:5:31 error one.watch: watch: want true, false, a path or a list of paths, got 5 ()`,
			`ecosystem.js:9:7 error two.exec_mode: exec_mode: want "fork" or "cluster", got "bad" ()`,
			`ecosystem.js:11:7 error two.killTimeout: killTimeout: -5 is less than 0, the least that is allowed ()`,
		}},
		"an alias": {"b.json", lenient, []string{
			`b.json:2:4 error nosuch.cmd: script not found: DIR/nosuch.js (it is neither in DIR nor a command in PATH)`,
		}},
		"a fault of the text": {"c.yaml", "apps:\n - script: a\n  x: 1\n", []string{`c.yaml:3:3 error .: `}},
		"a document that is one app": {"d.toml", "script = 'app.js'\nnme = 'x'\n", []string{
			`d.toml:2:1 error app.nme: unknown field "nme" (did you mean "name"?)`,
		}},
		"warnings": {"e.json", `{"apps": {"script": "app.js",
 "balance": "shared"}, "static": []}`, []string{
			`e.json:0:0 warning .: static servers are not started: tend has none yet ()`,
			`e.json:2:2 warning app.balance: balance means nothing in fork mode ()`,
		}},
		"what the rules of an app say": {"g.json", `{"script": "app.js",
 "out_file": "%(here)d.log",
 "increment_var": "A=B",
 "logMaxSize": 10}`, []string{
			`g.json:3:2 error app.increment_var: increment_var: "A=B" cannot be the name of a variable ()`,
			`g.json:2:2 error app.out_file: out_file: %(here)d is no number; write it with an s at its end ()`,
			`g.json:4:2 error app.logMaxSize: log_rotate: max_size: 10 bytes are less than 1K; ten megabytes are "10M" ()`,
		}},
		"the names of files put aside": {"h.json", `{"script": "app.js",
 "log_rotate_date_format": "Y"}`, []string{
			`h.json:2:2 error app.log_rotate_date_format: log_rotate: date_format: "Y" dates a file "2001"; ` +
				`use tokens for numbers, at least year and month: YYYY-MM-DD_HH-mm-ss ()`,
		}},
		"nothing": {"f.json", `[{"script": "app.js"}]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t, map[string]string{"app.js": "", tt.file: tt.text})
			c.NoNode = true
			problems, err := Check(t.Context(), c, tt.file, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range problems {
				got = append(got, strings.ReplaceAll(told(p), c.Cwd, "DIR"))
			}
			if name == "a fault of the text" { // in the words of the parser
				if len(got) != 1 || !strings.HasPrefix(got[0], tt.want[0]) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				return
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

func TestCheckNeedsAFile(t *testing.T) {
	_, err := Check(t.Context(), world(t, nil), "no.json", Options{})
	if errs.KindOf(err) != errs.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestInclude(t *testing.T) {
	c := world(t, map[string]string{
		"app.js": "",
		"a.json": `{"apps": [{"script": "app.js", "name": "a"}], "include": ["apps.d/*.json", "apps.d/*", "none/*.json"]}`,
	})
	for name, text := range map[string]string{"b.json": `{"script": "app.js", "name": "b"}`, "c.yaml": "- {script: app.js, name: c}"} {
		if err := os.MkdirAll(filepath.Join(c.Cwd, "apps.d"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.Cwd, "apps.d", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Load(t.Context(), c, "a.json", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Names, []string{"a", "b", "c"}); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(r.Warnings, []string{`a.json: include: no file matches "none/*.json"`}); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
	for _, s := range r.Apps {
		if s.File != filepath.Join(c.Cwd, "a.json") {
			t.Errorf("app %s is of %q", s.Name, s.File)
		}
	}
	names, err := Names(t.Context(), c, "a.json", []string{"c"})
	if err != nil || len(names) != 1 {
		t.Errorf("got %v, %v", names, err)
	}

	// What is wrong in a file that is included is told of that file.
	bad := filepath.Join(c.Cwd, "apps.d", "bad.json")
	for text, want := range map[string]string{
		`{"script": "app.js", "nme": 1}`: "nme",
		`{"include": "x.json"}`:          "cannot include",
		`{"script": }`:                   "line 1",
	} {
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(t.Context(), c, "a.json", Options{})
		if err == nil || !strings.Contains(err.Error(), bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q of %s", text, err, want, bad)
		}
	}
}
