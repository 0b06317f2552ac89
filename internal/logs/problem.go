package logs

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"tend/internal/errs"
)

// Problem says what sort of failure a path met with.
func Problem(op, path string, err error) *errs.Error {
	e := &errs.Error{Op: op, On: path, Kind: errs.Internal, Err: err}
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		e.Kind = errs.Denied
	case errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ENAMETOOLONG), errors.Is(err, unix.ELOOP):
		e.Kind = errs.Invalid
	case errors.Is(err, unix.ENXIO):
		e.Kind, e.Hint = errs.Invalid, "nobody reads this pipe: start its reader first, or choose a file"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		e.Kind, e.Hint = errs.Full, "free some space"
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		e.Kind, e.Hint = errs.Full, "raise the limit of open files (ulimit -n)"
	}
	return e
}

// Unreadable is what a person is told about a log that cannot be read.
func Unreadable(path string, err error) error {
	e := Problem("read log", path, err)
	if e.Kind == errs.Denied {
		e.Hint = "read it as the user whose it is"
	}
	return e
}
