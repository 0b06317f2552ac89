package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// supervisorLimit is as far as Supervisor is compared.
const supervisorLimit = 100

// supervisor is Supervisor. It has no command that adds apps and starts them,
// nor one that stops and forgets them: its delete here is "stop all", and its
// apps are known to it before "start all".
type supervisor struct {
	daemon, control string // paths of its programs
	release         string
}

// newSupervisor is the Supervisor of this machine.
func newSupervisor(ctx context.Context) (manager, error) {
	s := new(supervisor)
	var err error
	if s.daemon, err = exec.LookPath("supervisord"); err != nil {
		return nil, err
	}
	if s.control, err = exec.LookPath("supervisorctl"); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, s.daemon, "--version").Output()
	s.release = strings.TrimSpace(string(out))
	return s, err
}

func (s *supervisor) name() string              { return "Supervisor" }
func (s *supervisor) version() string           { return s.release }
func (s *supervisor) most() int                 { return supervisorLimit }
func (s *supervisor) env(string) []string       { return nil }
func (s *supervisor) pidFile(dir string) string { return filepath.Join(dir, "supervisord.pid") }
func (s *supervisor) logs(dir string) string    { return filepath.Join(dir, "logs") }
func (s *supervisor) config(dir string) string  { return filepath.Join(dir, "supervisord.conf") }
func (s *supervisor) ctl(dir string, words ...string) []string {
	return append([]string{s.control, "-c", s.config(dir)}, words...)
}

func (s *supervisor) boot(ctx context.Context, h *home) error {
	if err := os.Mkdir(s.logs(h.dir), 0o700); err != nil {
		return err
	}
	text := strings.NewReplacer("DIR", h.dir, "LOGS", s.logs(h.dir), "PIDFILE", s.pidFile(h.dir)).Replace(`
[unix_http_server]
file=DIR/supervisor.sock
[supervisord]
logfile=LOGS/supervisord.log
childlogdir=LOGS
pidfile=PIDFILE
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://DIR/supervisor.sock
[include]
files=DIR/apps.conf
`)
	if err := os.WriteFile(s.config(h.dir), []byte(text), 0o600); err != nil {
		return err
	}
	if _, err := h.output(ctx, s.daemon, "-c", s.config(h.dir)); err != nil {
		return err
	}
	// It goes to the background before it answers.
	return until(ctx, 10*time.Second, 100*time.Millisecond, "supervisord answers", func() bool {
		argv := s.ctl(h.dir, "pid")
		_, err := h.output(ctx, argv...)
		return err == nil
	})
}

func (s *supervisor) declare(ctx context.Context, h *home, apps []app) error {
	var text bytes.Buffer
	for _, a := range apps {
		// With startsecs=0 an app counts as started once it was spawned, as it
		// does for tend and PM2; by default Supervisor watches it for a second.
		// Its logs are not cut off at 50 MB, for PM2's are not either.
		fmt.Fprintf(&text, "[program:%s]\ncommand=%s\nautostart=false\nautorestart=true\nstartsecs=0\nstopsignal=INT\n"+
			"stdout_logfile=%s\nstdout_logfile_maxbytes=0\n",
			a.name, strings.Join(append([]string{a.script}, a.args...), " "), s.logFile(h.dir, a.name))
	}
	if err := os.WriteFile(filepath.Join(h.dir, "apps.conf"), text.Bytes(), 0o600); err != nil {
		return err
	}
	_, err := h.output(ctx, s.ctl(h.dir, "update")...)
	return err
}

func (s *supervisor) argv(dir string, v verb) []string {
	switch v {
	case start, restart:
		return s.ctl(dir, string(v), "all")
	case remove:
		return s.ctl(dir, "stop", "all")
	case kill:
		return s.ctl(dir, "shutdown")
	case reload, list, follow, lastMinute: // it knows no reload, and follows one app at a time
	}
	return s.ctl(dir, "status")
}

func (s *supervisor) instances(ctx context.Context, h *home) ([]instance, error) {
	out, err := h.output(ctx, s.argv(h.dir, list)...)
	return parseStatus(out), err
}

// parseStatus reads what "supervisorctl status" printed.
func parseStatus(out []byte) []instance {
	running := regexp.MustCompile(`(?m)^(\S+)\s+RUNNING\s+pid (\d+),`)
	var all []instance
	for _, m := range running.FindAllSubmatch(out, -1) {
		if pid, err := strconv.Atoi(string(m[2])); err == nil {
			all = append(all, instance{string(m[1]), pid})
		}
	}
	return all
}
