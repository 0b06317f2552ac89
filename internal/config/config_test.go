package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/errs"
)

func TestIsFile(t *testing.T) {
	for target, want := range map[string]bool{
		"ecosystem.json": true, "a/b.yml": true, "b.yaml": true, "c.toml": true, "d.json5": true,
		"x.config.js": true, "x.config.cjs": true, "x.config.mjs": true, "x.config.ts": true, "X.CONFIG.JS": true,
		"ecosystem.js": true, "dir/ecosystem.ts": true, "package.json": true,
		"app.js": false, "app.ts": false, "config.js": false, "my.json.backup": false, "conf.ymlx": false,
		"my.config.js.map": false, "json": false, "all": false, "-": false, "": false, "x.config": false,
		"not-ecosystem.js": false,
	} {
		if got := IsFile(target); got != want {
			t.Errorf("IsFile(%q) = %v, want %v", target, got, want)
		}
	}
}

// Each format says the same app.
func TestLoadFormats(t *testing.T) {
	const ts = `import base from './base'
enum Mode { Fork = 'fork' }
export default { apps: [{ ...base, exec_mode: Mode.Fork }] } satisfies object`
	const app = `{ name: 'api', script: "app.js", args: ['a b', 1], kill_timeout: '3s', // comment
	'env': { N: 1.50, B: true, O: { x: [1] }, Z: null }, exec_mode: 'fork', }`
	const loose = "{ apps: [" + app + ", ],\n}"
	files := map[string]string{
		"app.js": "",
		"strict.json": `{"apps": [{"name": "api", "script": "app.js", "args": ["a b", 1], "kill_timeout": 3000,
			"env": {"N": 1.50, "B": true, "O": {"x": [1]}, "Z": null}, "exec_mode": "fork"}]}`,
		"loose.json":  loose + " // end",
		"loose.json5": "\ufeff" + loose,
		"a.yaml": `
base: &base {name: api, script: app.js}
apps:
  - <<: *base
    args: [a b, 1]
    kill_timeout: 3s
    env: {N: 1.50, B: true, O: {x: [1]}, Z: }
    exec_mode: fork`,
		"a.toml": `
[[apps]]
name = "api"
script = "app.js"
args = ["a b", 1]
kill_timeout = 3_000
exec_mode = "fork"
[apps.env]
N = 1.50
B = true
O = {x = [1]}`,
		"base.js":          "module.exports = " + app,
		"cjs.config.js":    `console.log('noise'); module.exports = { apps: [require('./base')] }`,
		"cjs.config.cjs":   `exports.apps = [{ ...require('./base.js') }]`,
		"esm.config.mjs":   "import base from './base.js'\nexport default { apps: [base] }",
		"named.config.mjs": "import base from './base.js'\nexport const apps = [base]",
		"old.config.js":    "import base from './base.js'\nexport default { apps: base }",
		"call.config.js":   `module.exports = () => ({ pm2: [require('./base')] })`,
		"async.config.mjs": "import base from './base.js'\nexport default async () => { await null; return [base] }",
		"promise.config.js": `const base = require('./base')
module.exports = Promise.resolve(base)`,
		"typed.config.ts": ts,
		"ecosystem.ts":    ts,
		"babel.config.js": `exports.__esModule = true; exports.default = require('./base')`,
	}
	for name := range files {
		if !IsFile(name) {
			continue
		}
		for _, noNode := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, without node %v", name, noNode), func(t *testing.T) {
				c := world(t, files)
				if !noNode && formatOf(name) == scriptFormat {
					c = withNode(t, c)
				}
				c.NoNode = noNode
				got, err := Load(t.Context(), c, name, Options{})
				if err != nil {
					t.Fatal(err)
				}
				want, _, err := Resolve(c, name, Fields{
					"name": "api", "script": "app.js", "args": []string{"a b", "1"}, "kill_timeout": 3000, "exec_mode": "fork",
					"env": map[string]string{"N": "1.5", "B": "true", "O": `{"x":[1]}`},
				}, Options{})
				if err != nil {
					t.Fatal(err)
				}
				want.File = filepath.Join(c.Cwd, name)
				if diff := cmp.Diff(got, Result{Apps: []api.Spec{want}, Names: []string{"api"}, File: want.File}); diff != "" {
					t.Errorf("got - want +\n%s", diff)
				}
			})
		}
	}
}

