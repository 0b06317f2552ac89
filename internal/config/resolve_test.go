package config

import (
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/errs"
)

func TestScript(t *testing.T) {
	const elf = "\x7fELF\x02\x01\x01\x00"
	for name, tt := range map[string]struct {
		fields Fields
		// HERE stands for the directory.
		script, interpreter, name string
		args                      []string // of the interpreter
	}{
		"a file":                         {Fields{"script": "app.js"}, "HERE/app.js", "HERE/bin/node", "app", nil},
		"a file in another directory":    {Fields{"script": "in.js", "cwd": "dir"}, "HERE/dir/in.js", "HERE/bin/node", "in", nil},
		"an absolute path":               {Fields{"exec": "HERE/app.js"}, "HERE/app.js", "HERE/bin/node", "app", nil},
		"a path from home":               {Fields{"script": "~/h.js"}, "HERE/home/h.js", "HERE/bin/node", "h", nil},
		"a name with two dots":           {Fields{"script": "a.b.js"}, "HERE/a.b.js", "HERE/bin/node", "a.b", nil},
		"a name that begins with a dot":  {Fields{"script": ".run"}, "HERE/.run", "HERE/bin/node", ".run", nil},
		"a file with a space":            {Fields{"script": "my app.js"}, "HERE/my app.js", "HERE/bin/node", "my app", nil},
		"a command in PATH":              {Fields{"script": "ruby"}, "HERE/bin/ruby", "", "ruby", nil},
		"a command beside a directory":   {Fields{"script": "python3"}, "HERE/bin/python3", "", "python3", nil},
		"a file before a command":        {Fields{"script": "sh"}, "HERE/sh", "HERE/bin/node", "sh", nil},
		"a command line":                 {Fields{"script": "echo a && sleep 1.5"}, "echo a && sleep 1.5", "HERE/bin/bash", "echo a && sleep 1", []string{"-c"}},
		"a command line with none":       {Fields{"cmd": "echo a", "interpreter": "none"}, "echo a", "HERE/bin/bash", "echo a", []string{"-c"}},
		"the name of a command line":     {Fields{"script": "./serve x/y.z --p"}, "./serve x/y.z --p", "HERE/bin/bash", "y", []string{"-c"}},
		"a shell script":                 {Fields{"script": "x.sh"}, "HERE/x.sh", "HERE/bin/bash", "x", nil},
		"python, where it is python3":    {Fields{"script": "x.py"}, "HERE/x.py", "HERE/bin/python3", "x", nil},
		"a module of ECMAScript":         {Fields{"script": "x.mjs"}, "HERE/x.mjs", "HERE/bin/node", "x", nil},
		"a module of CommonJS":           {Fields{"script": "x.cjs"}, "HERE/x.cjs", "HERE/bin/node", "x", nil},
		"an extension in capitals":       {Fields{"script": "X.RB"}, "HERE/X.RB", "HERE/bin/ruby", "X", nil},
		"text of an unknown kind":        {Fields{"script": "text.x"}, "HERE/text.x", "HERE/bin/node", "text", nil},
		"an empty file":                  {Fields{"script": "empty"}, "HERE/empty", "HERE/bin/node", "empty", nil},
		"a shebang":                      {Fields{"script": "tool"}, "HERE/tool", "", "tool", nil},
		"a shebang of node":              {Fields{"script": "cli"}, "HERE/cli", "HERE/bin/node", "cli", nil},
		"a shebang of node in a text":    {Fields{"script": "cli-text"}, "HERE/cli-text", "HERE/bin/node", "cli-text", nil},
		"a program":                      {Fields{"script": "prog"}, "HERE/prog", "", "prog", nil},
		"none runs the script itself":    {Fields{"script": "tool", "interpreter": "none"}, "HERE/tool", "", "tool", nil},
		"an interpreter in PATH":         {Fields{"script": "app.js", "exec_interpreter": "ruby"}, "HERE/app.js", "HERE/bin/ruby", "app", nil},
		"an interpreter by its path":     {Fields{"script": "app.js", "interpreter": "./tool"}, "HERE/app.js", "HERE/tool", "app", nil},
		"an interpreter from home":       {Fields{"script": "app.js", "interpreter": "~/venv/python"}, "HERE/app.js", "HERE/home/venv/python", "app", nil},
		"a version of node, exactly":     {Fields{"script": "app.js", "interpreter": "node@20.1.0"}, "HERE/app.js", "HERE/nvm/versions/node/v20.1.0/bin/node", "app", nil},
		"a version of node, the newest":  {Fields{"script": "app.js", "interpreter": "node@20"}, "HERE/app.js", "HERE/nvm/versions/node/v20.10.1/bin/node", "app", nil},
		"a version of node with v":       {Fields{"script": "app.js", "interpreter": "node@v20.9"}, "HERE/app.js", "HERE/nvm/versions/node/v20.9.3/bin/node", "app", nil},
		"arguments of the interpreter":   {Fields{"script": "app.js", "node_args": "--inspect"}, "HERE/app.js", "HERE/bin/node", "app", []string{"--inspect"}},
		"TypeScript under a new node":    {Fields{"script": "x.ts", "interpreter": nil}, "HERE/x.ts", "HERE/bin/node", "x", nil},
		"an unreadable name is no fault": {Fields{"script": "dir/in.js"}, "HERE/dir/in.js", "HERE/bin/node", "in", nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t, map[string]string{
				"app.js": "", "a.b.js": "", ".run": "", "my app.js": "", "sh": "text", "x.sh": "", "x.py": "", "x.mjs": "", "x.cjs": "",
				"X.RB": "", "x.ts": "", "text.x": "some text\n", "empty": "", "dir/in.js": "", "home/h.js": "", "python3/x": "",
				"cli-text": "#!/usr/bin/env node\n",
			})
			c.Env["NVM_DIR"] = filepath.Join(c.Cwd, "nvm")
			for _, v := range []string{"v18.20.0", "v20.1.0", "v20.9.3", "v20.10.1", "v200.0.0"} {
				write(t, filepath.Join(c.Cwd, "nvm/versions/node", v, "bin/node"), "", 0o755)
			}
			write(t, filepath.Join(c.Cwd, "nvm/versions/node/v20.11.0/bin/node"), "", 0o644) // half installed
			write(t, filepath.Join(c.Cwd, "bin/node"), "#!/bin/sh\necho v22.18.0\n", 0o755)
			write(t, filepath.Join(c.Cwd, "tool"), "#!/bin/sh\n", 0o755)
			write(t, filepath.Join(c.Cwd, "cli"), "#! /usr/bin/env node\n", 0o755)
			write(t, filepath.Join(c.Cwd, "prog"), elf, 0o755)
			write(t, filepath.Join(c.Home, "venv/python"), "#!/bin/sh\n", 0o755)
			f := maps.Clone(tt.fields)
			for k, v := range f {
				if s, ok := v.(string); ok {
					f[k] = strings.ReplaceAll(s, "HERE", c.Cwd)
				}
			}
			s, _ := resolved(t, c, f, Options{})
			got := []string{s.Script, s.Interpreter, s.Name, strings.Join(s.InterpreterArgs, "|")}
			want := []string{tt.script, tt.interpreter, tt.name, strings.Join(tt.args, "|")}
			for i := range want {
				want[i] = strings.ReplaceAll(want[i], "HERE", c.Cwd)
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("script, interpreter, name, interpreter args: got - want +\n%s", diff)
			}
		})
	}
}

