// Package daemon puts the daemon together: what the keeper holds, what the
// journal knows, the supervisor over both, and the doors in front of it. It is
// crash-only: it may be killed at any instruction, and the next one goes on.
package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"tend/api"
	"tend/internal/durable"
	"tend/internal/errs"
	"tend/internal/fanout"
	"tend/internal/home"
	"tend/internal/httpapi"
	"tend/internal/keeper/remote"
	"tend/internal/keeper/wire"
	"tend/internal/logs/collect"
	"tend/internal/logs/own"
	"tend/internal/logs/tidy"
	"tend/internal/nodeipc"
	"tend/internal/settings"
	"tend/internal/store"
	"tend/internal/supervisor"
	"tend/internal/sysinfo"
	"tend/internal/watch"
)

// Options say how a daemon runs.
type Options struct {
	Home     home.Dir
	KeeperFD int    // the inherited end of the connection to the keeper
	Version  string // of this build
	Log      *os.File
	// Owned: somebody runs us in the foreground, reads the console, and has the
	// apps end with it.
	Owned bool
}

// gcPercent keeps the heap small: it is a few megabytes, and collecting it
// often costs less than the memory that waiting would take.
const gcPercent = 40

// errLeave ends the daemon on purpose, and is what whoever still waits for it
// gets.
var errLeave error = &errs.Error{Kind: errs.Unavailable, Err: errors.New("the daemon leaves")}

// Main is the daemon's whole program. It is started by the keeper, with
// --keeper-fd=N; --version prints the version and ends. With the argument
// "compress" it is the child of a daemon that compresses one log.
func Main(ctx context.Context, args []string, getenv func(string) string, log *os.File) error {
	if len(args) > 1 && args[1] == tidy.CompressCommand {
		return tidy.Compress(args[2:])
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	fd := flags.Int("keeper-fd", -1, "the inherited connection to the keeper")
	asked := flags.Bool("version", false, "print the version")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if *asked {
		_, err := fmt.Println("tend-daemon", version()) //nolint:forbidigo // it is what this is for
		return err
	}
	if *fd < 0 {
		return &errs.Error{
			Op: "run", On: "the daemon", Kind: errs.Invalid, Err: errors.New("it is started by tend-keeper"),
			Hint: "any command of tend starts what it needs, `tend ls` for example",
		}
	}
	h, err := home.Find(getenv, args[0])
	if err != nil {
		return err
	}
	return Run(ctx, Options{Home: h, KeeperFD: *fd, Version: version(), Log: log, Owned: getenv(home.OwnedVar) != ""})
}

// version is the version of this build's module.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}

// Run is the daemon's life: it returns nil when it left on purpose.
func Run(ctx context.Context, o Options) error {
	debug.SetGCPercent(gcPercent)
	log := slog.New(slog.NewTextHandler(own.New(o.Home.Log(), o.Log), nil))
	if err := o.Home.Make(); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the daemon's own binary: %w", err)
	}
	d := &daemon{opts: o, log: log, exe: exe, started: time.Now(), alone: make(chan struct{})}
	if err := d.open(); err != nil {
		return err
	}
	defer d.store.Close()
	defer d.notices.Close()
	err = d.serve(ctx)
	if errors.Is(err, errLeave) {
		return nil
	}
	return err
}

// daemon is what is put together.
type daemon struct {
	opts    Options
	log     *slog.Logger
	exe     string
	started time.Time
	adopted int
	alone   chan struct{} // closed when whoever owns us is gone

	keeper     *remote.Keeper
	store      *store.Store
	scan       *sysinfo.Scanner
	logs       *collect.Collector
	settings   *settings.Store
	notices    *fanout.Ring
	channels   *nodeipc.Hub
	supervisor *supervisor.Supervisor
	watcher    *watch.Watcher
	sampler    *sampler
	hosts      *hosts
}

