package keeper

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tend/internal/keeper/wire"
)

// LockName is the name on the shelf of the locked file that makes this home's
// keeper the only one.
const LockName = "lock"

// Exit statuses of the keeper that whoever starts it may meet.
const (
	ExitBusy  = 3 // another keeper holds the home
	ExitUsage = 2
)

// Main is the keeper's whole program. The forms are:
//
//	tend-keeper run --home=DIR --daemon=PATH [--ready-fd=N]   start a daemon and keep
//	tend-keeper adopt --home=DIR --fd=N                      a daemon that lost its keeper hands over on fd N
//	tend-keeper resume --home=DIR --fd=N                     go on from the state that the binary before left in file N
//	tend-keeper exec --fd=N                                  become the process that file N describes
//	tend-keeper version                                      print the version of the wire
func Main(args []string) int {
	o, err := parseArgs(args)
	if err != nil {
		_, _ = os.Stderr.WriteString("tend-keeper: " + err.Error() + "\n")
		return ExitUsage
	}
	if o.form == "version" {
		_, _ = os.Stdout.WriteString("tend-keeper wire " + strconv.Itoa(wire.Version) + "\n")
		return 0
	}
	if o.form == "exec" {
		return execute(o.fd)
	}
	code, err := start(o)
	if err != nil {
		_, _ = os.Stderr.WriteString("tend-keeper: " + o.form + ": " + err.Error() + "\n")
	}
	return code
}

type options struct {
	form, home, daemon string
	ready, fd          int
}

var errUsage = errors.New("this program is started by tend; see `tend --help`")

func parseArgs(args []string) (options, error) {
	o := options{ready: -1, fd: -1}
	if len(args) < 2 {
		return o, errUsage
	}
	o.form = args[1]
	for _, a := range args[2:] {
		name, value, _ := strings.Cut(a, "=")
		var err error
		switch name {
		case "--home":
			o.home = value
		case "--daemon":
			o.daemon = value
		case "--ready-fd":
			o.ready, err = strconv.Atoi(value)
		case "--fd":
			o.fd, err = strconv.Atoi(value)
		default:
			err = errUsage
		}
		if err != nil {
			return o, err
		}
	}
	ok := o.form == "version" ||
		o.form == "exec" && o.fd >= 0 ||
		o.form == "run" && o.home != "" && o.daemon != "" ||
		(o.form == "adopt" || o.form == "resume") && o.home != "" && o.fd >= 0
	if !ok {
		return o, errUsage
	}
	return o, nil
}

func start(o options) (int, error) {
	exe, err := os.Executable()
	if err != nil {
		return 1, err
	}
	k, err := newKeeper(exe, o.home)
	if err != nil {
		return 1, err
	}
	switch o.form {
	case "run":
		k.ready = o.ready
		if k.ready >= 0 {
			unix.CloseOnExec(k.ready)
		}
		lock, err := lockHome(o.home + "/tend.lock")
		if errors.Is(err, unix.EWOULDBLOCK) {
			k.tellReady("busy\n")
			return ExitBusy, nil
		}
		if err != nil {
			return 1, err
		}
		k.shelf[LockName] = lock
		k.daemon.path = o.daemon
		k.startDaemon()
	case "adopt":
		if k.daemon.conn, err = wire.NewConn(o.fd); err != nil {
			return 1, err
		}
		go k.read(k.daemon.conn)
	case "resume":
		state, err := os.ReadFile("/proc/self/fd/" + strconv.Itoa(o.fd))
		if err != nil {
			return 1, err
		}
		_ = unix.Close(o.fd)
		if err := k.restore(state); err != nil {
			return 1, err
		}
	}
	if err := k.run(); err != nil {
		return 1, err
	}
	return 0, nil
}

// lockHome makes us the only keeper of a home. The lock belongs to the open
// file (flock(2)): it lasts as long as any copy of the descriptor, and daemon
// and keeper each have one.
func lockHome(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