func TestScriptThatCannotRun(t *testing.T) {
	for name, tt := range map[string]struct {
		fields Fields
		kind   errs.Kind
		say    []string
	}{
		"none at all":                            {Fields{"name": "x"}, errs.Invalid, []string{"app x: script is missing", `"script": "app.js"`}},
		"an empty one":                           {Fields{"script": ""}, errs.Invalid, []string{"script is missing"}},
		"a file that is not there":               {Fields{"script": "gone.js"}, errs.NotFound, []string{"app gone: script not found: HERE/gone.js", "neither in HERE nor a command in PATH"}},
		"a path that is not there":               {Fields{"script": "./a/gone.js"}, errs.NotFound, []string{"script not found: HERE/a/gone.js", "seen from HERE"}},
		"a file in place of a directory":         {Fields{"script": "app.js/x"}, errs.NotFound, []string{"script not found"}},
		"a directory":                            {Fields{"script": "./dir"}, errs.Invalid, []string{"HERE/dir is a directory"}},
		"a directory by a bare name":             {Fields{"script": "dir"}, errs.Invalid, []string{"HERE/dir is a directory"}},
		"a line for an interpreter":              {Fields{"script": "app.js --x", "interpreter": "node"}, errs.NotFound, []string{"script not found: HERE/app.js --x"}},
		"a program without the bit":              {Fields{"script": "prog"}, errs.Denied, []string{"HERE/prog is not executable", "chmod +x HERE/prog"}},
		"a shebang without the bit":              {Fields{"script": "tool"}, errs.Denied, []string{"HERE/tool is not executable", "chmod +x HERE/tool"}},
		"none without the bit":                   {Fields{"script": "app.js", "interpreter": "none"}, errs.Denied, []string{"chmod +x HERE/app.js"}},
		"an interpreter that is missing":         {Fields{"script": "x.php"}, errs.NotFound, []string{"interpreter php is not in PATH", `"none" runs the script itself`}},
		"an interpreter that is nowhere":         {Fields{"script": "app.js", "interpreter": "nod"}, errs.NotFound, []string{"interpreter nod is not in PATH"}},
		"an interpreter's path that is not":      {Fields{"script": "app.js", "interpreter": "./nod"}, errs.NotFound, []string{"interpreter HERE/nod", "no such file"}},
		"an interpreter that is no program":      {Fields{"script": "app.js", "interpreter": "./app.js"}, errs.Denied, []string{"chmod +x HERE/app.js"}},
		"a version of node that is missing":      {Fields{"script": "app.js", "interpreter": "node@19"}, errs.NotFound, []string{"no node 19 is in HERE/home/.nvm/versions/node", "nvm install 19"}},
		"TSX without bun":                        {Fields{"script": "x.tsx"}, errs.NotFound, []string{"interpreter bun is not in PATH"}},
		"TypeScript under an old node":           {Fields{"script": "x.ts"}, errs.NotFound, []string{"node v20.20.2 does not run TypeScript", "bun"}},
		"a directory to run in that is not":      {Fields{"script": "HERE/app.js", "cwd": "gone"}, errs.NotFound, []string{"cwd: look at HERE/gone: no such file"}},
		"a file as the directory":                {Fields{"script": "HERE/app.js", "cwd": "app.js"}, errs.Invalid, []string{"cwd: HERE/app.js is not a directory"}},
		"a zero byte, which no path holds":       {Fields{"script": "a\x00b"}, errs.Invalid, []string{"script"}},
		"a name that is too long for the system": {Fields{"script": strings.Repeat("x", 5000)}, errs.Invalid, []string{"script: look at"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t, map[string]string{"app.js": "", "dir/x": "", "prog": "\x7fELF\x00", "tool": "#!/bin/sh\n", "x.php": "", "x.tsx": "", "x.ts": ""})
			write(t, filepath.Join(c.Cwd, "bin/node"), "#!/bin/sh\necho v20.20.2\n", 0o755)
			f := maps.Clone(tt.fields)
			if s, ok := f["script"].(string); ok {
				f["script"] = strings.ReplaceAll(s, "HERE", c.Cwd)
			}
			_, _, err := Resolve(c, "test", f, Options{})
			for _, s := range tt.say {
				wantError(t, err, tt.kind, strings.ReplaceAll(s, "HERE", c.Cwd))
			}
		})
	}
}

func TestScriptUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	c := world(t, nil)
	write(t, filepath.Join(c.Cwd, "app.js"), "", 0)
	write(t, filepath.Join(c.Cwd, "text"), "", 0)
	write(t, filepath.Join(c.Cwd, "prog"), "", 0o111)
	for _, script := range []string{"app.js", "text"} {
		_, _, err := Resolve(c, "test", Fields{"script": script}, Options{})
		wantError(t, err, errs.Denied, "script: read "+filepath.Join(c.Cwd, script), "permission denied")
	}
	s, _ := resolved(t, c, Fields{"script": "prog"}, Options{})
	if s.Interpreter != "" {
		t.Errorf("a program that may only be run: got interpreter %q, want none", s.Interpreter)
	}
}

func TestShellWhereThereIsNoBash(t *testing.T) {
	c := world(t, nil)
	if err := os.Remove(filepath.Join(c.Cwd, "bin/bash")); err != nil {
		t.Fatal(err)
	}
	s, warnings := resolved(t, c, Fields{"script": "echo a", "args": "b"}, Options{})
	if s.Interpreter != filepath.Join(c.Cwd, "bin/sh") || len(s.Args) != 0 {
		t.Errorf("got interpreter %s with args %q, want sh without", s.Interpreter, s.Args)
	}
	if diff := cmp.Diff(warnings, []string{`app echo a: args are left out: write them into the command line "echo a"`}); diff != "" {
		t.Errorf("warnings: got - want +\n%s", diff)
	}
	c.Env["PATH"] = ""
	_, _, err := Resolve(c, "test", Fields{"script": "echo a"}, Options{})
	wantError(t, err, errs.NotFound, `no bash and no sh for "echo a"`)
}