// open takes over what the last daemon left.
func (d *daemon) open() error {
	h := d.opts.Home
	var inv remote.Inventory
	var err error
	d.keeper, inv, err = remote.New(d.opts.KeeperFD, remote.Options{
		Home: string(h), Daemon: d.exe, Log: d.log,
		OnExit: func(e wire.Exit) { d.supervisor.Exited(e) },
	})
	if err != nil {
		return err
	}
	d.adopted = len(inv.Children)
	var records []store.Record
	d.store, records, err = store.Open(d.journal(), d.log)
	if err != nil {
		return err
	}
	d.notices, err = d.openNotices()
	if err != nil {
		return err
	}
	d.scan = sysinfo.NewScanner()
	d.logs = collect.New(d.log, d.keeper, d.keeper.Drop)
	d.openConsole()
	d.settings = settings.New(h, d.log, d.logs.Defaults)
	d.settings.Load() // before the first stream is collected
	d.channels = d.newChannels(inv.Held)
	d.watcher = watch.New(watch.Options{
		Log: d.log,
		// The supervisor is there before anything is watched.
		Changed: func(key, path string) { d.supervisor.FilesChanged(key, path) },
		Ready:   func(key string) { d.supervisor.FilesWatched(key) },
		Failed:  func(key string, err error) { d.supervisor.FilesUnwatched(key, err) },
	})
	d.supervisor, err = supervisor.New(supervisor.Options{
		Home: h, Keeper: d.keeper, Logs: d.logs, Store: d.store, Scan: d.scan, Log: d.log,
		Channels: d.channels, Notices: d.notices, Preload: d.preload, Watch: d.watcher,
	}, records, inv)
	if err != nil {
		return err
	}
	d.sampler = newSampler(d.scan, d.supervisor)
	d.hosts = newHosts(d.log, d.settings.Unmonitored)
	return nil
}

// serve runs everything until it is told to leave.
func (d *daemon) serve(ctx context.Context) error {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	listener, err := d.listen()
	if err != nil {
		return err
	}
	server := httpapi.New(httpapi.Options{
		Supervisor: d.supervisor, Settings: d.settings, Notices: d.notices, Log: d.log, Ping: d.pong, Fresh: d.sampler.fresh,
		Host:       d.hosts.ask,
		Update:     d.update,
		Leave:      func(quit bool) { d.leave(ctx, quit, leave) },
		Restored:   d.tellReady,
		Stopping:   d.tellStopping,
		ReopenLogs: d.logs.Reopen, TruncateLog: d.logs.Truncate,
	})
	// The connection to the keeper ends last: when it does, the keeper ends
	// whatever of us is left.
	keeping, release := context.WithCancel(context.WithoutCancel(ctx))
	var keeper errgroup.Group
	keeper.Go(func() error {
		err := d.keeper.Run(keeping)
		leave(err) // without it nothing can go on
		return err
	})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.store.Run(ctx) })
	g.Go(func() error { return d.scan.Run(ctx) })
	g.Go(func() error { return d.logs.Run(ctx) })
	g.Go(func() error { return d.channels.Run(ctx) })
	g.Go(func() error { return d.watcher.Run(ctx) })
	g.Go(func() error { return d.supervisor.Run(ctx) })
	g.Go(func() error { return d.sampler.run(ctx) })
	g.Go(func() error { return d.hosts.run(ctx) })
	g.Go(func() error {
		select {
		case <-d.supervisor.Whole():
		case <-ctx.Done():
			return ctx.Err()
		}
		d.keeper.Ready()
		return server.Run(ctx, listener)
	})
	g.Go(func() error { return d.signals(ctx, leave) })
	g.Go(func() error { return d.mourn(ctx, leave) })
	if err := durable.WriteFile(d.opts.Home.Pid(), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		d.log.Warn("write the daemon's pid file", "err", err)
		_ = os.Remove(d.opts.Home.Pid()) // the pid of the last one would be worse than none
	}
	keeperPID, _ := d.keeper.PID()
	d.log.Info("daemon started", "version", d.opts.Version, "pid", os.Getpid(), "keeper", keeperPID, "adopted", d.adopted,
		"took", time.Since(d.started).String())
	err = g.Wait()
	release()
	_ = keeper.Wait() // it was told to
	if cause := context.Cause(ctx); errors.Is(cause, errLeave) {
		return errLeave
	}
	return err
}

