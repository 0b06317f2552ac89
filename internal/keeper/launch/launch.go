// Package launch makes sure that a home has its keeper and daemon: it starts
// the keeper, detached from everything, and waits until the daemon serves.
package launch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tend/internal/errs"
	"tend/internal/home"
)

// Binaries are the programs that a client starts, by absolute path.
type Binaries struct {
	Daemon, Keeper string
}

// Find finds them beside the program that runs.
func Find() (Binaries, error) {
	exe, err := os.Executable()
	if err != nil {
		return Binaries{}, fmt.Errorf("find the running program: %w", err)
	}
	// Beside what a link points at, not beside the link: a link named pm2
	// may stand anywhere.
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	dir := filepath.Dir(exe)
	b := Binaries{Daemon: filepath.Join(dir, "tend-daemon"), Keeper: filepath.Join(dir, "tend-keeper")}
	for _, path := range []string{b.Daemon, b.Keeper} {
		if fi, err := os.Stat(path); err != nil || fi.IsDir() || fi.Mode()&0o111 == 0 {
			return b, &errs.Error{
				Op: "find", On: path, Kind: errs.NotFound, Err: fs.ErrNotExist,
				Hint: "tend, tend-daemon and tend-keeper are installed together, in one directory",
			}
		}
	}
	return b, nil
}

// startLimit bounds how long a daemon may take to come up. Adopting a
// thousand apps takes it a fraction of a second.
const startLimit = 20 * time.Second

// retryEvery is the pace of looking again while another client starts the
// daemon, or an old one is just leaving: neither tells us when it is done.
const retryEvery = 5 * time.Millisecond

// Running tells whether somebody listens on the home's socket. An error means
// that we may not know or not connect.
func Running(ctx context.Context, h home.Dir) (bool, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", h.Socket())
	switch {
	case err == nil:
		return true, c.Close()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return false, nil
	case errors.Is(err, fs.ErrPermission):
		return false, &errs.Error{
			Op: "connect to", On: h.Socket(), Kind: errs.Denied, Err: errors.New("the daemon belongs to another user"),
			Hint: "run tend as that user, or set TEND_HOME to a directory of your own",
		}
	default:
		return false, &errs.Error{Op: "connect to", On: h.Socket(), Kind: errs.Unavailable, Err: err}
	}
}

// Ensure returns when a daemon serves the home, and tells whether it had to be
// started. Any number of clients may race: exactly one daemon comes of it.
func Ensure(ctx context.Context, h home.Dir, b Binaries) (started bool, err error) {
	return ensure(ctx, h, b, environ(h))
}

// Own starts a daemon that lives as long as somebody reads the console of its
// home. Where a daemon is there already that is nobody's.
func Own(ctx context.Context, h home.Dir, b Binaries) error {
	started, err := ensure(ctx, h, b, append(environ(h), home.OwnedVar+"=1"))
	if err == nil && !started {
		err = &errs.Error{
			Op: "run in", On: string(h), Kind: errs.Exists, Err: errors.New("a daemon runs there already"),
			Hint: "`tend start` gives it another app, `tend kill` ends it, and TEND_HOME names another home",
		}
	}
	return err
}

func ensure(ctx context.Context, h home.Dir, b Binaries, env []string) (started bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		up, err := Running(ctx, h)
		if up {
			return started, nil
		}
		if bad := h.Make(); bad != nil { // it says more than its socket does
			return false, bad
		}
		if err != nil {
			return false, err
		}
		answer, err := start(ctx, h, b, env)
		if err != nil {
			return false, err
		}
		started = answer == "ready"
		if started {
			continue // and find it
		}
		select { // another keeper holds the home: it starts up, or it leaves
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return false, notUp(h, context.Cause(ctx), logSize(h))
		}
	}
}

// start starts a keeper and returns what it says: "ready" or "busy".
func start(ctx context.Context, h home.Dir, b Binaries, env []string) (string, error) {
	from := logSize(h)
	log, err := os.OpenFile(h.Log(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return "", &errs.Error{
			Op: "open the daemon's log", On: h.Log(), Kind: errs.Denied, Err: err,
			Hint: "set TEND_HOME to a directory that you may write to",
		}
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return "", fmt.Errorf("start the keeper: %w", err)
	}
	defer r.Close()
	keepToOurselves()
	p, err := os.StartProcess(b.Keeper,
		[]string{"tend-keeper", "run", "--home=" + string(h), "--daemon=" + b.Daemon, "--ready-fd=3"},
		&os.ProcAttr{
			Dir: "/", Env: env, Files: []*os.File{nil, log, log, w}, Sys: &syscall.SysProcAttr{Setsid: true},
		})
	_ = w.Close()
	if err != nil {
		return "", &errs.Error{
			Op: "start the keeper", On: b.Keeper, Kind: errs.NotFound, Err: err,
			Hint: "tend, tend-daemon and tend-keeper are installed together, in one directory",
		}
	}
	defer p.Release() //nolint:errcheck // it outlives us
	deadline, _ := ctx.Deadline()
	if err := r.SetReadDeadline(deadline); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now()) })
	defer stop()
	buf := make([]byte, 16)
	n, err := r.Read(buf)
	switch answer := strings.TrimSpace(string(buf[:n])); answer {
	case "ready", "busy":
		return answer, nil
	default:
		if err == nil || n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
			err = errors.New("the daemon ended while it started")
		}
		return "", notUp(h, err, from)
	}
}

// keepToOurselves closes on exec whatever else is open in this process: what a
// shell had open (a lock, a pipe) would stay open in the keeper, the daemon and
// every app, for as long as they live.
func keepToOurselves() {
	open, _ := os.ReadDir("/dev/fd") // without it they are inherited, as by any program
	for _, e := range open {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

// environ is the client's environment, with the home written out: the daemon
// must find the same one whatever its name and user variables say. GOGC keeps
// the keeper's heap small; the keeper links nothing that could set it. Apps
// get none of this: their environment travels with the app.
func environ(h home.Dir) []string {
	var env []string
	for _, e := range os.Environ() {
		switch name, _, _ := strings.Cut(e, "="); name {
		case "TEND_HOME", "GOGC", home.OwnedVar:
		case "unique_id": // of the app that called us: its stop must not find the manager among its processes
		default:
			env = append(env, e)
		}
	}
	return append(env, "TEND_HOME="+string(h), "GOGC=25")
}

func logSize(h home.Dir) int64 {
	fi, err := os.Stat(h.Log())
	if err != nil {
		return 0
	}
	return fi.Size()
}

// maxLogLines is how much of the daemon's log an error quotes.
const maxLogLines = 15

// notUp is the error for a daemon that did not come up, with what it wrote to
// its log since it had the size from.
func notUp(h home.Dir, err error, from int64) error {
	e := &errs.Error{Op: "start", On: "the daemon", Kind: errs.Unavailable, Err: err, Hint: "its log is " + h.Log()}
	f, openErr := os.Open(h.Log())
	if openErr != nil {
		return e
	}
	defer f.Close()
	const most = 16 << 10
	end := logSize(h)
	if end < from {
		from = 0 // the daemon put the old one aside
	}
	b := make([]byte, max(0, min(end-from, most)))
	if n, _ := f.ReadAt(b, end-int64(len(b))); n > 0 {
		lines := strings.Split(strings.TrimSpace(string(b[:n])), "\n")
		e.Lines = lines[max(0, len(lines)-maxLogLines):]
	}
	return e
}
