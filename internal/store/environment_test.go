package store

import (
	"path/filepath"
	"testing"
)

// an Environment that was interned, purged by a rewriting before its first Put, and put afterwards
// is not in s.envs any more: the next rewriting leaves its line out, and its records are lost.
func TestAnEnvironmentOutlivesARewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, _ := open(t, path)
	env := s.Intern(map[string]string{"A": "1"})
	if err := s.rewrite(); err != nil {
		t.Fatal(err)
	} // another instance's Put made it
	r := record(s, 0, spec("one"), env)
	put(t, s, r)
	if err := s.rewrite(); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	_, got, log := openLog(t, path)
	same(t, []Record{r}, got)
	t.Log(log)
}

// the same with an environment that had a number: it keeps that of the old journal, which in the new
// one is another's: the app gets the environment of another.
func TestAnEnvironmentNeverHasTheNumberOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, _ := open(t, path)
	env := s.Intern(map[string]string{"A": "1"})
	first := record(s, 0, spec("one"), env)
	put(t, s, first)
	if err := s.Delete(first.Serial); err != nil {
		t.Fatal(err)
	}
	other := record(s, 1, spec("other"), s.Intern(map[string]string{"SECRET": "of another"}))
	put(t, s, other)
	env = s.Intern(map[string]string{"A": "1"}) // delete and start again, at once
	if err := s.rewrite(); err != nil {
		t.Fatal(err)
	}
	again := record(s, 2, spec("one"), env)
	put(t, s, again)
	closeStore(t, s)
	_, got := open(t, path)
	same(t, []Record{other, again}, got)
}

// a line that is whole but not of our making sets the whole journal aside; what was read before it
// stays in memory ("the list begins empty"), with numbers that the new journal does not know.
func TestHalfAJournalOfAnotherVersionIsNotBelieved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, _ := open(t, path)
	r := record(s, 0, spec("one"), s.Intern(map[string]string{"A": "1"}))
	put(t, s, r)
	if err := s.journal.Append([]byte(`{"put":{"serial":"a text in a newer version"}}`)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s, got, log := openLog(t, path)
	t.Logf("%d records; %s", len(got), log)
	if len(got) > 0 {
		put(t, s, got[0]) // the daemon goes on with it
		closeStore(t, s)
		_, again, log := openLog(t, path)
		if len(again) != len(got) {
			t.Errorf("%d records went on, and %d are left after the next restart\n%s", len(got), len(again), log)
		}
	}
}
