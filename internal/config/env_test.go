package config

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/errs"
)

func TestVariablesAndSecrets(t *testing.T) {
	c := world(t, map[string]string{"app.js": ""})
	write(t, filepath.Join(c.Cwd, "app", "tool"), "#!/bin/sh\n", 0o755)
	at := func(path string) string { return filepath.Join(c.Cwd, path) }
	for name, tt := range map[string]struct {
		value  any
		text   string
		secret *api.Secret
	}{
		"a text":                             {"x", "x", nil},
		"a number":                           {int64(5), "5", nil},
		"an object":                          {map[string]any{"a": int64(1)}, `{"a":1}`, nil},
		"a file":                             {map[string]any{"from": "file:/run/s"}, "", &api.Secret{File: "/run/s"}},
		"a file beside the app":              {map[string]any{"from": "file:s"}, "", &api.Secret{File: at("app/s")}},
		"a file of the user's":               {map[string]any{"from": "file: ~/s"}, "", &api.Secret{File: at("home/s")}},
		"a file as a URL":                    {map[string]any{"from": "file:///run/s"}, "", &api.Secret{File: "/run/s"}},
		"a variable":                         {map[string]any{"from": "env:KEY"}, "", &api.Secret{Env: "KEY"}},
		"a command in PATH":                  {map[string]any{"from": "cmd:ruby -e 'puts 1'"}, "", &api.Secret{Cmd: []string{at("bin/ruby"), "-e", "puts 1"}}},
		"a command beside the app":           {map[string]any{"from": "cmd:./tool"}, "", &api.Secret{Cmd: []string{at("app/tool")}}},
		"a file, as a text":                  {"secret:file:/run/s", "", &api.Secret{File: "/run/s"}},
		"a command, as a text":               {"secret:cmd:ruby x", "", &api.Secret{Cmd: []string{at("bin/ruby"), "x"}}},
		"a literal that looks like a file":   {"file:./dev.db", "file:./dev.db", nil},
		"a literal that looks like a secret": {"secret:abc", "secret:abc", nil},
		"an object that is none":             {map[string]any{"from": "ann"}, `{"from":"ann"}`, nil},
		"an object with more":                {map[string]any{"from": "file:/s", "to": "x"}, `{"from":"file:/s","to":"x"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := resolved(t, c, Fields{"script": "../app.js", "cwd": "app", "env": map[string]any{"V": tt.value}}, Options{})
			got, has := s.Env["V"]
			if got != tt.text || has != (tt.secret == nil) {
				t.Errorf("got the text %q, %v; want %q", got, has, tt.text)
			}
			want := map[string]api.Secret{}
			if tt.secret != nil {
				want["V"] = *tt.secret
			}
			if len(want)+len(s.Secrets) > 0 {
				if diff := cmp.Diff(s.Secrets, want); diff != "" {
					t.Errorf("secrets (-got +want):\n%s", diff)
				}
			}
		})
	}
}

func TestASecretReplacesATextAndTheOtherWayRound(t *testing.T) {
	c := world(t, map[string]string{"app.js": "", ".env": "A=secret:file:/a\nB=b\n"})
	f := Fields{"env_file": ".env", "env": map[string]any{"B": "secret:file:/b"}, "env_prod": map[string]any{"A": "plain"}}
	s, _ := resolved(t, c, f, Options{EnvName: "prod"})
	if s.Env["A"] != "plain" || s.Env["B"] != "" || len(s.Secrets) != 1 || s.Secrets["B"].File != "/b" {
		t.Errorf("got %v, %v", s.Env, s.Secrets)
	}
}

func TestEnvFiles(t *testing.T) {
	c := world(t, map[string]string{
		"app.js": "", "app/.env": "\ufeff# one\r\nA=1\r\nexport B='two words' # why\r\nURL=http://${HOST}/$A\r\nPW='a$B'\r\nHOST=late\r\nKEY=\"-----BEGIN\nx\n-----END\"\r\n",
		"app/.env.local": "A=local\n", "deploy.json": `{"apps": [{"name": "api", "script": "app.js", "env_file": "app/.env.local"}], "deploy": {"prod": {"env": {"A": "deployed"}}}}`,
	})
	s, _ := resolved(t, c, Fields{"script": "../app.js", "cwd": "app", "env_file": []any{".env", ".env.local"}, "env": map[string]any{"B": "env"}}, Options{})
	want := map[string]string{"A": "local", "B": "env", "URL": "http:///1", "PW": "a$B", "HOST": "late", "KEY": "-----BEGIN\nx\n-----END"}
	if diff := cmp.Diff(s.Env, want); diff != "" {
		t.Errorf("-got +want\n%s", diff)
	}
	r, err := Load(t.Context(), c, "deploy.json", Options{EnvName: "prod"})
	if err != nil || r.Apps[0].Env["A"] != "deployed" {
		t.Errorf("got %v, %v; want what is deployed to win", r.Apps, err)
	}
	if s, _ := resolved(t, c, Fields{"env_file": map[string]any{"A": "chosen"}}, Options{EnvName: "file"}); s.Env["A"] != "chosen" {
		t.Errorf("got %v for the environment called file", s.Env)
	}
}

func TestWhatIsNoEnv(t *testing.T) {
	c := world(t, map[string]string{
		"app.js": "", "bad.env": "A=1\nB=\"s3cret\nof two lines\"\n  s3cret stray\nC=1\n", "open.env": "A=1\nB=\"s3cret\nnever closed\n", "ref.env": "A=secret:cmd:\n",
	})
	env := func(v any) Fields { return Fields{"script": "app.js", "env": map[string]any{"V": v}} }
	file := func(v any) Fields { return Fields{"script": "app.js", "env_file": v} }
	for name, tt := range map[string]struct {
		fields Fields
		says   []string
	}{
		"an unknown source":      {env(map[string]any{"from": "vault:x"}), []string{"env: V: want file:PATH, env:NAME or cmd:COMMAND", "vault:x"}},
		"a reference to nothing": {env(map[string]any{"from": "file: "}), []string{"env: V:", "says nothing behind the colon"}},
		"a command that is not":  {env(map[string]any{"from": "cmd:nosuch x"}), []string{"env: V: program nosuch: file does not exist", "there is no shell"}},
		"a command that may not": {env(map[string]any{"from": "cmd:./app.js"}), []string{"env: V: program ./app.js: permission denied"}},
		"a name of two words":    {env(map[string]any{"from": "env:A=B"}), []string{`"A=B" cannot be the name of a variable`}},
		"no such file":           {file("none.env"), []string{"env_file: read " + c.Cwd + "/none.env: no such file or directory", "from the directory of the app"}},
		"a directory":            {file("."), []string{"env_file: read", "it is a directory"}},
		"a number":               {file(true), []string{"env_file: want a text or a list of texts, got true"}},
		"a stray line":           {file("bad.env"), []string{"bad.env: line 4 is no NAME=value"}},
		"a quote without an end": {file("open.env"), []string{"open.env: line 2 is no NAME=value"}},
		"a bad reference in it":  {file("ref.env"), []string{"ref.env: A: ", "says nothing behind the colon"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Resolve(c, "test", tt.fields, Options{})
			wantError(t, err, errs.Invalid, tt.says...)
			if e, _ := errors.AsType[*errs.Error](err); strings.Contains(err.Error()+e.Hint, "s3cret") {
				t.Errorf("it quotes the file: %v", err)
			}
		})
	}
}

func FuzzEnvFile(f *testing.F) {
	for _, s := range []string{"A=1", "export A='b'\n#c", "A=\"b\nc\"\nB=${A}", "A: b", "=", "A=secret:file:/s", "\ufeffA=\\"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		env, err := parseEnvFile(text)
		if err == nil && env == nil {
			t.Error("neither variables nor an error")
		}
	})
}