func TestTypeScript(t *testing.T) {
	for version, want := range map[string]string{
		"v22.18.0": "", "v22.17.9": "--experimental-strip-types", "v22.6.0": "--experimental-strip-types", "v22.5.0": "error",
		"v23.0.0": "--experimental-strip-types", "v23.6.0": "", "v24.0.0": "", "v20.20.2": "error", "nonsense": "error",
	} {
		c := world(t, map[string]string{"x.ts": ""})
		write(t, filepath.Join(c.Cwd, "bin/node"), "#!/bin/sh\necho "+version+"\n", 0o755)
		s, _, err := Resolve(c, "test", Fields{"script": "x.ts", "node_args": "--a"}, Options{})
		got := strings.Join(s.InterpreterArgs, " ")
		if err != nil {
			got = "error --a"
		}
		if got != strings.TrimSpace(want+" --a") {
			t.Errorf("node %s: got %q (%v), want %q", version, got, err, want)
		}
	}
	c := world(t, map[string]string{"x.ts": "", "x.tsx": ""})
	write(t, filepath.Join(c.Cwd, "bin/bun"), "", 0o755)
	for _, script := range []string{"x.ts", "x.tsx"} {
		if s, _ := resolved(t, c, Fields{"script": script}, Options{}); s.Interpreter != filepath.Join(c.Cwd, "bin/bun") {
			t.Errorf("%s: got interpreter %s, want bun", script, s.Interpreter)
		}
	}
}

