package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"tend/api"
	"tend/internal/config"
)

func TestConfigCheck(t *testing.T) {
	for args, want := range map[string]struct {
		code   int
		stdout string
	}{
		"config check good.json":            {0, "[tend] good.json: nothing is wrong with it\n"},
		"conf check good.json":              {0, "[tend] good.json: nothing is wrong with it\n"},
		"config check warned.json":          {0, "warned.json:2:2: warning: app a: balance means nothing in fork mode\n"},
		"config check warned.json --strict": {1, "warned.json:2:2: warning: app a: balance means nothing in fork mode\n"},
		"config check bad.json": {1, "bad.json:2:2: error: app a: unknown field \"skript\"\n    did you mean \"script\"?\n" +
			"bad.json:1:2: error: app a: script is missing\n    name the file to run: \"script\": \"app.js\"\n"},
		"config check broken.json":        {1, "broken.json:1:10: error: "},
		"config check nosuch.json":        {1, ""},
		"config check good.json bad.json": {1, ""},
		"config show good.json bad.json":  {1, ""},
		"apply good.json bad.json":        {1, ""},
		"config check -":                  {1, "standard input:1:16: error: app s: unknown field \"skript\"\n"},
	} {
		env := world(t)
		write(t, env, "run.sh", "#!/bin/sh\n")
		write(t, env, "good.json", `{"name": "a", "script": "run.sh"}`)
		write(t, env, "warned.json", "{\"name\": \"a\", \"script\": \"run.sh\",\n \"balance\": \"shared\"}")
		write(t, env, "bad.json", "[{\"name\": \"a\",\n \"skript\": \"run.sh\"}]")
		write(t, env, "broken.json", `{"name": ]`)
		env.Stdin = strings.NewReader(`{"name": "s",  "skript": "run.sh"}`)
		r := try(t, env, nil, strings.Fields(args)...)
		if r.code != want.code || !strings.HasPrefix(r.stdout, want.stdout) {
			t.Errorf("%s: got code %d, %q, %q; want %d, %q", args, r.code, r.stdout, r.stderr, want.code, want.stdout)
		}
		if strings.Contains(args, "bad") && r.stdout != want.stdout {
			t.Errorf("%s: got %q", args, r.stdout)
		}
	}
}

func TestConfigCheckAsJSON(t *testing.T) {
	env := world(t)
	write(t, env, "bad.yaml", "- name: a\n  skript: x\n")
	r := try(t, env, nil, "config", "check", "--json", "bad.yaml")
	var got []config.Problem
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || len(got) != 2 || got[0].Line != 2 || got[0].Field != "skript" || r.code != 1 {
		t.Errorf("got %v, code %d: %s", err, r.code, r.stdout)
	}
}

func TestConfigShow(t *testing.T) {
	env := world(t)
	script := write(t, env, "run.sh", "#!/bin/sh\n")
	write(t, env, "apps.json", `{"apps": [
		{"name": "a", "script": "run.sh", "args": "--token=hunter2", "env": {"PORT": 80, "API_KEY": "hunter2"}, "env_production": {"PORT": 81}},
		{"name": "b", "script": "run.sh"}]}`)
	r := try(t, env, nil, "config", "show", "apps.json", "--env", "production", "--only", "a")
	for _, want := range []string{"a\n", "  script                       " + script + "\n", "  env.PORT                     81\n", "  env.API_KEY                  [hidden]\n"} {
		if r.code != 0 || !strings.Contains(r.stdout, want) {
			t.Errorf("got %+v, want %q", r, want)
		}
	}
	if strings.Contains(r.stdout, "hunter2") || strings.HasPrefix(r.stdout, "b") {
		t.Errorf("got %s", r.stdout)
	}
	r = try(t, env, nil, "config", "show", "apps.json", "--json")
	var got []api.Spec
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || len(got) != 2 || got[0].Env["API_KEY"] != "[hidden]" || strings.Contains(r.stdout, "hunter2") {
		t.Errorf("got %v: %s", err, r.stdout)
	}
}

func TestConfigSchema(t *testing.T) {
	r := try(t, world(t), nil, "config", "schema")
	if r.code != 0 || !json.Valid([]byte(r.stdout)) || r.stdout != string(config.Schema()) {
		t.Errorf("got %+v", r)
	}
}

// Any other word is a key, as with PM2, also behind the option of a command.
func TestConfigIsStillPM2s(t *testing.T) {
	d := &fakeDaemon{settings: api.Settings{Values: map[string]any{"mod": map[string]any{"check": "x"}}}}
	r := try(t, world(t), d, "config", "mod:check", "y")
	if r.code != 0 || len(r.requests) != 1 || !strings.Contains(r.requests[0], `"mod:check"`) {
		t.Errorf("got %+v", r)
	}
}
