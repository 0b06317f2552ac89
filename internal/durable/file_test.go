package durable

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWriteFile(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "list")
	for _, step := range []struct {
		data string
		perm os.FileMode
	}{{"first", 0o600}, {"", 0o600}, {"wider than the umask", 0o644}, {"narrow again", 0o600}} {
		if err := WriteFile(path, []byte(step.data), step.perm); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != step.data {
			t.Errorf("content %q, want %q", got, step.data)
		}
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != step.perm {
			t.Errorf("after %q: permissions %v, %v, want %v", step.data, fi.Mode().Perm(), err, step.perm)
		}
	}
	wantNames(t, filepath.Dir(path), "list")
}

func TestWriteFileErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "list")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	wantNames(t, dir, "list")
	err := WriteFile(filepath.Join(dir, "none", "list"), []byte("x"), 0o600)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a missing directory: %v, want %v", err, fs.ErrNotExist)
	}
}

func TestSetAsideOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "list")
	want := map[string]string{}
	for _, text := range []string{"one", "two", "three"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		aside, err := SetAside(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(aside, path+".damaged-") {
			t.Errorf("set aside as %s", aside)
		}
		want[aside] = text
	}
	if len(want) != 3 {
		t.Errorf("%d names for 3 files", len(want))
	}
	for aside, text := range want {
		if got := read(t, aside); got != text {
			t.Errorf("%s holds %q, want %q", aside, got, text)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file still stands: %v", err)
	}
	if _, err := SetAside(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("setting nothing aside: %v, want %v", err, fs.ErrNotExist)
	}
}

// bigFile is one of the two contents that replaceForEver writes.
func bigFile(c byte) []byte { return bytes.Repeat([]byte{c}, 256<<10) }

func replaceForEver(path string) error {
	for {
		for _, c := range []byte("ab") {
			if err := WriteFile(path, bigFile(c), 0o600); err != nil {
				return err
			}
			if _, err := os.Stdout.Write([]byte{c, '\n'}); err != nil {
				return err
			}
		}
	}
}

func TestKilledWriteFileLeavesOldOrNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	for round := range 20 {
		cmd := child(t, "replace", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 1 + round%4 {
			lines.Scan()
		}
		kill := time.AfterFunc(time.Duration(round)*200*time.Microsecond, func() { cmd.Process.Kill() })
		for lines.Scan() { // until it is dead
		}
		kill.Stop()
		cmd.Wait() // it was killed
		if got := []byte(read(t, path)); !bytes.Equal(got, bigFile('a')) && !bytes.Equal(got, bigFile('b')) {
			t.Fatalf("round %d: %d bytes that are neither content", round, len(got))
		}
	}
}

// read is the content of a file.
func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantNames checks what is in dir.
func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, names(t, dir)); diff != "" {
		t.Errorf("files in the directory (-want +got):\n%s", diff)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(got)
	return got
}
