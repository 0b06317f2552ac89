package durable

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// lines is a journal file with these records.
func lines(payloads ...string) string {
	var b []byte
	for _, p := range payloads {
		b = appendLine(b, []byte(p))
	}
	return string(b)
}

// open opens the journal at path and closes it at the end of the test.
func open(t *testing.T, path string) (*Journal, []string, Damage) {
	t.Helper()
	j, got, damage, err := tryOpen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j, got, damage
}

func tryOpen(path string) (*Journal, []string, Damage, error) {
	var got []string
	j, damage, err := OpenJournal(path, func(p []byte) error {
		got = append(got, string(p))
		return nil
	})
	return j, got, damage, err
}

func mustAppend(t *testing.T, j *Journal, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		if err := j.Append([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
}

func wantRecords(t *testing.T, path string, want ...string) {
	t.Helper()
	_, got, damage := open(t, path)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if damage != (Damage{}) {
		t.Errorf("damage: %v", damage)
	}
}

func TestJournalKeepsItsRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, got, damage := open(t, path)
	if len(got) != 0 || damage != (Damage{}) {
		t.Errorf("a new journal has records %q, damage %v", got, damage)
	}
	long := strings.Repeat("long ", keptBuffer)
	mustAppend(t, j, `{"a":1}`, "", long, "\x00\xff")
	if err := j.Sync(); err != nil {
		t.Error(err)
	}
	if got, want := j.Size(), int64(len(read(t, path))); got != want {
		t.Errorf("size %d, want %d", got, want)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("permissions %v, %v, want 0600", fi.Mode().Perm(), err)
	}
	// The format is for ever: 00000000 and e3069283 are known CRC-32Cs.
	mustAppend(t, j, "123456789")
	if want := "00000000 \n"; !strings.Contains(read(t, path), want) {
		t.Errorf("no line %q", want)
	}
	if want := "e3069283 123456789\n"; !strings.HasSuffix(read(t, path), want) {
		t.Errorf("the last line is not %q", want)
	}
	wantRecords(t, path, `{"a":1}`, "", long, "\x00\xff", "123456789")
}

func TestJournalRefusesRecordsItCannotKeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, _, _ := open(t, path)
	mustAppend(t, j, "a")
	for name, payload := range map[string][]byte{
		"two lines": []byte("x\ny"),
		"too long":  make([]byte, MaxRecord+1),
	} {
		if err := j.Append(payload); err == nil {
			t.Errorf("%s: it was taken", name)
		}
		err := j.Rewrite(func(add func([]byte) error) error { return add(payload) })
		if err == nil {
			t.Errorf("%s: it was taken by Rewrite", name)
		}
	}
	mustAppend(t, j, strings.Repeat("z", MaxRecord))
	wantRecords(t, path, "a", strings.Repeat("z", MaxRecord))
}

