package pm2env

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"tend/api"
	"tend/internal/app"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, string(want)); diff != "" {
		t.Errorf("%s differs (-got +want); run with -update if it is right:\n%s", path, diff)
	}
}

// sample is an instance with something in every corner.
func sample() api.Instance {
	spec := app.Default()
	spec.Name, spec.Script, spec.Cwd = "api", "/srv/api/server.js", "/srv/api"
	spec.Args = []string{"--name", "it's"}
	spec.Interpreter = "/usr/bin/node"
	spec.Mode, spec.Instances = api.Cluster, 2
	spec.Env = map[string]string{"NODE_ENV": "production", "name": "shadow", "cron_restart": "shadow too"}
	spec.Username = "demo"
	spec.MaxMemory = 200 << 20
	spec.Watch = &api.Watch{Paths: []string{"/srv/api"}, Ignore: []string{"logs"}, Delay: 500}
	spec.Extra = map[string]any{"pmx": false, "io": map[string]any{"tracing": true}}
	return api.Instance{
		ID: 3, Name: "api", Namespace: "default", Index: 1, Mode: api.Cluster, Version: "1.2.3",
		State: api.Online, PID: 4242, CreatedAt: 1700000000000, StartedAt: 1700000005000, Restarts: 2,
		Exited: true, ExitCode: 1, CPU: 12.34, Memory: 55050240, User: "demo", Watching: true,
		OutFile: "/h/logs/api-out-3.log", ErrFile: "/h/logs/api-error-3.log", PidFile: "/h/pids/api-3.pid", Monitored: true,
		Script: "/srv/api/server.js",
		Detail: &api.Detail{
			Spec: &spec, Env: map[string]string{
				"NODE_ENV": "production", "name": "shadow", "cron_restart": "shadow too", "HOME": "/home/demo", "A-B": "<&>",
			}, UniqueID: "0f5c9f0e-26f6-4b35-8e6f-d2c1a1a3f9ab",
			Actions: []api.Action{{Name: "gc", Type: "custom", Arity: 1}, {Name: "old"}},
			Metrics: map[string]api.Metric{"Heap Size": {Value: "5.5", Unit: "MiB", Type: "internal/heap", Historic: true}, "Loops": {Value: 3.0}}, NodeVersion: "22.1.0", Versioning: &api.Versioning{
				Type: "git", URL: "https://example.org/x.git", Revision: "a39b79c8796e09927349126f683f8fb951f0a085", Comment: "Say so",
				UpdateTime: "2026-11-22T19:32:59+00:00", Branch: "main", Remote: "origin", RepoPath: "/srv/api",
			},
		},
	}
}

func TestEncode(t *testing.T) {
	list := []Object{Encode(sample())}
	golden(t, "jlist.json", string(AppendJSON(nil, list)))
	golden(t, "prettylist.txt", Inspect(list))
}

func TestEncodeTypes(t *testing.T) {
	var got []struct {
		PID   int `json:"pid"`
		PMID  int `json:"pm_id"`
		Monit struct {
			Memory int64   `json:"memory"`
			CPU    float64 `json:"cpu"`
		} `json:"monit"`
		Env map[string]any `json:"pm2_env"`
	}
	stopped := api.Instance{ID: 9, Name: "off", State: api.Stopped, Memory: 5, CPU: 5, Script: "/x"}
	if err := json.Unmarshal(AppendJSON(nil, []Object{Encode(sample()), Encode(stopped)}), &got); err != nil {
		t.Fatal(err)
	}
	if got[0].Monit.Memory != 55050240 || got[0].Monit.CPU != 12.3 {
		t.Errorf("got monit %+v, want 55050240 bytes and 12.3 %%", got[0].Monit)
	}
	if m := got[1].Monit; m.Memory != 0 || m.CPU != 0 {
		t.Errorf("got monit %+v of a stopped instance, want zeros", m)
	}
	for key, want := range map[string]any{
		"name": "api", "NODE_ENV": "production", "NODE_APP_INSTANCE": 1.0, "exec_mode": "cluster_mode",
		"instances": 2.0, "pmx": false, "cron_restart": nil, "pm_uptime": 1700000005000.0,
	} {
		if diff := cmp.Diff(got[0].Env[key], want); diff != "" {
			t.Errorf("pm2_env.%s (-got +want):\n%s", key, diff)
		}
	}
	if env := got[0].Env["env"].(map[string]any); env["name"] != "shadow" {
		t.Errorf("got env.name %v, want the variable", env["name"])
	}
}

