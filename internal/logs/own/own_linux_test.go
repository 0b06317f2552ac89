package own

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tend/internal/logs/logstest"
)

// own is a daemon's log that is put aside after a hundred bytes, and the
// descriptor that writes it.
func own(t *testing.T) (*Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tend.log")
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	o := New(path, file)
	o.rule.MaxSize = 100
	return o, path
}

func TestTheDaemonsOwnLogIsPutAside(t *testing.T) {
	o, path := own(t)
	const most = 5 * 11 // that many hold a hundred bytes and a line
	for i := range 1000 {
		if _, err := fmt.Fprintf(o, "line %04d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	rest, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(strings.ReplaceAll(strings.Join(logstest.Aside(t, path), "")+string(rest), "line ", ""))
	if len(lines) > most+11 || len(lines) < most-10 {
		t.Errorf("%d lines are left", len(lines))
	}
	for i, line := range lines {
		if want := fmt.Sprintf("%04d", 1000-len(lines)+i); line != want {
			t.Fatalf("line %s where %s should be", line, want)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 || info.Size() > 110 {
		t.Errorf("%v, %v", info, err)
	}
	if flags, err := unix.FcntlInt(o.file.Fd(), unix.F_GETFD, 0); err != nil || flags != unix.FD_CLOEXEC {
		t.Errorf("children inherit it: %d, %v", flags, err)
	}
}

func TestTheDaemonsOwnLogThatSomebodyElseMoves(t *testing.T) {
	o, path := own(t)
	fmt.Fprintln(o, "before")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(o, "after")
	// Where no log can be, what there is serves on.
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(o, "meanwhile")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(o, "at last")
	for name, want := range map[string]string{path + ".1": "before\n", path + ".2": "after\nmeanwhile\n", path: "at last\n"} {
		if b, err := os.ReadFile(name); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v; want %q", name, b, err, want)
		}
	}
}

func TestALogThatIsNotTheDaemonsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tend.log")
	logstest.Put(t, path, strings.Repeat("x", 11<<20))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fmt.Fprintln(New(path, w), "a line")
	b := make([]byte, 100)
	if n, err := r.Read(b); string(b[:n]) != "a line\n" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	if got := logstest.Names(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("%q: it was put aside", got)
	}
}
