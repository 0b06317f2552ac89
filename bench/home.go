package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tend/internal/sysinfo"
)

// home is a manager with a temporary home of its own, for one turn.
type home struct {
	manager
	dir  string
	mark string // stands in the environment of all that is started here
}

// openHome starts m in a fresh home. The home is to be closed, also where this
// returns an error beside it.
func openHome(ctx context.Context, m manager) (*home, error) {
	// Short, for the path of a unix socket has 107 bytes at most.
	dir, err := os.MkdirTemp("", "tb")
	if err != nil {
		return nil, err
	}
	h := &home{manager: m, dir: dir, mark: "TEND_BENCH=" + dir}
	return h, m.boot(ctx, h)
}

// close ends all that was started in the home, first as the manager does it,
// then by pid, and removes the home.
func (h *home) close(ctx context.Context) error {
	const grace = 5 * time.Second
	ctx = context.WithoutCancel(ctx)
	if len(marked(h.mark)) > 0 {
		// Whether that worked shows in what is left.
		_, _ = h.output(ctx, h.argv(h.dir, kill)...)
		_ = until(ctx, grace, 20*time.Millisecond, "all is gone", func() bool { return len(marked(h.mark)) == 0 })
	}
	err := until(ctx, grace, 20*time.Millisecond, "what was killed is gone", func() bool {
		left := marked(h.mark)
		for _, p := range left {
			endMarked(p.pid, h.mark)
		}
		return len(left) == 0
	})
	return errors.Join(err, os.RemoveAll(h.dir))
}

// command is a program that works on the home.
func (h *home) command(ctx context.Context, argv []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = h.dir
	cmd.Env = append(h.env(h.dir), h.mark, "HOME="+h.dir, "PATH="+os.Getenv("PATH"), "LANG=C.UTF-8")
	// Ctrl-C at the terminal is for this program to handle.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A daemon that kept our pipe open must not hold us for good.
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// commandLimit is how long one command may take. PM2 needs minutes to restart
// a thousand apps.
const commandLimit = 20 * time.Minute

// output runs a command and returns what it wrote to its standard output.
func (h *home) output(ctx context.Context, argv ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := h.command(ctx, argv)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		words := strings.Join(cmd.Args[1:], " ")
		return stdout.Bytes(), fmt.Errorf("run %s %s: %w: %s", h.name(), words, err, tail(append(stdout.Bytes(), stderr.Bytes()...)))
	}
	return stdout.Bytes(), nil
}

// time runs the command for v and returns how long that took, from before the
// fork to after the exit.
func (h *home) time(ctx context.Context, v verb) (time.Duration, error) {
	argv := h.argv(h.dir, v)
	began := time.Now()
	_, err := h.output(ctx, argv...)
	return time.Since(began), err
}

// start declares apps and starts them, and returns how long the start took.
func (h *home) start(ctx context.Context, apps []app) (time.Duration, error) {
	if err := h.declare(ctx, h, apps); err != nil {
		return 0, err
	}
	return h.time(ctx, start)
}

// startSleepers starts n sleepers and sees that they run.
func (h *home) startSleepers(ctx context.Context, n int) (time.Duration, []sysinfo.Identity, error) {
	took, err := h.start(ctx, sleepers(n))
	if err != nil {
		return 0, nil, err
	}
	running := h.sleepers()
	if len(running) != n {
		return 0, nil, fmt.Errorf("check the start: %d apps run, not %d", len(running), n)
	}
	return took, running, nil
}

// sleepers are the sleepers that run in this home, whatever its manager says.
func (h *home) sleepers() []sysinfo.Identity {
	var all []sysinfo.Identity
	for _, p := range marked(h.mark) {
		if !p.sleeps() {
			continue
		}
		if id, err := sysinfo.Identify(p.pid); err == nil {
			all = append(all, id)
		}
	}
	return all
}

// managers are the pids of all that runs in this home and is no sleeper: the
// manager's own processes, whatever they are called and however many they are.
func (h *home) managers() ([]int, error) {
	var pids []int
	for _, p := range marked(h.mark) {
		if !p.sleeps() {
			pids = append(pids, p.pid)
		}
	}
	if len(pids) == 0 {
		return nil, errors.New("look for the manager: it does not run")
	}
	return pids, nil
}

// daemon is the pid of the manager's daemon.
func (h *home) daemon() (int, error) {
	text, err := os.ReadFile(h.pidFile(h.dir))
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read the pid of the daemon: %w", err)
	}
	return pid, nil
}

// keeper is the pid of the one process of the manager that is not its daemon.
func (h *home) keeper() (int, error) {
	daemon, err := h.daemon()
	if err != nil {
		return 0, err
	}
	pids, err := h.managers()
	if err != nil {
		return 0, err
	}
	if len(pids) != 2 || pids[0] != daemon && pids[1] != daemon {
		return 0, fmt.Errorf("look for the keeper: the processes are %v and the daemon is %d", pids, daemon)
	}
	return pids[0] + pids[1] - daemon, nil
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// until looks every so often, at first at once, until fact holds.
func until(ctx context.Context, limit, every time.Duration, what string, fact func() bool) error {
	for began := time.Now(); !fact(); {
		if time.Since(began) > limit {
			return fmt.Errorf("wait until %s: not within %v", what, limit)
		}
		if err := pause(ctx, every); err != nil {
			return err
		}
	}
	return nil
}

// tail is the end of what a command wrote, on one line, for an error.
func tail(out []byte) string {
	const most = 300
	line := strings.Join(strings.Fields(string(out)), " ")
	return line[max(0, len(line)-most):]
}
