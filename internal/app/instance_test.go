package app

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/home"
)

func TestArgv(t *testing.T) {
	for name, test := range map[string]struct {
		spec api.Spec
		path string
		argv []string
	}{
		"a program runs itself": {
			api.Spec{Script: "/bin/api", Args: []string{"--port", "80"}},
			"/bin/api",
			[]string{"/bin/api", "--port", "80"},
		},
		"a script has an interpreter": {
			api.Spec{Script: "/srv/a.js", Interpreter: "/bin/node", InterpreterArgs: []string{"--inspect"}, Args: []string{"x y", ""}},
			"/bin/node",
			[]string{"/bin/node", "--enable-source-maps", "--inspect", "/srv/a.js", "x y", ""},
		},
		"without source maps": {
			api.Spec{Script: "/srv/a.js", Interpreter: "/bin/node", Extra: map[string]any{"source_map_support": false}},
			"/bin/node",
			[]string{"/bin/node", "/srv/a.js"},
		},
		"without source maps, in PM2's other words": {
			api.Spec{Script: "/srv/a.js", Interpreter: "/bin/node", Extra: map[string]any{"disable_source_map_support": true}},
			"/bin/node",
			[]string{"/bin/node", "/srv/a.js"},
		},
		"who says it himself is not told twice": {
			api.Spec{Script: "/srv/a.js", Interpreter: "/bin/node", InterpreterArgs: []string{"--no-enable-source-maps"}},
			"/bin/node",
			[]string{"/bin/node", "--no-enable-source-maps", "/srv/a.js"},
		},
		"a command line has a shell": {
			api.Spec{Script: "echo $HOME", Interpreter: "/bin/sh", InterpreterArgs: []string{"-c"}},
			"/bin/sh",
			[]string{"/bin/sh", "-c", "echo $HOME"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, argv := Argv(&test.spec, Launch{})
			if path != test.path || !cmp.Equal(argv, test.argv) {
				t.Errorf("%s %q, want %s %q", path, argv, test.path, test.argv)
			}
		})
	}
}

// TestArgvIsACopy: every launch builds on the same Spec, which never changes.
func TestArgvIsACopy(t *testing.T) {
	s := &api.Spec{Script: "/a", Interpreter: "/sh", InterpreterArgs: slices.Grow([]string{"-c"}, 8), Args: slices.Grow([]string{"1"}, 8)}
	_, argv := Argv(s, Launch{})
	for i := range argv {
		argv[i] = "changed"
	}
	_, again := Argv(s, Launch{})
	if want := []string{"/sh", "-c", "/a", "1"}; !cmp.Equal(again, want) {
		t.Errorf("%q, want %q", again, want)
	}
}

func TestMerged(t *testing.T) {
	inherited := map[string]string{"PATH": "/bin", "AWS_KEY": "a", "AWS_SECRET": "b", "HOME": "/home/u", "STAGE": "shell"}
	for name, test := range map[string]struct {
		own    map[string]string
		filter *api.EnvFilter
		want   map[string]string
	}{
		"everything is inherited":        {nil, nil, inherited},
		"its own wins":                   {map[string]string{"STAGE": "file", "NEW": ""}, &api.EnvFilter{All: true}, map[string]string{"STAGE": "file", "NEW": ""}},
		"nothing is inherited":           {nil, &api.EnvFilter{All: true}, map[string]string{}},
		"one of that name is left out":   {nil, &api.EnvFilter{Exact: []string{"AWS_KEY", "AW"}}, map[string]string{"PATH": "/bin", "AWS_SECRET": "b", "HOME": "/home/u", "STAGE": "shell"}},
		"all with a part are left out":   {nil, &api.EnvFilter{Contains: []string{"WS_", "OM"}}, map[string]string{"PATH": "/bin", "STAGE": "shell"}},
		"its own is never left out":      {map[string]string{"AWS_KEY": "own"}, &api.EnvFilter{Contains: []string{"AWS"}}, map[string]string{"PATH": "/bin", "HOME": "/home/u", "STAGE": "shell", "AWS_KEY": "own"}},
		"an empty filter filters nought": {nil, &api.EnvFilter{}, inherited},
		"names differ by their case":     {nil, &api.EnvFilter{Exact: []string{"path"}, Contains: []string{"aws"}}, inherited},
	} {
		t.Run(name, func(t *testing.T) {
			before := maps.Clone(inherited)
			got := Merged(&api.Spec{Env: test.own, FilterEnv: test.filter}, inherited)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			got["PATH"] = "changed"
			if !maps.Equal(before, inherited) {
				t.Error("what is shared was changed")
			}
		})
	}
}