func TestDecodeDumpOfPM2(t *testing.T) {
	text, err := os.ReadFile("testdata/pm2.json")
	if err != nil {
		t.Fatal(err)
	}
	dump, err := DecodeDump(text)
	if err != nil {
		t.Fatal(err)
	}
	list := dump.List
	if len(list) != 3 || !slices.Equal(dump.Modules, []string{"pm2-logrotate"}) {
		t.Fatalf("got %d instances, modules %v; want 3 and the one module", len(list), dump.Modules)
	}

	want := app.Default()
	want.Name, want.Script, want.Cwd = "web", "/srv/demo/apps/web.js", "/srv/demo/apps"
	want.Args, want.InterpreterArgs = []string{"--port", "3000"}, []string{"--max-old-space-size=200"}
	want.Interpreter, want.Mode, want.Instances, want.Username = "node", api.Cluster, 2, "demo"
	want.Watch = &api.Watch{Paths: []string{"/srv/demo/apps"}, Ignore: []string{"node_modules", "logs"}}
	want.MaxMemory, want.MaxRestarts, want.Cron, want.KillTimeout = 209715200, 5, "0 3 * * *", 3000
	want.StopCodes = []int{0, 3}
	want.Log = api.Log{
		Out: "/home/demo/.pm2/logs/web-out.log", Err: "/home/demo/.pm2/logs/web-error.log",
		Pid: "/home/demo/.pm2/pids/web.pid",
	}
	want.Extra = map[string]any{"pmx": true, "vizion": true, "automation": true, "windowsHide": true, "kill_retry_time": 100.0}
	if diff := cmp.Diff(list[0], Saved{
		Spec:  want,
		Env:   map[string]string{"HOME": "/home/demo", "NODE_ENV": "production", "RETRIES": "3", "OPTIONS": `{"a":1}`},
		Index: 1, Restarts: 7, CreatedAt: 1700000000000, StartedAt: 1700000001000, Version: "1.4.2",
		OutFile: "/home/demo/.pm2/logs/web-out-4.log", ErrFile: "/home/demo/.pm2/logs/web-error-4.log",
		PidFile: "/home/demo/.pm2/pids/web-4.pid", Foreign: true,
	}, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("first instance (-got +want):\n%s", diff)
	}

	// What an entry leaves out is as in app.Default.
	want = app.Default()
	want.Name, want.Script, want.Cwd = "web", "/srv/demo/apps/web.js", "/srv/demo/apps"
	want.Interpreter, want.Mode, want.Instances = "node", api.Cluster, 2
	if diff := cmp.Diff(list[1], Saved{Spec: want, Stopped: true, Foreign: true}, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("second instance (-got +want):\n%s", diff)
	}

	job := list[2]
	if job.Spec.Interpreter != "" || job.Spec.Script != "/bin/bash" || job.Index != -1 || job.Stopped {
		t.Errorf("got %+v, want bash running itself, of unknown number", job)
	}
	if job.Spec.Log.Out != "/var/log/job-2.log" {
		t.Errorf("got %s, want the merged log's name untouched", job.Spec.Log.Out)
	}
	if diff := cmp.Diff(job.Spec.Watch.Paths, []string{"/srv/src", "/etc/job"}); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeDumpRefuses(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"an empty file":           {"", "unexpected end"},
		"nothing":                 {"null", "it is no list"},
		"an object":               {`{"name":"x"}`, "cannot unmarshal object"},
		"an entry without a name": {`[{"pm_exec_path":"/x"}]`, "entry 0 (): it has no name"},
		"an object for a number":  {`[{"name":"x","pm_exec_path":"/x","max_restarts":{}}]`, "entry 0 (x): max_restarts: want a number, found {}"},
		"a list for a text":       {`[{"name":"x","pm_exec_path":["/x"]}]`, "pm_exec_path: want text"},
		"a text for env":          {`[{"name":"x","pm_exec_path":"/x","env":"A=1"}]`, "env: want an object"},
		"a number beyond 2^53":    {`[{"name":"x","pm_exec_path":"/x","pm_uptime":1e300}]`, "pm_uptime: want a number"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeDump([]byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want ...%s...", err, tt.want)
			}
		})
	}
}

