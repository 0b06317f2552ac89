package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/api"
)

func TestSettings(t *testing.T) {
	const conf = "$ tend set editor vi\n$ tend set size 5\n" +
		"Module: pm2-logrotate\n$ tend set pm2-logrotate:max_size 10M\n$ tend set pm2-logrotate:rotateInterval '0 0 * * *'\n" +
		"Module: web\n$ tend set web:empty ''\n$ tend set web:inner:on true\n$ tend set web:quote 'it'\\''s'\n" +
		"Module: \"x.y\"\n$ tend set '\"x.y\":k' v\n"
	refused := map[string]*api.Error{"settings": {Op: "set", On: "a", Kind: "invalid", Message: "it is wrong", Hint: "mend it"}}
	for name, tt := range map[string]struct {
		args           []string
		refuse         map[string]*api.Error
		notes          []string
		request        string // "": none that changes anything
		stdout, stderr string
		code           int
	}{
		"everything":               {args: []string{"conf"}, stdout: conf},
		"everything by get":        {args: []string{"get"}, stdout: conf},
		"everything by get all":    {args: []string{"get", "all"}, stdout: conf},
		"everything by config":     {args: []string{"config"}, stdout: conf},
		"a value":                  {args: []string{"get", "editor"}, stdout: "Value for key editor: vi\n"},
		"a number":                 {args: []string{"get", "size"}, stdout: "Value for key size: 5\n"},
		"a value in a section":     {args: []string{"get", "pm2-logrotate:max_size"}, stdout: "Value for module pm2-logrotate key max_size: 10M\n"},
		"a value behind a dot":     {args: []string{"get", "pm2-logrotate.max_size"}, stdout: "Value for module pm2-logrotate key max_size: 10M\n"},
		"a value of conf":          {args: []string{"conf", "editor"}, stdout: "Value for key editor: vi\n"},
		"a name with a dot":        {args: []string{"get", `"x.y":k`}, stdout: "Value for module x.y key k: v\n"},
		"a section":                {args: []string{"get", "pm2-logrotate"}, stdout: "Module: pm2-logrotate\n$ tend set pm2-logrotate:max_size 10M\n$ tend set pm2-logrotate:rotateInterval '0 0 * * *'\n\nTo change one: tend set pm2-logrotate:KEY VALUE\n"},
		"a section of a section":   {args: []string{"get", "web:inner"}, stdout: "Module: web:inner\n$ tend set web:inner:on true\n\nTo change one: tend set web:inner:KEY VALUE\n"},
		"what is not set":          {args: []string{"get", "nosuch"}, code: 1, stderr: "tend: get nosuch: nothing is set under this key\n      `tend conf` shows what is set\n"},
		"what is not in a value":   {args: []string{"get", "editor:x"}, code: 1, stderr: "tend: get editor:x: nothing is set under this key\n      `tend conf` shows what is set\n"},
		"set":                      {args: []string{"set", "editor", "vi"}, request: `{"set":[{"key":"editor","value":"vi"}]}`, stdout: "[tend] Setting changed\n"},
		"set by conf":              {args: []string{"conf", "editor", "vi"}, request: `{"set":[{"key":"editor","value":"vi"}]}`, stdout: "[tend] Setting changed\n"},
		"set in a section":         {args: []string{"set", "pm2-logrotate:retain", "5"}, request: `{"set":[{"key":"pm2-logrotate:retain","value":"5"}]}`, stdout: "[tend] Setting changed\nModule: pm2-logrotate\n$ tend set pm2-logrotate:max_size 10M\n$ tend set pm2-logrotate:rotateInterval '0 0 * * *'\n"},
		"set to a negative":        {args: []string{"set", "a", "--", "-1"}, request: `{"set":[{"key":"a","value":"-1"}]}`, stdout: "[tend] Setting changed\n"},
		"set to nothing":           {args: []string{"set", "a", ""}, request: `{"set":[{"key":"a","value":""}]}`, stdout: "[tend] Setting changed\n"},
		"set, with a remark":       {args: []string{"set", "a", "b"}, notes: []string{"it means nothing"}, request: `{"set":[{"key":"a","value":"b"}]}`, stdout: "[tend] Setting changed\n", stderr: "[tend][WARN] it means nothing\n"},
		"set without a value":      {args: []string{"set", "a"}, code: 1, stderr: "tend: run set: missing required argument \"value\"\n      usage: tend set <key> <value>\n"},
		"set with a word too many": {args: []string{"set", "a", "b", "c"}, code: 1, stderr: "tend: run set: unknown argument \"c\"\n      several words are one argument in quotes\n"},
		"set and refused":          {args: []string{"set", "a", "b"}, refuse: refused, request: `{"set":[{"key":"a","value":"b"}]}`, code: 1, stderr: "tend: set a: it is wrong\n      mend it\n"},
		"several":                  {args: []string{"multiset", "a 1 b:c 2"}, request: `{"set":[{"key":"a","value":"1"},{"key":"b:c","value":"2"}]}`, stdout: "[tend] Setting changed\n"},
		"several, as words":        {args: []string{"multiset", "a", "1 2"}, request: `{"set":[{"key":"a","value":"1 2"}]}`, stdout: "[tend] Setting changed\n"},
		"several, one left over":   {args: []string{"multiset", "a 1 b"}, code: 1, stderr: "tend: set a 1 b: want a value for each key\n      as in: multiset \"pm2-logrotate:max_size 10M pm2-logrotate:retain 5\"\n"},
		"several of nothing":       {args: []string{"multiset"}, code: 1, stderr: "tend: set: want a value for each key\n      as in: multiset \"pm2-logrotate:max_size 10M pm2-logrotate:retain 5\"\n"},
		"unset":                    {args: []string{"unset", "a"}, request: `{"unset":["a"]}`, stdout: "[tend] Setting changed\n"},
		"unset everything":         {args: []string{"unset", "all"}, request: `{"unset":["all"]}`, stdout: "[tend] Setting changed\n"},
		"unset of nothing":         {args: []string{"unset"}, code: 1, stderr: "tend: run unset: missing required argument \"key\"\n      usage: tend unset <key|all>\n"},
	} {
		t.Run(name, func(t *testing.T) {
			env := world(t)
			d := &fakeDaemon{refuse: tt.refuse, settings: api.Settings{Notes: tt.notes, Values: map[string]any{
				"editor": "vi", "size": 5,
				"pm2-logrotate": map[string]any{"max_size": "10M", "rotateInterval": "0 0 * * *"},
				"web":           map[string]any{"empty": "", "quote": "it's", "inner": map[string]any{"on": true}},
				"x.y":           map[string]any{"k": "v"},
			}}}
			r := try(t, env, d, tt.args...)
			if r.code != tt.code || r.stderr != tt.stderr {
				t.Errorf("got code %d, stderr %q; want %d, %q", r.code, r.stderr, tt.code, tt.stderr)
			}
			if diff := cmp.Diff(r.stdout, tt.stdout); diff != "" {
				t.Errorf("stdout (-got +want):\n%s", diff)
			}
			want := ""
			if tt.request != "" {
				want = "settings " + tt.request
			}
			if got := strings.Join(r.requests, "; "); got != want {
				t.Errorf("got requests %q, want %q", got, want)
			}
		})
	}
}

