package cli

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestNormalise(t *testing.T) {
	tests := map[string]struct{ args, words, rest string }{
		"options after the command":                   {"start app.js -n api -i 2", "start -n=api -i=2 -- app.js", ""},
		"options before the command":                  {"-n api --namespace x start app.js", "start -n=api --namespace=x -- app.js", ""},
		"options on both sides of the target":         {"start -f app.js --name=api", "start -f --name=api -- app.js", ""},
		"everything behind -- is the app's":           {"start app.js -- -n x --watch -- y", "start -- app.js", "-n x --watch -- y"},
		"a negative number is a value":                {"start app.js -i -1", "start -i=-1 -- app.js", ""},
		"a negative number scales down":               {"scale api -2", "scale -- api -2", ""},
		"a positive change scales up":                 {"scale api +2", "scale -- api +2", ""},
		"watch without a path":                        {"start app.js --watch", "start --watch -- app.js", ""},
		"watch with a path":                           {"start app.js --watch src", "start --watch=src -- app.js", ""},
		"watch twice":                                 {"start app.js --watch src --watch=lib", "start --watch=src --watch=lib -- app.js", ""},
		"watch before an option":                      {"start --watch -n api app.js", "start --watch -n=api -- app.js", ""},
		"watch does not take the only target":         {"start --watch app.js", "start --watch -- app.js", ""},
		"a log without a path":                        {"start app.js -l", "start -l -- app.js", ""},
		"a log with a path":                           {"start app.js -l all.log", "start -l=all.log -- app.js", ""},
		"max-restarts with a number":                  {"start app.js --max-restarts 3", "start --max-restarts=3 -- app.js", ""},
		"max-restarts takes no script":                {"start --max-restarts app.js", "start --max-restarts -- app.js", ""},
		"letters together, the last takes a value":    {"start app.js -fi 2", "start -fi=2 -- app.js", ""},
		"letters together with a value":               {"start app.js -fi2", "start -fi2 -- app.js", ""},
		"a value that looks like an option":           {"start app.js --node-args --inspect", "start --node-args=--inspect -- app.js", ""},
		"a value that is a command":                   {"start app.js --name log", "start --name=log -- app.js", ""},
		"a missing value is left to be said":          {"start app.js --name", "start app.js --name", ""},
		"a missing value before --":                   {"start app.js --name -- x", "start app.js --name", "x"},
		"stop codes may be several":                   {"start app.js --stop-exit-codes 1 2 3", "start --stop-exit-codes=1 --stop-exit-codes=2 --stop-exit-codes=3 -- app.js", ""},
		"stop codes are no names":                     {"start --stop-exit-codes 1 app.js", "start --stop-exit-codes=1 -- app.js", ""},
		"stop codes leave the only target":            {"restart --stop-exit-codes 1 2", "restart --stop-exit-codes=1 -- 2", ""},
		"standard input":                              {"start -", "start -- -", ""},
		"an unknown option is left to be said":        {"start --nope app.js", "start --nope -- app.js", ""},
		"an option of one command":                    {"logs api --lines 5 --raw", "logs --lines=5 --raw -- api", ""},
		"an option of one command, through its alias": {"log --lines 5 api", "log --lines=5 -- api", ""},
		"a timestamp with a format":                   {"logs --timestamp HH:mm:ss", "logs --timestamp=HH:mm:ss", ""},
		"a timestamp before a target":                 {"logs --timestamp api", "logs --timestamp -- api", ""},
		"a timestamp with both":                       {"logs --timestamp X api", "logs --timestamp=X -- api", ""},
		"no command":                                  {"--version", "--version", ""},
		"nothing":                                     {"", "", ""},
		"help of a command":                           {"help start", "help -- start", ""},
	}
	env := world(t)
	env.out = bufio.NewWriter(io.Discard)
	arityOf := arities(newRoot(env))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			words, rest := normalise(strings.Fields(tt.args), arityOf)
			if diff := cmp.Diff(strings.Join(words, " "), tt.words); diff != "" {
				t.Errorf("words (-got +want):\n%s", diff)
			}
			if diff := cmp.Diff(rest, strings.Fields(tt.rest), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("rest (-got +want):\n%s", diff)
			}
		})
	}
}

func TestNormaliseKeepsSpaces(t *testing.T) {
	words, rest := normalise([]string{"start", "npm run dev", "-n", "a b", "--", "c d"}, func(_, o string) arity {
		if o == "n" {
			return oneValue
		}
		return unknownOption
	})
	if diff := cmp.Diff(words, []string{"start", "-n=a b", "--", "npm run dev"}); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(rest, []string{"c d"}); diff != "" {
		t.Error(diff)
	}
}

func TestAnEmptyValueIsOne(t *testing.T) {
	for _, option := range []string{"-n", "--name", "-fn"} {
		env := world(t)
		write(t, env, "run.sh", "#!/bin/sh\n")
		d := &fakeDaemon{}
		if r := try(t, env, d, "start", "run.sh", option, ""); r.code != 0 {
			t.Fatalf("%s: got %+v", option, r)
		}
		if got := strings.Join(d.requests, "\n"); !strings.Contains(got, `"name":"run"`) {
			t.Errorf("%s: an app without a name has that of its script; asked for %s", option, got)
		}
	}
}
