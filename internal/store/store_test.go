package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
	"tend/internal/lifecycle"
	"tend/internal/sysinfo"
)

// notebook is a log that a test may read.
type notebook struct{ bytes.Buffer }

func (n *notebook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(n, nil)) }

func open(t testing.TB, path string) (*Store, []Record) {
	t.Helper()
	s, records, _ := openLog(t, path)
	return s, records
}

func openLog(t testing.TB, path string) (*Store, []Record, string) {
	t.Helper()
	var log notebook
	s, records, err := Open(path, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) // most tests close it themselves
	return s, records, log.String()
}

func spec(name string) *api.Spec {
	s := app.Default()
	s.Name, s.Script, s.Cwd = name, "/srv/"+name, "/srv"
	return &s
}

// record is one with something in every field.
func record(s *Store, id int, spec *api.Spec, env *Environment) Record {
	at := time.Date(2026, 11, 22, 12, 0, id, 0, time.UTC)
	return Record{
		Serial: s.Serial(), ID: id, Index: id + 1, Spec: spec, Inherited: env,
		Life: lifecycle.Instance{
			State: lifecycle.Stopping, Want: lifecycle.WantRemoved, Gen: 9, Launch: 5, Live: 5, Asked: true, Killed: true, Ended: true,
			Created: at, Started: at.Add(time.Second), Restarts: 3, Unstable: 2, PrevDelay: 225 * time.Millisecond,
			WakeAt: at.Add(time.Hour), Exit: lifecycle.Exit{Happened: true, Code: 7}, Reason: "why",
		},
		Key: fmt.Sprintf("key-%d", id), KeyLaunch: 5, Proc: sysinfo.Identity{PID: 42, Start: 43, Boot: "boot"}, Version: "1.2.3",
		Role: Successor, Worker: s.Serial(), Alt: true, Actions: Actions{{Name: "clear"}, {Name: "\"more\"", Type: "custom", Arity: 1}}, Note: "a note",
	}
}

func put(t testing.TB, s *Store, r Record) {
	t.Helper()
	if err := s.Put(r); err != nil {
		t.Fatal(err)
	}
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// same compares records; the number of an environment is the journal's own.
func same(t testing.TB, want, got []Record) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Environment{})); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// Journals had names of actions alone once.
func TestActionsOfAnOlderJournal(t *testing.T) {
	for text, want := range map[string]Actions{
		`["gc","dump"]`:                    {{Name: "gc"}, {Name: "dump"}},
		`[{"action_name":"gc","arity":1}]`: {{Name: "gc", Arity: 1}},
		`[]`:                               {}, `null`: nil,
	} {
		var got Actions
		err := json.Unmarshal([]byte(text), &got)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, records, log := openLog(t, path)
	if len(records) > 0 || log != "" {
		t.Fatalf("a new journal has records %v, and log %q", records, log)
	}
	one := spec("one")
	one.Args, one.Env, one.Extra = []string{"a b", ""}, map[string]string{"A": "=\n\x01ü"}, map[string]any{"pmx": false}
	uid := 7
	one.UID = &uid
	env := s.Intern(map[string]string{"PATH": "/bin", "EMPTY": ""})
	a, b, c := record(s, 3, one, env), record(s, 0, spec("two"), env), record(s, 1, one, s.Intern(nil))
	for _, r := range []Record{a, b, c} {
		put(t, s, r)
	}
	a.Life.State, a.Life.Exit, a.Version = lifecycle.Online, lifecycle.Exit{}, ""
	put(t, s, a)
	gone := record(s, 2, one, env)
	put(t, s, gone)
	if err := s.Delete(gone.Serial); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)

	for range 3 { // to read changes nothing
		var got []Record
		s, got, log = openLog(t, path)
		same(t, []Record{b, c, a}, got) // by id
		if log != "" {
			t.Errorf("the log says %s", log)
		}
		if got[1].Spec != got[2].Spec || got[0].Spec == got[1].Spec {
			t.Error("instances of one app do not share its Spec, or others do")
		}
		if got[0].Inherited != got[2].Inherited || got[0].Inherited == got[1].Inherited {
			t.Error("what was one environment is two, or the other way round")
		}
		if s.Intern(map[string]string{"PATH": "/bin", "EMPTY": ""}) != got[0].Inherited {
			t.Error("the same variables are another environment now")
		}
		closeStore(t, s)
	}
	s, _ = open(t, path)
	if next := s.Serial(); next <= gone.Serial {
		t.Errorf("serial %d was given before", next)
	}
}

func TestOneSpecIsWrittenOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, _ := open(t, path)
	one, env := spec("needle-app"), s.Intern(map[string]string{"NEEDLE_ENV": "1"})
	for id := range 20 {
		put(t, s, record(s, id, one, env))
		put(t, s, record(s, id+100, one, s.Intern(map[string]string{"NEEDLE_ENV": "1"})))
	}
	closeStore(t, s)
	s, records := open(t, path)
	put(t, s, records[0]) // and not again by the next daemon
	closeStore(t, s)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, needle := range []string{`"name":"needle-app"`, "NEEDLE_ENV"} {
		if n := strings.Count(string(text), needle); n != 1 {
			t.Errorf("%s is in the journal %d times, want once", needle, n)
		}
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; others may read the environment of apps", fi.Mode(), err)
	}
}

// TestRewriting puts so much that the journal is made short again many times.
func TestRewriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, _ := open(t, path)
	big := s.Intern(map[string]string{"BIG": strings.Repeat("x", 100<<10)})
	small := s.Intern(map[string]string{"SMALL": "1"})
	one, two := spec("one"), spec("two")
	keep := []Record{record(s, 0, one, big), record(s, 1, two, small), record(s, 2, one, small)}
	for _, r := range keep {
		put(t, s, r)
	}
	var longest, before int64
	rewritten := 0
	for i := range 200 {
		r := record(s, 10+i, spec("passing"), s.Intern(map[string]string{"N": strings.Repeat(fmt.Sprint(i), 10<<10)}))
		put(t, s, r)
		keep[1].Life.Restarts = i
		put(t, s, keep[1])
		if err := s.Delete(r.Serial); err != nil {
			t.Fatal(err)
		}
		size := s.journal.Size()
		if size < before {
			rewritten++
		}
		longest, before = max(longest, size), size
	}
	if rewritten < 2 || longest > 2*smallSize {
		t.Errorf("rewritten %d times, and %d bytes at most: it grows without an end", rewritten, longest)
	}
	last := s.Serial()
	put(t, s, record(s, 3, two, big)) // refers to what the rewriting wrote
	closeStore(t, s)

	s, got := open(t, path)
	same(t, keep, got[:3])
	if len(got) != 4 || got[3].Spec.Name != "two" || len(got[3].Inherited.Vars["BIG"]) != 100<<10 {
		t.Errorf("the last of %d is %+v", len(got), got[len(got)-1])
	}
	if got[0].Spec != got[2].Spec || got[1].Spec != got[3].Spec || got[0].Inherited != got[3].Inherited || got[1].Inherited != got[2].Inherited {
		t.Error("what was shared is not any more")
	}
	if next := s.Serial(); next <= last {
		t.Errorf("serial %d was given before", next)
	}
}

// TestNumbersGoOn: what a daemon writes must not take the number of what the
// one before it wrote.
func TestNumbersGoOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, _ := open(t, path)
	one := spec("one")
	a := record(s, 0, one, s.Intern(map[string]string{"OF": "a"}))
	b := record(s, 1, one, s.Intern(map[string]string{"OF": "b"}))
	put(t, s, a)
	put(t, s, b)
	gone := s.Serial()
	closeStore(t, s)
	s, got := open(t, path)
	c := record(s, 2, got[0].Spec, s.Intern(map[string]string{"OF": "c"}))
	put(t, s, c)
	put(t, s, got[1])
	if err := s.Delete(c.Serial); err != nil {
		t.Fatal(err)
	}
	gone = max(gone, c.Serial)
	if err := s.rewrite(); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s, got = open(t, path)
	same(t, []Record{a, b}, got)
	if next := s.Serial(); next <= gone {
		t.Errorf("serial %d was given before", next)
	}
	a = got[0]
	a.Worker = s.Serial()
	put(t, s, a)
	closeStore(t, s)
	s, _ = open(t, path)
	if next := s.Serial(); next <= a.Worker {
		t.Errorf("serial %d was given to a worker", next)
	}
}