func TestPythonIsNotBuffered(t *testing.T) {
	c := world(t, map[string]string{"x.py": "", "x.rb": ""})
	for name, tt := range map[string]struct {
		fields Fields
		want   string
	}{
		"python":                    {Fields{"script": "x.py"}, "1"},
		"python that the app tells": {Fields{"script": "x.py", "env": Fields{"PYTHONUNBUFFERED": ""}}, ""},
		"python by name":            {Fields{"script": "x.rb", "interpreter": "python3"}, "1"},
		"another":                   {Fields{"script": "x.rb"}, "unset"},
	} {
		s, _ := resolved(t, c, tt.fields, Options{})
		got, ok := s.Env["PYTHONUNBUFFERED"]
		if !ok {
			got = "unset"
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestInstancesAndMode(t *testing.T) { // on 4 CPUs
	for name, tt := range map[string]struct {
		fields    Fields
		instances int
		mode      api.Mode
		merge     bool
	}{
		"neither is said":                {Fields{}, 1, api.Fork, true},
		"one instance is a cluster":      {Fields{"instances": 1}, 1, api.Cluster, false},
		"a number":                       {Fields{"instances": 3}, 3, api.Cluster, false},
		"a number in a text":             {Fields{"instances": "3"}, 3, api.Cluster, false},
		"a whole number with a point":    {Fields{"instances": "2.0"}, 2, api.Cluster, false},
		"max":                            {Fields{"instances": "max"}, 4, api.Cluster, true},
		"zero is max":                    {Fields{"instances": 0}, 4, api.Cluster, true},
		"max of a cluster that is said":  {Fields{"instances": "max", "exec_mode": "cluster"}, 4, api.Cluster, false},
		"all but one":                    {Fields{"instances": -1}, 3, api.Cluster, false},
		"all but two is no cluster":      {Fields{"instances": -2}, 2, api.Fork, false},
		"at least one":                   {Fields{"instances": -9}, 1, api.Fork, false},
		"fork is kept":                   {Fields{"instances": 2, "exec_mode": "fork"}, 2, api.Fork, false},
		"cluster is kept":                {Fields{"exec_mode": "cluster"}, 1, api.Cluster, false},
		"another language is no cluster": {Fields{"instances": 2, "interpreter": "ruby"}, 2, api.Fork, false},
		"nor is bun":                     {Fields{"instances": 2, "interpreter": "bun"}, 2, api.Fork, false},
		"nor TypeScript under bun":       {Fields{"instances": 2, "script": "x.ts"}, 2, api.Fork, false},
		"TypeScript under node is one":   {Fields{"instances": 2, "script": "x.ts", "interpreter": "node"}, 2, api.Cluster, false},
		"a command line is none":         {Fields{"instances": 2, "script": "sleep 1"}, 2, api.Fork, false},
		"a command is none":              {Fields{"instances": 2, "execute_command": true}, 2, api.Fork, false},
		"merged on demand":               {Fields{"instances": 2, "merge_logs": true}, 2, api.Cluster, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := resolved(t, programs(t, world(t, map[string]string{"app.js": "", "x.ts": ""}), "bin/bun"), tt.fields, Options{})
			if s.Instances != tt.instances || s.Mode != tt.mode || s.Log.Merge != tt.merge {
				t.Errorf("got %d, %s, merged %v; want %d, %s, %v", s.Instances, s.Mode, s.Log.Merge, tt.instances, tt.mode, tt.merge)
			}
		})
	}
}

// programs makes files in the directory of c that may be run, by their first
// line under bun.
func programs(t *testing.T, c Context, paths ...string) Context {
	t.Helper()
	for _, p := range paths {
		write(t, filepath.Join(c.Cwd, p), "#!/usr/bin/env bun\n", 0o755)
	}
	return c
}

// A cluster of what does not speak Node's protocol is refused: it would not
// share a port, and must not be run by a node that nobody asked for.
func TestClusterModeIsForNode(t *testing.T) {
	for name, tt := range map[string]struct {
		fields Fields
		what   string
	}{
		"bun":                  {Fields{"interpreter": "bun"}, "bun"},
		"TypeScript under bun": {Fields{"script": "x.ts", "instances": 2}, "bun"},
		"deno":                 {Fields{"interpreter": "deno"}, "deno"},
		"another language":     {Fields{"interpreter": "ruby"}, "ruby"},
		"a program":            {Fields{"script": "prog"}, "prog"},
		"a command line":       {Fields{"script": "sleep 1"}, "bash"},
		"a script of bun's":    {Fields{"script": "cli"}, "cli"},
	} {
		t.Run(name, func(t *testing.T) {
			c := programs(t, world(t, map[string]string{"app.js": "", "x.ts": ""}), "bin/bun", "bin/deno", "prog", "cli")
			f := Fields{"script": "app.js", "exec_mode": "cluster"}
			maps.Copy(f, tt.fields)
			_, _, err := Resolve(c, "test", f, Options{})
			wantError(t, err, errs.Invalid, "exec_mode: "+tt.what+" cannot run in cluster mode, which needs Node's own cluster protocol; run it with exec_mode fork")
		})
	}
}

func TestOptionsOverTheFile(t *testing.T) {
	c := world(t, map[string]string{"app.js": "", "dir/app.js": "", "other/app.js": ""})
	f := Fields{"cwd": "dir", "env": Fields{"A": 1, "B": 1}, "env_prod": Fields{"B": 2, "C": 2}, "append_env_to_name": true}
	s, warnings := resolved(t, c, f, Options{EnvName: "prod", Cwd: "other", Namespace: "web"})
	want := map[string]string{"A": "1", "B": "2", "C": "2"}
	if diff := cmp.Diff(s.Env, want); diff != "" || warnings != nil {
		t.Errorf("env: got - want +\n%s\nwarnings: %q, want none", diff, warnings)
	}
	if s.Cwd != filepath.Join(c.Cwd, "other") || s.Script != filepath.Join(c.Cwd, "other/app.js") {
		t.Errorf("got %s in %s, want both in other", s.Script, s.Cwd)
	}
	if s.Name != "app-prod" || s.Namespace != "web" {
		t.Errorf("got name %s and namespace %s", s.Name, s.Namespace)
	}
	f["namespace"] = "own"
	if s, _ = resolved(t, c, f, Options{Namespace: "web"}); s.Namespace != "own" || s.Name != "app" {
		t.Errorf("got namespace %s and name %s, want the app's own", s.Namespace, s.Name)
	}
	_, warnings = resolved(t, c, f, Options{EnvName: "test"})
	if diff := cmp.Diff(warnings, []string{"Environment [test] is not defined in process file"}); diff != "" {
		t.Errorf("warnings: got - want +\n%s", diff)
	}
}

func TestSettingsOfTheEnvironment(t *testing.T) {
	c := world(t, map[string]string{"app.js": ""})
	c.Env["PM2_KILL_SIGNAL"], c.Env["PM2_KILL_TIMEOUT"], c.Env["PM2_GRACEFUL_LISTEN_TIMEOUT"] = "SIGTERM", "5000", "9s"
	c.Env["PM2_KILL_USE_MESSAGE"], c.Env["PM2_PROCESS_INSTANCE_VAR"] = "true", "WORKER"
	s, _ := resolved(t, c, Fields{"instance_var": "N"}, Options{})
	if s.StopSignal != "SIGTERM" || s.KillTimeout != 5000 || s.ListenTimeout != 9000 || !s.ShutdownMessage || s.InstanceVar != "WORKER" {
		t.Errorf("got %s, %d, %d, %v, %s", s.StopSignal, s.KillTimeout, s.ListenTimeout, s.ShutdownMessage, s.InstanceVar)
	}
	s, _ = resolved(t, c, Fields{"stop_signal": "SIGUSR1", "kill_timeout": 1, "listen_timeout": 2, "shutdown_with_message": false}, Options{})
	if s.StopSignal != "SIGUSR1" || s.KillTimeout != 1 || s.ListenTimeout != 2 || s.ShutdownMessage {
		t.Errorf("got %s, %d, %d, %t; want what the app says", s.StopSignal, s.KillTimeout, s.ListenTimeout, s.ShutdownMessage)
	}
	c.Env["PM2_KILL_TIMEOUT"] = "soon"
	_, _, err := Resolve(c, "test", Fields{"script": "app.js"}, Options{})
	wantError(t, err, errs.Invalid, "PM2_KILL_TIMEOUT", `"soon" is not a duration`)
}

func TestWarnings(t *testing.T) {
	c := world(t, map[string]string{"app.js": "", "prog": ""})
	_, got := resolved(t, c, Fields{
		"watch": true, "watch_options": Fields{"usePolling": true, "awaitWriteFinish": true},
	}, Options{})
	if want := []string{"app app: watch_options: awaitWriteFinish has no effect"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	_, got = resolved(t, c, Fields{
		"watch": true, "cron_restart": "0 0 * * *", "max_memory_restart": "1G", "wait_ready": true, "shutdown_with_message": true,
		"time": true, "log_type": "json", "log_rate_limit": 5, "log_rotate": Fields{"max_size": "1M"},
	}, Options{})
	if len(got) > 0 {
		t.Errorf("got %q, want no word about what is acted on", got)
	}
	_, got = resolved(t, c, Fields{"wait_ready": true, "shutdown_with_message": true, "balance": "shared"}, Options{})
	if diff := cmp.Diff(got, []string{"app app: balance means nothing in fork mode"}); diff != "" {
		t.Errorf("got - want +\n%s", diff)
	}
	if err := os.Chmod(filepath.Join(c.Cwd, "prog"), 0o755); err != nil {
		t.Fatal(err)
	}
	s, got := resolved(t, c, Fields{"script": "prog", "interpreter": "none", "node_args": "-x"}, Options{})
	if diff := cmp.Diff(got, []string{"app prog: node_args are left out: the script runs itself"}); diff != "" || s.InterpreterArgs != nil {
		t.Errorf("got - want +\n%s", diff)
	}
}

func TestAccount(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody")
	}
	uid, gid := number(t, nobody.Uid), number(t, nobody.Gid)
	const stranger = 4_000_000 // a user without an entry
	for name, tt := range map[string]struct {
		fields   Fields
		options  Options
		uid, gid int // -1: not set
		account  string
		home     string
	}{
		"nothing asked":               {Fields{}, Options{}, -1, -1, "", ""},
		"a name":                      {Fields{"user": "nobody"}, Options{}, uid, gid, "nobody", nobody.HomeDir},
		"a number":                    {Fields{"uid": uid}, Options{}, uid, gid, "nobody", nobody.HomeDir},
		"a number in a text":          {Fields{"uid": nobody.Uid}, Options{}, uid, gid, "nobody", nobody.HomeDir},
		"another group":               {Fields{"uid": "nobody", "gid": 7}, Options{}, uid, 7, "nobody", nobody.HomeDir},
		"a group alone":               {Fields{"gid": 7}, Options{}, -1, 7, "", ""},
		"a number of nobody's":        {Fields{"uid": stranger, "gid": 7}, Options{}, stranger, 7, strconv.Itoa(stranger), ""},
		"a home of the app's own":     {Fields{"uid": "nobody", "env": Fields{"HOME": "/mine"}}, Options{}, uid, gid, "nobody", "/mine"},
		"the command line wins":       {Fields{"uid": "nosuchuser", "gid": 5}, Options{UID: "nobody", GID: 7}, uid, 7, "nobody", nobody.HomeDir},
		"a number on the line":        {Fields{}, Options{UID: uid}, uid, gid, "nobody", nobody.HomeDir},
		"root, which is number zero":  {Fields{"uid": 0}, Options{}, 0, 0, "root", "root's"},
		"root's group, which is zero": {Fields{"gid": 0}, Options{}, -1, 0, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t, map[string]string{"app.js": ""})
			c.UID = 0
			s, _ := resolved(t, c, tt.fields, tt.options)
			if tt.home == "root's" {
				tt.home = s.Env["HOME"]
			}
			if set(s.UID) != tt.uid || set(s.GID) != tt.gid || s.Account != tt.account || s.Env["HOME"] != tt.home {
				t.Errorf("got uid %d, gid %d, account %q, home %q; want %d, %d, %q, %q",
					set(s.UID), set(s.GID), s.Account, s.Env["HOME"], tt.uid, tt.gid, tt.account, tt.home)
			}
			if tt.account == "nobody" && (s.Env["USER"] != "nobody" || len(s.Groups) == 0) {
				t.Errorf("got USER %q and groups %v", s.Env["USER"], s.Groups)
			}
		})
	}
	for name, tt := range map[string]struct {
		fields Fields
		kind   errs.Kind
		say    string
	}{
		"a user that is not there":        {Fields{"user": "nosuchuser"}, errs.NotFound, "nosuchuser"},
		"a group that is not there":       {Fields{"gid": "nosuchgroup"}, errs.NotFound, "nosuchgroup"},
		"a number of nobody's, no group":  {Fields{"uid": stranger}, errs.NotFound, "needs gid too"},
		"a number that is negative":       {Fields{"uid": -1}, errs.Invalid, "uid: want a name or a number, got -1"},
		"a flag":                          {Fields{"gid": true}, errs.Invalid, "gid: want a name or a number, got true"},
		"a negative number in a text too": {Fields{"uid": "-1"}, errs.NotFound, "-1"},
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t, map[string]string{"app.js": ""})
			c.UID = 0
			f := maps.Clone(tt.fields)
			f["script"] = "app.js"
			_, _, err := Resolve(c, "test", f, Options{})
			wantError(t, err, tt.kind, tt.say)
		})
	}
	c := world(t, map[string]string{"app.js": ""}) // of user 1000
	_, _, err = Resolve(c, "test", Fields{"script": "app.js", "user": "nobody"}, Options{})
	wantError(t, err, errs.Denied, "only root", "as root")
	_, _, err = Resolve(c, "test", Fields{"script": "app.js"}, Options{UID: 1.5})
	wantError(t, err, errs.Invalid, "uid: want a name or a number, got 1.5")
}

func set(p *int) int {
	if p == nil {
		return -1
	}
	return *p
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestVersionsCompareByNumber(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"20.9.0", "20.10.0"}: true, {"20.10.0", "20.9.0"}: false, {"v18.0.0", "v20.0.0"}: true, {"1.2.3", "1.2.3"}: false, {"1.2", "1.2.1"}: true,
	} {
		if got := older(pair[0], pair[1]); got != want {
			t.Errorf("older(%s, %s) = %v, want %v", pair[0], pair[1], got, want)
		}
	}
}