func TestEncodeDumpIsIndented(t *testing.T) {
	in := sample()
	golden(t, "dump.json", string(EncodeDump([]Saved{{
		Spec: *in.Detail.Spec, Env: in.Detail.Env, Index: 1, Restarts: 2, CreatedAt: in.CreatedAt, StartedAt: in.StartedAt,
		Version: in.Version, OutFile: in.OutFile, ErrFile: in.ErrFile, PidFile: in.PidFile,
	}})))
	if got := string(EncodeDump(nil)); got != "[]" {
		t.Errorf("got %q for no instance, want []", got)
	}
}

// A list that an older tend wrote says nothing of drains: they are switched on.
func TestDecodeDumpOfAnOlderTend(t *testing.T) {
	dump, err := DecodeDump([]byte(`[{"name":"x","pm_exec_path":"/x","tend":{"instances":1,"index":0,"stop_signal":"SIGINT"}}]`))
	if err != nil || dump.List[0].Spec.DrainTimeout != app.Default().DrainTimeout {
		t.Errorf("got %+v, %v; want the default of drain_timeout", dump, err)
	}
}

func TestDumpRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(drawSaved), 0, 3).Draw(t, "list")
		got, err := DecodeDump(EncodeDump(want))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got.List, want, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-got +want):\n%s", diff)
		}
	})
}

