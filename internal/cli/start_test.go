package cli

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tend/api"
	"tend/internal/config"
)

// started is what was asked of POST /v1/apps.
func started(t *testing.T, requests []string) []api.StartRequest {
	t.Helper()
	var out []api.StartRequest
	for _, r := range requests {
		var req api.StartRequest
		if body, ok := strings.CutPrefix(r, "apps "); ok {
			if err := json.Unmarshal([]byte(body), &req); err != nil {
				t.Fatal(err)
			}
			out = append(out, req)
		}
	}
	return out
}

func TestStartDecides(t *testing.T) {
	tests := map[string]struct {
		args   string
		list   func(script string) []api.Instance
		act    string // of the one request to instances, with its target
		force  bool   // of the one request to apps
		starts bool
		code   int
		stderr string
	}{
		"a name that runs is restarted":         {args: "start api", act: "restart api"},
		"a name that is stopped is started":     {args: "start off", act: "start off"},
		"a namespace is restarted":              {args: "start default", act: "restart default"},
		"an id is restarted":                    {args: "start 0", act: "restart 0"},
		"an id that is none is the daemon's":    {args: "start 99", act: "start 99"},
		"all are restarted":                     {args: "start all", act: "restart all"},
		"names that match are restarted":        {args: "start /^t/", act: "restart /^t/"},
		"a new script is started":               {args: "start run.sh --name new", starts: true},
		"a new script is started as often":      {args: "start run.sh --name new -f", starts: true, force: true},
		"a script that runs is refused":         {args: "start run.sh --name tick", list: same, code: 1, stderr: "tend: start run.sh: the script runs already, as tick\n      restart it, give the new one another --name, or start it once more with -f\n"},
		"a script that runs is forced":          {args: "start ./run.sh --name tick -f", list: same, starts: true, force: true},
		"a script that is stopped is started":   {args: "start run.sh --name off", list: same, starts: true},
		"another script of a name is added":     {args: "start run.sh --name tick", starts: true, force: true},
		"the same script under another name":    {args: "start run.sh --name other", list: same, starts: true},
		"--env without a file":                  {args: "start run.sh --name new --env production", starts: true, stderr: "[tend][WARN] run.sh: --env production has no effect without a configuration file\n"},
		"a name that is a file as well":         {args: "start run.sh", list: func(string) []api.Instance { return []api.Instance{{Name: "run.sh", State: api.Online}} }, starts: true},
		"a name with a dot that is no file":     {args: "start v2.api", list: func(string) []api.Instance { return []api.Instance{{Name: "v2.api", State: api.Online}} }, act: "restart v2.api"},
		"no target and no file of the usual":    {args: "start", code: 1, stderr: "tend: read ecosystem.config.js: no such file or directory\n      name a file that is there, or a script to start\n"},
		"restart of a name":                     {args: "restart api --update-env", act: "restart api"},
		"a file whose options are of no effect": {args: "start apps.json -i 2 --namespace x", starts: true, stderr: "[tend][WARN] --instances: with a configuration file these have no effect\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			env := world(t)
			script := write(t, env, "run.sh", "#!/bin/sh\n")
			write(t, env, "apps.json", `{"apps": [{"name": "filed", "script": "run.sh"}]}`)
			d := &fakeDaemon{instances: instances()}
			if tt.list != nil {
				d.instances = tt.list(script)
			}
			r := try(t, env, d, strings.Fields(tt.args)...)
			if r.code != tt.code || r.stderr != tt.stderr {
				t.Errorf("got code %d, stderr %q; want %d, %q", r.code, r.stderr, tt.code, tt.stderr)
			}
			var acts []string
			for _, q := range r.requests {
				if strings.HasPrefix(q, "instances ") {
					a := acted(t, []string{q})[0]
					acts = append(acts, a.Act+" "+strings.Join(a.Targets, " "))
				}
			}
			if got := strings.Join(acts, ", "); got != tt.act {
				t.Errorf("acts: got %q, want %q", got, tt.act)
			}
			starts := started(t, r.requests)
			if (len(starts) == 1) != tt.starts {
				t.Fatalf("got %d starts, want %v", len(starts), tt.starts)
			}
			if tt.starts && starts[0].Force != tt.force {
				t.Errorf("got force %v, want %v", starts[0].Force, tt.force)
			}
		})
	}
}

