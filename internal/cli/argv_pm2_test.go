package cli

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// meaning is what a command line asks for.
type meaning struct {
	Args    string         `json:"args"`
	Command string         `json:"command"`
	Targets []string       `json:"targets"`
	Options map[string]any `json:"options"` // true, a text or several
	Rest    []string       `json:"rest"`    // from behind "--"
	Error   string         `json:"error"`   // the others mean nothing then
}

// meant is what tend understands.
func meant(env *Env, args []string) meaning {
	root := newRoot(env)
	root.PersistentPreRunE = nil
	m := meaning{Args: strings.Join(args, " "), Options: map[string]any{}}
	for _, c := range root.Commands() {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			m.Command, m.Targets = cmd.Name(), args
			cmd.Flags().Visit(func(f *pflag.Flag) {
				var v any = f.Value.String()
				if many, ok := f.Value.(pflag.SliceValue); ok {
					v = texted(many.GetSlice())
				}
				if f.Value.Type() == "bool" || f.NoOptDefVal != "" && (v == given || cmp.Equal(v, texted([]string{given}))) {
					v = true
				}
				m.Options[f.Name] = v
			})
			return nil
		}
	}
	var words []string
	words, m.Rest = normalise(args, arities(root))
	root.SetArgs(nest(root, words))
	if err := root.Execute(); err != nil {
		return meaning{Args: m.Args, Error: err.Error()}
	}
	return m
}

func texted(texts []string) []any {
	out := make([]any, 0, len(texts))
	for _, t := range texts {
		out = append(out, t)
	}
	return out
}

// What PM2 understands of each line in testdata/argv-pm2.json was asked of the
// commander 2.15.1 that PM2 7.0.4 has, with PM2's own options.
func TestArgumentsMeanWhatPM2TakesThemFor(t *testing.T) {
	opt := func(name string, value any) map[string]any { return map[string]any{name: value} }
	differs := map[string]struct {
		because string
		meaning
	}{
		"start app.js -nx":                   {"commander leaves the dash in the value", meaning{Command: "start", Targets: []string{"app.js"}, Options: opt("name", "x")}},
		"start app.js -n=x":                  {"commander reads a -= and an -x", meaning{Command: "start", Targets: []string{"app.js"}, Options: opt("name", "x")}},
		"start app.js -fi2":                  {"commander leaves the dash in the value", meaning{Command: "start", Targets: []string{"app.js"}, Options: map[string]any{"force": true, "instances": "2"}}},
		"start app.js -i0":                   {"commander leaves the dash in the value", meaning{Command: "start", Targets: []string{"app.js"}, Options: opt("instances", "0")}},
		"start --max-restarts app.js":        {"a number is wanted, and this is none", meaning{Command: "start", Targets: []string{"app.js"}, Options: opt("max-restarts", true)}},
		"start --watch app.js":               {"there would be nothing to start", meaning{Command: "start", Targets: []string{"app.js"}, Options: opt("watch", true)}},
		"start app.js --name log":            {"a value is no command (oddity 13)", meaning{Command: "start", Targets: []string{"app.js"}, Options: opt("name", "log")}},
		"start app.js --stop-exit-codes 1 2": {"the option takes several (oddity 14)", meaning{Command: "start", Targets: []string{"app.js"}, Options: opt("stop-exit-codes", []any{"1", "2"})}},
		"scale api -2":                       {"it is what scales down (oddity 6)", meaning{Command: "scale", Targets: []string{"api", "-2"}}},
		"reload api extra":                   {"reload takes several targets", meaning{Command: "reload", Targets: []string{"api", "extra"}}},
		"list extra":                         {"the word is seen, and ignored", meaning{Command: "list", Targets: []string{"extra"}}},
	}
	text, err := os.ReadFile("testdata/argv-pm2.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []meaning
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	env := world(t)
	env.out, env.Stderr = bufio.NewWriter(io.Discard), io.Discard
	for _, pm2 := range all {
		t.Run(pm2.Args, func(t *testing.T) {
			got, want := meant(env, strings.Fields(pm2.Args)), pm2
			ours, differ := differs[pm2.Args]
			if differ {
				want = ours.meaning
				want.Args = pm2.Args
			}
			if many, one := got.Options["stop-exit-codes"].([]any); one && len(many) == 1 { // PM2 keeps the last
				got.Options["stop-exit-codes"] = many[0]
			}
			if want.Error != "" && got.Error != "" { // the sentences are our own
				want.Error = got.Error
			}
			if diff := cmp.Diff(got, want, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-tend +%s):\n%s", ours.because+" PM2", diff)
			}
			if differ && cmp.Equal(got, pm2, cmpopts.EquateEmpty()) {
				t.Error("it is what PM2 takes it for; it need not stand among what differs")
			}
		})
	}
}

// Whatever is typed, no word is lost or made up, and what comes after "--" is
// the app's as it stands.
func FuzzNormalise(f *testing.F) {
	for _, line := range []string{
		"start app.js -n api -i 2 -- -n x", "scale api -2", "start --watch app.js --watch lib", "restart --stop-exit-codes 1 2 3",
		"start app.js --max-restarts 3 -l all.log -fi2", "logs --timestamp HH:mm api", "-m ls --sort", "-- --", "start --name -- x", "start -", "=x --=a -=b",
	} {
		f.Add(strings.ReplaceAll(line, " ", "\x00"))
	}
	env := &Env{Program: "tend", out: bufio.NewWriter(io.Discard), Stderr: io.Discard}
	arityOf := arities(newRoot(env))
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\x00")
		words, rest := normalise(args, arityOf)
		mine := args
		if at := slices.Index(args, "--"); at >= 0 {
			// It may be the value of an option only where it is written as one.
			if !slices.Equal(rest, args[at+1:]) {
				t.Fatalf("behind -- stood %q, and %q came out", args[at+1:], rest)
			}
			mine = args[:at]
		} else if len(rest) > 0 {
			t.Fatalf("%q came out from behind a -- that is not there", rest)
		}
		if got, want := letters(words), letters(mine); got != want {
			t.Fatalf("%q became %q", mine, words)
		}
	})
}

// letters are those of words, sorted, without what joins or parts them; a name
// that stands before each of several values counts once.
func letters(words []string) string {
	var b []byte
	var before string
	for _, w := range words {
		if w == "--" {
			continue
		}
		if name, value, ok := strings.Cut(w, "="); ok && name == "--stop-exit-codes" {
			if name == before {
				w = value
			}
			before = name
		} else {
			before = ""
		}
		b = append(b, w...)
	}
	b = slices.DeleteFunc(b, func(c byte) bool { return c == '=' })
	slices.Sort(b)
	return string(b)
}