func TestLoadFaultsOfAFile(t *testing.T) {
	for name, tt := range map[string]struct {
		file, text string
		kind       errs.Kind
		say        []string
	}{
		"a file that is not there":        {"no.json", "", errs.NotFound, []string{"read no.json", "no such file"}},
		"a name that is no configuration": {"app.js", "", errs.Invalid, []string{"app.js", ".config.js"}},
		"a directory":                     {"dir.json/x", "", errs.Invalid, []string{"dir.json", "directory"}},
		"two documents in YAML":           {"a.yaml", "script: a\n---\nscript: b\n", errs.Invalid, []string{"a.yaml", "line 2, column 1", "a second document"}},
		"an empty YAML":                   {"a.yaml", "# nothing\n", errs.Invalid, []string{"it describes no app"}},
		"functions without end":           {"a.json", strings.Repeat("a=>", 100_000), errs.Invalid, []string{"nested deeper"}},
		"a fault in YAML":                 {"a.yaml", "apps:\n - script: a\n  x: 1\n", errs.Invalid, []string{"a.yaml", "line 3, column 3"}},
		"a fault in TOML":                 {"a.toml", "[[apps]]\nscript = app.js\n", errs.Invalid, []string{"a.toml", "line 2, column 10"}},
		"a fault in JSON":                 {"a.json", "{\n\"apps\": [}\n", errs.Invalid, []string{"a.json", "line 2, column 10"}},
		"JSON that is cut off":            {"a.json", `{"apps": [{"script": "app.js"}`, errs.Invalid, []string{"ends too early"}},
		"an expression that throws":       {"a.json", "{apps: nosuch}", errs.Invalid, []string{"nosuch is not defined"}},
		"an expression without a value":   {"a.json", "undefined", errs.Invalid, []string{"exports nothing"}},
		"an expression cannot require":    {"a.json", "require('fs')", errs.Invalid, []string{"require is not defined"}},
		"brackets without end":            {"a.json", strings.Repeat("[{a:", 5000), errs.Invalid, []string{"nested deeper"}},
		"an empty file":                   {"a.json", "", errs.Invalid, []string{"ends too early"}},
		"an empty object":                 {"a.json", "{}", errs.Invalid, []string{"describes no app"}},
		"only a deployment":               {"a.json", `{"deploy": {}}`, errs.Invalid, []string{"describes no app", "apps"}},
		"a package without apps":          {"package.json", `{"name": "x", "version": "1"}`, errs.Invalid, []string{"describes no app", "apps"}},
		"a number":                        {"a.json", "5", errs.Invalid, []string{"want an object or a list of apps, got 5"}},
		"an app that is a number":         {"a.json", "[{}, 5]", errs.Invalid, []string{"app 2: want an object, got 5"}},
		"apps that are a text":            {"a.json", `{"apps": "x"}`, errs.Invalid, []string{`got "x"`}},
		"a file that is too large":        {"a.json", strings.Repeat(" ", maxText+1), errs.Invalid, []string{"larger than 4 MiB"}},
		"an expression that is too large": {"a.json", "{}//" + strings.Repeat(" ", maxExpression), errs.Invalid, []string{"not strict JSON", "512 KiB"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t, nil)
			if tt.kind != errs.NotFound {
				write(t, filepath.Join(c.Cwd, tt.file), tt.text, 0o644)
			}
			_, err := Load(t.Context(), c, strings.TrimSuffix(tt.file, "/x"), Options{})
			wantError(t, err, tt.kind, tt.say...)
		})
	}
}

