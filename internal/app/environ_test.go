package app

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tend/api"
	"tend/internal/home"
)

// withSecrets is an app that has one secret of each kind.
func withSecrets() *api.Spec {
	return &api.Spec{
		Name: "api", Script: "/a", Cwd: "/", Mode: api.Fork, Env: map[string]string{"PLAIN": "file:./dev.db", "TOKEN": "a literal"},
		Secrets: map[string]api.Secret{"TOKEN": {File: "/s"}, "KEY": {Env: "DAEMONS_KEY"}, "name": {Cmd: []string{"/bin/pass"}}},
	}
}

func TestSecretsAreInTheProcessAlone(t *testing.T) {
	s := withSecrets()
	inherited := map[string]string{"TOKEN": "of the shell", "LANG": "C"}
	if diff := cmp.Diff(Merged(s, inherited), map[string]string{"PLAIN": "file:./dev.db", "LANG": "C"}); diff != "" {
		t.Errorf("merged (-got +want):\n%s", diff)
	}
	got := environ(t, Environ(s, inherited, home.Dir("/h"), Files{}, Launch{Secrets: map[string]string{"TOKEN": "t", "KEY": "k", "name": "n"}}))
	for name, want := range map[string]string{"TOKEN": "t", "KEY": "k", "name": "n", "PLAIN": "file:./dev.db", "LANG": "C"} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
}

func TestHeritage(t *testing.T) {
	shell := map[string]string{"LANG": "C", "TOKEN": "x", "DAEMONS_KEY": "x", "AWS_KEY": "x"}
	before := maps.Clone(shell)
	for name, test := range map[string]struct {
		spec *api.Spec
		want []string
	}{
		"all of it":            {&api.Spec{}, []string{"AWS_KEY", "DAEMONS_KEY", "LANG", "TOKEN"}},
		"what is found anew":   {withSecrets(), []string{"AWS_KEY", "LANG"}},
		"what it does not get": {&api.Spec{FilterEnv: &api.EnvFilter{Contains: []string{"KEY"}}}, []string{"LANG", "TOKEN"}},
		"nothing":              {&api.Spec{FilterEnv: &api.EnvFilter{All: true}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := slices.Sorted(maps.Keys(Heritage(test.spec, shell))); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if !maps.Equal(shell, before) {
				t.Error("what is shared was changed")
			}
		})
	}
}

// TestHeritageIsEnough: an app gets the same from what is kept as from all.
func TestHeritageIsEnough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[A-D]{1,2}`)
		vars := rapid.MapOf(name, rapid.String())
		s := &api.Spec{Env: vars.Draw(t, "own"), FilterEnv: &api.EnvFilter{
			All: rapid.Bool().Draw(t, "all"), Exact: rapid.SliceOf(name).Draw(t, "exact"), Contains: rapid.SliceOf(name).Draw(t, "contains"),
		}}
		shell := vars.Draw(t, "inherited")
		if diff := cmp.Diff(Merged(s, Heritage(s, shell)), Merged(s, shell)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestRenewed: the shell has the last word on what the file said, as with PM2, but
// not where the file means more than a text.
func TestRenewed(t *testing.T) {
	shell := map[string]string{
		"A": "2", "SAME": "1", "PATH": "/bin", "AWS_ID": "shell", "HOME": "/root", "TOKEN": "shell", "BRACES": "{{x}} %(here)s", "NEW": "1",
	}
	s := withSecrets()
	s.Account, s.FilterEnv = "ann", &api.EnvFilter{Contains: []string{"AWS_"}}
	s.Env = map[string]string{
		"A": "1", "B": "1", "SAME": "1", "PATH": "/opt:{{env.PATH}}", "AWS_ID": "file", "HOME": "/home/ann", "BRACES": "",
	}
	before := maps.Clone(s.Env)
	got := Renewed(s, shell)
	want := maps.Clone(before)
	want["A"], want["BRACES"] = "2", `\{{x}} %%(here)s`
	if diff := cmp.Diff(got.Env, want); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
	if diff := cmp.Diff(s.Env, before); diff != "" {
		t.Errorf("the Spec itself was changed (-got +want):\n%s", diff)
	}
	if filled := Filled(got, nil, Launch{}).Env["BRACES"]; filled != shell["BRACES"] {
		t.Errorf("got %q, want %q", filled, shell["BRACES"])
	}
	if again := Renewed(got, shell); again != got {
		t.Error("what differs in nothing was made anew")
	}
}

func TestSecretsAreChecked(t *testing.T) {
	for say, secret := range map[string]api.Secret{
		"is from a file, a variable or a command": {},
		"and from one of them":                    {File: "/a", Env: "B"},
		`file "a" is not absolute`:                {File: "a"},
		`"A=B" cannot be the name of a variable`:  {Env: "A=B"},
		`program "pass" is not absolute`:          {Cmd: []string{"pass"}},
		`an argument holds a zero byte`:           {Cmd: []string{"/pass", "\x00"}},
	} {
		s := withSecrets()
		s.Secrets["TOKEN"] = secret
		if err := Validate(s); err == nil || !strings.Contains(err.Error(), "env: TOKEN: ") || !strings.Contains(err.Error(), say) {
			t.Errorf("%+v: got %v, want %s", secret, err, say)
		}
	}
}