// signals: SIGTERM, SIGINT and SIGQUIT end every app in order, and the daemon;
// SIGUSR2 reopens the logs (as PM2). SIGHUP means nothing.
func (d *daemon) signals(ctx context.Context, leave context.CancelCauseFunc) error {
	sigs := make(chan os.Signal, 4) // a burst of different ones; more of the same are one
	signal.Notify(sigs, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR2, syscall.SIGHUP)
	defer signal.Stop(sigs)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case sig := <-sigs:
			switch sig {
			case syscall.SIGHUP:
			case syscall.SIGUSR2:
				if err := d.logs.Reopen(); err != nil {
					d.log.Error("reopen logs", "err", err)
				}
			default:
				d.log.Info("told to end", "signal", sig.String())
				d.tellStopping()
				d.supervisor.Shutdown(supervisor.AskedBy(ctx, "the signal "+sig.String()))
				d.leave(ctx, true, leave)
			}
		}
	}
}

// quitLimit bounds the wait for the keeper's word that it will end too.
const quitLimit = 3 * time.Second

// leave ends the daemon. With quit nothing is left behind: no socket, no pid
// file, no keeper.
func (d *daemon) leave(ctx context.Context, quit bool, leave context.CancelCauseFunc) {
	if quit {
		if d.opts.Owned {
			d.heardOut(ctx)
		}
		// The socket first: whoever comes now starts a keeper of his own, and
		// waits for our lock.
		_ = os.Remove(d.opts.Home.Socket())
		_ = os.Remove(d.opts.Home.Pid())
		ctx, cancel := context.WithTimeout(ctx, quitLimit)
		defer cancel()
		if err := d.keeper.Quit(ctx); err != nil {
			d.log.Error("tell the keeper to end", "err", err)
		}
	}
	d.log.Info("daemon leaves", "for_good", quit)
	leave(errLeave)
}

func (d *daemon) pong() api.Pong {
	pid, exe := d.keeper.PID()
	if !d.keeper.Settled() {
		pid = 0
	}
	return api.Pong{
		Version: d.opts.Version, PID: os.Getpid(), Keeper: pid, Started: d.started.UnixMilli(),
		Home: string(d.opts.Home), Adopted: d.adopted, DaemonExe: d.exe, KeeperExe: exe, Owned: d.opts.Owned,
	}
}

// tryLimit bounds how long a new binary may take to tell its version, and
// tryDelay how long what it started may keep its output open after that.
const (
	tryLimit = 5 * time.Second
	tryDelay = 500 * time.Millisecond
)

// update tries both new binaries, and has the keeper become the new one. When
// that fails nothing has changed.
func (d *daemon) update(ctx context.Context, req api.UpdateRequest) error {
	for path, args := range map[string][]string{req.Daemon: {"--version"}, req.Keeper: {"version"}} {
		if err := try(ctx, path, args); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, tryLimit)
	defer cancel()
	if err := d.keeper.Upgrade(ctx, req.Keeper, req.Daemon); err != nil {
		return &errs.Error{
			Op: "update the keeper to", On: req.Keeper, Kind: errs.Internal, Err: err,
			Hint: "nothing has changed; the apps and the old manager run on",
		}
	}
	return nil
}

// try runs a binary that is to take over.
func try(ctx context.Context, path string, args []string) error {
	if !filepath.IsAbs(path) {
		return &errs.Error{Op: "update to", On: path, Kind: errs.Invalid, Err: errors.New("the path is not absolute")}
	}
	ctx, cancel := context.WithTimeout(ctx, tryLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // the owner of the daemon names it
	cmd.WaitDelay = tryDelay
	out, err := cmd.CombinedOutput()
	if err != nil {
		return &errs.Error{
			Op: "update to", On: path, Kind: errs.Invalid,
			Err:  fmt.Errorf("it does not run: %w %s", err, strings.TrimSpace(string(out))),
			Hint: "nothing has changed; the apps and the old manager run on",
		}
	}
	return nil
}
