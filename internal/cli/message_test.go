package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/api"
)

func TestSend(t *testing.T) {
	offline := &api.Error{Op: "write to", On: "off (11)", Kind: "invalid", Message: "it is not running", Hint: "start it"}
	tests := map[string]struct {
		args    []string
		events  []api.Event
		failure *api.Error
		request string
		code    int
		stdout  string // its beginning
		stderr  string
	}{
		"to an id": {
			args:    []string{"send", "0", "say hello"},
			events:  []api.Event{{Kind: api.EventTarget, Act: "input", IDs: []int{0}}, {Kind: api.EventInstance, Name: "tick", OK: true}},
			request: `input {"targets":["0"],"line":"say hello"}`, stdout: "[tend] Successfully sent a line to process id 0\n┌",
		},
		"what looks like an option": {
			args: []string{"send", "tick", "--", "--help"}, request: `input {"targets":["tick"],"line":"--help"}`,
			stdout: "[tend] Successfully sent a line to process name tick\n┌",
		},
		"an empty line": {args: []string{"send", "tick", ""}, request: `input {"targets":["tick"],"line":""}`, stdout: "[tend] Succ"},
		"to what is off": {
			args: []string{"send", "off", "x"}, request: `input {"targets":["off"],"line":"x"}`, code: 1,
			events:  []api.Event{{Kind: api.EventInstance, Name: "off", ID: 11, Error: offline}},
			failure: offline, stderr: "[tend][ERROR] [off](11) ✗ write to off (11): it is not running\n      start it\n",
		},
		"nothing": {
			args: []string{"send", "tick"}, code: 1,
			stderr: "tend: run send: missing required argument \"line\"\n      usage: tend send <target> <line>\n",
		},
		"several words": {
			args: []string{"send", "tick", "say", "hello"}, code: 1,
			stderr: "tend: run send: unknown argument \"hello\"\n      several words are one argument in quotes\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			env := world(t)
			r := try(t, env, &fakeDaemon{events: tt.events, failure: tt.failure}, tt.args...)
			if r.code != tt.code || r.stderr != tt.stderr || !strings.HasPrefix(r.stdout, tt.stdout) {
				t.Errorf("got %+v, want code %d, stdout %q..., stderr %q", r, tt.code, tt.stdout, tt.stderr)
			}
			got := strings.ReplaceAll(strings.Join(r.requests, "\n"), `"cwd":"`+env.Cwd+`",`, "")
			if got != tt.request {
				t.Errorf("got request %s, want %s", got, tt.request)
			}
		})
	}
}

// reply is the notice of an answer.
func reply(id int, name, data string) api.Notice {
	return api.Notice{Topic: api.TopicReply, ID: id, Name: name, Namespace: "default", Data: json.RawMessage(data)}
}

func TestTrigger(t *testing.T) {
	received := []api.Event{
		{Kind: api.EventTarget, Act: "trigger", IDs: []int{1, 2}},
		{Kind: api.EventInstance, Name: "api", ID: 1, OK: true},
		{Kind: api.EventInstance, Name: "api", ID: 2, OK: true},
	}
	ended := func(id int) api.Notice {
		return api.Notice{Topic: api.TopicProcess, ID: id, Name: "api", Data: json.RawMessage(`{"event":"exit"}`)}
	}
	unknown := &api.Error{Op: "trigger", On: "dump of api", Kind: "not_found", Message: "it has no such action"}
	const two = "2 processes have received command dump\n"
	tests := map[string]struct {
		args    string
		events  []api.Event
		failure *api.Error
		notices []api.Notice
		quiet   bool
		code    int
		stdout  string
		stderr  string
	}{
		"all answer": {
			args: "trigger api dump", events: received, quiet: true,
			notices: []api.Notice{
				reply(2, "api", `{"action_name":"dump","return":{"success":true}}`),
				reply(2, "api", `{"action_name":"dump","return":"twice"}`),
				reply(7, "other", `{"action_name":"dump","return":"nobody asked"}`),
				reply(1, "api", `{"action_name":"other","return":"no"}`),
				{Topic: api.TopicProcess, ID: 1, Data: json.RawMessage(`{"event":"online"}`)},
				reply(1, "api", `{"action_name":"dump"}`),
			},
			stdout: two + "[api:2:default]={\"success\":true}\n[api:1:default]=undefined\n",
		},
		"one ends": {
			args: "trigger api dump", events: received, quiet: true, code: 1,
			notices: []api.Notice{ended(2), ended(7), reply(1, "api", `{"action_name":"dump","return":1}`)},
			stdout:  two + "[api:1:default]=1\n",
			stderr:  "tend: trigger dump: [api](2) ended without an answer\n      `tend logs` shows why\n",
		},
		"one is silent": {
			args: "trigger api dump --timeout 1", events: received, quiet: true, code: 1,
			notices: []api.Notice{reply(2, "api", `{"action_name":"dump","return":1}`)},
			stdout:  two + "[api:2:default]=1\n",
			stderr:  "tend: trigger dump: [api](1) did not answer in time\n      --timeout N waits N seconds\n",
		},
		"the daemon goes": {
			args: "trigger api dump", events: received, code: 1, stdout: two,
			stderr: "tend: wait for the daemon: it went away before it answered\n      the daemon was restarted in the middle; look at `tend ls` and run the command again\n",
		},
		"nobody can": {
			args: "trigger api dump", events: []api.Event{{Kind: api.EventInstance, Name: "api", ID: 1, Error: unknown}}, failure: unknown, code: 1,
			stderr: "[tend][ERROR] [api](1) ✗ trigger dump of api: it has no such action\n",
		},
		"nobody is there": {
			args: "trigger api dump", code: 1,
			stderr: "tend: trigger dump of api: no process has received the command\n      an app says what it can do by the message axm:action, while it runs\n",
		},
		"no action": {
			args: "trigger api", code: 1,
			stderr: "tend: run trigger: missing required argument \"action\"\n      usage: tend trigger <target> <action> [params]\n",
		},
		"no time": {args: "trigger api dump --timeout 0", code: 1, stderr: "tend: read option --timeout: 0 is not a number above 0\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := &fakeDaemon{events: tt.events, failure: tt.failure, notices: tt.notices, quiet: tt.quiet}
			r := try(t, world(t), d, strings.Fields(tt.args)...)
			if diff := cmp.Diff([]any{r.code, r.stdout, r.stderr}, []any{tt.code, tt.stdout, tt.stderr}); diff != "" {
				t.Errorf("code, stdout, stderr (-got +want):\n%s", diff)
			}
		})
	}
}

// TestTriggerListensFirst: an answer may be there before the request has ended.
func TestTriggerListensFirst(t *testing.T) {
	env := world(t)
	d := &fakeDaemon{
		events:  []api.Event{{Kind: api.EventInstance, Name: "api", ID: 1, OK: true}},
		notices: []api.Notice{reply(1, "api", `{"action_name":"dump","return":null}`)},
	}
	r := try(t, env, d, "trigger", "1", "dump", "--", "--deep")
	want := []string{
		"events topic=axm%3Areply&topic=process%3Aevent",
		`trigger {"targets":["1"],"cwd":"` + env.Cwd + `","action":"dump","params":"--deep"}`,
	}
	if diff := cmp.Diff(r.requests, want); diff != "" || r.code != 0 {
		t.Errorf("code %d, requests (-got +want):\n%s", r.code, diff)
	}
}
