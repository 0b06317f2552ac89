package cli

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"tend/internal/config"
	"tend/internal/home"
)

func TestNamesOfPM2(t *testing.T) {
	root := &cobra.Command{Use: "x"}
	root.AddCommand(&cobra.Command{Use: "run", Short: "run"}, &cobra.Command{Use: "dev", Short: "dev"})
	tests := map[string]struct {
		program, args, want string
		err                 error
	}{
		"tend is itself":           {"tend", "start app.js", "start app.js", nil},
		"pm2 is itself":            {"pm2", "start app.js", "start app.js", nil},
		"pm2-runtime":              {"pm2-runtime", "app.js -i 2 -- x", "run app.js -i 2 -- x", nil},
		"pm2-runtime start":        {"pm2-runtime", "start app.js", "run app.js", nil},
		"pm2-docker":               {"pm2-docker", "--raw app.js", "run --raw app.js", nil},
		"pm2-dev":                  {"pm2-dev", "start app.js", "dev app.js", nil},
		"help of pm2-runtime":      {"pm2-runtime", "--help", "run --help", nil},
		"pm2-runtime of nothing":   {"pm2-runtime", "", "", errUsage},
		"pm2-docker start nothing": {"pm2-docker", "start", "", errUsage},
		"pm2-dev of nothing":       {"pm2-dev", "", "", errDone},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			env := world(t)
			env.Program, env.out = tt.program, bufio.NewWriter(io.Discard)
			got, err := env.asCommand(root, strings.Fields(tt.args))
			if diff := cmp.Diff(strings.Join(got, " "), tt.want); diff != "" || err != tt.err { //nolint:errorlint // these very ones
				t.Errorf("got %v, %v; want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

// TestUsageIsWhatIsTyped: who types what the help says gets what it says.
func TestUsageIsWhatIsTyped(t *testing.T) {
	for name, tt := range map[string]struct {
		program string
		args    []string
		code    int
		want    []string
	}{
		"a command":            {"tend", []string{"run", "--help"}, 0, []string{"Usage: tend run [start] <script|file>\n", "  tend run --json "}},
		"a command of another": {"tend", []string{"conf", "check", "--help"}, 0, []string{"Usage: tend conf check [file|-]\n"}},
		"pm2-runtime":          {"pm2-runtime", []string{"--help"}, 0, []string{"Usage: pm2-runtime [start] <script|file>\n", "  pm2-runtime --json "}},
		"pm2-runtime, wrong":   {"pm2-runtime", []string{"a.js", "--nonsense"}, 1, []string{"`pm2-runtime --help` lists"}},
		"pm2-runtime, nothing": {"pm2-runtime", []string{"--raw"}, 1, []string{"usage: pm2-runtime [start] <script|file>\n"}},
		"pm2-dev":              {"pm2-dev", []string{"--help"}, 0, []string{"Usage: pm2-dev [start] <script|file>\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := world(t)
			env.Program = tt.program
			r := try(t, env, nil, tt.args...)
			for _, want := range tt.want {
				if text := r.stdout + r.stderr; r.code != tt.code || !strings.Contains(text, want) {
					t.Errorf("got %d, %s; want %d, %q", r.code, text[:min(len(text), 500)], tt.code, want)
				}
			}
		})
	}
}

func TestVersionOfPM2(t *testing.T) {
	for program, want := range map[string]string{"tend": "v1\n", "pm2": "7.0.4\n"} {
		env := world(t)
		env.Program = program
		if r := try(t, env, nil, "--version"); r.stdout != want {
			t.Errorf("%s: got %q, want %q", program, r.stdout, want)
		}
	}
}

// TestAbsent: commands that are not here say so, take any argument, ask no
// daemon (world fails where one is launched) and are no part of the help.
func TestAbsent(t *testing.T) {
	help := try(t, world(t), nil, "--help").stdout
	for _, cmd := range newAbsent() {
		r := try(t, world(t), nil, cmd.Name(), "x", "--any-option", "--other=1", "--", "y")
		if lines := strings.Count(r.stderr, "\n"); r.code != 1 || r.stdout != "" || lines < 1 || lines > 2 {
			t.Errorf("%s: got %+v", cmd.Name(), r)
		}
		if strings.Contains(help, "\n  "+cmd.Name()+" ") {
			t.Errorf("%s is in the help", cmd.Name())
		}
	}
	if r := try(t, world(t), nil, "plus"); !strings.Contains(r.stderr, "leaves it out for good") {
		t.Errorf("plus: got %+v", r)
	}
	env := world(t)
	env.Program = "pm2" // which has it
	if r := try(t, env, nil, "deploy"); !strings.Contains(r.stderr, "tend does not have it yet") {
		t.Errorf("deploy: got %+v", r)
	}
}

// TestHomeWithPM2InIt: no second manager is started beside PM2's own.
func TestHomeWithPM2InIt(t *testing.T) {
	env := world(t)
	env.Program = "pm2"
	env.Own = func(context.Context, home.Dir) error {
		t.Error("a daemon was owned")
		return nil
	}
	l, err := net.Listen("unix", env.Home.PM2Socket())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(env.Home.PM2Pid(), []byte("77\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "[PM2][ERROR] use home " + string(env.Home) + ": PM2 itself runs in it, pid 77, and the apps of its list with it\n" +
		"     `kill 77` ends PM2 and its apps; `pm2 resurrect` then starts what it has saved\n"
	for _, args := range []string{"ls", "resurrect", "kill", "ls --no-daemon", "run app.js"} {
		if r := try(t, env, nil, strings.Fields(args)...); r.code != 1 || r.stderr != want {
			t.Errorf("%s: got %+v, want %s", args, r, want)
		}
	}
	// PM2 that was killed leaves its socket.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if r := try(t, env, nil, "kill"); r.code != 0 {
		t.Errorf("behind a socket that nobody listens on: got %+v", r)
	}
}

func TestHintsGoByOurName(t *testing.T) {
	for program, want := range map[string]string{"tend": "`tend ls` shows what there is", "pm2": "`pm2 ls` shows what there is"} {
		env := world(t)
		env.Program = program
		if r := try(t, env, &fakeDaemon{}, "describe", "nobody"); !strings.Contains(r.stderr, want) {
			t.Errorf("%s: got %+v, want %s", program, r, want)
		}
	}
}

func TestInit(t *testing.T) {
	for _, f := range initFormats {
		for kind, apps := range map[string]int{"full": 2, "simple": 1} {
			t.Run(f.name+" "+kind, func(t *testing.T) {
				env := world(t)
				env.Environ = append(env.Environ, "PATH="+os.Getenv("PATH"))
				args := []string{"init", "--format", f.name}
				if kind == "simple" {
					args = append(args, "simple")
				}
				r := try(t, env, nil, args...)
				path := filepath.Join(env.Cwd, f.file)
				if r.code != 0 || r.stdout != "File "+path+" generated\n" {
					t.Fatalf("got %+v", r)
				}
				for _, script := range []string{"server.js", "jobs.js", "app.js"} {
					write(t, env, script, "")
				}
				got, err := config.Load(t.Context(), env.context(), path, config.Options{})
				got.Warnings = slices.DeleteFunc(got.Warnings, func(w string) bool { return strings.HasSuffix(w, "not acted on yet") })
				if err != nil || len(got.Warnings) > 0 || len(got.Apps) != apps {
					t.Errorf("got %d apps, %v, %v; want %d", len(got.Apps), got.Warnings, err, apps)
				}
				was, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
					t.Fatal(err)
				}
				if r := try(t, env, nil, args...); r.code != 1 || !strings.Contains(r.stderr, "it is there already\n      --force") {
					t.Errorf("once more: got %+v", r)
				}
				if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
					t.Errorf("once more: got %q, %v", text, err)
				}
				if r := try(t, env, nil, append(args, "--force")...); r.code != 0 {
					t.Errorf("by force: got %+v", r)
				}
				if text, err := os.ReadFile(path); err != nil || string(text) != string(was) {
					t.Errorf("by force: got %q, %v", text, err)
				}
			})
		}
	}
	env := world(t)
	if r := try(t, env, nil, "ecosystem"); r.code != 0 || !env.exists("ecosystem.config.js") {
		t.Errorf("got %+v", r)
	}
	write(t, env, "package.json", `{"type": "module"}`)
	if r := try(t, env, nil, "init"); r.code != 0 || !env.exists("ecosystem.config.cjs") {
		t.Errorf("in a package of modules: got %+v", r)
	}
	for args, want := range map[string]string{"init nonsense": "no such template", "init --format xml": "one of js, cjs"} {
		if r := try(t, world(t), nil, strings.Fields(args)...); r.code != 1 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: got %+v", args, r)
		}
	}
}

func TestReport(t *testing.T) {
	env := world(t)
	if err := os.WriteFile(env.Home.Log(), []byte("the last line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env.Environ = append(env.Environ, "SECRET=hunter2")
	r := try(t, env, &fakeDaemon{instances: instances()}, "report")
	for _, want := range []string{
		"--- tend report ---", "--- Daemon ---", "--- CLI ---", "--- System info ---", "--- tend list ---", "--- Daemon logs ---",
		"go version           : go", "the last line", "│ 11 │",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is missing:\n%s", want, r.stdout)
		}
	}
	for line := range strings.Lines(r.stdout) {
		if strings.HasPrefix(line, "--- ") && len(line) != reportWidth+1 {
			t.Errorf("%q has %d columns", line, len(line)-1)
		}
	}
	if strings.Contains(r.stdout, "hunter2") || r.code != 0 {
		t.Errorf("code %d, or a secret is in it:\n%s", r.code, r.stdout)
	}
	if r := try(t, world(t), nil, "report", "--json"); r.code != 0 || !strings.Contains(r.stdout, `"none runs in `) {
		t.Errorf("without a daemon: %+v", r)
	}
}

func TestCreate(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			env := world(t)
			env.Environ = append(env.Environ, "PATH="+os.Getenv("PATH"))
			dir := filepath.Join(env.Cwd, s.name+"-app")
			r := try(t, env, nil, "create", s.name)
			if r.code != 0 || !strings.Contains(r.stdout, "cd "+dir+" && tend start ecosystem.") {
				t.Fatalf("got %+v", r)
			}
			found, err := filepath.Glob(filepath.Join(dir, "ecosystem.*"))
			if err != nil || len(found) != 1 {
				t.Fatalf("got %v, %v", found, err)
			}
			env.Cwd = dir
			if got, err := config.Load(t.Context(), env.context(), found[0], config.Options{}); err != nil || len(got.Warnings) > 0 || len(got.Apps) != 1 {
				t.Errorf("got %+v, %v", got, err)
			}
			env.Cwd = filepath.Dir(dir)
			if r := try(t, env, nil, "create", s.name); r.code != 1 || !strings.Contains(r.stderr, "it is there already") {
				t.Errorf("once more: %+v", r)
			}
		})
	}
	for answer, want := range map[string]int{"2\n": 0, "python": 0, "": 1, "x\n": 1} {
		env := world(t)
		env.Stdin = strings.NewReader(answer)
		if r := try(t, env, nil, "create"); r.code != want || !strings.Contains(r.stdout, "1  http ") {
			t.Errorf("%q: got %+v, want code %d", answer, r, want)
		}
	}
	env := world(t)
	if r := try(t, env, nil, "create", "http", "mine"); r.code != 0 || !env.exists("mine/server.js") {
		t.Errorf("got %+v", r)
	}
}