// TestARewritingThatFails: the old journal goes on, with its own numbers.
func TestARewritingThatFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, _ := open(t, path)
	a := record(s, 0, spec("needle-app"), s.Intern(map[string]string{"NEEDLE_ENV": "1"}))
	put(t, s, a)
	if err := os.Mkdir(path+".new", 0o700); err != nil { // where the new one would be written
		t.Fatal(err)
	}
	if err := s.rewrite(); err == nil {
		t.Fatal("it did not fail")
	}
	b := record(s, 1, a.Spec, a.Inherited)
	put(t, s, b)
	put(t, s, a)
	closeStore(t, s)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Nobody can tell what a rewriting that failed left, so each is defined
	// anew, and once: the second record refers to what the first wrote.
	for _, needle := range []string{"needle-app\",\"namespace", "NEEDLE_ENV"} {
		if n := strings.Count(string(text), needle); n != 2 {
			t.Errorf("%s is in the journal %d times, want once before and once after", needle, n)
		}
	}
	_, got := open(t, path)
	same(t, []Record{a, b}, got)
}

// TestALargeJournalIsMadeShortWhenItIsOpened: it may have grown in a daemon
// that died before it could do that.
func TestALargeJournalIsMadeShortWhenItIsOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, _ := open(t, path)
	r := record(s, 0, spec("one"), s.Intern(map[string]string{"BIG": strings.Repeat("x", smallSize)}))
	put(t, s, r)
	for range 100 {
		put(t, s, r)
	}
	size := s.journal.Size()
	closeStore(t, s)
	s, got := open(t, path)
	same(t, []Record{r}, got)
	if s.journal.Size() >= size {
		t.Errorf("%d bytes, %d before", s.journal.Size(), size)
	}
	put(t, s, got[0])
	closeStore(t, s)
	_, got = open(t, path)
	same(t, []Record{r}, got)
}

// TestAnyHistory puts, deletes and reopens at random, beside a map.
func TestAnyHistory(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		var log notebook
		s, _, err := Open(path, log.logger())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { s.Close() }()
		specs := []*api.Spec{spec("a"), spec("b"), spec("c")}
		model := map[uint64]Record{}
		for range rapid.IntRange(0, 60).Draw(t, "length") {
			switch rapid.SampledFrom([]string{"put", "put", "put", "change", "delete", "rewrite", "reopen"}).Draw(t, "then") {
			case "put":
				env := s.Intern(map[string]string{"V": rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "env")})
				r := Record{Serial: s.Serial(), ID: len(model), Spec: rapid.SampledFrom(specs).Draw(t, "spec"), Inherited: env}
				if _, twice := model[r.Serial]; twice {
					t.Fatalf("serial %d is given twice", r.Serial)
				}
				if err := s.Put(r); err != nil {
					t.Fatal(err)
				}
				model[r.Serial] = r
			case "change":
				if len(model) > 0 {
					r := model[pick(t, model)]
					r.Life.Gen++
					if err := s.Put(r); err != nil {
						t.Fatal(err)
					}
					model[r.Serial] = r
				}
			case "delete":
				if len(model) > 0 {
					serial := pick(t, model)
					if err := s.Delete(serial); err != nil {
						t.Fatal(err)
					}
					delete(model, serial)
				}
			case "rewrite":
				if err := s.rewrite(); err != nil {
					t.Fatal(err)
				}
			case "reopen":
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				var got []Record
				if s, got, err = Open(path, log.logger()); err != nil {
					t.Fatal(err)
				}
				if len(got) != len(model) {
					t.Fatalf("%d records, want %d\n%s", len(got), len(model), log.String())
				}
				for _, r := range got {
					want := model[r.Serial]
					if diff := cmp.Diff(want, r, cmpopts.IgnoreUnexported(Environment{})); diff != "" {
						t.Fatalf("(-want +got):\n%s", diff)
					}
					model[r.Serial] = r // with the Spec and Environment of this store
				}
			}
		}
	})
}

func pick(t *rapid.T, model map[uint64]Record) uint64 {
	return rapid.SampledFrom(slices.Sorted(maps.Keys(model))).Draw(t, "which")
}

func TestFrozen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, _ := open(t, path)
	a, b := record(s, 0, spec("a"), s.Intern(nil)), record(s, 1, spec("b"), s.Intern(nil))
	put(t, s, a)
	put(t, s, b)
	s.Freeze()
	changed := a
	changed.Life.Restarts = 99
	put(t, s, changed)
	put(t, s, record(s, 2, spec("c"), s.Intern(nil)))
	if err := s.Delete(b.Serial); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	_, got := open(t, path)
	same(t, []Record{a, b}, got)
}