func environ(t *testing.T, list []string) map[string]string {
	t.Helper()
	if !slices.IsSorted(list) {
		t.Errorf("not sorted: %q", list)
	}
	env := map[string]string{}
	for _, e := range list {
		k, v, _ := strings.Cut(e, "=")
		if _, twice := env[k]; twice {
			t.Errorf("%s is there twice", k)
		}
		env[k] = v
	}
	return env
}

func TestEnviron(t *testing.T) {
	const h = home.Dir("/h")
	base := api.Spec{
		Name: "api", Namespace: "prod", Script: "/srv/api.js", Cwd: "/srv", Mode: api.Cluster,
		InstanceVar: "NODE_APP_INSTANCE", Username: "ann",
	}
	launch := Launch{ID: 7, Index: 2, UniqueID: "u-1", Restarts: 3, Instances: 4}
	files := Files{Out: "/h/o", Err: "/h/e", Pid: "/h/p"}
	told := map[string]string{
		"PWD": "/srv", "PM2_HOME": "/h", "name": "api", "namespace": "prod", "exec_mode": "cluster_mode",
		"instances": "4", "pm_exec_path": "/srv/api.js", "pm_cwd": "/srv", "pm_out_log_path": "/h/o",
		"pm_err_log_path": "/h/e", "pm_pid_path": "/h/p", "restart_time": "3", "status": "launching",
		"username": "ann", "instance_var": "NODE_APP_INSTANCE", "pm_id": "7", "unique_id": "u-1", "NODE_APP_INSTANCE": "2",
	}
	with := func(more map[string]string) map[string]string {
		all := maps.Clone(told)
		maps.Copy(all, more)
		return all
	}
	for name, test := range map[string]struct {
		change    func(*api.Spec)
		inherited map[string]string
		want      map[string]string
	}{
		"what an app is told of itself": {func(*api.Spec) {}, nil, told},
		"that wins over what is inherited": {
			func(*api.Spec) {},
			map[string]string{"name": "x", "PWD": "/x", "status": "x", "pm_id": "x", "unique_id": "x", "LANG": "C"},
			with(map[string]string{"LANG": "C"}),
		},
		"what the user gave the app wins over that": {
			func(s *api.Spec) { s.Env = map[string]string{"name": "mine", "status": "", "PWD": "/mine"} }, nil,
			with(map[string]string{"name": "mine", "status": "", "PWD": "/mine"}),
		},
		"but never over what identifies it": {
			func(s *api.Spec) {
				s.Env = map[string]string{"pm_id": "0", "unique_id": "mine", "NODE_APP_INSTANCE": "0"}
			}, nil, told,
		},
		"another variable for the number": {
			func(s *api.Spec) { s.InstanceVar = "NUMBER" },
			map[string]string{"NODE_APP_INSTANCE": "of the shell"},
			with(map[string]string{"NODE_APP_INSTANCE": "of the shell", "NUMBER": "2", "instance_var": "NUMBER"}),
		},
		"a variable that counts": {
			func(s *api.Spec) { s.IncrementVar = "PORT"; s.Env = map[string]string{"PORT": "3000"} },
			map[string]string{"PORT": "9"},
			with(map[string]string{"PORT": "3002"}),
		},
		"a variable that counts from what is inherited": {
			func(s *api.Spec) { s.IncrementVar = "PORT" },
			map[string]string{"PORT": "8000"},
			with(map[string]string{"PORT": "8002"}),
		},
		"a variable that counts from nothing": {
			func(s *api.Spec) { s.IncrementVar = "PORT" }, nil, with(map[string]string{"PORT": "2"}),
		},
		"a variable that counts from no number": {
			func(s *api.Spec) { s.IncrementVar = "PORT"; s.Env = map[string]string{"PORT": "a"} },
			nil, with(map[string]string{"PORT": "2"}),
		},
		"nothing inherited": {
			func(s *api.Spec) { s.FilterEnv = &api.EnvFilter{All: true} },
			map[string]string{"LANG": "C", "PWD": "/x"},
			told,
		},
		"values with everything in them": {
			func(s *api.Spec) { s.Env = map[string]string{"A": "b=c\nd", "B": "", "Ü": "ß"} }, nil,
			with(map[string]string{"A": "b=c\nd", "B": "", "Ü": "ß"}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := base
			test.change(&s)
			own := maps.Clone(s.Env)
			got := environ(t, Environ(&s, test.inherited, h, files, launch))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !maps.Equal(own, s.Env) {
				t.Errorf("the Spec was changed: %v", s.Env)
			}
		})
	}
}

