package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The names of those that are compared by what they do with lines.
const (
	tendRaw   = "tend raw"
	tendDated = "tend --time"
	pm2Raw    = "PM2 raw"
	pm2Dated  = "PM2 --time"
	plainFile = "`> file`"
)

// logger is a manager that writes what its apps say into files.
type logger interface {
	manager
	// logFile is where the standard output of an app is.
	logFile(dir, app string) string
	// stamps tells whether it puts a time before each line.
	stamps() bool
}

// logger is the manager of a turn at logs: others have none.
func (t *turn) logger() logger { return t.manager.(logger) }

func (m *pm2Like) stamps() bool { return m.dated }
func (m *pm2Like) logFile(dir, app string) string {
	return filepath.Join(dir, "logs", app+"-out.log")
}

func (s *supervisor) stamps() bool { return false }
func (s *supervisor) logFile(dir, app string) string {
	return filepath.Join(s.logs(dir), app+"-out.log")
}

// rawAndDated are the two ways of a manager to log.
func rawAndDated(m *pm2Like, raw, dated string) []manager {
	plain, stamped := *m, *m
	plain.title = raw
	stamped.title, stamped.dated = dated, true
	return []manager{&plain, &stamped}
}

// redirection is no manager: a shell has the app write into the file itself,
// which no manager can be much faster than.
type redirection struct{}

func (redirection) name() string              { return plainFile }
func (redirection) version() string           { return "" }
func (redirection) most() int                 { return many }
func (redirection) env(string) []string       { return nil }
func (redirection) stamps() bool              { return false }
func (redirection) pidFile(dir string) string { return filepath.Join(dir, "none.pid") }
func (redirection) logFile(dir, app string) string {
	return filepath.Join(dir, app+"-out.log")
}

// boot does nothing: there is no process but the app's.
func (redirection) boot(context.Context, *home) error { return nil }

func (r redirection) declare(_ context.Context, h *home, apps []app) error {
	var text strings.Builder
	for _, a := range apps {
		// In a session of its own, as managers start apps: the kernel shares the
		// cores out by session.
		fmt.Fprintf(&text, "setsid %s %s </dev/null >>%s 2>&1 &\necho $! >>pids\n", a.script, strings.Join(a.args, " "), r.logFile(h.dir, a.name))
	}
	return os.WriteFile(filepath.Join(h.dir, "start.sh"), []byte(text.String()), 0o600)
}

// argv for what it cannot do is /bin/false.
func (redirection) argv(_ string, v verb) []string {
	switch v {
	case start:
		return []string{"/bin/sh", "start.sh"}
	case kill:
		return []string{"/bin/sh", "-c", "kill $(cat pids)"}
	case restart, reload, remove, list, follow, lastMinute:
	}
	return []string{"/bin/false"}
}

func (redirection) instances(context.Context, *home) ([]instance, error) {
	return nil, errors.New("list apps: nobody keeps a list")
}
