package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tend/api"
)

// acted is the body of a POST to instances, without where the client stands.
func acted(t *testing.T, requests []string) []api.ActRequest {
	t.Helper()
	var out []api.ActRequest
	for _, r := range requests {
		path, body, _ := strings.Cut(r, " ")
		if path != "instances" {
			t.Errorf("got a request to %s, want only instances", path)
			continue
		}
		var req api.ActRequest
		if err := json.Unmarshal([]byte(body), &req); err != nil {
			t.Fatal(err)
		}
		req.Cwd = ""
		out = append(out, req)
	}
	return out
}

func TestActs(t *testing.T) {
	notFound := &api.Error{Op: "find", On: "nosuch", Kind: "not_found", Message: "no app and no namespace has this name", Hint: "look"}
	tests := map[string]struct {
		args    string
		env     string // one more variable
		stdin   string
		failure *api.Error
		want    []api.ActRequest
		code    int
		stderr  string

		unlisted bool
	}{
		"stop one":                   {args: "stop api", want: []api.ActRequest{{Act: "stop", Targets: []string{"api"}}}},
		"stop several in turn":       {args: "stop api 3", want: []api.ActRequest{{Act: "stop", Targets: []string{"api"}}, {Act: "stop", Targets: []string{"3"}}}},
		"del is delete":              {args: "del all", want: []api.ActRequest{{Act: "delete", Targets: []string{"all"}}}},
		"parallel":                   {args: "--parallel 4 restart all", want: []api.ActRequest{{Act: "restart", Targets: []string{"all"}, Parallel: 4}}},
		"parallel by PM2's variable": {args: "restart all", env: "PM2_CONCURRENT_ACTIONS=3", want: []api.ActRequest{{Act: "restart", Targets: []string{"all"}, Parallel: 3}}},
		"the option wins":            {args: "restart all --parallel 5", env: "PM2_CONCURRENT_ACTIONS=nope", want: []api.ActRequest{{Act: "restart", Targets: []string{"all"}, Parallel: 5}}},
		"that variable is wrong":     {args: "restart all", env: "PM2_CONCURRENT_ACTIONS=nope", code: 1, stderr: "tend: read environment variable PM2_CONCURRENT_ACTIONS: \"nope\" is not a number above 0\n      unset it, or mend it\n"},
		"reload is told of alone":    {args: "reload api", want: []api.ActRequest{{Act: "reload", Targets: []string{"api"}}}, unlisted: true},
		"reload by an older name":    {args: "gracefulReload 3", want: []api.ActRequest{{Act: "reload", Targets: []string{"3"}}}, unlisted: true},
		"reload by force":            {args: "reload all -f --parallel 4", want: []api.ActRequest{{Act: "reload", Targets: []string{"all"}, Parallel: 4, Force: true}}, unlisted: true},
		"force is no restart's":      {args: "restart api -f", want: []api.ActRequest{{Act: "restart", Targets: []string{"api"}}}},
		"reset":                      {args: "reset api", want: []api.ActRequest{{Act: "reset", Targets: []string{"api"}}}},
		"signal":                     {args: "sendSignal SIGUSR2 api", want: []api.ActRequest{{Act: "signal", Targets: []string{"api"}, Signal: "SIGUSR2"}}},
		"stop the apps of a file":    {args: "stop apps.json", want: []api.ActRequest{{Act: "stop", Targets: []string{"tick", "off"}}}},
		"stop one app of a file":     {args: "stop apps.json --only off", want: []api.ActRequest{{Act: "stop", Targets: []string{"off"}}}},
		"delete what stdin names":    {args: "delete -", stdin: `{name: 'off', script: 'gone.js'}`, want: []api.ActRequest{{Act: "delete", Targets: []string{"off"}}}},
		"stdin names nothing here":   {args: "delete -", stdin: `[{"name": "other", "script": "gone.js"}]`, stderr: "[tend][WARN] -: none of its apps is in the list\n"},
		"a failure keeps no other target from its turn": {
			args: "stop nosuch api", failure: notFound, code: 1,
			want:   []api.ActRequest{{Act: "stop", Targets: []string{"nosuch"}}, {Act: "stop", Targets: []string{"api"}}},
			stderr: strings.Repeat("tend: find nosuch: no app and no namespace has this name\n      look\n", 2),
		},
		"no target":            {args: "stop", code: 1, stderr: "tend: run stop: missing required argument \"id|name|namespace|all|/regex/|file|-\"\n      usage: tend stop <target...>\n"},
		"an unknown signal":    {args: "sendSignal SIGNOPE api", code: 1, stderr: "tend: send signal SIGNOPE: \"SIGNOPE\" is not the name or number of a signal\n      SIGUSR2, USR2 or 12, for example\n"},
		"a parallel of naught": {args: "stop api --parallel 0", code: 1, stderr: "tend: read option --parallel: \"0\" is not a number above 0\n"},
		"no number":            {args: "logs --lines many", code: 1, stderr: "tend: --lines: \"many\" is not a whole number\n      `tend logs --help` lists the options\n"},
		"monitor of nobody":    {args: "monitor", code: 1, stderr: "tend: run monitor: " + absentForGood + "\n      with a target it marks apps in the list\n"},
		"unmonitor of nobody":  {args: "unmonitor", code: 1, stderr: "tend: run unmonitor: missing required argument \"target\"\n      usage: tend unmonitor <target...>\n"},
		"reload of nothing":    {args: "reload", code: 1, stderr: "tend: run reload: missing required argument \"id|name|namespace|all|/regex/|file|-\"\n      usage: tend reload <target...>\n"},
		"reload with --env":    {args: "reload api --env prod", code: 1, stderr: "tend: reload api: --env works with a configuration file only\n      variables of one environment stand in a file, as env_prod\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			env := world(t)
			env.Stdin, env.Environ = strings.NewReader(tt.stdin), append(env.Environ, tt.env)
			write(t, env, "apps.json", `{"apps": [{"name": "tick", "script": "gone.js"}, {"name": "off", "script": "x"}, {"name": "new", "script": "y"}]}`)
			r := try(t, env, &fakeDaemon{instances: instances(), failure: tt.failure}, strings.Fields(tt.args)...)
			if r.code != tt.code || r.stderr != tt.stderr {
				t.Errorf("got code %d, stderr %q; want %d, %q", r.code, r.stderr, tt.code, tt.stderr)
			}
			if diff := cmp.Diff(acted(t, r.requests), tt.want, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("requests (-got +want):\n%s", diff)
			}
			if listed := strings.Contains(r.stdout, "│ id"); listed != (tt.code == 0 && !tt.unlisted) {
				t.Errorf("listed: %v, want it when all went well, but after no reload:\n%s", listed, r.stdout)
			}
		})
	}
}

