// Package home knows where tend keeps its files: one directory, laid out as
// PM2 lays out its own, closed to everybody but its owner.
package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"tend/internal/errs"
)

// Dir is a home: the absolute path of the directory that holds everything.
type Dir string

// Find is the home that the environment asks for: $TEND_HOME, else $PM2_HOME,
// else ~/.pm2 (~/.pm2-dev) when the program has a name of PM2's, else ~/.tend, else /etc/.tend
// where there is no home directory at all (as PM2 does with /etc/.pm2).
func Find(getenv func(string) string, program string) (Dir, error) {
	for _, name := range []string{"TEND_HOME", "PM2_HOME"} {
		if v := getenv(name); v != "" {
			abs, err := filepath.Abs(v)
			if err != nil {
				return "", fmt.Errorf("resolve %s=%s: %w", name, v, err)
			}
			return Dir(abs), nil
		}
	}
	base := ".tend"
	switch filepath.Base(program) {
	case "pm2", "pm2-runtime", "pm2-docker":
		base = ".pm2"
	case "pm2-dev": // it ends with everything that it started
		base = ".pm2-dev"
	}
	user := getenv("HOME")
	if user == "" {
		user = "/etc"
	}
	return Dir(filepath.Join(user, base)), nil
}

// The files of a home.
func (d Dir) path(name string) string { return filepath.Join(string(d), name) }

// Socket is the daemon's HTTP socket.
func (d Dir) Socket() string { return d.path("tend.sock") }

// Lock is the file that the one keeper of this home holds locked.
func (d Dir) Lock() string { return d.path("tend.lock") }

// Log is the daemon's own log.
func (d Dir) Log() string { return d.path("tend.log") }

// Pid holds the daemon's pid in decimal.
func (d Dir) Pid() string { return d.path("tend.pid") }

// Journal is the daemon's own record of its table.
func (d Dir) Journal() string { return d.path("journal") }

// Owned is the directory of a daemon that runs in the foreground: what is in it
// is of no use to the next one.
func (d Dir) Owned() string { return d.path("run") }

// OwnedLock is the file that whoever runs the daemon in the foreground holds
// locked.
func (d Dir) OwnedLock() string { return d.path("run/lock") }

// OwnedJournal is the journal of such a daemon.
func (d Dir) OwnedJournal() string { return d.path("run/journal") }

// Console is the fifo that the output of apps goes through to the foreground.
func (d Dir) Console() string { return d.path("run/console") }

// OwnedVar is the variable by which a keeper and its daemons know that they are
// owned: they end with whoever reads the console.
const OwnedVar = "TEND_OWNED"

// Preload is the script that workers of a Node cluster load before the app.
func (d Dir) Preload() string { return d.path("preload.cjs") }

// Dump is the saved list, in PM2's format.
func (d Dir) Dump() string { return d.path("dump.pm2") }

// DumpBackup is the saved list before the last save.
func (d Dir) DumpBackup() string { return d.path("dump.pm2.bak") }

// Settings holds what is set for the whole home, in PM2's format.
func (d Dir) Settings() string { return d.path("module_conf.json") }

// LastList is the list as it was when the daemon was last killed on purpose.
func (d Dir) LastList() string { return d.path("last.pm2") }

// PM2Socket is where PM2 itself listens while it runs in this home, and PM2Pid
// holds its pid.
func (d Dir) PM2Socket() string { return d.path("rpc.sock") }
func (d Dir) PM2Pid() string    { return d.path("pm2.pid") }

// Logs is where the output of apps goes by default.
func (d Dir) Logs() string { return d.path("logs") }

// Pids is where pid files of apps go by default.
func (d Dir) Pids() string { return d.path("pids") }

// maxSocketPath is the longest path of a unix socket: sun_path is 108 bytes
// with its closing zero on Linux (unix(7)), 104 on the BSDs and macOS.
const maxSocketPath = 103

// Make creates the home where it is missing and refuses one that cannot work:
// not writable, of another user, or with a path too long for a socket. It
// changes no file that was there.
func (d Dir) Make() error {
	if n := len(d.Socket()); n > maxSocketPath {
		return &errs.Error{
			Op: "use home", On: string(d), Kind: errs.Invalid,
			Err:  fmt.Errorf("the path of its socket has %d bytes, a unix socket allows %d", n, maxSocketPath),
			Hint: "set TEND_HOME to a shorter path",
		}
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return d.refuse("create", string(d), err)
	}
	fi, err := os.Stat(string(d))
	if err != nil {
		return d.refuse("look at", string(d), err)
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return &errs.Error{
			Op: "use home", On: string(d), Kind: errs.Denied,
			Err:  fmt.Errorf("it belongs to user %d and you are user %d", st.Uid, os.Geteuid()),
			Hint: "run tend as that user, or set TEND_HOME to a directory of your own",
		}
	}
	if err := syscall.Access(string(d), 0x2|0x1); err != nil { // W_OK|X_OK, access(2)
		return d.refuse("write to", string(d), err)
	}
	// Others may not even look: the environment of apps is in here.
	if fi.Mode().Perm()&0o077 != 0 && os.Chmod(string(d), 0o700) != nil {
		return d.refuse("close to others", string(d), fs.ErrPermission)
	}
	for _, p := range []string{d.Logs(), d.Pids()} {
		if err := os.MkdirAll(p, 0o700); err != nil {
			return d.refuse("create", p, err)
		}
	}
	return nil
}

func (d Dir) refuse(op, path string, err error) error {
	kind := errs.Internal
	hint := "set TEND_HOME to a directory that you may write to"
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		kind = errs.Denied
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		kind = errs.Invalid
		hint = "something that is not a directory is in the way; set TEND_HOME elsewhere"
	case errors.Is(err, syscall.ENOSPC):
		kind, hint = errs.Full, "free some space"
	}
	return &errs.Error{Op: op, On: path, Kind: kind, Err: err, Hint: hint}
}