// same are instances that all run the script.
func same(script string) []api.Instance {
	list := instances()
	for i := range list {
		list[i].Script = script
	}
	return list
}

func TestStartScript(t *testing.T) {
	env := world(t)
	script := write(t, env, "run.sh", "#!/bin/sh\n")
	r := try(t, env, &fakeDaemon{}, strings.Fields("start run.sh -n api -i 2 -k 3000 -- --port 80 -n x")...)
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("got %+v", r)
	}
	if want := "[tend] Starting " + script + " in fork_mode (2 instances)\n[tend] Done.\n┌"; !strings.HasPrefix(r.stdout, want) {
		t.Errorf("got %q, want %q...", r.stdout, want)
	}
	req := started(t, r.requests)[0]
	got := req.Apps[0]
	want := api.Spec{
		Name: "api", Script: script, Args: []string{"--port", "80", "-n", "x"}, Instances: 2, KillTimeout: 3000, Cwd: env.Cwd,
	}
	subset := api.Spec{
		Name: got.Name, Script: got.Script, Args: got.Args, Instances: got.Instances, KillTimeout: got.KillTimeout, Cwd: got.Cwd,
	}
	if diff := cmp.Diff(subset, want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(req.Inherited, map[string]string{"HOME": "/home/demo", "PATH": "/usr/bin:/bin", "NODE_ENV": "production"}); diff != "" {
		t.Errorf("inherited (-got +want):\n%s", diff)
	}
}

func TestStartFile(t *testing.T) {
	env := world(t)
	write(t, env, "run.sh", "#!/bin/sh\n")
	write(t, env, "ecosystem.json", `{"apps": [
		{"name": "tick", "script": "run.sh"},
		{"name": "new", "script": "run.sh"},
		{"name": "broken", "script": "nosuch.sh"}]}`)
	events := []api.Event{
		{Kind: api.EventTarget, Act: "restart", Target: "tick", IDs: []int{0}},
		{Kind: api.EventInstance, Name: "tick", ID: 0, OK: true},
		{Kind: api.EventApp, Name: "new", IDs: []int{12}},
	}
	r := try(t, env, &fakeDaemon{instances: instances(), events: events}, "start")
	want := "[tend] Applications new not running, starting...\n" +
		"[tend] Applying action restartProcessId on app [tick](ids: [ 0 ])\n[tend] [tick](0) ✓\n[tend] App [new] launched (1 instance)\n"
	if r.stdout != want {
		t.Errorf("got %q, want %q and no list, for one app is broken", r.stdout, want)
	}
	if r.code != 1 || !strings.Contains(r.stderr, "nosuch.sh") {
		t.Errorf("got code %d, stderr %q; want 1 and the missing script", r.code, r.stderr)
	}
	var names []string
	for _, a := range started(t, r.requests)[0].Apps {
		names = append(names, a.Name)
	}
	if diff := cmp.Diff(names, []string{"tick", "new"}); diff != "" {
		t.Errorf("apps (-got +want):\n%s", diff)
	}
}

func TestStartFileThatIsWrongStartsNothing(t *testing.T) {
	env := world(t)
	write(t, env, "run.sh", "#!/bin/sh\n")
	write(t, env, "apps.json", `[{"name": "a", "script": "run.sh"}, {"name": "b", "script": "run.sh", "kill_timeout": "soon"}]`)
	r := try(t, env, &fakeDaemon{}, "start", "apps.json")
	if r.code != 1 || len(r.requests) != 0 || !strings.Contains(r.stderr, "kill_timeout") {
		t.Errorf("got %+v, want a refusal that names the field", r)
	}
}

func TestStandardInput(t *testing.T) {
	for command, want := range map[string][]string{"start": {"tick", "new"}, "restart": {"tick"}} {
		t.Run(command, func(t *testing.T) {
			env := world(t)
			write(t, env, "run.sh", "#!/bin/sh\n")
			env.Stdin = strings.NewReader(`{apps: [{name: 'tick', script: 'run.sh'}, {name: 'new', script: 'run.sh'}]}`)
			r := try(t, env, &fakeDaemon{instances: instances()}, command, "-")
			if r.code != 0 {
				t.Fatalf("got %+v", r)
			}
			var names []string
			for _, a := range started(t, r.requests)[0].Apps {
				names = append(names, a.Name)
			}
			if diff := cmp.Diff(names, want); diff != "" {
				t.Errorf("apps (-got +want):\n%s", diff)
			}
		})
	}
}