func TestLoadDoesNotWaitAtAFifo(t *testing.T) {
	c := world(t, nil)
	if err := syscall.Mkfifo(filepath.Join(c.Cwd, "a.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(t.Context(), c, "a.json", Options{})
	wantError(t, err, errs.Invalid, "not a regular file")
}

func TestLoadTellsAllFaultsAtOnce(t *testing.T) {
	c := world(t, map[string]string{"app.js": "", "a.json": `[
		{"name": "api", "script": "app.js", "max_memory_restat": 1, "kill_timeout": "soon"},
		{"name": "good", "script": "app.js"},
		{"script": "gone.js", "instances": "abc"},
		{"watch": 5}]`})
	got, err := Load(t.Context(), c, "a.json", Options{})
	wantError(t, err, errs.Invalid,
		"check a.json: 6 faults",
		`app api: unknown field "max_memory_restat" (did you mean "max_memory_restart"?)`,
		`app api: kill_timeout: "soon" is not a duration`,
		`app gone: instances: want a whole number or "max", got "abc"`,
		"app gone: script not found: "+filepath.Join(c.Cwd, "gone.js"),
		"app 4: watch: want true, false, a path or a list of paths, got 5",
	)
	if diff := cmp.Diff(got.Names, []string{"api", "good", "gone"}); diff != "" {
		t.Errorf("names: got - want +\n%s", diff)
	}
	if len(got.Apps) != 1 || got.Apps[0].Name != "good" {
		t.Errorf("got apps %v, want the one without fault", got.Apps)
	}
}

func TestOneFaultIsItself(t *testing.T) {
	c := world(t, map[string]string{"a.json": `{"name": "api", "script": "gone.js"}`})
	_, err := Load(t.Context(), c, "a.json", Options{})
	wantError(t, err, errs.NotFound, "check a.json: app api: script not found", "neither in "+c.Cwd)
}

func TestLoadOnly(t *testing.T) {
	c := world(t, map[string]string{"app.js": "", "a.json": `[{"name": "a", "script": "app.js"}, {"name": "b", "script": "gone"}, {"script": "app.js"}]`})
	got, err := Load(t.Context(), c, "a.json", Options{Only: []string{"a", "app"}})
	if err != nil {
		t.Fatalf("the app that was not asked for is in the way: %v", err)
	}
	if len(got.Apps) != 2 || got.Apps[0].Name != "a" || got.Apps[1].Name != "app" {
		t.Errorf("got %v, want a and app", got.Apps)
	}
	if diff := cmp.Diff(got.Names, []string{"a", "b", "app"}); diff != "" {
		t.Errorf("names: got - want +\n%s", diff)
	}
	_, err = Load(t.Context(), c, "a.json", Options{Only: []string{"a", "c"}})
	wantError(t, err, errs.NotFound, `no app is called "c"`, "it has: a, b, app")
}

func TestNamesNeedNoScript(t *testing.T) {
	c := world(t, map[string]string{"a.yaml": "apps:\n- script: gone/b.c.js\n- {name: 5, script: x, nosuch: 1}\n- script: node x.js --y.z\n- {script: s.py, name_prefix: mod}\n"})
	got, err := Names(t.Context(), c, "a.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, []string{"b.c", "5", "node x.js --y", "mod:s"}); diff != "" {
		t.Errorf("got - want +\n%s", diff)
	}
	got, err = Names(t.Context(), c, "a.yaml", []string{"5"})
	if err != nil || !cmp.Equal(got, []string{"5"}) {
		t.Errorf("got %v, %v, want 5 alone", got, err)
	}
	_, err = Names(t.Context(), c, "a.yaml", []string{"6"})
	wantError(t, err, errs.NotFound, `"6"`)
}

func TestTopLevel(t *testing.T) {
	for name, tt := range map[string]struct {
		file, text string
		names      []string
		warnings   []string
	}{
		"a list of apps":             {"a.json", `{"apps": [{"script": "a.js"}, {"script": "b.js"}]}`, []string{"a", "b"}, nil},
		"one app under apps":         {"a.json", `{"apps": {"script": "a.js"}}`, []string{"a"}, nil},
		"PM2's older key":            {"a.json", `{"pm2": [{"script": "a.js"}]}`, []string{"a"}, nil},
		"apps before pm2":            {"a.json", `{"pm2": [{"script": "a.js"}], "apps": [{"script": "b.js"}]}`, []string{"b"}, nil},
		"the list itself":            {"a.json", `[{"script": "a.js"}]`, []string{"a"}, nil},
		"the app itself":             {"a.json", `{"script": "a.js"}`, []string{"a"}, nil},
		"a package with apps":        {"package.json", `{"name": "x", "version": "1", "apps": [{"script": "a.js"}]}`, []string{"a"}, nil},
		"apps beside a deployment":   {"a.json", `{"apps": [{"script": "a.js"}], "deploy": {"x": {}}}`, []string{"a"}, nil},
		"static servers are told of": {"a.json", `{"apps": [{"script": "a.js"}], "static": [{}]}`, []string{"a"}, []string{"a.json: static servers are not started: tend has none yet"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t, map[string]string{"a.js": "", "b.js": "", tt.file: tt.text})
			got, err := Load(t.Context(), c, tt.file, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([][]string{got.Names, got.Warnings}, [][]string{tt.names, tt.warnings}); diff != "" {
				t.Errorf("got - want +\n%s", diff)
			}
		})
	}
}

func TestParse(t *testing.T) {
	c := world(t, map[string]string{"app.js": ""})
	for name, text := range map[string]string{"-": "{script: 'app.js'}", "x.yaml": "script: app.js", "x.toml": "script = 'app.js'"} {
		got, err := Parse(t.Context(), c, name, []byte(text), Options{})
		if err != nil || len(got.Apps) != 1 || got.Apps[0].Name != "app" {
			t.Errorf("%s: got %v, %v, want the one app", name, got.Apps, err)
		}
	}
	_, err := Parse(t.Context(), c, "-", []byte("{script: 'gone.js'}"), Options{})
	wantError(t, err, errs.NotFound, "check standard input", "app gone")
	_, err = Parse(t.Context(), c, "x.config.js", []byte("{}"), Options{})
	wantError(t, err, errs.Invalid, "neither JSON nor YAML nor TOML")
}

func TestLargeNumbersStayWhole(t *testing.T) {
	c := world(t, map[string]string{"app.js": ""})
	for name, text := range map[string]string{
		"-":      `{"script": "app.js", "env": {"ID": 9007199254740993}}`,
		"a.yaml": "script: app.js\nenv: {ID: 9007199254740993}",
		"a.toml": "script = 'app.js'\nenv = {ID = 9007199254740993}",
	} {
		got, err := Parse(t.Context(), c, name, []byte(text), Options{})
		if err != nil || got.Apps[0].Env["ID"] != "9007199254740993" {
			t.Errorf("%s: got %v, %v", name, got.Apps, err)
		}
	}
}

// TestNumbersOfYAML: what YAML 1.2 does not take for a number, or for another one
// than 1.1 does, stays as it was written.
func TestNumbersOfYAML(t *testing.T) {
	c := world(t, map[string]string{"app.js": ""})
	text := "script: app.js\numask: 022\nmax_restarts: 010\nenv: {MODE: 0755, ZIP: 01234, BIG: 1_000, HEX: 0x1F, OCTAL: 0o17, HALF: 0.5, ZERO: 0, NO: no, TEXT: '0755', 007: x}"
	got, err := Parse(t.Context(), c, "a.yaml", []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := got.Apps[0]
	want := map[string]string{
		"MODE": "0755", "ZIP": "01234", "BIG": "1_000", "HEX": "31", "OCTAL": "15", "HALF": "0.5", "ZERO": "0", "NO": "no", "TEXT": "0755", "007": "x",
	}
	if diff := cmp.Diff(s.Env, want); diff != "" {
		t.Errorf("got - want +\n%s", diff)
	}
	if *s.Umask != 0o022 || s.MaxRestarts != 10 {
		t.Errorf("got umask %#o and max_restarts %d, want 022 and 10", *s.Umask, s.MaxRestarts)
	}
}

func TestEnvironmentOfADeployment(t *testing.T) {
	c := world(t, map[string]string{"app.js": "", "a.json": `{
		"apps": [{"script": "app.js", "env": {"A": 1, "B": 1, "C": 1}, "env_prod": {"B": 2}}, {"name": "two", "script": "app.js"}, {"name": "three", "script": "app.js"}],
		"deploy": {"prod": {"env": {"A": 0, "D": 0}}}}`})
	got, err := Load(t.Context(), c, "a.json", Options{EnvName: "prod"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got.Apps[0].Env, map[string]string{"A": "1", "B": "2", "C": "1", "D": "0"}); diff != "" {
		t.Errorf("got - want +\n%s", diff)
	}
	if diff := cmp.Diff(got.Warnings, []string{"Environment [prod] is not defined in process file for two, three"}); diff != "" {
		t.Errorf("warnings: got - want +\n%s", diff)
	}
	got, err = Load(t.Context(), c, "a.json", Options{EnvName: "test"})
	if diff := cmp.Diff(got.Warnings, []string{"Environment [test] is not defined in process file"}); err != nil || diff != "" {
		t.Errorf("%v, warnings of what no app has: got - want +\n%s", err, diff)
	}
}

func TestLoadExpandsHome(t *testing.T) {
	c := world(t, map[string]string{"home/a.json": `{"script": "~/app.js"}`, "home/app.js": ""})
	got, err := Load(t.Context(), c, "~/a.json", Options{})
	if err != nil || got.Apps[0].Script != filepath.Join(c.Home, "app.js") {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestLoadUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	c := world(t, nil)
	write(t, filepath.Join(c.Cwd, "a.json"), "{}", 0)
	_, err := Load(t.Context(), c, "a.json", Options{})
	wantError(t, err, errs.Denied, "permission denied")
}
