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

func TestRedacted(t *testing.T) {
	for text, want := range map[string]string{
		"DB_PASSWORD=x": Hidden, "db_password=x": Hidden, "PGPASSWD=x": Hidden, "SECRET_KEY_BASE=x": Hidden, "GITHUB_TOKEN=x": Hidden,
		"STRIPE_APIKEY=x": Hidden, "X_API_KEY=x": Hidden, "SSH_PRIVATE_KEY=x": Hidden, "GOOGLE_APPLICATION_CREDENTIALS=/x": Hidden,
		"AWS_ACCESS_KEY_ID=x": Hidden, "DB_PASSWORD=": "", "PATH=/bin": "/bin", "KEYBOARD=us": "us", "SSH_AUTH_SOCK=/x": "/x",
		"U=postgres://ann:x@db:5432/prod?a=b@c": "postgres://ann:[hidden]@db:5432/prod?a=b@c",
		"U=redis://:x@cache":                    "redis://:[hidden]@cache",
		"U=amqp://ann:p@ss%w:rd@mq/":            "amqp://ann:[hidden]@mq/",
		"U=https://ann@example.org/":            "https://ann@example.org/",
		"U=https://example.org/@ann":            "https://example.org/@ann",
		"U=http://example.org:80/a:b@c":         "http://example.org:80/a:b@c",
		"U=see https://ann:x@example.org":       "see https://ann:x@example.org",
		"U=file:./dev.db":                       "file:./dev.db",
	} {
		name, value, _ := strings.Cut(text, "=")
		if got := Redacted(name, value); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// TestNoPasswordIsLeft: whatever stands for the password of a URL is not shown.
func TestNoPasswordIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.StringMatching(`[!-~]{0,8}Zq[!-~]{0,8}`).Draw(t, "password")
		if strings.ContainsAny(password, "/?#") {
			t.Skip("the URL ends before its host")
		}
		if got := Redacted("U", "x://ann:"+password+"@host/path"); strings.Contains(got, "Zq") {
			t.Fatalf("got %q", got)
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
