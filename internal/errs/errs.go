// Package errs is what errors are to people and to programs: what was being
// done, to what, a kind that programs may branch on, and a hint.
//
// An error becomes an *Error once, where its meaning is known; everything
// below wraps with fmt.Errorf and everything above passes it on.
package errs

import (
	"errors"

	"tend/api"
)

// Kind says what sort of failure an error is. Kinds leave the process as
// text; the list is append only.
type Kind string

// The kinds.
const (
	Internal    Kind = "internal"    // a bug, or the machine failed us
	Invalid     Kind = "invalid"     // the request or the file is wrong
	NotFound    Kind = "not_found"   // no such app, script, interpreter
	Exists      Kind = "exists"      // it is there already
	Denied      Kind = "denied"      // permission
	Unavailable Kind = "unavailable" // no daemon, or it is going away
	Crashed     Kind = "crashed"     // the app ended where it should run
	Timeout     Kind = "timeout"     // it took too long
	Full        Kind = "full"        // no space, no descriptors
)

// Status is the HTTP status that goes with the kind.
func (k Kind) Status() int {
	switch k {
	case Invalid:
		return 400
	case Denied:
		return 403
	case NotFound:
		return 404
	case Exists:
		return 409
	case Crashed:
		return 422
	case Unavailable:
		return 503
	case Timeout:
		return 504
	case Full:
		return 507
	case Internal:
	}
	return 500
}

// Error is a failure that a person may see.
type Error struct {
	Op    string // what was being done: "start"
	On    string // to what: the name of an app, a path
	Kind  Kind
	Err   error
	Hint  string   // what a person can do about it
	Lines []string // the app's last lines, when it died
}

// Error reads as one line, from what was being done inward.
func (e *Error) Error() string { return Wire(e).Error() }

// Unwrap gives what lies below.
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of the outermost *Error in err's chain, Internal when
// there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	if e, ok := errors.AsType[*api.Error](err); ok {
		return Kind(e.Kind)
	}
	return Internal
}

// Wire is err as it travels over the daemon's socket.
func Wire(err error) *api.Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return &api.Error{Kind: string(Internal), Message: err.Error()}
	}
	text := ""
	if e.Err != nil {
		text = e.Err.Error()
	}
	return &api.Error{Op: e.Op, On: e.On, Kind: string(e.Kind), Message: text, Hint: e.Hint, Lines: e.Lines}
}
