package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"tend/api"
)

const twoApps = `{"apps": [{"name": "a", "script": "run.sh"}, {"name": "b", "script": "run.sh"}]}`

// planned are the steps of a plan, as the daemon tells of them.
func planned() []api.Event {
	var events []api.Event
	for _, s := range []api.Step{
		{Do: api.StepRemove, Name: "gone", IDs: []int{4}, Before: 1},
		{Do: api.StepAdd, Name: "a", After: 2},
		{Do: api.StepReload, Name: "b-long", IDs: []int{1}, Before: 1, After: 1, Changes: []api.Change{
			{Field: "env.PORT", Old: "80", New: "81"}, {Field: "env.TOKEN", Old: "[hidden]", New: "[hidden]"}, {Field: "max_restarts", New: "3"},
		}},
		{Do: api.StepUnchanged, Name: "c", Before: 1, After: 1},
	} {
		events = append(events, api.Event{Kind: api.EventStep, Name: s.Name, Step: &s})
	}
	return events
}

const shownPlan = `  - gone    remove
  + a       add        2 instances
  ~ b-long  reload     env.PORT: 80 → 81
                       env.TOKEN: [hidden] → [hidden]
                       max_restarts: (none) → 3
  = c       unchanged
[tend] Plan: 1 add, 1 reload, 1 remove, 1 unchanged
`

func TestApplyShowsThePlanAndDoesIt(t *testing.T) {
	for name, tt := range map[string]struct {
		args   string
		events []api.Event
		fail   *api.Error
		code   int
		stdout string
		want   func(req api.StartRequest) bool
	}{
		"a dry run that would do something": {
			args: "apply apps.json --dry-run", events: planned(), code: 2, stdout: shownPlan,
			want: func(r api.StartRequest) bool {
				return r.DryRun && r.Prune == "" && r.Changed && r.Exact && r.Reload && !r.UpdateEnv
			},
		},
		"a dry run that would do nothing": {
			args: "apply apps.json --dry-run --prune", events: planned()[3:], code: 0,
			stdout: "  = c  unchanged\n[tend] Plan: 1 unchanged\n",
			want:   func(r api.StartRequest) bool { return r.DryRun && strings.HasSuffix(r.Prune, "/apps.json") },
		},
		"it is done": {
			args:   "apply apps.json --update-env",
			events: append(planned(), api.Event{Kind: api.EventApp, Name: "a", IDs: []int{5, 6}}, api.Event{Kind: api.EventInstance, Name: "a", ID: 5, OK: true}),
			stdout: shownPlan + "[tend] App [a] launched (2 instances)\n[tend] [a](5) ✓\n┌",
			want:   func(r api.StartRequest) bool { return !r.DryRun && r.UpdateEnv },
		},
		"a failure": {
			args: "apply apps.json", events: planned()[3:], fail: &api.Error{Kind: "crashed", Message: "no"}, code: 1,
			stdout: "  = c  unchanged\n[tend] Plan: 1 unchanged\n", want: func(api.StartRequest) bool { return true },
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := world(t)
			write(t, env, "run.sh", "#!/bin/sh\n")
			write(t, env, "apps.json", twoApps)
			r := try(t, env, &fakeDaemon{events: tt.events, failure: tt.fail}, strings.Fields(tt.args)...)
			if r.code != tt.code || !strings.HasPrefix(r.stdout, tt.stdout) || !strings.Contains(tt.stdout, "┌") && r.stdout != tt.stdout {
				t.Errorf("got code %d, %q, %q; want %d, %q", r.code, r.stdout, r.stderr, tt.code, tt.stdout)
			}
			if reqs := started(t, r.requests); len(reqs) != 1 || !tt.want(reqs[0]) || len(reqs[0].Apps) != 2 {
				t.Errorf("asked for %+v", reqs)
			}
		})
	}
}

