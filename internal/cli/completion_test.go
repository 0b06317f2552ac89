package cli

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tend/internal/app"
)

func TestCompletes(t *testing.T) {
	const nothing, files = ":4", ":0"
	tests := map[string]struct {
		args []string // of __completeNoDesc
		want []string // among the answers
		not  []string // not among them
		end  string   // the directive
	}{
		"commands":                       {args: []string{"rest"}, want: []string{"restart"}, not: []string{"stop"}, end: nothing},
		"commands that are hidden":       {args: []string{"lin"}, not: []string{"link"}, end: nothing},
		"names":                          {args: []string{"restart", ""}, want: []string{"tick", "api", "all", "a-long-namespace"}, end: files},
		"names once":                     {args: []string{"restart", "ti"}, want: []string{"tick"}, not: []string{"api"}, end: files},
		"names but those that are there": {args: []string{"restart", "api", ""}, want: []string{"tick"}, not: []string{"api"}, end: files},
		"names behind an option":         {args: []string{"restart", "--parallel", "2", "ti"}, want: []string{"tick"}, end: files},
		"names behind a word's option":   {args: []string{"-n", "x", "restart", "ti"}, want: []string{"tick"}, end: files},
		"names through an alias":         {args: []string{"del", "ti"}, want: []string{"tick"}, end: files},
		"names behind a bare flag":       {args: []string{"stop", "--watch", "ti"}, want: []string{"tick"}, end: files},
		"ids":                            {args: []string{"env", ""}, want: []string{"0", "11"}, not: []string{"api"}, end: nothing},
		"one argument only":              {args: []string{"describe", "api", ""}, not: []string{"tick"}, end: nothing},
		"a negative number":              {args: []string{"scale", "api", "-2", ""}, end: nothing},
		"signals":                        {args: []string{"sendSignal", "SIGU"}, want: []string{"SIGUSR1", "SIGUSR2"}, end: ":36"},
		"names behind a signal":          {args: []string{"sendSignal", "SIGUSR2", "ti"}, want: []string{"tick"}, end: nothing},
		"options":                        {args: []string{"start", "--max-m"}, want: []string{"--max-memory-restart"}, end: nothing},
		"options of a command":           {args: []string{"logs", "--lin"}, want: []string{"--lines"}, end: nothing},
		"values of an option":            {args: []string{"ls", "--sort", "mem"}, want: []string{"memory", "memory:desc"}, end: ":36"},
		"values behind an equals sign":   {args: []string{"ls", "--sort=mem"}, want: []string{"memory"}, end: ":36"},
		"environments of the file":       {args: []string{"start", "eco.yaml", "--env", ""}, want: []string{"staging", "production"}, not: []string{"file"}, end: nothing},
		"environments of the usual file": {args: []string{"start", "--env", ""}, want: []string{"usual"}, end: nothing},
		"namespaces":                     {args: []string{"start", "x.js", "--namespace", ""}, want: []string{"a-long-namespace"}, end: nothing},
		"settings":                       {args: []string{"get", ""}, want: []string{"pm2-logrotate:max_size", "plain"}, end: nothing},
		"platforms":                      {args: []string{"startup", "sys"}, want: []string{"systemd", "systemd-user", "systemv"}, end: ":36"},
		"formats":                        {args: []string{"init", "--format", ""}, want: []string{"toml"}, end: ":36"},
		"what an app takes":              {args: []string{"start", "app.js", "--", ""}, not: []string{"tick"}, end: files},
		"a command that is not":          {args: []string{"nosuch", ""}, end: nothing},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			env := world(t)
			write(t, env, "eco.yaml", "apps:\n- name: x\n  env_staging: {}\n  env_production: {}\n  env_file: .env\n")
			write(t, env, "ecosystem.config.js", "module.exports = {apps: [{env_usual: {}}]}")
			settings := `{"pm2-logrotate": {"max_size": "1M"}, "plain": "1"}`
			if err := os.WriteFile(env.Home.Settings(), []byte(settings), 0o600); err != nil {
				t.Fatal(err)
			}
			r := try(t, env, &fakeDaemon{instances: instances()}, append([]string{"__completeNoDesc"}, tt.args...)...)
			lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
			has := map[string]bool{}
			for _, l := range lines {
				has[l] = true
			}
			for _, w := range tt.want {
				if !has[w] {
					t.Errorf("%q is missing from %q", w, lines)
				}
			}
			for _, w := range tt.not {
				if has[w] {
					t.Errorf("%q is among %q", w, lines)
				}
			}
			if end := lines[len(lines)-1]; end != tt.end || r.code != 0 {
				t.Errorf("ends with %q, code %d, want %q, 0; %s", end, r.code, tt.end, r.stderr)
			}
		})
	}
}

