package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tend/api"
	"tend/internal/app"
)

// amended are the requests of a command line for two apps, api with two
// instances and jobs with one.
func amended(t *testing.T, args ...string) ([]api.ActRequest, result) {
	t.Helper()
	var list []api.Instance
	for id, name := range []string{"api", "api", "jobs"} {
		s := app.Default()
		s.Name, s.Script, s.Cwd, s.Interpreter = name, "/srv/"+name+"/run.sh", "/srv/"+name, "/bin/sh"
		s.KillTimeout, s.Cron, s.Args = 3000, "0 0 * * *", []string{"-x"}
		s.Log.Out = "/log/" + name + ".log"
		list = append(list, api.Instance{ID: id, Name: name, State: api.Online, Detail: &api.Detail{Spec: &s}})
	}
	env := world(t)
	r := try(t, env, &fakeDaemon{instances: list}, args...)
	return acted(t, r.requests), r
}

func TestAmend(t *testing.T) {
	for name, tt := range map[string]struct {
		args string
		want []api.ActRequest
	}{
		"one number": {"restart all --kill-timeout 5", []api.ActRequest{
			{Act: "restart", Targets: []string{"all"}, Change: json.RawMessage(`{"kill_timeout_ms":5}`)},
		}},
		"watching, and nothing else": {"restart all --watch", []api.ActRequest{{Act: "restart", Targets: []string{"all"}, Watch: api.WatchToggle}}},
		"watching, and a number": {"restart all --watch --kill-timeout 5", []api.ActRequest{
			{Act: "restart", Targets: []string{"all"}, Watch: api.WatchToggle, Change: json.RawMessage(`{"kill_timeout_ms":5}`)},
		}},
		"a number that is 0":    {"reload all --kill-timeout 0", []api.ActRequest{{Act: "reload", Targets: []string{"all"}, Change: json.RawMessage(`{"kill_timeout_ms":0}`)}}},
		"cron is switched off":  {"restart all -c 0", []api.ActRequest{{Act: "restart", Targets: []string{"all"}, Change: json.RawMessage(`{"cron_restart":null}`)}}},
		"a field as by default": {"restart all --kill-timeout null", []api.ActRequest{{Act: "restart", Targets: []string{"all"}, Change: json.RawMessage(`{"kill_timeout_ms":1600}`)}}},
		"a size and a flag": {"start all --max-memory-restart 1K --no-autorestart --no-treekill", []api.ActRequest{
			{Act: "restart", Targets: []string{"all"}, Change: json.RawMessage(`{"autorestart":false,"max_memory_restart_bytes":1024,"treekill":false}`)},
		}},
		"arguments":           {"restart all -- a b", []api.ActRequest{{Act: "restart", Targets: []string{"all"}, Change: json.RawMessage(`{"args":["a","b"]}`)}}},
		"what it has already": {"restart all --kill-timeout 3000", []api.ActRequest{{Act: "restart", Targets: []string{"all"}}}},
		"a path as an app has": {"restart all -o x.log", []api.ActRequest{
			{Act: "restart", Targets: []string{"0", "1"}, Change: json.RawMessage(`{"log":{"out_file":"/srv/api/x.log"}}`)},
			{Act: "restart", Targets: []string{"2"}, Change: json.RawMessage(`{"log":{"out_file":"/srv/jobs/x.log"}}`)},
		}},
		"a name": {"restart all --name other", []api.ActRequest{{Act: "restart", Targets: []string{"all"}, Change: json.RawMessage(`{"name":"other"}`)}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, r := amended(t, strings.Fields(tt.args)...)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" || r.code != 0 {
				t.Errorf("code %d, %s\n(-want +got):\n%s", r.code, r.stderr, diff)
			}
		})
	}
	for args, want := range map[string]string{
		"restart all --kill-timeout soon":   `kill_timeout: "soon" is not a duration`,
		"restart all -i 4":                  "instances: those of an app that is in the list are not changed so",
		"start all --max-memory-restart x":  "max_memory_restart",
		"reload all --interpreter nonesuch": "interpreter nonesuch is not in PATH",
		"restart all -c nope":               "cron",
		"restart all --name all":            `name: "all" is reserved`,
	} {
		t.Run(args, func(t *testing.T) {
			got, r := amended(t, strings.Fields(args)...)
			if len(got) > 0 || r.code != 1 || !strings.Contains(r.stderr, want) || !strings.Contains(r.stderr, "app api") {
				t.Errorf("code %d, %q, asked for %+v; want an error with %q, and nothing done", r.code, r.stderr, got, want)
			}
		})
	}
}