// TestReloadOfAFile goes over to what the file says, and starts what is missing.
func TestReloadOfAFile(t *testing.T) {
	for command, want := range map[string]struct{ reload, list bool }{
		"reload": {true, false}, "startOrReload": {true, true}, "restart": {false, true},
	} {
		env := world(t)
		write(t, env, "run.sh", "#!/bin/sh\n")
		write(t, env, "apps.json", `{"apps": [{"name": "tick", "script": "run.sh", "env_prod": {"STAGE": "prod"}}, {"name": "new", "script": "run.sh"}, {"name": "off", "script": "run.sh"}]}`)
		r := try(t, env, &fakeDaemon{instances: instances()}, command, "apps.json", "--only", "tick,new", "--env", "prod", "-f")
		starts := started(t, r.requests)
		if r.code != 0 || len(starts) != 1 || strings.Contains(r.stdout, "│ id") != want.list {
			t.Fatalf("%s: got %+v, want one start, and a list: %v", command, r, want.list)
		}
		req := starts[0]
		if req.Reload != want.reload || req.Force != req.Reload || len(req.Apps) != 2 || req.Apps[0].Env["STAGE"] != "prod" {
			t.Errorf("%s: got reload %v, force %v, apps %+v", command, req.Reload, req.Force, req.Apps)
		}
		if want := "[tend] Applications new not running, starting...\n"; !strings.HasPrefix(r.stdout, want) {
			t.Errorf("%s: got %q, want %q", command, r.stdout, want)
		}
	}
}

func TestFields(t *testing.T) {
	tests := map[string]struct {
		args string
		want config.Fields
		file config.Options
	}{
		"texts": {"-n api --namespace n --interpreter python3 --node-args --inspect -o out -e err -p pid", config.Fields{
			"name": "api", "namespace": "n", "interpreter": "python3", "node_args": "--inspect", "out_file": "out", "error_file": "err", "pid_file": "pid",
		}, config.Options{Namespace: "n"}},
		"numbers stay text": {"-i max -k 10 --max-restarts 0 --max-memory-restart 200M --restart-delay 5 --exp-backoff-restart-delay 100", config.Fields{
			"instances": "max", "kill_timeout": "10", "max_restarts": "0", "max_memory_restart": "200M", "restart_delay": "5", "exp_backoff_restart_delay": "100",
		}, config.Options{}},
		"a cluster": {"-i -1 --listen-timeout 5000 --drain-timeout 0 --balance rr --shutdown-with-message", config.Fields{
			"instances": "-1", "listen_timeout": "5000", "drain_timeout": "0", "balance": "rr", "shutdown_with_message": true,
		}, config.Options{}},
		"flags": {"--merge-logs --time --wait-ready -x --no-autorestart --no-treekill --no-pmx", config.Fields{
			"merge_logs": true, "time": true, "wait_ready": true, "execute_command": true, "autorestart": false, "treekill": false, "pmx": false,
		}, config.Options{}},
		"lists":                      {"--stop-exit-codes 1 --stop-exit-codes 2 --filter-env SECRET", config.Fields{"stop_exit_codes": []string{"1", "2"}, "filter_env": []string{"SECRET"}}, config.Options{}},
		"a log of the default":       {"-l", config.Fields{"log_file": true}, config.Options{}},
		"a log file":                 {"-l all.log", config.Fields{"log_file": "all.log"}, config.Options{}},
		"watch everything":           {"--watch", config.Fields{"watch": true}, config.Options{}},
		"watch two":                  {"--watch src --watch=lib", config.Fields{"watch": []string{"src", "lib"}}, config.Options{}},
		"watch-delay is in seconds":  {"--watch-delay 1.5", config.Fields{"watch_delay": 1500.0}, config.Options{}},
		"watch-delay in a unit":      {"--watch-delay 4000ms", config.Fields{"watch_delay": "4000ms"}, config.Options{}},
		"max-restarts of no number":  {"--max-restarts", config.Fields{}, config.Options{}},
		"cron in three ways":         {"-c 0", config.Fields{"cron_restart": "0"}, config.Options{}},
		"what a file heeds":          {"--env prod --only a,b --cwd /srv --uid www --gid 7", config.Fields{}, config.Options{EnvName: "prod", Only: []string{"a", "b"}, Cwd: "/srv", UID: "www", GID: "7"}},
		"the user is the uid":        {"-u www", config.Fields{}, config.Options{UID: "www"}},
		"what describes no app":      {"-f -a --parallel 3 -m --sort id", config.Fields{}, config.Options{}},
		"wrappers of node are noted": {"--v8 --disable-source-map-support", config.Fields{"v8": true, "disable_source_map_support": true}, config.Options{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			env := world(t)
			env.out = bufio.NewWriter(io.Discard)
			root := newRoot(env)
			words, _ := normalise(append([]string{"start", "app.js"}, strings.Fields(tt.args)...), arities(root))
			cmd, words, err := root.Find(words)
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.ParseFlags(words); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(fields(cmd.Flags()), tt.want); diff != "" {
				t.Errorf("fields (-got +want):\n%s", diff)
			}
			if diff := cmp.Diff(fileOptions(cmd.Flags()), tt.file, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(config.Options{})); diff != "" {
				t.Errorf("options of files (-got +want):\n%s", diff)
			}
		})
	}
}