// TestCompletesWithoutADaemon: none is started (world fails then), and one that
// does not answer is not waited for.
func TestCompletesWithoutADaemon(t *testing.T) {
	if r := try(t, world(t), nil, "__complete", "restart", ""); r.code != 0 || r.stdout != ":0\n" {
		t.Errorf("got %+v", r)
	}
	began := time.Now()
	env := world(t)
	silent, err := net.Listen("unix", env.Home.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if r := try(t, env, nil, "__complete", "restart", ""); r.code != 0 || r.stdout != ":0\n" {
		t.Errorf("got %+v", r)
	}
	if took := time.Since(began); took < completeLimit || took > 20*time.Second {
		t.Errorf("it took %s, want not much more than %s", took, completeLimit)
	}
}

// TestBashCompletes has a real bash complete with the script.
func TestBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	env := world(t)
	script := try(t, env, nil, "completion", "bash").stdout
	// A program in tend's place answers as tend does.
	stub := "#!/bin/sh\n[ \"$1 $2\" = '__complete restart' ] && printf 'tick\\tan app\\ntock\\n:4\\n'\n"
	write(t, env, "tend", stub)
	cmd := exec.Command(bash, "--norc", "-c", script+`
		COMP_WORDS=(tend restart t) COMP_CWORD=2 COMP_LINE="tend restart t" COMP_POINT=14 COMP_TYPE=9
		__start_tend; printf '%s\n' "${COMPREPLY[@]}"`)
	cmd.Env = []string{"PATH=" + env.Cwd + ":" + os.Getenv("PATH")}
	out, err := cmd.Output() // on stderr it misses the line editor
	if err != nil || !strings.HasPrefix(string(out), "tick") || strings.Count(string(out), "\n") != 2 || !strings.Contains(string(out), "\ntock") {
		t.Errorf("got %q, %v; want tick and tock", out, err)
	}
}

func TestScriptsOfShells(t *testing.T) {
	for _, shell := range shells {
		for _, program := range []string{"tend", "pm2"} {
			env := world(t)
			env.Program = program
			r := try(t, env, nil, "completion", shell)
			if r.code != 0 || !strings.Contains(r.stdout, program+" __complete") && !strings.Contains(r.stdout, "__complete") {
				t.Errorf("%s of %s: got code %d, %q", shell, program, r.code, r.stdout[:min(len(r.stdout), 200)])
			}
			if path, err := exec.LookPath(shell); err == nil && shell != "powershell" {
				cmd := exec.Command(path, "-n")
				cmd.Stdin = strings.NewReader(r.stdout)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v: %s", shell, err, out)
				}
			}
		}
	}
	if r := try(t, world(t), nil, "completion", "tcsh"); r.code != 1 || !strings.Contains(r.stderr, "bash, zsh, fish, powershell") {
		t.Errorf("got %+v", r)
	}
}

func TestInstallsCompletion(t *testing.T) {
	for shell, file := range map[string]string{"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"} {
		t.Run(shell, func(t *testing.T) {
			env, home := world(t), t.TempDir()
			env.Environ = []string{"HOME=" + home, "SHELL=/bin/" + shell}
			path := filepath.Join(home, file)
			const before = "alias l=ls\n# no end"
			if shell == "bash" { // a link to a file elsewhere stays one
				if err := os.Symlink(write(t, env, "dotfile", before), path); err != nil {
					t.Fatal(err)
				}
			} else {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			was, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			var first []byte
			for range 2 { // once more changes nothing
				if r := try(t, env, nil, "completion", "install"); r.code != 0 {
					t.Fatalf("got %+v", r)
				}
				text, err := os.ReadFile(path)
				if err != nil || bytes.Count(text, []byte("###-begin-tend-completion-###")) != 1 || first != nil && !bytes.Equal(first, text) {
					t.Fatalf("got %q, %v", text, err)
				}
				first = text
			}
			if r := try(t, env, nil, "completion", "uninstall"); r.code != 0 {
				t.Fatalf("got %+v", r)
			}
			text, err := os.ReadFile(path)
			if err != nil || string(text) != before {
				t.Errorf("got %q, %v; want %q", text, err, before)
			}
			if fi, err := os.Stat(path); err != nil || fi.Mode() != was.Mode() {
				t.Errorf("got %v, %v; want mode %v", fi.Mode(), err, was.Mode())
			}
			if _, err := os.Readlink(path); (err == nil) != (shell == "bash") {
				t.Errorf("the link: %v", err)
			}
		})
	}
	env := world(t)
	env.Environ = []string{"HOME=" + t.TempDir(), "SHELL=/bin/tcsh"}
	if r := try(t, env, nil, "completion", "install"); r.code != 1 || !strings.Contains(r.stderr, `SHELL is "/bin/tcsh"`) {
		t.Errorf("got %+v", r)
	}
}

func TestBlocksComeAndGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([a-z# ]{0,6}\n?){0,5}`).Draw(t, "text")
		in := withBlock(text, "tend", "source it")
		if again := withBlock(in, "tend", "source it"); again != in {
			t.Errorf("once more makes %q of %q", again, in)
		}
		if out := withoutBlock(in, "tend"); out != text {
			t.Errorf("got %q back from %q, want %q", out, in, text)
		}
		// What is added below it later stays.
		later := strings.TrimSuffix(in, "\n") + "\nlater\n"
		if out := withoutBlock(later, "tend"); !strings.HasSuffix(out, "later\n") || !strings.HasPrefix(out, text) {
			t.Errorf("got %q from %q", out, later)
		}
	})
}

func TestEveryCommandIsCompleted(t *testing.T) {
	env := world(t)
	env.out = bufio.NewWriter(io.Discard)
	root := newRoot(env)
	env.defineCompletions(root)
	for _, cmd := range root.Commands() {
		if cmd.ValidArgsFunction == nil {
			t.Errorf("%s has none", cmd.Name())
		}
	}
	for _, f := range sortFields {
		if _, err := parseOrder(f); err != nil {
			t.Error(err)
		}
	}
	for _, s := range signals {
		if _, err := app.Signal(s); err != nil {
			t.Error(err)
		}
	}
}