func TestApplyAsJSON(t *testing.T) {
	env := world(t)
	write(t, env, "run.sh", "#!/bin/sh\n")
	write(t, env, "apps.json", twoApps)
	r := try(t, env, &fakeDaemon{events: planned()}, "apply", "apps.json", "--json", "--dry-run")
	var got planView
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || !got.DryRun || len(got.Steps) != 4 || r.code != 2 {
		t.Errorf("got %v, code %d: %s", err, r.code, r.stdout)
	}
}

func TestApplyChangesNothingWhenSomethingIsWrong(t *testing.T) {
	for args, want := range map[string]string{
		"apply bad.json":                   "nosuch.sh",
		"apply apps.json --prune --only a": "--only at a part",
		"apply - --prune":                  "came from a file",
		"apply nofile.json":                "no such file",
		"apply apps.json --parallel x":     "not a number",
		"apply":                            "ecosystem.config.js",
	} {
		env := world(t)
		write(t, env, "run.sh", "#!/bin/sh\n")
		write(t, env, "apps.json", twoApps)
		write(t, env, "bad.json", `[{"script": "run.sh"}, {"script": "nosuch.sh"}]`)
		r := try(t, env, &fakeDaemon{}, strings.Fields(args)...)
		if r.code != 1 || len(r.requests) != 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: got %+v, want %q", args, r, want)
		}
	}
}

// What start, restart and their kin ask of a file.
func TestWhatAFileIsStartedWith(t *testing.T) {
	for args, want := range map[string]string{
		"start apps.json":                     "changed",
		"start apps.json --update-env":        "changed env",
		"start apps.json --force":             "",
		"restart apps.json":                   "",
		"reload apps.json":                    "reload",
		"startOrRestart apps.json":            "",
		"startOrReload apps.json":             "reload",
		"startOrGracefulReload apps.json -f":  "reload force",
		"startOrReload apps.json --only a":    "reload",
		"startOrGracefulReload apps.json":     "reload",
		"startOrRestart apps.json --env prod": "",
	} {
		env := world(t)
		write(t, env, "run.sh", "#!/bin/sh\n")
		write(t, env, "apps.json", twoApps)
		r := try(t, env, &fakeDaemon{}, strings.Fields(args)...)
		reqs := started(t, r.requests)
		if len(reqs) != 1 {
			t.Errorf("%s: got %+v", args, r)
			continue
		}
		var got []string
		for _, is := range []struct {
			on   bool
			name string
		}{{reqs[0].Changed, "changed"}, {reqs[0].UpdateEnv, "env"}, {reqs[0].Reload, "reload"}, {reqs[0].Force, "force"}} {
			if is.on {
				got = append(got, is.name)
			}
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s: got %q, want %q", args, got, want)
		}
	}
}

func TestStartOrRestartNeedsAFile(t *testing.T) {
	for _, args := range []string{"startOrRestart api", "startOrReload", "startOrGracefulReload all"} {
		r := try(t, world(t), &fakeDaemon{instances: instances()}, strings.Fields(args)...)
		if r.code != 1 || len(r.requests) != 0 || r.stderr == "" {
			t.Errorf("%s: got %+v", args, r)
		}
	}
}

func TestStartTellsOfTheStepsOfAFile(t *testing.T) {
	env := world(t)
	write(t, env, "run.sh", "#!/bin/sh\n")
	write(t, env, "apps.json", twoApps)
	events := append(planned(), api.Event{Kind: api.EventStep, Step: &api.Step{Do: api.StepScale, Name: "d", Before: 1, After: 3}})
	r := try(t, env, &fakeDaemon{instances: instances(), events: events}, "start", "apps.json")
	for _, want := range []string{
		"[tend] App [b-long] has changed: env.PORT, env.TOKEN, max_restarts\n[tend] Applying action reloadProcessId on app [b-long](ids: [ 1 ])\n",
		"[tend] App [c] is unchanged\n", "[tend] App [d] goes from 1 instance to 3\n",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("got %q, want %q", r.stdout, want)
		}
	}
}