// What an app says of its rotation stands on what the home has.
func TestStartWithRotation(t *testing.T) {
	for name, tt := range map[string]struct {
		file string
		args string
		want *api.Rotation
	}{
		"of the home":           {`{"pm2-logrotate": {"retain": "3"}}`, "", nil},
		"of its own":            {`{"pm2-logrotate": {"retain": "3", "compress": "false"}}`, "--log-max-size 5M", &api.Rotation{MaxSize: 5 << 20, Retain: 3}},
		"of its own, all files": {`{}`, "--log-max-size 0 --log-retain all", &api.Rotation{Retain: -1, Compress: "gzip"}},
		"in spite of the home":  {`{"pm2-logrotate": {"off": "true"}}`, "--log-retain 1", &api.Rotation{MaxSize: 100 << 20, Retain: 1, Compress: "gzip"}},
		"none":                  {`{}`, "--no-log-rotate", &api.Rotation{Off: true}},
		"over damaged settings": {`{`, "--log-retain 1", &api.Rotation{MaxSize: 100 << 20, Retain: 1, Compress: "gzip"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := world(t)
			if err := os.WriteFile(env.Home.Settings(), []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			write(t, env, "run.sh", "#!/bin/sh\n")
			r := try(t, env, &fakeDaemon{}, strings.Fields("start run.sh --log-rate-limit 50 "+tt.args)...)
			if r.code != 0 || r.stderr != "" {
				t.Fatalf("got %+v", r)
			}
			log := started(t, r.requests)[0].Apps[0].Log
			if diff := cmp.Diff(log, api.Log{Merge: true, RateLimit: 50, Rotation: tt.want}); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}
