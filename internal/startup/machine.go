package startup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"tend/internal/durable"
	"tend/internal/errs"
)

// Machine is what effects are done to.
type Machine struct {
	Root string // every path is below it; "" for the machine itself
	UID  int    // who does it
	// Run runs a program and returns what it printed.
	Run func(ctx context.Context, argv []string) ([]byte, error)
	// Has tells whether a program is in PATH.
	Has func(program string) bool
}

// ThisMachine is the machine that the program runs on.
func ThisMachine() Machine {
	return Machine{
		UID: os.Geteuid(),
		Run: func(ctx context.Context, argv []string) ([]byte, error) {
			return exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput() //nolint:gosec // decided by Service
		},
		Has: func(program string) bool {
			_, err := exec.LookPath(program)
			return err == nil
		},
	}
}

// path is where a path of a Service is.
func (m Machine) path(p string) string {
	if m.Root == "" {
		return p
	}
	return filepath.Join(m.Root, p)
}

// Exists tells whether a file is there.
func (m Machine) Exists(file string) bool {
	_, err := os.Lstat(m.path(file))
	return err == nil
}

// Do does one thing.
func (m Machine) Do(ctx context.Context, e Effect) error {
	switch {
	case e.Write != "":
		return m.write(e)
	case e.Remove != "":
		if err := os.Remove(m.path(e.Remove)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return m.failed("remove", e.Remove, err, "")
		}
		return nil
	default:
		out, err := m.Run(ctx, e.Run)
		if err != nil {
			return m.failed("run", strings.Join(e.Run, " "), err, strings.TrimSpace(string(out)))
		}
		return nil
	}
}

func (m Machine) write(e Effect) error {
	path := m.path(e.Write)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return m.failed("create", filepath.Dir(e.Write), err, "")
	}
	if err := durable.WriteFile(path, []byte(e.Text), e.Mode); err != nil {
		return m.failed("write", e.Write, err, "")
	}
	return nil
}

func (m Machine) failed(op, on string, err error, output string) error {
	kind := errs.Internal
	if errors.Is(err, fs.ErrPermission) {
		kind = errs.Denied
	}
	if output != "" {
		err = fmt.Errorf("%w: %s", err, output)
	}
	return &errs.Error{Op: op, On: on, Kind: kind, Err: err}
}
