package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// app is a program that a manager is told to keep running.
type app struct {
	name   string
	script string
	args   []string

	// workers, if not 0, makes it an app of Node in cluster mode.
	workers       int
	env           map[string]string
	listenTimeout time.Duration // 0 for the manager's default

	rotation rotation // of its log, for those who rotate
}

// rotation is the field log_rotate of the ecosystem file. Its zero value leaves
// it out.
type rotation struct {
	Off      bool   `json:"off,omitempty"`
	MaxSize  string `json:"max_size,omitempty"`
	Retain   int    `json:"retain,omitempty"`
	Compress string `json:"compress,omitempty"`
}

// sleepers are n apps that do nothing until a signal ends them. What a manager
// costs is then its own.
func sleepers(n int) []app {
	all := make([]app, n)
	for i := range all {
		all[i] = app{name: fmt.Sprintf("b%d", i), script: "/bin/sleep", args: []string{"100000"}}
	}
	return all
}

// instance is an app as its manager lists it.
type instance struct {
	name string
	pid  int
}

// verb is something that each manager has a command for.
type verb string

const (
	start   verb = "start" // what was declared
	restart verb = "restart"
	reload  verb = "reload"
	remove  verb = "delete"
	list    verb = "ls"
	kill    verb = "kill" // the apps and the manager

	follow     verb = "logs"                // of all apps, until a signal
	lastMinute verb = "logs of last minute" // and no more
)

// manager is a process manager as its user has it: a program with commands,
// which work on a home.
type manager interface {
	name() string
	version() string
	// most is the largest number of apps that it is measured with.
	most() int
	// env is what its programs need in their environment to use a home.
	env(dir string) []string
	// boot starts the manager without apps, and returns when it answers.
	boot(ctx context.Context, h *home) error
	// declare makes apps known, so that nothing but the command start is left
	// to do.
	declare(ctx context.Context, h *home, apps []app) error
	// argv is the command for v, on all apps.
	argv(dir string, v verb) []string
	// instances are what it says that runs.
	instances(ctx context.Context, h *home) ([]instance, error)
	// pidFile is where the pid of its daemon stands.
	pidFile(dir string) string
}

// pm2Like is a manager with PM2's commands and files: tend, and PM2.
type pm2Like struct {
	title   string
	release string
	program string // its path
	homeVar string // the variable that names the home
	pidName string // of the pid file, in the home
	limit   int
	environ []string
	balance string // of apps in cluster mode; "" where it has no choice
	dated   bool   // each line of a log begins with a time
	rotates bool   // its logs, without being told
}

// tendLimit is more apps than -sizes can sensibly ask for.
const tendLimit = 1 << 20

// newTend is the tend of this path.
func newTend(ctx context.Context, path string) (*pm2Like, error) {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("ask tend for its version: %w", err)
	}
	return &pm2Like{
		title: "tend", release: strings.TrimSpace(string(out)), program: path,
		homeVar: "TEND_HOME", pidName: "tend.pid", limit: tendLimit, rotates: true,
	}, nil
}

func (m *pm2Like) name() string              { return m.title }
func (m *pm2Like) version() string           { return m.release }
func (m *pm2Like) most() int                 { return m.limit }
func (m *pm2Like) pidFile(dir string) string { return filepath.Join(dir, m.pidName) }
func (m *pm2Like) appsFile(dir string) string {
	return filepath.Join(dir, "apps.json")
}

func (m *pm2Like) env(dir string) []string {
	return append([]string{m.homeVar + "=" + dir}, m.environ...)
}

func (m *pm2Like) boot(ctx context.Context, h *home) error {
	_, err := h.output(ctx, m.program, "ping")
	return err
}

// declaration is an app in the ecosystem file.
type declaration struct {
	Name          string            `json:"name"`
	Script        string            `json:"script"`
	Args          []string          `json:"args,omitempty"`
	Interpreter   string            `json:"interpreter,omitempty"`
	Mode          string            `json:"exec_mode"`
	Workers       int               `json:"instances,omitempty"`
	Balance       string            `json:"balance,omitempty"`
	Env           map[string]string `json:"env,omitempty"`
	ListenTimeout int64             `json:"listen_timeout,omitempty"`
	Time          bool              `json:"time,omitempty"`
	Rotation      rotation          `json:"log_rotate,omitzero"`
}

func (m *pm2Like) declare(_ context.Context, h *home, apps []app) error {
	file := struct {
		Apps []declaration `json:"apps"`
	}{}
	for _, a := range apps {
		d := declaration{Name: a.name, Script: a.script, Args: a.args, Interpreter: "none", Mode: "fork", Time: m.dated}
		if m.rotates {
			d.Rotation = a.rotation
		}
		if a.workers > 0 {
			d.Interpreter, d.Mode, d.Workers, d.Balance = "", "cluster", a.workers, m.balance
			d.Env, d.ListenTimeout = a.env, a.listenTimeout.Milliseconds()
		}
		file.Apps = append(file.Apps, d)
	}
	text, err := json.Marshal(file)
	if err != nil {
		return err
	}
	return os.WriteFile(m.appsFile(h.dir), text, 0o600)
}

func (m *pm2Like) argv(dir string, v verb) []string {
	switch v {
	case start:
		return []string{m.program, "start", m.appsFile(dir)}
	case restart, reload, remove:
		return []string{m.program, string(v), "all"}
	case follow:
		return []string{m.program, "logs", "--lines", "0"}
	case lastMinute:
		return []string{m.program, "logs", "--since", "1m", "--nostream"}
	case list, kill:
	}
	return []string{m.program, string(v)}
}

func (m *pm2Like) instances(ctx context.Context, h *home) ([]instance, error) {
	out, err := h.output(ctx, m.program, "jlist")
	if err != nil {
		return nil, err
	}
	return parseJlist(out)
}

// parseJlist reads what jlist printed. PM2 may say before it that it started
// its daemon.
func parseJlist(out []byte) ([]instance, error) {
	var records []struct {
		Name string `json:"name"`
		PID  int    `json:"pid"`
	}
	for line := range bytes.Lines(out) {
		if json.Unmarshal(line, &records) != nil {
			continue
		}
		all := make([]instance, 0, len(records))
		for _, r := range records {
			if r.PID != 0 {
				all = append(all, instance{r.Name, r.PID})
			}
		}
		return all, nil
	}
	return nil, fmt.Errorf("read the list: %.80q is none", out)
}
