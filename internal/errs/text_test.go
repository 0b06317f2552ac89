package errs

import (
	"errors"
	"testing"
)

// api.Error.Error() without On, and without Message.
func TestTextWithoutParts(t *testing.T) {
	for want, err := range map[string]error{
		"start: no such file": &Error{Op: "start", Err: errors.New("no such file")},
		"find api":            &Error{Op: "find", On: "api"},
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err.Error(), want)
		}
	}
}
