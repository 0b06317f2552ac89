package pm2env

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tend/api"
	"tend/internal/app"
)

// The samples are the lists that PM2 4.5.6, 5.4.3, 6.0.14 and 7.0.4 saved of the same
// apps; only paths and moments were replaced.
var samples = []string{"4", "5", "6", "7"}

func sampled(t testing.TB, version string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/dump-pm2-" + version + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// asSampled is an app of the samples, as the ecosystem file or the command line
// that they came of said; version is that of the PM2 that saved it.
func asSampled(name, script string, change func(*api.Spec)) func(version string) api.Spec {
	return func(version string) api.Spec {
		s := app.Default()
		s.Name, s.Script, s.Cwd, s.Username = name, script, "/srv/demo", "demo"
		s.Interpreter, s.Instances = "node", 1
		s.Log = api.Log{
			Merge: true, Out: "/home/demo/.pm2/logs/" + name + "-out.log", Err: "/home/demo/.pm2/logs/" + name + "-error.log",
			Pid: "/home/demo/.pm2/pids/" + name + ".pid",
		}
		s.Extra = map[string]any{"pmx": true, "vizion": true, "automation": true, "windowsHide": true, "kill_retry_time": 100.0}
		change(&s)
		if version == "4" { // it did not know these
			s.Autostart, s.StopCodes = true, nil
		}
		return s
	}
}

func TestDumpsOfRealPM2s(t *testing.T) {
	web := asSampled("web", "/srv/demo/web.js", func(s *api.Spec) {
		s.Namespace, s.Mode, s.Instances = "front", api.Cluster, 2
		s.Args, s.InterpreterArgs = []string{"--port", "3000", "a b"}, []string{"--max-old-space-size=200"}
		s.MaxMemory, s.KillTimeout, s.ListenTimeout = 200<<20, 3000, 4000
		s.WaitReady, s.ShutdownMessage = true, true
		s.InstanceVar, s.IncrementVar = "INSTANCE", "PORT"
		s.Extra["env_staging"] = map[string]any{"NODE_ENV": "staging"}
	})
	elsewhere := map[string]string{"PWD": "/srv/demo"} // PM2 wrote that of the app before
	want := []struct {
		spec    func(version string) api.Spec
		index   int
		stopped bool
		env     map[string]string // beside what all have
	}{
		{web, 0, false, map[string]string{"PORT": "3410", "NODE_ENV": "production", "OPTIONS": `{"a":1}`}},
		{asSampled("job", "/srv/demo/job.js", func(s *api.Spec) {
			s.Namespace, s.Cron, s.Autorestart, s.RestartDelay = "back", "0 3 * * *", false, 500
			s.MaxRestarts, s.MinUptime, s.StopCodes, s.TreeKill = 5, 5000, []int{0, 3}, false
			s.Watch = &api.Watch{
				Paths: []string{"/srv/demo/src"}, Ignore: []string{"*.tmp", "node_modules"}, Delay: 700,
				Options: map[string]any{"followSymlinks": false},
			}
			s.FilterEnv = &api.EnvFilter{Contains: []string{"SECRET"}}
			s.Log = api.Log{
				Merge: true, Date: "YYYY-MM-DD HH:mm:ss", Type: "json", Out: "/srv/demo/out/job.out", Err: "/srv/demo/out/job.err",
				Combined: "/srv/demo/out/job.all", Pid: "/srv/demo/out/job.pid",
			}
			s.Extra["vizion"], s.Extra["pmx"] = false, false
		}), 0, false, map[string]string{"SECRET_KEY": "-"}},
		{asSampled("py", "/srv/demo/worker.py", func(s *api.Spec) {
			s.Interpreter, s.InterpreterArgs, s.Backoff = "python3", []string{"-u"}, 100
		}), 0, false, map[string]string{"PYTHONUNBUFFERED": "1"}},
		{asSampled("bin", "/bin/sleep", func(s *api.Spec) {
			s.Interpreter, s.Args, s.Cwd, s.Log.Disabled = "", []string{"1000"}, "/srv/demo/src", true
			s.Extra["cwd"] = "/srv/demo/src"
		}), 0, false, map[string]string{"PWD": "/srv/demo/src"}},
		{asSampled("off", "/srv/demo/off.js", func(*api.Spec) {}), 0, true, elsewhere},
		{asSampled("never", "/srv/demo/off.js", func(s *api.Spec) { s.Autostart = false }), 0, true, elsewhere},
		{asSampled("crash", "/srv/demo/crash.js", func(s *api.Spec) { s.MaxRestarts = 2 }), 0, false, elsewhere},
		{web, 1, false, map[string]string{"PORT": "3411", "NODE_ENV": "production", "OPTIONS": `{"a":1}`}},
		{asSampled("cli", "/srv/demo/cli.js", func(s *api.Spec) {
			s.Args, s.MaxMemory, s.RestartDelay, s.KillTimeout = []string{"--x", "a b"}, 100<<20, 10, 2500
			s.Cron, s.Watch = "0 0 * * *", &api.Watch{Paths: []string{"/srv/demo"}}
			s.Log.Date, s.Log.Combined = "YYYY-MM-DDTHH:mm:ss", "/home/demo/.pm2/logs/cli.log"
			s.Extra["time"] = true
		}), 0, false, nil},
		{asSampled("cmd", "/usr/bin/bash", func(s *api.Spec) {
			s.Namespace, s.Interpreter, s.Args, s.Autorestart = "back", "", []string{"-c", "sleep 1000"}, false
		}), 0, false, nil},
	}
	for _, version := range samples {
		t.Run("PM2 "+version, func(t *testing.T) {
			dump, err := DecodeDump(sampled(t, version))
			if err != nil {
				t.Fatal(err)
			}
			if len(dump.List) != len(want) {
				t.Fatalf("got %d instances, want %d", len(dump.List), len(want))
			}
			for i, w := range want {
				got, spec := dump.List[i], w.spec(version)
				if diff := cmp.Diff(got.Spec, spec, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s (-got +want):\n%s", spec.Name, diff)
				}
				if stopped := w.stopped && !(version == "4" && spec.Name == "never"); got.Stopped != stopped || got.Index != w.index || !got.Foreign {
					t.Errorf("%s: got stopped %v, number %d, of PM2 %v; want %v, %d, true", spec.Name, got.Stopped, got.Index, got.Foreign, stopped, w.index)
				}
				env := map[string]string{
					"HOME": "/home/demo", "USER": "demo", "LANG": "C.UTF-8", "SHELL": "/bin/bash", "PATH": "/usr/local/bin:/usr/bin:/bin",
					"SECRET_KEY": "nothing", "EDITOR": "vi", "PM2_HOME": "/home/demo/.pm2", "PM2_DISABLE_VERSION_CHECK": "1",
				}
				for name, value := range w.env {
					env[name] = value
					if value == "-" {
						delete(env, name)
					}
				}
				if diff := cmp.Diff(got.Env, env); diff != "" {
					t.Errorf("environment of %s (-got +want):\n%s", spec.Name, diff)
				}
			}
		})
	}
}

// What tend writes of a list of PM2's has each member that PM2's had, but for
// what tells how its processes fared.
func TestNothingOfADumpIsLost(t *testing.T) {
	for _, version := range samples {
		t.Run("PM2 "+version, func(t *testing.T) {
			dump, err := DecodeDump(sampled(t, version))
			if err != nil {
				t.Fatal(err)
			}
			var was, is []map[string]any
			if err := errors.Join(json.Unmarshal(sampled(t, version), &was), json.Unmarshal(EncodeDump(dump.List), &is)); err != nil {
				t.Fatal(err)
			}
			for i, old := range was {
				env, _ := old["env"].(map[string]any)
				for name, value := range old {
					_, variable := env[name]
					if variable || fate[name] || name == "env" {
						continue
					}
					_, seenFromCwd := value.([]any)
					if got, ok := is[i][name]; !ok {
						t.Errorf("%v: %s is lost", old["name"], name)
					} else if name != "status" && !(name == "watch" && seenFromCwd) && !cmp.Equal(got, value) {
						t.Errorf("%v: %s is %v, was %v", old["name"], name, got, value)
					}
				}
			}
		})
	}
}
