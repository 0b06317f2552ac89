package settings

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/home"
	"tend/internal/rotation"
	"tend/internal/testkit"
)

// text is a tree as the file has it, in one line.
func text(t *testing.T, tree Tree) string {
	t.Helper()
	b, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func read(t *testing.T, s string) Tree {
	t.Helper()
	tree, err := decode([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestChanges(t *testing.T) {
	const there = `{"a":"1","m":{"k":"v","n":{"x":1}}}`
	set := func(kv ...string) (req api.SettingsRequest) {
		for i := 0; i < len(kv); i += 2 {
			req.Set = append(req.Set, api.Setting{Key: kv[i], Value: kv[i+1]})
		}
		return req
	}
	unset := func(keys ...string) api.SettingsRequest { return api.SettingsRequest{Unset: keys} }
	for name, tt := range map[string]struct {
		req  api.SettingsRequest
		want string // the file; "": it is refused
		kind errs.Kind
		say  string
	}{
		"nothing":                   {req: set(), want: there},
		"a value":                   {req: set("b", "2"), want: `{"a":"1","b":"2","m":{"k":"v","n":{"x":1}}}`},
		"another value":             {req: set("a", "2"), want: `{"a":"2","m":{"k":"v","n":{"x":1}}}`},
		"in a section":              {req: set("m:l", "w"), want: `{"a":"1","m":{"k":"v","l":"w","n":{"x":1}}}`},
		"with a dot":                {req: set("m.l", "w"), want: `{"a":"1","m":{"k":"v","l":"w","n":{"x":1}}}`},
		"in a section of a section": {req: set("m:n:y", "w"), want: `{"a":"1","m":{"k":"v","n":{"x":1,"y":"w"}}}`},
		"in a new section":          {req: set("new:k", ""), want: `{"a":"1","m":{"k":"v","n":{"x":1}},"new":{"k":""}}`},
		"a name with a dot":         {req: set(`mod:"a.b"`, "w"), want: `{"a":"1","m":{"k":"v","n":{"x":1}},"mod":{"a.b":"w"}}`},
		"several, in order":         {req: set("b", "1", "b", "2"), want: `{"a":"1","b":"2","m":{"k":"v","n":{"x":1}}}`},
		"away with a value":         {req: unset("a"), want: `{"m":{"k":"v","n":{"x":1}}}`},
		"away with a section":       {req: unset("m"), want: `{"a":"1"}`},
		"away with the last of it":  {req: unset("m:n:x", "m:k"), want: `{"a":"1"}`},
		"away with everything":      {req: unset("all"), want: `{}`},
		"away, and set anew":        {req: api.SettingsRequest{Unset: []string{"all"}, Set: set("a", "9").Set}, want: `{"a":"9"}`},

		"away with nothing":      {req: unset("zzz"), kind: errs.NotFound, say: "unset zzz: nothing is set under this key"},
		"a key without a name":   {req: set("m:", "1"), kind: errs.Invalid, say: "read key m:: it has an empty part"},
		"an empty key":           {req: set("", "1"), kind: errs.Invalid, say: "it has an empty part"},
		"a quote without an end": {req: set(`m:"x`, "1"), kind: errs.Invalid, say: "a quote that does not end"},
		"the key of all keys":    {req: set("all", "1"), kind: errs.Invalid, say: `"all" stands for every key`},
		"a value over a section": {req: set("m", "1"), kind: errs.Invalid, say: "set m: it is a section"},
		"a key inside a value":   {req: set("a:b", "1"), kind: errs.Invalid, say: "set a:b: a is a value and has nothing in it"},
		"one of two":             {req: set("b", "1", "m", "1"), kind: errs.Invalid, say: "it is a section"},

		"a size":                 {req: set("pm2-logrotate:max_size", "10M"), want: `{"a":"1","m":{"k":"v","n":{"x":1}},"pm2-logrotate":{"max_size":"10M"}}`},
		"no size":                {req: set("pm2-logrotate:max_size", "big"), kind: errs.Invalid, say: `set pm2-logrotate:max_size: "big" is not a size`},
		"a size that is a slip":  {req: set("pm2-logrotate:max_size", "10"), kind: errs.Invalid, say: "10 bytes are less than 1K"},
		"no time zone":           {req: set("pm2-logrotate:TZ", "Mars/North"), kind: errs.Invalid, say: "Mars/North"},
		"no number of seconds":   {req: set("pm2-logrotate:workerInterval", "soon"), kind: errs.Invalid, say: `"soon" is no number of seconds`},
		"the machine unwatched":  {req: set("pm2:sysmonit", "false"), want: `{"a":"1","m":{"k":"v","n":{"x":1}},"pm2":{"sysmonit":"false"}}`},
		"watched or not":         {req: set("pm2.sysmonit", "maybe"), kind: errs.Invalid, say: `"maybe" is neither true nor false`},
		"no flag":                {req: set("pm2-logrotate:rotateModule", "1"), kind: errs.Invalid, say: `"1" is neither true nor false`},
		"a letter left out":      {req: set("pm2-logrotate:max_sze", "1M"), kind: errs.Invalid, say: "there is no such setting"},
		"too deep":               {req: set("pm2-logrotate:a:b", "1M"), kind: errs.Invalid, say: "it is not a setting of pm2-logrotate"},
		"a value for the module": {req: set("pm2-logrotate", "1M"), kind: errs.Invalid, say: "it is not a setting of pm2-logrotate"},
	} {
		t.Run(name, func(t *testing.T) {
			tree := read(t, there)
			got, _, err := changed(tree, tt.req)
			if now := text(t, tree); now != there {
				t.Errorf("what was set before is %s now", now)
			}
			if tt.want != "" {
				if err != nil || text(t, got) != tt.want {
					t.Errorf("got %s, %v, want %s", text(t, got), err, tt.want)
				}
				return
			}
			var e *errs.Error
			if !errors.As(err, &e) || e.Kind != tt.kind || !strings.Contains(err.Error(), tt.say) || e.Hint == "" {
				t.Errorf("got %#v, want a hint and %s of kind %s", err, tt.say, tt.kind)
			}
		})
	}
}

func TestNotes(t *testing.T) {
	for key, value := range map[string]string{"workerInterval": "30", "rotateModule": "true", "TZ": "UTC"} {
		_, notes, err := changed(Tree{}, api.SettingsRequest{Set: []api.Setting{{Key: "pm2-logrotate:" + key, Value: value}}})
		if err != nil || len(notes) != 1 || !strings.Contains(notes[0], key+" is stored and changes nothing") {
			t.Errorf("%s: got %q, %v, want one note", key, notes, err)
		}
	}
}

func TestRotation(t *testing.T) {
	for name, tt := range map[string]struct {
		file   string
		change func(r *api.Rotation)
		say    string
	}{
		"nothing is set":     {`{}`, func(*api.Rotation) {}, ""},
		"others are set":     {`{"tend":{"max_size":"1M"},"pm2-logrotate":{"force":"x"}}`, func(*api.Rotation) {}, ""},
		"the section a text": {`{"pm2-logrotate":"x"}`, func(*api.Rotation) {}, ""},
		"what pm2-logrotate has of itself": {
			`{"pm2-logrotate":{"max_size":"10M","retain":"30","compress":false,"dateFormat":"YYYY-MM-DD_HH-mm-ss","workerInterval":"30","rotateInterval":"0 0 * * *","rotateModule":true}}`,
			func(r *api.Rotation) {
				*r = api.Rotation{MaxSize: 10 << 20, Retain: 30, DateFormat: "YYYY-MM-DD_HH-mm-ss", Interval: "0 0 * * *"}
			}, "",
		},
		"what it does not have": {`{"pm2-logrotate":{"max_age":"7d","total_cap":"1G","retain":"all","off":"true"}}`, func(r *api.Rotation) {
			r.MaxAge, r.TotalCap, r.Retain, r.Off = 7*24*3_600_000, 1<<30, -1, true
		}, ""},
		"a bare number":             {`{"pm2-logrotate":{"max_size":1048576,"retain":5}}`, func(r *api.Rotation) { r.MaxSize, r.Retain = 1<<20, 5 }, ""},
		"one that makes no sense":   {`{"pm2-logrotate":{"max_size":"big","retain":"5"}}`, func(r *api.Rotation) { r.Retain = 5 }, `pm2-logrotate:max_size: "big" is not a size`},
		"one that is too small":     {`{"pm2-logrotate":{"max_size":"5"}}`, func(*api.Rotation) {}, "5 bytes are less than 1K"},
		"one that is a list":        {`{"pm2-logrotate":{"retain":[1]}}`, func(*api.Rotation) {}, `retain: "[1]" is not a number`},
		"one that is an empty text": {`{"pm2-logrotate":{"compress":""}}`, func(*api.Rotation) {}, `compress: "" is none of`},
	} {
		t.Run(name, func(t *testing.T) {
			want := rotation.Default()
			tt.change(&want)
			got, err := read(t, tt.file).Rotation()
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
			if (err == nil) != (tt.say == "") || err != nil && !strings.Contains(err.Error(), tt.say) {
				t.Errorf("got %v, want %q", err, tt.say)
			}
		})
	}
}

// ruler remembers how logs are rotated.
type ruler struct {
	mu sync.Mutex
	r  []api.Rotation
}

func (r *ruler) apply(now api.Rotation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.r = append(r.r, now)
}

func (r *ruler) last() api.Rotation { return r.r[len(r.r)-1] }

func newStore(t *testing.T) (*Store, home.Dir, *ruler) {
	t.Helper()
	h := home.Dir(testkit.Home(t))
	if err := h.Make(); err != nil {
		t.Fatal(err)
	}
	r := &ruler{}
	return New(h, slog.New(slog.NewTextHandler(t.Output(), nil)), r.apply), h, r
}

func TestStore(t *testing.T) {
	s, h, ruler := newStore(t)
	s.Load()
	if diff := cmp.Diff(ruler.last(), rotation.Default()); diff != "" {
		t.Errorf("without a file (-got +want):\n%s", diff)
	}
	req := api.SettingsRequest{Set: []api.Setting{{Key: "pm2-logrotate:max_size", Value: "10M"}, {Key: "web:secret", Value: "<&>"}}}
	got, err := s.Change(t.Context(), req)
	if err != nil || got.Rotation.MaxSize != 10<<20 || ruler.last() != got.Rotation {
		t.Errorf("got %+v, %v; applied %+v", got, err, ruler.last())
	}
	file, err := os.ReadFile(h.Settings())
	if err != nil {
		t.Fatal(err)
	}
	const want = "{\n    \"pm2-logrotate\": {\n        \"max_size\": \"10M\"\n    },\n    \"web\": {\n        \"secret\": \"<&>\"\n    }\n}"
	if diff := cmp.Diff(string(file), want); diff != "" {
		t.Errorf("the file (-got +want):\n%s", diff)
	}
	if fi, err := os.Stat(h.Settings()); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v; want it closed to others", fi.Mode(), err)
	}

	// What makes no sense changes nothing, not even the part that does.
	_, err = s.Change(t.Context(), api.SettingsRequest{Set: []api.Setting{{Key: "x", Value: "1"}, {Key: "pm2-logrotate:retain", Value: "few"}}})
	if errs.KindOf(err) != errs.Invalid {
		t.Errorf("got %v, want a refusal", err)
	}
	if again, _ := os.ReadFile(h.Settings()); string(again) != want || len(ruler.r) != 2 {
		t.Errorf("a refused change left %s, applied %v", again, ruler.r)
	}

	// A person edited the file; the next one to look finds that, and a request
	// for nothing applies it.
	edited := `{"n": 12345678901234567890, "pm2-logrotate": {"retain": "all"}}`
	if err := os.WriteFile(h.Settings(), []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Change(t.Context(), api.SettingsRequest{}); err != nil || ruler.last().Retain != rotation.RetainAll {
		t.Errorf("got %v, applied %+v", err, ruler.last())
	}
	if again, _ := os.ReadFile(h.Settings()); string(again) != edited {
		t.Errorf("the file was written for nothing: %s", again)
	}
	if _, err := s.Change(t.Context(), api.SettingsRequest{Set: []api.Setting{{Key: "a", Value: "b"}}}); err != nil {
		t.Error(err)
	}
	if again, _ := os.ReadFile(h.Settings()); !strings.Contains(string(again), "12345678901234567890") {
		t.Errorf("a large number has become another: %s", again)
	}
	ruler.r = nil
	New(h, s.log, ruler.apply).Load()
	if ruler.last().Retain != rotation.RetainAll {
		t.Errorf("the next daemon begins with %+v", ruler.last())
	}
}

func TestUnmonitored(t *testing.T) {
	s, h, _ := newStore(t)
	for file, want := range map[string]bool{
		`{"pm2":{"sysmonit":"false"}}`: true, `{"pm2":{"sysmonit":false}}`: true, `{"pm2":{"sysmonit":"true"}}`: false,
		`{"pm2":{}}`: false, `{`: false,
	} {
		if err := os.WriteFile(h.Settings(), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := s.Unmonitored(); got != want {
			t.Errorf("%s: got %v, want %v", file, got, want)
		}
	}
}

func TestDamagedFile(t *testing.T) {
	for name, damage := range map[string]string{
		"half a file":       `{"a": {"b"`,
		"a list":            `[1]`,
		"null":              `null`,
		"two documents":     `{} {}`,
		"no JSON whatever":  `max_size = 10M`,
		"a bare text alone": `"x"`,
	} {
		t.Run(name, func(t *testing.T) {
			s, h, ruler := newStore(t)
			if err := os.WriteFile(h.Settings(), []byte(damage), 0o600); err != nil {
				t.Fatal(err)
			}
			s.Load()
			if diff := cmp.Diff(ruler.last(), rotation.Default()); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
			_, readErr := s.Read()
			_, err := s.Change(t.Context(), api.SettingsRequest{Set: []api.Setting{{Key: "a", Value: "b"}}})
			if errs.KindOf(readErr) != errs.Invalid || errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), h.Settings()) {
				t.Errorf("got %v and %v, want the file named", readErr, err)
			}
			if left, _ := os.ReadFile(h.Settings()); string(left) != damage {
				t.Errorf("it is %s now", left)
			}
		})
	}
}

func TestEmptyFileIsNoSettings(t *testing.T) {
	s, h, _ := newStore(t)
	if err := os.WriteFile(h.Settings(), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Read(); err != nil || len(got.Values) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestFileThatCannotBeWritten(t *testing.T) {
	s, h, ruler := newStore(t)
	if err := os.Mkdir(h.Settings(), 0o700); err != nil { // in its place, so that root cannot either
		t.Fatal(err)
	}
	_, err := s.Change(t.Context(), api.SettingsRequest{Set: []api.Setting{{Key: "a", Value: "b"}}})
	if err == nil || len(ruler.r) != 0 {
		t.Errorf("got %v, applied %v; want an error and nothing", err, ruler.r)
	}
}

// Many who set at once lose nothing of each other.
func TestChangesAtOnce(t *testing.T) {
	s, _, _ := newStore(t)
	var all sync.WaitGroup
	const n = 20
	for i := range n {
		all.Go(func() {
			key := "k" + string(rune('a'+i))
			if _, err := s.Change(t.Context(), api.SettingsRequest{Set: []api.Setting{{Key: key, Value: "1"}}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got, err := s.Read(); err != nil || len(got.Values) != n {
		t.Errorf("got %d values, %v, want %d", len(got.Values), err, n)
	}
}

func TestChangeGivesUpWithItsContext(t *testing.T) {
	s, _, _ := newStore(t)
	s.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Change(ctx, api.SettingsRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// What is set is found, and once unset is not.
func TestSetAndUnset(t *testing.T) {
	name := rapid.StringMatching(`[a-z.:]{1,5}`)
	rapid.Check(t, func(t *rapid.T) {
		key := Quote(name.Draw(t, "section")) + ":" + Quote(name.Draw(t, "name"))
		tree := Tree{"other": "1"}
		with, err := tree.set(key, "v")
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := with.Get(key); !ok || v != "v" {
			t.Fatalf("got %v, %v under %s of %v", v, ok, key, with)
		}
		without, err := with.unset(key)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(without, tree); diff != "" {
			t.Fatalf("(-got +want):\n%s", diff)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "{}", `{"a":{"b":1}}`, "null", `{"pm2-logrotate":{"max_size":[]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		tree, err := decode(text)
		if err != nil {
			return
		}
		r, _ := tree.Rotation()
		if err := rotation.Check(&r); err != nil {
			t.Errorf("%s gives a rotation that is not sound: %v", text, err)
		}
		out, err := tree.encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decode(out); err != nil || !cmp.Equal(again, tree) {
			t.Errorf("%s is written as %s: %v", text, out, err)
		}
	})
}

func TestMissingFileIsNoError(t *testing.T) {
	_, h, _ := newStore(t)
	if _, err := os.Stat(h.Settings()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if got, err := Read(h); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}
