package app

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"tend/api"
	"tend/internal/home"
)

func TestTemplates(t *testing.T) {
	inherited := map[string]string{"PATH": "/bin", "ZONE": "eu", "SECRET": "x"}
	l := Launch{ID: 7, Index: 2, Instances: 4, Host: "box"}
	for text, want := range map[string]string{
		"":                                 "",
		"--port=80{{instance}}":            "--port=802",
		"{{name}}/{{namespace}}/{{id}}":    "web/default/7",
		"{{instances}} on {{hostname}}":    "4 on box",
		"{{cwd}} {{here}} %(here)s":        "/srv/2 /srv/2 /srv/2",
		"{{env.ZONE}}{{env.NONE}}":         "eu",
		"{{env.OWN}}":                      "own-2",
		"{{env.PORT}}":                     "3002",
		"{{env.NODE_APP_INSTANCE}}":        "2",
		`\{{nobody}} \\{{name}}`:           `{{nobody}} \{{name}}`,
		`\{{name}}`:                        "{{name}}",
		"%(process_num)d":                  "2",
		"%(process_num)02d":                "02",
		"%(process_num)3d|":                "  2|",
		"%(process_num)s":                  "2",
		"%(program_name)s_%(numprocs)d":    "web_4",
		"%(group_name)s":                   "default",
		"%(host_node_name)s":               "box",
		"%(ENV_ZONE)s":                     "eu",
		"%%(process_num)d":                 "%(process_num)d",
		"%(asctime)s %(name)s %(process)d": "%(asctime)s %(name)s %(process)d",
		"%%(message)s 100%":                "%%(message)s 100%",
		"{{.Names}} {{ json . }} {{}}":     "{{.Names}} {{ json . }} {{}}",
		"{instance} {{instance} {id}}":     "{instance} {{instance} {id}}",
	} {
		s := sound()
		s.Name, s.Cwd, s.IncrementVar = "web", "/srv/{{instance}}", "PORT"
		s.Env = map[string]string{"OWN": "own-{{instance}}", "PORT": "3000"}
		s.Args = []string{text}
		if err := Validate(s); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got := Filled(s, inherited, l).Args[0]; got != want {
			t.Errorf("%q is filled in as %q, want %q", text, got, want)
		}
		if s.Args[0] != text || s.Env["OWN"] != "own-{{instance}}" {
			t.Errorf("%q: the Spec was changed", text)
		}
	}
}

func TestWhereTemplatesStand(t *testing.T) {
	s := sound()
	s.Name, s.InstanceStart, s.IncrementVar = "web", 5, "PORT"
	s.FilterEnv = &api.EnvFilter{Exact: []string{"SECRET"}}
	s.Script, s.Interpreter, s.InterpreterArgs = "serve {{instance}}", "/bin/sh", []string{"-e", "-c"}
	s.Env = map[string]string{"PATH": "{{env.PATH}}:/opt", "A": "{{env.B}}", "B": "{{id}}", "SECRET": "{{env.SECRET}}"}
	s.Log = api.Log{Out: "/log/web-{{instance}}.log", Err: "/log/err.log", Pid: "/run/{{name}}-{{id}}.pid"}
	inherited := map[string]string{"PATH": "/bin", "SECRET": "x"}
	l := Launch{ID: 7, Index: 2}
	got := Filled(s, inherited, l)
	if got.Script != "serve 7" {
		t.Errorf("command line %q", got.Script)
	}
	want := map[string]string{"PATH": "/bin:/opt", "A": "{{id}}", "B": "7", "SECRET": ""}
	if diff := cmp.Diff(want, got.Env); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	files := FilesOf(s, inherited, home.Dir("/h"), l)
	if diff := cmp.Diff(Files{Out: "/log/web-7.log", Err: "/log/err-7.log", Pid: "/run/web-7.pid"}, files); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	env := Environ(got, inherited, home.Dir("/h"), files, l)
	for _, want := range []string{"NODE_APP_INSTANCE=7", "PORT=2", "B=7"} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is missing in %q", want, env)
		}
	}
	if diff := cmp.Diff([]string{"SECRET", "PATH", "B"}, Variables(s), cmp.Transformer("sorted", func(l []string) []string {
		return slices.Sorted(slices.Values(l))
	})); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

// TestNoTemplate: text without templates is the same before and after, and the
// whole Spec is the very one.
func TestNoTemplate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("{}%()sd\\aé 0"))).Draw(t, "text")
		if checkTemplates(text) != nil || len(Names(text)) > 0 || strings.Contains(text, `\{{`) || strings.Contains(text, "%%(") {
			t.Skip("it may hold one")
		}
		if got := fill(text, func(string) string { return "?" }); got != text {
			t.Fatalf("%q became %q", text, got)
		}
		s := sound()
		if Filled(s, nil, Launch{}) != s {
			t.Fatal("a Spec without templates is copied")
		}
	})
}

// TestLiteral: what was taken as text is the same text when it is filled in.
func TestLiteral(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{
			"{{instance}}", "{{nobody}}", "{{env.A}}", "%(here)s", "%(asctime)s", "%%(process_num)d", `\`, "{", "}", "%", "x",
		})).Draw(t, "text"), "")
		s := sound()
		s.Args, s.Log.Out = []string{text}, "/"+text
		Literal(s)
		if err := Validate(s); err != nil {
			t.Fatalf("%q: %v", s.Args[0], err)
		}
		got := Filled(s, nil, Launch{})
		if got.Args[0] != text || got.Log.Out != "/"+text {
			t.Fatalf("%q became %q, and then %q", text, s.Args[0], got.Args[0])
		}
	})
}

// TestFillingIsWhole: what passes the check is filled in everywhere, once.
func TestFillingIsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{
			"{{instance}}", "{{name}}", "%(process_num)02d", "%(ENV_A)s", "{{env.A}}", "{", "}", "%", "(", "text", `\`, "{{x}}", "%(x)s",
		})).Draw(t, "parts"), "")
		if checkTemplates(text) != nil {
			t.Skip("refused")
		}
		asked := []string{}
		got := fill(text, func(name string) string {
			asked = append(asked, name)
			return "7{{id}}"
		})
		if diff := cmp.Diff(Names(text), asked, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("asked for other values than there are (-want +got):\n%s", diff)
		}
		if n := strings.Count(text, "%(process_num)02d") - strings.Count(text, "%%(process_num)02d"); strings.Count(got, "{{id}}") != len(asked)-n {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

// TestIncrementVar: each instance has its own value at each launch, also of
// those that come later, and in what it is given from a file anew (PM2's bug 7).
func TestIncrementVar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sound()
		s.IncrementVar = "PORT"
		s.InstanceStart = rapid.IntRange(0, 5).Draw(t, "start")
		base := rapid.IntRange(0, 9000).Draw(t, "base")
		s.Env = map[string]string{"PORT": strconv.Itoa(base)}
		index, restarts := rapid.IntRange(0, 50).Draw(t, "index"), rapid.IntRange(0, 3).Draw(t, "restarts")
		l := Launch{Index: index, Restarts: restarts, Instances: rapid.IntRange(1, 50).Draw(t, "instances")}
		env := Environ(s, maps.Clone(map[string]string{"PORT": "1"}), home.Dir("/h"), Files{}, l)
		if want := "PORT=" + strconv.Itoa(base+index); !slices.Contains(env, want) {
			t.Fatalf("%s is missing in %q", want, env)
		}
	})
}