func TestEveryFieldIsOneOfConfig(t *testing.T) {
	env := world(t)
	write(t, env, "run.sh", "#!/bin/sh\n")
	good := map[string]string{
		"log-max-size": "1M",
		"log-type":     "raw", "max-memory-restart": "200M", "cron-restart": "0 3 * * *", "cron": "0 3 * * *", "interpreter": "none",
		"balance": "shared", "cwd": env.Cwd, "uid": "0", "gid": "0", "user": "0", "watch-delay": "1",
	}
	for _, o := range options {
		if o.field == "" {
			continue
		}
		env.out = bufio.NewWriter(io.Discard)
		args := []string{"--" + o.name}
		if o.value != "" {
			value := good[o.name]
			if value == "" {
				value = "1"
			}
			args[0] += "=" + value
		}
		cmd, _, err := newRoot(env).Find([]string{"start"})
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.ParseFlags(args); err != nil {
			t.Fatal(err)
		}
		f := fields(cmd.Flags())
		f["script"] = filepath.Join(env.Cwd, "run.sh")
		if _, _, err := config.Resolve(env.context(), "command line", f, config.Options{}); err != nil {
			t.Errorf("--%s: %v", o.name, err)
		}
	}
}

func TestInherited(t *testing.T) {
	tests := map[string]struct{ environ, want string }{
		"a shell's environment is passed on": {"A=1 name=x PM2_HOME=/h", "A=1 PM2_HOME=/h name=x"},
		"what an app was told of itself is not": {
			"A=1 name=x pm_id=3 NODE_APP_INSTANCE=0 axm_actions=y PM2_HOME=/h instance_var=N N=4 unique_id=u", "A=1 PM2_HOME=/h",
		},
		"the last of two wins": {"A=1 A=2", "A=2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			env := &Env{Environ: strings.Fields(tt.environ)}
			if diff := cmp.Diff(env.inherited(), environment(strings.Fields(tt.want))); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

// TestWriteDefinition: what -w writes starts the same app, and holds nothing of
// the shell.
func TestWriteDefinition(t *testing.T) {
	env := world(t)
	write(t, env, "run.sh", "#!/bin/sh\n")
	r := try(t, env, &fakeDaemon{}, strings.Fields("start run.sh -w -n api -i 2 -k 3000 -- --port 80")...)
	if r.code != 0 {
		t.Fatalf("got %+v", r)
	}
	asked := started(t, r.requests)[0].Apps
	path := filepath.Join(env.Cwd, "api-pm2.json")
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "NODE_ENV") {
		t.Fatalf("got %v\n%s", err, text)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want 0600", fi, err)
	}
	again, err := config.Load(t.Context(), env.context(), path, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	again.Apps[0].File = asked[0].File
	if diff := cmp.Diff(again.Apps, asked, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-from the file +from the command line:\n%s", diff)
	}
}
