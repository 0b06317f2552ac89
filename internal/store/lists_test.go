package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tend/internal/errs"
	"tend/internal/home"
	"tend/internal/pm2env"
)

func list(names ...string) (all []pm2env.Saved) {
	for _, name := range names {
		all = append(all, pm2env.Saved{Spec: *spec(name), Env: map[string]string{"A": name}, Stopped: true})
	}
	return all
}

func names(list []pm2env.Saved) (all []string) {
	for _, s := range list {
		all = append(all, s.Spec.Name)
	}
	return all
}

func newHome(t *testing.T) home.Dir {
	t.Helper()
	return home.Dir(t.TempDir())
}

func load(t *testing.T, h home.Dir) (got []string, path, log string) {
	t.Helper()
	var n notebook
	all, path, err := LoadList(h, n.logger())
	if err != nil {
		t.Fatal(err)
	}
	return names(all.List), path, n.String()
}

func save(t *testing.T, h home.Dir, names ...string) {
	t.Helper()
	if err := SaveList(h, list(names...)); err != nil {
		t.Fatal(err)
	}
}

func TestSavedLists(t *testing.T) {
	h := newHome(t)
	if got, path, _ := load(t, h); got != nil || path != "" {
		t.Errorf("nothing was saved, and %v is in %q", got, path)
	}
	save(t, h, "a", "b")
	save(t, h, "c")
	if got, path, log := load(t, h); !cmp.Equal(got, []string{"c"}) || path != h.Dump() || log != "" {
		t.Errorf("%v from %s, log %q; want the last save", got, path, log)
	}
	text, err := os.ReadFile(h.DumpBackup())
	if err != nil {
		t.Fatal(err)
	}
	if backup, err := pm2env.DecodeDump(text); err != nil || !cmp.Equal(names(backup.List), []string{"a", "b"}) {
		t.Errorf("the backup holds %v, %v; want the save before", names(backup.List), err)
	}
	for _, path := range []string{h.Dump(), h.DumpBackup()} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v; others may read the environment of apps", path, fi.Mode(), err)
		}
	}
	save(t, h)
	if got, path, _ := load(t, h); got != nil || path != h.Dump() {
		t.Errorf("%v from %q; an empty list was saved", got, path)
	}
}

func TestAnInstanceIsSavedWhole(t *testing.T) {
	h := newHome(t)
	want := list("api")
	want[0].Spec.Args = []string{"a b"}
	want[0].Spec.Env = map[string]string{"A": "api"}
	want[0].Index, want[0].Restarts, want[0].Version, want[0].OutFile = 2, 4, "1.0.0", "/l/out.log"
	if err := KeepList(h, want); err != nil {
		t.Fatal(err)
	}
	var n notebook
	got, path, err := LoadList(h, n.logger())
	if err != nil || path != h.LastList() {
		t.Fatalf("from %q: %v", path, err)
	}
	if diff := cmp.Diff(want, got.List, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-kept +loaded):\n%s", diff)
	}
}

func TestListsThatCannotBeRead(t *testing.T) {
	const broken = `[{"name": "a", `
	write := func(t *testing.T, path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := func(name string) string { return string(pm2env.EncodeDump(list(name))) }
	for name, test := range map[string]struct {
		dump, backup, last string
		want               []string
		from               func(home.Dir) string
	}{
		"the backup in place of the save":    {broken, good("backup"), good("last"), []string{"backup"}, home.Dir.DumpBackup},
		"the last list in place of both":     {broken, "null and void", good("last"), []string{"last"}, home.Dir.LastList},
		"the backup where the save is gone":  {"", good("backup"), "", []string{"backup"}, home.Dir.DumpBackup},
		"the last list where none was saved": {"", "", good("last"), []string{"last"}, home.Dir.LastList},
		"the save before everything else":    {good("dump"), good("backup"), good("last"), []string{"dump"}, home.Dir.Dump},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			bad := 0
			for path, text := range map[string]string{h.Dump(): test.dump, h.DumpBackup(): test.backup, h.LastList(): test.last} {
				if text != "" {
					write(t, path, text)
				}
				if text != "" && !strings.HasPrefix(text, "[\n") {
					bad++
				}
			}
			got, path, log := load(t, h)
			if !cmp.Equal(got, test.want) || path != test.from(h) {
				t.Errorf("%v from %s, want %v from %s", got, path, test.want, test.from(h))
			}
			kept, err := filepath.Glob(filepath.Join(string(h), "*.damaged-*"))
			if err != nil || len(kept) != bad || strings.Count(log, "it is kept aside") != bad {
				t.Errorf("kept aside %v, %v, log %q; want %d files", kept, err, log, bad)
			}
			if bad > 0 {
				if text := aside(t, h.Dump()); text != broken {
					t.Errorf("kept aside %q, want it as it was", text)
				}
			}
		})
	}
	t.Run("none of all", func(t *testing.T) {
		h := newHome(t)
		write(t, h.Dump(), broken)
		write(t, h.LastList(), "{}")
		var n notebook
		_, _, err := LoadList(h, n.logger())
		var e *errs.Error
		if !errors.As(err, &e) || e.Kind != errs.Invalid || e.Hint == "" || !strings.Contains(err.Error(), h.Dump()) || !strings.Contains(err.Error(), h.LastList()) {
			t.Errorf("%v, want both files named", err)
		}
		// Nothing is there any more that could be read wrong a second time.
		if got, path, _ := load(t, h); got != nil || path != "" {
			t.Errorf("the next time %v from %q", got, path)
		}
	})
}

func TestABrokenSaveIsNoBackup(t *testing.T) {
	h := newHome(t)
	save(t, h, "a")
	save(t, h, "b")
	if err := os.WriteFile(h.Dump(), []byte("{ half"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(h.DumpBackup())
	if err != nil {
		t.Fatal(err)
	}
	save(t, h, "c")
	if after, err := os.ReadFile(h.DumpBackup()); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the backup is now %q, %v", after, err)
	}
	if text := aside(t, h.Dump()); text != "{ half" {
		t.Errorf("kept aside %q, want it as it was", text)
	}
	if got, _, _ := load(t, h); !cmp.Equal(got, []string{"c"}) {
		t.Errorf("%v, want what was saved last", got)
	}
}
