// Package secret finds the values that the environment of an app refers to: in a
// file, in our own environment, or in what a command writes. It keeps none of
// them, and no error of it holds one.
package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"tend/api"
	"tend/internal/command"
)

const (
	// maxValue bounds a value. The kernel takes no longer variable than twice
	// this (execve(2), MAX_ARG_STRLEN).
	maxValue = 64 << 10
	maxRead  = maxValue + 2 // and a line break
	// timeLimit is how long all secrets of a launch may take together.
	timeLimit = 10 * time.Second
	// atOnce is how many commands of one launch run at the same time.
	atOnce = 4
)

// Reader finds secrets on behalf of one app: as its user, where it has one, so
// that nobody reads through us what he may not read himself.
type Reader struct {
	Env    []string      // of commands
	Dir    string        // where they run
	User   *command.User // nil: ourselves
	limit  time.Duration
	lookup func(string) (string, bool) // in place of our own environment
}

// Error tells which variable has no value, and why.
type Error struct {
	Name string
	From api.Secret
	Err  error
	// Passing: the same may succeed later, for it is a program that failed.
	Passing bool
}

func (e *Error) Error() string { return fmt.Sprintf("env %s: %s: %v", e.Name, e.From, e.Err) }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Values are the values of all secrets, or an error that is an *Error.
func (r Reader) Values(ctx context.Context, secrets map[string]api.Secret) (map[string]string, error) {
	if len(secrets) == 0 {
		return nil, nil
	}
	limit := r.limit
	if limit == 0 {
		limit = timeLimit
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %v", limit))
	defer cancel()
	names := slices.Sorted(maps.Keys(secrets))
	values := make([]string, len(names))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, name := range names {
		group.Go(func() (err error) {
			values[i], err = r.value(ctx, name, secrets[name])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	found := make(map[string]string, len(names))
	for i, name := range names {
		found[name] = values[i]
	}
	return found, nil
}

func (r Reader) value(ctx context.Context, name string, from api.Secret) (string, error) {
	var text []byte
	var err error
	switch {
	case from.File != "":
		text, err = r.file(from.File)
	case from.Env != "":
		text, err = r.variable(from.Env)
	default:
		text, err = command.Command{Argv: from.Cmd, Env: r.Env, Dir: r.Dir, User: r.User, Most: maxRead}.Output(ctx)
	}
	if errors.Is(err, command.ErrTooLong) {
		err = errTooLong
	}
	if line, ended := bytes.CutSuffix(text, []byte("\n")); ended {
		text = bytes.TrimSuffix(line, []byte("\r"))
	}
	if err == nil {
		err = fitting(text)
	}
	if err != nil {
		return "", &Error{Name: name, From: from, Err: err, Passing: len(from.Cmd) > 0}
	}
	return string(text), nil
}

// fitting says why text cannot be a value.
func fitting(text []byte) error {
	switch {
	case len(text) == 0:
		return errors.New("it is empty")
	case len(text) > maxValue:
		return errTooLong
	case bytes.IndexByte(text, 0) >= 0:
		return errors.New("it holds a zero byte, which no variable can")
	}
	return nil
}

var errTooLong = fmt.Errorf("it is longer than %d KiB", maxValue>>10)

func (r Reader) variable(name string) ([]byte, error) {
	lookup := r.lookup
	if lookup == nil {
		lookup = os.LookupEnv
	}
	value, ok := lookup(name)
	if !ok {
		return nil, errors.New("the daemon was started without this variable: a shell's own is not passed on to it, so that it need not be stored")
	}
	return []byte(value), nil
}

func (r Reader) file(path string) (text []byte, err error) {
	read := func() { text, err = readFile(path) }
	if r.User == nil {
		read()
		return text, err
	}
	if asErr := as(*r.User, read); asErr != nil {
		return nil, asErr
	}
	if errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("%w; it is read as the user that the app runs as, uid %d", err, r.User.UID)
	}
	return text, err
}