// damage changes the file at path.
func damage(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// aside is the content of the one file that was kept aside.
func aside(t *testing.T, path string) string {
	t.Helper()
	found, err := filepath.Glob(path + ".damaged-*")
	if err != nil || len(found) != 1 {
		t.Fatalf("kept aside: %v, %v; want one file", found, err)
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDamage(t *testing.T) {
	begin := func(t *testing.T) (path string, records []Record) {
		path = filepath.Join(t.TempDir(), "journal")
		s, _ := open(t, path)
		for id, name := range []string{"one", "two"} {
			r := record(s, id, spec(name), s.Intern(map[string]string{"OF": name}))
			put(t, s, r)
			records = append(records, r)
		}
		closeStore(t, s)
		return path, records
	}
	t.Run("an unfinished last line", func(t *testing.T) {
		path, records := begin(t)
		damage(t, path, func(b []byte) []byte { return append(b, "0123abcd {\"put"...) })
		s, got, log := openLog(t, path)
		same(t, records, got)
		if !strings.Contains(log, "the journal was damaged") {
			t.Errorf("the log says %q", log)
		}
		put(t, s, records[0])
		closeStore(t, s)
		_, got, log = openLog(t, path)
		same(t, records, got)
		if log != "" {
			t.Errorf("the next time the log says %q", log)
		}
	})
	t.Run("the line of an app", func(t *testing.T) {
		path, records := begin(t)
		damage(t, path, func(b []byte) []byte { return bytes.Replace(b, []byte(`"name":"one"`), []byte(`"name":"oNe"`), 1) })
		_, got, log := openLog(t, path)
		same(t, records[1:], got)
		if !strings.Contains(log, "the journal was damaged") || !strings.Contains(log, "lacks its app") {
			t.Errorf("the log says %q", log)
		}
		if !strings.Contains(aside(t, path), `"name":"oNe"`) {
			t.Error("the file as it was is not kept")
		}
	})
	t.Run("the line of an environment", func(t *testing.T) {
		path, records := begin(t)
		damage(t, path, func(b []byte) []byte { return bytes.Replace(b, []byte(`{"OF":"two"}`), []byte(`{"OF":"tWo"}`), 1) })
		_, got, _ := openLog(t, path)
		same(t, records[:1], got)
	})
	for name, text := range map[string]string{
		"another program's file": "{\"apps\": []}\nmore\n",
		"zeros":                  strings.Repeat("\x00", 4096) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s, got, log := openLog(t, path)
			if len(got) > 0 || !strings.Contains(log, "the list begins empty") {
				t.Errorf("records %v, log %q", got, log)
			}
			if kept := aside(t, path); kept != text {
				t.Errorf("kept aside: %q, want it as it was", kept)
			}
			r := record(s, 0, spec("new"), s.Intern(nil))
			put(t, s, r)
			closeStore(t, s)
			_, got = open(t, path)
			same(t, []Record{r}, got)
		})
	}
}

func TestAJournalThatCannotBeOpened(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"a directory below a file": func(path string) error { return os.WriteFile(filepath.Dir(path), nil, 0o600) },
		"no directory":             func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sub", "journal")
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			_, _, err := Open(path, slog.New(slog.DiscardHandler))
			var e *errs.Error
			if !errors.As(err, &e) || e.On != path || e.Hint == "" {
				t.Errorf("%v, want an *errs.Error about %s, with a hint", err, path)
			}
		})
	}
}

// TestALineOfAnotherVersion: entries that only a newer tend knows mean nothing
// to this one, and are no damage.
func TestALineOfAnotherVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, _ := open(t, path)
	r := record(s, 0, spec("one"), s.Intern(nil))
	put(t, s, r)
	if err := s.journal.Append([]byte(`{"future":{"a":1}}`)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	_, got, log := openLog(t, path)
	same(t, []Record{r}, got)
	if log != "" {
		t.Errorf("the log says %q", log)
	}
}

func TestRunSyncsAndEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	synctest.Test(t, func(t *testing.T) {
		s, _ := open(t, path)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		put(t, s, record(s, 0, spec("one"), s.Intern(nil)))
		time.Sleep(3 * syncEvery) // fake time
		put(t, s, record(s, 1, spec("two"), s.Intern(nil)))
		cancel() // in the middle of its wait
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want %v", err, context.Canceled)
		}
	})
}