func TestFilesOf(t *testing.T) {
	const h = home.Dir("/h")
	for name, test := range map[string]struct {
		app  string
		log  api.Log
		want Files
	}{
		"the defaults": {
			"api",
			api.Log{},
			Files{"/h/logs/api-out-4.log", "/h/logs/api-error-4.log", "", "/h/pids/api-4.pid"},
		},
		"merged, the pid file is still its own": {
			"api",
			api.Log{Merge: true, Combined: "true"},
			Files{"/h/logs/api-out.log", "/h/logs/api-error.log", "/h/logs/api.log", "/h/pids/api-4.pid"},
		},
		"odd characters of a name become dashes": {
			"a/b c_d:ü.v-1",
			api.Log{},
			Files{"/h/logs/a-b-c-d--.v-1-out-4.log", "/h/logs/a-b-c-d--.v-1-error-4.log", "", "/h/pids/a-b-c-d--.v-1-4.pid"},
		},
		"paths of the user's": {
			"api",
			api.Log{Out: "/l/o.log", Err: "/l/e.log", Combined: "/l/c.log", Pid: "/l/api.pid"},
			Files{"/l/o-4.log", "/l/e-4.log", "/l/c-4.log", "/l/api-4.pid"},
		},
		"the same, merged": {
			"api",
			api.Log{Out: "/l/o.log", Err: "/l/e.log", Combined: "/l/c.log", Pid: "/l/api.pid", Merge: true},
			Files{"/l/o.log", "/l/e.log", "/l/c.log", "/l/api-4.pid"},
		},
		"a number at the end is replaced": {
			"api",
			api.Log{Out: "/l/o-12.log", Err: "/l/e-0.log", Combined: "/l/c-3.log"},
			Files{"/l/o-4.log", "/l/e-4.log", "/l/c-4.log", "/h/pids/api-4.pid"},
		},
		"only .log gets a number": {
			"api",
			api.Log{Out: "/l/o.txt", Err: "/l/e", Combined: "/l/c.log.gz", Pid: "/l/pid"},
			Files{"/l/o.txt", "/l/e", "/l/c.log.gz", "/l/pid-4"},
		},
		"nowhere": {
			"api",
			api.Log{Out: "/dev/null", Err: "/dev/null"},
			Files{"/dev/null", "/dev/null", "", "/h/pids/api-4.pid"},
		},
		"the default combined file": {
			"api",
			api.Log{Combined: "true"},
			Files{"/h/logs/api-out-4.log", "/h/logs/api-error-4.log", "/h/logs/api-4.log", "/h/pids/api-4.pid"},
		},
		"a number that is part of the name": {
			"api-2",
			api.Log{},
			Files{"/h/logs/api-2-out-4.log", "/h/logs/api-2-error-4.log", "", "/h/pids/api-2-4.pid"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := FilesOf(&api.Spec{Name: test.app, Log: test.log}, nil, h, Launch{ID: 4})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
