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