func write(t *testing.T, env *Env, name, text string) string {
	t.Helper()
	path := filepath.Join(env.Cwd, name)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProgress(t *testing.T) {
	events := []api.Event{
		{Kind: api.EventTarget, Act: "stop", Target: "api", IDs: []int{1, 2}},
		{Kind: api.EventInstance, Name: "api", ID: 1, OK: true},
		{Kind: api.EventInstance, Name: "api", ID: 2, Error: &api.Error{Kind: "timeout", Message: "it did not end"}},
		{Kind: api.EventWarning, Message: "cron is still on"},
	}
	failure := &api.Error{Op: "stop", On: "api", Kind: "crashed", Message: "1 of 2 failed", Lines: []string{"boom", "\x1b[31mred"}}
	for program, want := range map[string][2]string{
		"tend": {
			"[tend] Applying action stopProcessId on app [api](ids: [ 1, 2 ])\n[tend] [api](1) ✓\n",
			"[tend][ERROR] [api](2) ✗ it did not end\n[tend][WARN] cron is still on\n" +
				"tend: stop api: 1 of 2 failed\n      its last lines:\n      | boom\n      | [31mred\n",
		},
		"pm2": {
			"[PM2] Applying action stopProcessId on app [api](ids: [ 1, 2 ])\n[PM2] [api](1) ✓\n",
			"[PM2][ERROR] [api](2) ✗ it did not end\n[PM2][WARN] cron is still on\n" +
				"[PM2][ERROR] stop api: 1 of 2 failed\n     its last lines:\n     | boom\n     | [31mred\n",
		},
	} {
		t.Run(program, func(t *testing.T) {
			env := world(t)
			env.Program = program
			r := try(t, env, &fakeDaemon{events: events, failure: failure}, "stop", "api")
			if diff := cmp.Diff([2]string{r.stdout, r.stderr}, want); diff != "" {
				t.Errorf("stdout, stderr (-got +want):\n%s", diff)
			}
			if r.code != 1 {
				t.Errorf("got code %d, want 1", r.code)
			}
		})
	}
}

func TestLooking(t *testing.T) {
	tests := map[string]struct {
		args           string
		stdout, stderr string
		code           int
	}{
		"id":                     {args: "id api", stdout: "[ 1, 2 ]\n"},
		"id of nothing":          {args: "id nosuch", stdout: "[]\n"},
		"pid of an app":          {args: "pid api", stdout: "7420\n7421\n"},
		"pid of an id":           {args: "pid 0", stdout: "7414\n"},
		"pid of all":             {args: "pid", stdout: "7414\n7420\n7421\n0\n0\n0\n"},
		"pid of nothing":         {args: "pid nosuch", stdout: "\n", stderr: "[tend][WARN] find the pid of nosuch: no app has this name or id\n"},
		"pids of several":        {args: "pid nosuch 1 api", stdout: "7420\n7421\n", stderr: "[tend][WARN] find the pid of nosuch: no app has this name or id\n"},
		"ids of several":         {args: "id api tick", stdout: "[ 0, 1, 2 ]\n"},
		"ping":                   {args: "ping", stdout: "{ msg: 'pong' }\n"},
		"version":                {args: "--version", stdout: "v1\n"},
		"version in short":       {args: "-v", stdout: "v1\n"},
		"version as in PM2":      {args: "-V", stdout: "v1\n"},
		"version with a command": {args: "ls -v", stdout: "v1\n"},
		"env":                    {args: "env 1", stdout: "A: 1\nNODE_ENV: test\n"},
		"env of nothing":         {args: "env 99", code: 1, stderr: "tend: find 99: no app has this name or id\n      `tend ls` shows what there is\n"},
		"env of a name":          {args: "env api", stdout: "api (1)\nA: 1\nNODE_ENV: test\n\napi (2)\nA_TOKEN: [hidden]\nS: [from file:/s]\nU: http://a:[hidden]@c/\n"},
		"env with its secrets":   {args: "env 2 --show-secrets", stdout: "A_TOKEN: x\nS: [from file:/s]\nU: http://a:b@c/\n"},
		"env --diff of no file":  {args: "env 2 --diff", code: 1, stderr: "tend: compare api: it was not started from a configuration file\n      `tend env api` prints its environment\n"},
		"describe of nothing":    {args: "describe nosuch", code: 1, stderr: "tend: describe nosuch: no app has this name or id\n      `tend ls` shows what there is\n"},
		"extra arguments of ls":  {args: "id api extra", stdout: "[ 1, 2 ]\n"},
		"extra arguments":        {args: "prettylist foo", code: 1, stderr: "tend: run prettylist: unknown argument \"foo\"\n      usage: tend prettylist\n"},
		"an unknown command":     {args: "foo", code: 1, stderr: "tend: find command foo: command not found\n      `tend --help` lists the commands\n"},
		"a mistyped command":     {args: "sotp x", code: 1, stderr: "tend: find command sotp: command not found\n      did you mean stop or set?\n"},
		"a number that is none":  {args: "logs --lines x", code: 1, stderr: "tend: --lines: \"x\" is not a whole number\n      `tend logs --help` lists the options\n"},
		"an unknown option":      {args: "ls --bogus", code: 1, stderr: "tend: unknown flag: --bogus\n      `tend list --help` lists the options\n"},
		"an unknown column":      {args: "ls --sort foo", code: 1, stderr: "tend: sort by foo: there is no such column\n      name, namespace, pid, id, cpu, memory, uptime or status, and :desc for the other way round\n"},
		"silence":                {args: "-s foo", code: 1},
		"a silent ping":          {args: "ping --silent"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			list := instances()
			list[1].Detail = &api.Detail{Spec: &api.Spec{}, Env: map[string]string{"NODE_ENV": "test", "A": "1"}}
			list[2].Detail = &api.Detail{
				Spec: &api.Spec{Secrets: map[string]api.Secret{"S": {File: "/s"}}}, Env: map[string]string{"A_TOKEN": "x", "U": "http://a:b@c/"},
			}
			r := try(t, world(t), &fakeDaemon{instances: list}, strings.Fields(tt.args)...)
			if diff := cmp.Diff([]any{r.code, r.stdout, r.stderr}, []any{tt.code, tt.stdout, tt.stderr}); diff != "" {
				t.Errorf("code, stdout, stderr (-got +want):\n%s", diff)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for args, code := range map[string]int{"": 1, "-h": 0, "start --help": 0, "logs -h": 0, "help stop": 0} {
		r := try(t, world(t), nil, strings.Fields(args)...)
		text := r.stdout
		if code == 1 {
			text = r.stderr
		}
		if args == "-h" && !strings.Contains(text, "powershell]\n"+strings.Repeat(" ", 37)+"complete") {
			t.Errorf("what a long command does is not in its column: %s", text)
		}
		if r.code != code || !strings.Contains(text, "Usage: tend") {
			t.Errorf("tend %s: got code %d and %q, want %d and the usage", args, r.code, text, code)
		}
	}
}

func TestJlist(t *testing.T) {
	list := instances()[:2]
	for i := range list {
		list[i].Detail = &api.Detail{Spec: &api.Spec{Name: list[i].Name}, Env: map[string]string{"A": "<1>"}}
	}
	r := try(t, world(t), &fakeDaemon{instances: list}, "jlist", "--silent")
	var got []struct {
		PMID int `json:"pm_id"`
		Env  struct {
			A string
		} `json:"pm2_env"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v in %q", err, r.stdout)
	}
	if len(got) != 2 || got[1].PMID != 1 || got[0].Env.A != "<1>" {
		t.Errorf("got %+v", got)
	}
	if strings.HasSuffix(r.stdout, "\n") {
		t.Error("jlist ends with a line break, PM2's does not")
	}
	if r := try(t, world(t), &fakeDaemon{}, "jlist"); r.stdout != "[]" {
		t.Errorf("got %q for an empty list, want []", r.stdout)
	}
}

func TestDescribe(t *testing.T) {
	list := instances()
	list[1].CreatedAt, list[1].Exited, list[1].ExitSignal = 1_699_999_000_000, true, "SIGKILL"
	list[1].State = api.Errored // "online" would show an age that grows
	list[1].Reason = "reload failed: it ended with code 1"
	list[1].Detail = &api.Detail{
		Spec: &api.Spec{
			Name: "api", Script: "/srv/api.js", Args: []string{"--port", "80"}, Interpreter: "/usr/local/bin/node-of-nowhere", Cwd: "/srv",
			Mode: api.Cluster, DrainTimeout: 5000, MaxMemory: 200 << 20, Cron: "0 3 * * *",
		},
		Env: map[string]string{
			"NODE_ENV": "test", "HOME": "/home/demo", "DB_PASSWORD": "s3cret", "DATABASE_URL": "postgres://ann:s3cret@db/prod",
		},
		NodeVersion: "22.1.0",
		Versioning: &api.Versioning{
			Type: "git", URL: "https://example.org/x.git", Revision: "a39b79c8796e09927349126f683f8fb951f0a085",
			Comment: "A comment that goes on and on, and on again, until nobody reads it any more", Branch: "main",
			UpdateTime: "2026-11-22T19:32:59+00:00", RepoPath: "/srv",
		},
	}
	list[1].Detail.Spec.Secrets = map[string]api.Secret{"API_KEY": {Cmd: []string{"/bin/pass", "show", "api"}}}
	list[1].Detail.Spec.Env = map[string]string{"DB_PASSWORD": "s3cret"}
	seven := 7
	s := list[1].Detail.Spec
	s.Priority, s.Umask, s.StartRetries, s.StartTime, s.StopSignal = &seven, &seven, &seven, 2000, "SIGTERM"
	s.Limits = map[string]api.Limit{"nofile": {Soft: 1024, Hard: 4096}, "core": {Soft: -1, Hard: -1}}
	s.StopCodes, s.Unexpected, s.ExpectedCodes, s.File, s.FileEnv = []int{1, 2}, true, []int{0}, "/srv/apps.json", "production"
	s.Watch = &api.Watch{Paths: []string{"/srv/src"}, Ignore: []string{"tmp"}}
	list[1].Detail.Actions = []api.Action{{Name: "gc"}, {Name: "dump"}}
	list[1].Detail.Metrics = map[string]api.Metric{"Heap Size": {Value: "5.5", Unit: "MiB"}, "Loops": {Value: 3.0}}
	r := try(t, world(t), &fakeDaemon{instances: list}, "describe", "1")
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("got code %d, stderr %q", r.code, r.stderr)
	}
	golden(t, "describe.txt", r.stdout)
	s.Args, s.InterpreterArgs = []string{"--token", "s3cret"}, []string{"--password=s3cret"}
	s.Secrets["OTHER"] = api.Secret{Cmd: []string{"/bin/vault", "--token=s3cret", "read"}}
	for _, args := range []string{"describe 1", "describe 1 --json", "env 1", "env 1 --json", "jlist --redact", "prettylist --redact"} {
		if r := try(t, world(t), &fakeDaemon{instances: list}, strings.Fields(args)...); r.code != 0 || strings.Contains(r.stdout, "s3cret") {
			t.Errorf("%s: got code %d and what should be hidden:\n%s", args, r.code, r.stdout)
		}
	}
	for _, args := range []string{"describe 1 --show-secrets", "describe 1 --json --show-secrets", "env 1 --show-secrets", "env 1 --json --show-secrets", "jlist", "prettylist"} {
		if r := try(t, world(t), &fakeDaemon{instances: list}, strings.Fields(args)...); r.code != 0 || !strings.Contains(r.stdout, "ann:s3cret@db") {
			t.Errorf("%s: got code %d, and not what was asked for:\n%s", args, r.code, r.stdout)
		}
	}
}

func TestScale(t *testing.T) {
	for args, want := range map[string]string{
		"4":  `"count":4}`,
		"+2": `"count":2,"relative":true}`,
		"-2": `"count":-2,"relative":true}`,
	} {
		r := try(t, world(t), &fakeDaemon{events: []api.Event{{Kind: api.EventApp, IDs: []int{4, 5}}}}, "scale", "api", args)
		if r.code != 0 || len(r.requests) != 1 || !strings.HasSuffix(r.requests[0], want) {
			t.Errorf("scale api %s: got code %d, %v, %s; want ...%s", args, r.code, r.requests, r.stderr, want)
		}
		if n := strings.Count(r.stdout, "Scaling up application"); n != 2 {
			t.Errorf("got %d lines of scaling up, want one for each new instance", n)
		}
	}
	if r := try(t, world(t), &fakeDaemon{}, "scale", "api", "many"); r.code != 1 || len(r.requests) != 0 {
		t.Errorf("got %+v, want a refusal", r)
	}
}

func TestSave(t *testing.T) {
	tests := map[string]struct {
		args, environ  string
		saved          int
		request        string
		stdout, stderr string
	}{
		"something": {args: "save", saved: 2, request: "save {}", stdout: "[tend] Saving current process list...\n[tend] Successfully saved in /h/dump.pm2\n"},
		"nothing": {
			args: "dump", request: "save {}", stdout: "[tend] Saving current process list...\n",
			stderr: "[tend][WARN] The list is empty, so nothing was saved\n[tend][WARN] To save the empty list: tend save --force\n",
		},
		"nothing, forced":          {args: "save --force", request: `save {"force":true}`, stdout: "[tend] Saving current process list...\n[tend] Successfully saved in /h/dump.pm2\n"},
		"nothing, forced by FORCE": {args: "save", environ: "FORCE=1", request: `save {"force":true}`, stdout: "[tend] Saving current process list...\n[tend] Successfully saved in /h/dump.pm2\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			env := world(t)
			env.Environ = append(env.Environ, tt.environ)
			got := try(t, env, &fakeDaemon{saved: tt.saved}, strings.Fields(tt.args)...)
			want := result{stdout: tt.stdout, stderr: tt.stderr, requests: []string{tt.request}}
			if diff := cmp.Diff(got, want, cmp.AllowUnexported(result{})); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

func TestKill(t *testing.T) {
	const stopped = "[tend] [v] All Applications Stopped\n[tend] [v] Daemon Stopped\n"
	t.Run("without a daemon", func(t *testing.T) {
		env := world(t)
		r := try(t, env, nil, "kill")
		if want := "[tend] No daemon runs in " + string(env.Home) + "\n"; r.code != 0 || r.stdout != want {
			t.Errorf("got %+v, want code 0 and %q", r, want)
		}
	})
	for name, d := range map[string]*fakeDaemon{"told to the end": {}, "with the daemon gone": {cut: true}} {
		t.Run(name, func(t *testing.T) {
			r := try(t, world(t), d, "kill")
			if r.code != 0 || r.stdout != stopped || r.stderr != "" {
				t.Errorf("got %+v, want code 0 and %q", r, stopped)
			}
		})
	}
	t.Run("in vain", func(t *testing.T) {
		r := try(t, world(t), &fakeDaemon{failure: &api.Error{Op: "stop", On: "api", Kind: "timeout", Message: "it will not end"}}, "kill")
		if r.code != 1 || r.stdout != "" || r.stderr != "tend: stop api: it will not end\n" {
			t.Errorf("got %+v, want the failure", r)
		}
	})
}

func TestUpdateWaitsForTheSuccessor(t *testing.T) {
	env := world(t)
	env.Binaries = func() (string, string, error) { return "/b/tend", "/b/tend-keeper", nil }
	r := try(t, env, &fakeDaemon{pong: api.Pong{PID: 100, Version: "v1", Adopted: 3}, lingers: 2}, "update")
	want := "[tend] Updated the daemon: pid 100 (v1) -> pid 101 (v1); 3 instances of apps ran on\n"
	if r.code != 0 || !strings.HasPrefix(r.stdout, want) {
		t.Errorf("got %+v, want %q", r, want)
	}
	if diff := cmp.Diff(r.requests, []string{`update {"daemon":"/b/tend","keeper":"/b/tend-keeper"}`}); diff != "" {
		t.Error(diff)
	}
}

func TestUpdateGivesUp(t *testing.T) {
	env := world(t)
	serve(t, env, &fakeDaemon{pong: api.Pong{PID: 100}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := successor(ctx, env.Home.Socket(), 100); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it to end with the context", err)
	}
}

func TestResurrectWithoutADump(t *testing.T) {
	r := try(t, world(t), &fakeDaemon{failure: &api.Error{Op: "resurrect", Kind: "not_found", Message: "nothing was saved"}}, "resurrect")
	if r.code != 0 || r.stderr != "[tend][WARN] resurrect: nothing was saved\n" || !strings.Contains(r.stdout, "│ id") {
		t.Errorf("got %+v, want a warning, the list and code 0", r)
	}
}

func TestFlush(t *testing.T) {
	r := try(t, world(t), &fakeDaemon{instances: instances()[:1]}, "flush", "tick")
	want := "[tend] Flushing:\n[tend] /h/logs/tick-out.log\n[tend] /h/logs/tick-error.log\n[tend] Logs flushed\n"
	if r.code != 0 || r.stdout != want {
		t.Errorf("got %+v, want %q", r, want)
	}
	if diff := cmp.Diff(r.requests, []string{`logs/flush {"targets":["tick"]}`}); diff != "" {
		t.Error(diff)
	}
}

func TestFlushTellsEachFile(t *testing.T) {
	list := instances()[:1]
	list[0].LogFile, list[0].ErrFile = "/h/logs/tick.log", ""
	r := try(t, world(t), &fakeDaemon{instances: list}, "flush", "tick")
	if want := "[tend] Flushing:\n[tend] /h/logs/tick.log\n[tend] /h/logs/tick-out.log\n[tend] Logs flushed\n"; r.code != 0 || r.stdout != want {
		t.Errorf("got %+v, want %q", r, want)
	}
}

func TestReloadLogs(t *testing.T) {
	r := try(t, world(t), &fakeDaemon{}, "reloadLogs")
	if want := "[tend] Reloading all logs...\n[tend] All logs reloaded\n"; r.code != 0 || r.stdout != want || len(r.requests) != 1 {
		t.Errorf("got %+v, want %q", r, want)
	}
}

func TestConnectStartsADaemonOnce(t *testing.T) {
	env := world(t)
	launched := 0
	env.Launch = func(context.Context) (bool, error) {
		launched++
		serve(t, env, &fakeDaemon{pong: api.Pong{PID: 7, Version: "v1"}})
		return true, nil
	}
	r := try(t, env, nil, "ping")
	if want := "[tend] Started the daemon, pid 7, home " + string(env.Home) + "\n"; r.stderr != want || r.stdout != "{ msg: 'pong' }\n" {
		t.Errorf("got %+v, want %q on stderr and the pong on stdout", r, want)
	}
	if r := try(t, env, nil, "ping"); r.stderr != "" || launched != 1 {
		t.Errorf("got %q and %d launches, want silence and 1", r.stderr, launched)
	}
}

func TestLaunchFailureIsTold(t *testing.T) {
	env := world(t)
	env.Launch = func(context.Context) (bool, error) { return false, errors.New("no keeper") }
	if r := try(t, env, nil, "ls"); r.code != 1 || r.stderr != "tend: no keeper\n" {
		t.Errorf("got %+v", r)
	}
}

func TestOtherVersionIsTold(t *testing.T) {
	r := try(t, world(t), &fakeDaemon{pong: api.Pong{PID: 7, Version: "v0"}}, "ping")
	if want := "[tend][WARN] the daemon is version v0 and this is v1; `tend update` brings it to this one\n"; r.code != 0 || r.stderr != want {
		t.Errorf("got %+v, want %q", r, want)
	}
}

// shut is a standard output that its reader has left.
type shut struct{ error }

func (s shut) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "stdout", Err: s.error}
}

func TestOutputErrors(t *testing.T) {
	tests := map[string]struct {
		err    error
		code   int
		stderr string
	}{
		"a reader that left is no failure": {syscall.EPIPE, 0, ""},
		"a full disk is one":               {syscall.ENOSPC, 1, "tend: write stdout: no space left on device\n"},
	}
	for name, tt := range tests {
		for _, command := range []string{"ls", "jlist", "prettylist"} {
			t.Run(name+" of "+command, func(t *testing.T) {
				env := world(t)
				serve(t, env, &fakeDaemon{pong: api.Pong{PID: 1, Version: "v1"}, instances: instances()})
				var stderr strings.Builder
				env.Stdout, env.Stderr = shut{tt.err}, &stderr
				if code := Main(t.Context(), []string{command}, env); code != tt.code || stderr.String() != tt.stderr {
					t.Errorf("got code %d, stderr %q; want %d, %q", code, stderr.String(), tt.code, tt.stderr)
				}
			})
		}
	}
}

func TestColored(t *testing.T) {
	tests := map[string]struct {
		terminal bool
		env      map[string]string
		want     bool
	}{
		"a terminal":                {true, nil, true},
		"a pipe":                    {false, nil, false},
		"a forced pipe":             {false, map[string]string{"FORCE_COLOR": "1"}, true},
		"a terminal forced not to":  {true, map[string]string{"FORCE_COLOR": "0"}, false},
		"NO_COLOR wins":             {true, map[string]string{"NO_COLOR": "1", "FORCE_COLOR": "1"}, false},
		"a terminal without powers": {true, map[string]string{"TERM": "dumb"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Colored(tt.terminal, func(n string) string { return tt.env[n] }); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
