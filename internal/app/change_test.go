package app

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"tend/api"
	"tend/internal/errs"
)

// specs draws sound Specs.
func specs(t *rapid.T, label string) *api.Spec {
	s := sound()
	text := rapid.StringMatching(`[a-z]{1,5}`)
	s.Name = text.Draw(t, label+" name")
	s.Args = rapid.SliceOfN(text, 0, 3).Draw(t, label+" args")
	s.Env = rapid.MapOfN(text, text, 0, 4).Draw(t, label+" env")
	s.KillTimeout = rapid.Int64Range(0, 1<<60).Draw(t, label+" kill timeout")
	s.Autorestart = rapid.Bool().Draw(t, label+" autorestart")
	if rapid.Bool().Draw(t, label+" has limits") {
		s.Limits = map[string]api.Limit{"nofile": {Soft: 1, Hard: rapid.Int64Range(1, 1<<62).Draw(t, label+" limit")}}
		s.Watch = &api.Watch{Paths: []string{"/" + s.Name}, Options: map[string]any{"depth": float64(len(s.Name))}}
		s.Priority = new(int)
	}
	s.Log.Out = "/" + text.Draw(t, label+" log")
	return s
}

func TestPatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := specs(t, "from"), specs(t, "to")
		patch := Patch(from, to)
		if patch == nil {
			patch = json.RawMessage("{}")
		}
		got, err := Change(from, patch)
		if err != nil {
			t.Fatalf("%s: %v", patch, err)
		}
		if diff := cmp.Diff(to, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", patch, diff)
		}
		if again := Patch(got, to); again != nil {
			t.Fatalf("there is still a difference: %s", again)
		}
	})
}

func TestChangeRefused(t *testing.T) {
	for patch, want := range map[string]string{
		`{"kill_timeout": 5}`:      `unknown field "kill_timeout"`,
		`{"kill_timeout_ms": "5"}`: "kill_timeout_ms",
		`{"kill_timeout_ms": -5}`:  "kill_timeout: -5 is negative",
		`{"name": null}`:           "name: it is empty",
		`[]`:                       "cannot unmarshal",
		`{`:                        "unexpected EOF",
		``:                         "EOF",
	} {
		s := sound()
		_, err := Change(s, json.RawMessage(patch))
		if err == nil || errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error of kind invalid with %q", patch, err, want)
		}
		if diff := cmp.Diff(sound(), s); diff != "" {
			t.Errorf("%s has changed the Spec:\n%s", patch, diff)
		}
	}
}

func FuzzChange(f *testing.F) {
	f.Add([]byte(`{"kill_timeout_ms": 5, "env": {"A": null}, "limits": {"nofile": {"soft": 1, "hard": 2}}}`))
	f.Fuzz(func(t *testing.T, patch []byte) {
		s := sound()
		got, err := Change(s, patch)
		if err == nil && Validate(got) != nil {
			t.Errorf("%s: not valid, and no error", patch)
		}
		if diff := cmp.Diff(sound(), s); diff != "" {
			t.Errorf("the Spec was changed:\n%s", diff)
		}
	})
}