func drawSaved(t *rapid.T) Saved {
	text := rapid.String()
	some := rapid.StringN(1, 12, -1)
	variable := rapid.StringMatching(`[A-Z_]{1,6}`)
	texts := rapid.SliceOfN(text, 0, 3)
	ms := rapid.Int64Range(0, 1<<53)
	count := rapid.IntRange(0, 1<<31)
	env := rapid.MapOfN(variable, text, 0, 4)
	draw := func(g *rapid.Generator[string], label string) string { return g.Draw(t, label) }
	maybe := func(label string) bool { return rapid.Bool().Draw(t, label) }
	number := func(label string) *int {
		if maybe("has " + label) {
			n := count.Draw(t, label)
			return &n
		}
		return nil
	}

	s := api.Spec{
		Name: draw(some, "name"), Namespace: draw(some, "namespace"), Script: draw(some, "script"),
		Args: texts.Draw(t, "args"), InterpreterArgs: texts.Draw(t, "interpreter args"),
		Interpreter: draw(rapid.SampledFrom([]string{"", "/bin/sh", "/usr/bin/node"}), "interpreter"),
		Cwd:         draw(some, "cwd"), Env: env.Draw(t, "own env"), Instances: count.Draw(t, "instances"),
		Mode:        rapid.SampledFrom([]api.Mode{api.Fork, api.Cluster}).Draw(t, "mode"),
		InstanceVar: draw(rapid.SampledFrom([]string{"", "NODE_APP_INSTANCE", "name", "N"}), "instance var"), IncrementVar: draw(text, "increment var"),
		Username: draw(text, "username"), Account: draw(text, "account"), UID: number("uid"), GID: number("gid"),
		Groups: rapid.SliceOfN(count, 0, 3).Draw(t, "groups"), Autostart: maybe("autostart"), Autorestart: maybe("autorestart"),
		StopCodes: rapid.SliceOfN(count, 0, 3).Draw(t, "codes"), MaxRestarts: count.Draw(t, "max restarts"),
		MinUptime: ms.Draw(t, "min uptime"), RestartDelay: ms.Draw(t, "delay"), Backoff: ms.Draw(t, "backoff"),
		MaxMemory: ms.Draw(t, "memory"), Cron: draw(rapid.SampledFrom([]string{"", "0 3 * * *"}), "cron"),
		StopSignal: draw(text, "signal"), KillTimeout: ms.Draw(t, "kill timeout"), TreeKill: maybe("tree"),
		ShutdownMessage: maybe("message"), WaitReady: maybe("ready"), ListenTimeout: ms.Draw(t, "listen timeout"),
		DrainTimeout: ms.Draw(t, "drain timeout"),
		Balance:      rapid.SampledFrom([]api.Balance{"", api.RoundRobin, api.Shared, api.Reuseport}).Draw(t, "balance"),
		Log: api.Log{
			Out: draw(text, "out"), Err: draw(text, "err"), Combined: draw(text, "log"), Pid: draw(text, "pid"),
			Merge: maybe("merge"), Date: draw(text, "date"), Type: draw(text, "type"), Disabled: maybe("disabled"),
			RateLimit: ms.Draw(t, "rate limit"),
		},
		Extra: rapid.MapOfN(rapid.SampledFrom([]string{"pmx", "v8", "name", "future", "ignore_watch", "watch_delay"}),
			rapid.SampledFrom([]any{true, 1.5, "x", []any{"y"}, map[string]any{"z": false}}), 0, 4).Draw(t, "extra"),
	}
	if maybe("a life of its own") {
		s.InstanceStart, s.Umask, s.Priority, s.StartRetries = count.Draw(t, "start"), number("umask"), number("priority"), number("retries")
		s.Unexpected, s.GroupKill, s.StartTime = maybe("unexpected"), maybe("group"), ms.Draw(t, "start time")
		s.ExpectedCodes = rapid.SliceOfN(count, 0, 3).Draw(t, "expected")
		s.Limits = map[string]api.Limit{"nofile": {Soft: 1, Hard: -1}}
	}
	if maybe("file") {
		s.File, s.FileEnv = "/"+draw(some, "file"), draw(text, "file env")
	}
	if maybe("secrets") {
		s.Secrets = map[string]api.Secret{
			"FILE": {File: "/" + draw(some, "file of a secret")}, "ENV": {Env: draw(some, "variable")}, "CMD": {Cmd: []string{"/a", draw(text, "argument")}},
		}
	}
	if maybe("rotation") {
		s.Log.Rotation = &api.Rotation{
			Off: maybe("off"), MaxSize: ms.Draw(t, "max size"), Interval: draw(text, "interval"), Retain: rapid.IntRange(-1, 1<<31).Draw(t, "retain"),
			MaxAge: ms.Draw(t, "max age"), TotalCap: ms.Draw(t, "total cap"), Compress: draw(text, "compress"), DateFormat: draw(text, "date format"),
		}
	}
	if maybe("command line") && s.Interpreter != "" {
		s.InterpreterArgs = append(s.InterpreterArgs, "-c")
	}
	if maybe("filters") {
		s.FilterEnv = &api.EnvFilter{All: maybe("all"), Exact: texts.Draw(t, "exact"), Contains: texts.Draw(t, "contains")}
		if len(s.FilterEnv.Exact) == 1 && s.FilterEnv.Exact[0] == "" {
			s.FilterEnv.Exact = nil
		}
	}
	if maybe("watches") {
		s.Watch = &api.Watch{Paths: texts.Draw(t, "paths"), Ignore: texts.Draw(t, "ignore"), Delay: ms.Draw(t, "watch delay")}
		if maybe("watch options") {
			s.Watch.Options = map[string]any{"usePolling": true, "depth": 3.0}
		}
	}
	whole := env.Draw(t, "inherited")
	if maybe("own wins") {
		maps.Copy(whole, s.Env)
	}
	return Saved{
		Spec: s, Env: whole, Index: count.Draw(t, "index"), Stopped: maybe("stopped"), Restarts: count.Draw(t, "restarts"),
		Unstable: count.Draw(t, "unstable"), CreatedAt: ms.Draw(t, "created"), StartedAt: ms.Draw(t, "started"),
		ExitCode: count.Draw(t, "code"), Version: draw(text, "version"), OutFile: draw(text, "out file"),
		ErrFile: draw(text, "err file"), LogFile: draw(text, "log file"), PidFile: draw(text, "pid file"),
	}
}

func TestAppendJSONIsWhatJSONReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "map")
		var got map[string]string
		if err := json.Unmarshal(AppendJSON(nil, want), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, want, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestInspect(t *testing.T) {
	long := strings.Repeat("x", 60)
	tests := map[string]struct {
		in   any
		want string
	}{
		"a pong":              {Object{{"msg", "pong"}}, "{ msg: 'pong' }"},
		"ids":                 {[]int{1, 2}, "[ 1, 2 ]"},
		"many ids":            {[]int{0, 1, 2, 3, 4, 5, 6, 10, 100}, "[\n  0, 1,  2,   3, 4,\n  5, 6, 10, 100\n]"},
		"many texts":          {strings.Fields("a bb c dd e ff ggg"), "[\n  'a',   'bb',\n  'c',   'dd',\n  'e',   'ff',\n  'ggg'\n]"},
		"no ids":              {[]int{}, "[]"},
		"no members":          {Object{}, "{}"},
		"a key that needs it": {Object{{"a-b", 1}, {"_c1", 2}, {"1d", 3}}, "{ 'a-b': 1, _c1: 2, '1d': 3 }"},
		"quotes":              {[]string{"it's", `it's "so"`, "it's \"`\"", `plain "q"`}, "[ \"it's\", `it's \"so\"`, 'it\\'s \"`\"', 'plain \"q\"' ]"},
		"a line break":        {"a\nb\\", `'a\nb\\'`},
		"constants":           {[]any{nil, true, 1.5}, "[ null, true, 1.5 ]"},
		"too wide":            {Object{{"a", long}, {"b", 1}}, "{\n  a: '" + long + "',\n  b: 1\n}"},
		"three levels":        {Object{{"a", Object{{"b", Object{{"c", Object{}}}}}}}, "{ a: { b: { c: {} } } }"},
		"four levels":         {Object{{"a", Object{{"b", Object{{"c", Object{{"d", 1}}}}}}}}, "{\n  a: { b: { c: { d: 1 } } }\n}"},
		"nested and too wide": {[]Object{{{"a", Object{{"b", long}, {"c", long}}}}}, "[\n  {\n    a: {\n      b: '" + long + "',\n      c: '" + long + "'\n    }\n  }\n]"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(Inspect(tt.in), tt.want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

func FuzzDecodeDump(f *testing.F) {
	text, err := os.ReadFile("testdata/pm2.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, version := range samples {
		f.Add(sampled(f, version))
	}
	f.Add(EncodeDump([]Saved{{Spec: *sample().Detail.Spec, Env: sample().Detail.Env}}))
	f.Add([]byte(`[{"name":"x","pm_exec_path":"/x","tend":{"command_line":-1}}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dump, err := DecodeDump(text)
		if err != nil {
			return
		}
		// What was read once reads the same again.
		list := dump.List
		again, err := DecodeDump(EncodeDump(list))
		if err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
		for i := range list {
			list[i].Foreign = false // it is ours now
		}
		if diff := cmp.Diff(again.List, list, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("second reading differs (-got +want):\n%s", diff)
		}
	})
}
