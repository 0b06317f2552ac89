package errs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/api"
)

// kinds is the list that other programs know, with what goes with each. It is
// append only.
var kinds = map[Kind]int{
	"internal": 500, "invalid": 400, "not_found": 404, "exists": 409, "denied": 403,
	"unavailable": 503, "crashed": 422, "timeout": 504, "full": 507,
}

func TestKinds(t *testing.T) {
	for _, k := range []Kind{Internal, Invalid, NotFound, Exists, Denied, Unavailable, Crashed, Timeout, Full} {
		want, ok := kinds[k]
		if !ok || k.Status() != want {
			t.Errorf("%q has status %d, want %d", k, k.Status(), want)
		}
	}
	if got := Kind("of a newer daemon").Status(); got != 500 {
		t.Errorf("an unknown kind has status %d, want 500", got)
	}
}

func TestKindOf(t *testing.T) {
	denied := &Error{Op: "open", Kind: Denied, Err: fs.ErrPermission}
	for name, test := range map[string]struct {
		err  error
		want Kind
	}{
		"nothing":                {nil, Internal},
		"any error":              {fs.ErrNotExist, Internal},
		"one of ours":            {denied, Denied},
		"one of ours, wrapped":   {fmt.Errorf("start: %w", denied), Denied},
		"one of ours, joined":    {errors.Join(fs.ErrExist, denied), Denied},
		"the outer of two":       {&Error{Kind: NotFound, Err: denied}, NotFound},
		"one that travelled":     {&api.Error{Kind: "timeout"}, Timeout},
		"one of another version": {&api.Error{Kind: "tired"}, "tired"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := KindOf(test.err); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestText(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"all of it":       {&Error{Op: "start", On: "api", Err: errors.New("no such file")}, "start api: no such file"},
		"only a cause":    {&Error{Err: errors.New("no such file")}, "no such file"},
		"one in another":  {&Error{Op: "load", On: "x.js", Err: &Error{Op: "open", On: "y.js", Err: fs.ErrNotExist}}, "load x.js: open y.js: file does not exist"},
		"it says no hint": {&Error{Op: "start", On: "api", Err: errors.New("no"), Hint: "try again"}, "start api: no"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.err.Error(); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestWire(t *testing.T) {
	whole := &Error{Op: "start", On: "api", Kind: Crashed, Err: errors.New("exit code 1"), Hint: "look", Lines: []string{"a", "b"}}
	travelled := &api.Error{Op: "start", Kind: "full", Message: "no space"}
	for name, test := range map[string]struct {
		err  error
		want *api.Error
	}{
		"nothing":            {nil, nil},
		"any error":          {fs.ErrNotExist, &api.Error{Kind: "internal", Message: "file does not exist"}},
		"one of ours":        {whole, &api.Error{Op: "start", On: "api", Kind: "crashed", Message: "exit code 1", Hint: "look", Lines: []string{"a", "b"}}},
		"without a cause":    {&Error{Op: "find", On: "x", Kind: NotFound}, &api.Error{Op: "find", On: "x", Kind: "not_found"}},
		"one that travelled": {fmt.Errorf("daemon: %w", travelled), travelled},
	} {
		t.Run(name, func(t *testing.T) {
			got := Wire(test.err)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got == nil {
				return
			}
			// What a client reads is the same error, with the same text and kind.
			b, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			var read api.Error
			if err := json.Unmarshal(b, &read); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(*got, read); diff != "" || KindOf(&read) != KindOf(got) || read.Error() != got.Error() {
				t.Errorf("after JSON (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnwrap(t *testing.T) {
	err := error(&Error{Op: "open", Kind: Denied, Err: &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrPermission}})
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v hides its cause", err)
	}
}