func TestOpenDamagedJournal(t *testing.T) {
	three := lines("one", "two", "three")
	for name, test := range map[string]struct {
		file    string
		records []string
		damage  Damage // Aside is checked by its content
		foreign bool
	}{
		"an empty file":                   {"", nil, Damage{}, false},
		"a torn last line":                {three + "0123abcd {\"x", []string{"one", "two", "three"}, Damage{Torn: 12}, false},
		"a torn checksum":                 {three + "0123", []string{"one", "two", "three"}, Damage{Torn: 4}, false},
		"a last line that lacks its end":  {strings.TrimSuffix(three, "\n"), []string{"one", "two"}, Damage{Torn: 14}, false},
		"zeros at the end":                {three + strings.Repeat("\x00", 5000), []string{"one", "two", "three"}, Damage{Torn: 5000}, false},
		"a torn first line":               {"0123abcd {", nil, Damage{Torn: 10}, false},
		"nothing but zeros":               {"\x00\x00\x00", nil, Damage{Torn: 3}, false},
		"a changed byte in the middle":    {strings.Replace(three, "two", "twx", 1), []string{"one", "three"}, Damage{Lines: 1, FirstLine: 2}, false},
		"a damaged first line":            {strings.Replace(three, "one", "onx", 1), []string{"two", "three"}, Damage{Lines: 1, FirstLine: 1}, false},
		"a damaged last line":             {strings.Replace(three, "three", "thre", 1), []string{"one", "two"}, Damage{Lines: 1, FirstLine: 3}, false},
		"damage and a torn line":          {"junk\n\n" + three + "01", []string{"one", "two", "three"}, Damage{Lines: 2, FirstLine: 1, Torn: 2}, false},
		"an end that no crash leaves":     {three + "hello", []string{"one", "two", "three"}, Damage{Lines: 1, FirstLine: 4}, false},
		"a line longer than any record":   {strings.Repeat("x", maxLine+keptBuffer) + "\n" + three, []string{"one", "two", "three"}, Damage{Lines: 1, FirstLine: 1}, false},
		"somebody's JSON":                 {"{\n  \"apps\": []\n}\n", nil, Damage{}, true},
		"somebody's text without newline": {"dear diary", nil, Damage{}, true},
		"a journal with no sound line":    {strings.Replace(lines("one"), "one", "onx", 1), nil, Damage{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "journal")
			if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			j, got, damage, err := tryOpen(path)
			if test.foreign {
				if !errors.Is(err, ErrForeign) {
					t.Fatalf("error %v, want %v", err, ErrForeign)
				}
				if read(t, path) != test.file {
					t.Error("the foreign file was changed")
				}
				wantNames(t, dir, "journal")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			if got := int64(len(read(t, path))); got != j.Size() {
				t.Errorf("the file has %d bytes, its records %d", got, j.Size())
			}
			if diff := cmp.Diff(test.records, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if damage.Lines == 0 {
				wantNames(t, dir, "journal")
			} else if read(t, damage.Aside) != test.file {
				t.Error("what is kept aside is not the file as it was")
			}
			damage.Aside = ""
			if diff := cmp.Diff(test.damage, damage); diff != "" {
				t.Errorf("damage (-want +got):\n%s", diff)
			}
			mustAppend(t, j, "more")
			wantRecords(t, path, append(test.records, "more")...)
		})
	}
}

func TestDamageReadsAsASentence(t *testing.T) {
	for want, damage := range map[string]Damage{
		"none": {},
		"an unfinished last line of 7 bytes dropped":                                       {Torn: 7},
		"2 damaged lines left out, the first is line 3; the file as it was is j.damaged-1": {Torn: 7, Lines: 2, FirstLine: 3, Aside: "j.damaged-1"},
	} {
		if got := damage.String(); got != want {
			t.Errorf("%+v reads %q, want %q", damage, got, want)
		}
	}
}

func TestOpenJournalErrorsLeaveTheFile(t *testing.T) {
	dir := t.TempDir()
	if _, _, _, err := tryOpen(dir); err == nil {
		t.Error("a directory was opened")
	}
	if _, _, _, err := tryOpen(filepath.Join(dir, "none", "journal")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a missing directory: %v, want %v", err, fs.ErrNotExist)
	}
	if _, _, _, err := tryOpen(os.DevNull); !errors.Is(err, ErrForeign) {
		t.Errorf("a device: %v, want %v", err, ErrForeign)
	}
	path := filepath.Join(dir, "journal")
	file := "junk\n" + lines("one", "two") + "01"
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if _, _, err := OpenJournal(path, func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a replay that stops: %v, want %v", err, stop)
	}
	// A directory in the way of the new file makes the repair fail.
	if err := os.Mkdir(path+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := tryOpen(path); err == nil {
		t.Error("a failed repair was not told")
	}
	if read(t, path) != file {
		t.Error("the file was changed")
	}
	wantNames(t, dir, "journal", "journal.new")
}

func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	j, _, _ := open(t, path)
	mustAppend(t, j, "one", "two", "three")
	stop := errors.New("stop")
	err := j.Rewrite(func(add func([]byte) error) error {
		return errors.Join(add([]byte("four")), stop)
	})
	if !errors.Is(err, stop) {
		t.Fatalf("error %v, want %v", err, stop)
	}
	mustAppend(t, j, "five")
	wantRecords(t, path, "one", "two", "three", "five")

	err = j.Rewrite(func(add func([]byte) error) error { return add([]byte("all")) })
	if err != nil {
		t.Fatal(err)
	}
	if got, want := j.Size(), int64(len(lines("all"))); got != want {
		t.Errorf("size %d, want %d", got, want)
	}
	mustAppend(t, j, "six")
	wantRecords(t, path, "all", "six")
	wantNames(t, dir, "journal")
}

func TestSyncRunsBesideAppendAndRewrite(t *testing.T) {
	j, _, _ := open(t, filepath.Join(t.TempDir(), "journal"))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := j.Sync(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for range 200 {
		mustAppend(t, j, "x")
		if err := j.Rewrite(func(func([]byte) error) error { return nil }); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
}

func TestEveryPrefixOpensToAPrefix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	rapid.Check(t, func(t *rapid.T) {
		payload := rapid.SliceOfN(rapid.Byte().Filter(func(b byte) bool { return b != '\n' }), 0, 20)
		var file []byte
		var all []string
		var ends []int
		for _, p := range rapid.SliceOfN(payload, 0, 8).Draw(t, "payloads") {
			file = appendLine(file, p)
			all = append(all, string(p))
			ends = append(ends, len(file))
		}
		cut := rapid.IntRange(0, len(file)).Draw(t, "cut")
		if err := os.WriteFile(path, file[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		whole := 0
		for whole < len(ends) && ends[whole] <= cut {
			whole++
		}
		j, got, damage, err := tryOpen(path)
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		if diff := cmp.Diff(all[:whole], got); len(got)+whole > 0 && diff != "" {
			t.Fatalf("records of the first %d bytes (-want +got):\n%s", cut, diff)
		}
		if damage.Lines != 0 {
			t.Fatalf("damage %v", damage)
		}
	})
}

func TestKilledAppendLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	for round := range 20 {
		cmd := child(t, "append", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewScanner(out)
		said.Scan() // it runs
		kill := time.AfterFunc(time.Duration(round)*300*time.Microsecond, func() { cmd.Process.Kill() })
		last := said.Text()
		for said.Scan() {
			last = said.Text()
		}
		kill.Stop()
		cmd.Wait() // it was killed
		want, err := strconv.Atoi(last)
		if err != nil {
			t.Fatalf("round %d: the child said %q", round, last)
		}
		j, got, damage, err := tryOpen(path)
		if err != nil || damage.Lines > 0 {
			t.Fatalf("round %d: %v, damage %v", round, err, damage)
		}
		j.Close()
		// What the child said is there; one more may be, that it had no time
		// to tell.
		newest, err := strconv.Atoi(got[len(got)-1])
		if err != nil || newest != want && newest != want+1 {
			t.Fatalf("round %d: the newest record is %d, the child said %d", round, newest, want)
		}
		for i, p := range got {
			if p != strconv.Itoa(newest-len(got)+1+i) {
				t.Fatalf("round %d: records %q are not consecutive", round, got)
			}
		}
	}
}

func FuzzOpenJournal(f *testing.F) {
	for _, seed := range []string{
		"", lines("one", "", "two"), lines("one") + "0123abcd tw", "junk\n" + lines("one"),
		"\n\n\n", "00000000 \n", "0000000", lines("a") + "\x00\x00", lines("a") + "0000000\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		j, first, damage, err := tryOpen(path)
		if err != nil {
			if !errors.Is(err, ErrForeign) || read(t, path) != string(file) {
				t.Fatalf("error %v, or the file was changed", err)
			}
			return
		}
		defer j.Close()
		if damage.Lines > 0 && read(t, damage.Aside) != string(file) {
			t.Error("what is kept aside is not the file as it was")
		}
		// Opened once, it is sound.
		mustAppend(t, j, "end")
		wantRecords(t, path, append(first, "end")...)
		if int64(len(read(t, path))) != j.Size() {
			t.Errorf("size %d, the file has %d", j.Size(), len(read(t, path)))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	j, _, _, err := tryOpen(filepath.Join(b.TempDir(), "journal"))
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	payload := bytes.Repeat([]byte("x"), 300)
	b.ReportAllocs()
	for b.Loop() {
		if err := j.Append(payload); err != nil {
			b.Fatal(err)
		}
	}
}
