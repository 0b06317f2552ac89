package collect

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCheckMakesWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old.log")
	if err := os.WriteFile(old, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	deep := filepath.Join(dir, "a", "b", "new.log")
	if _, err := Check([]string{old, os.DevNull, deep}, nil); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(old); string(b) != "text" {
		t.Errorf("what was there is %q, %v", b, err)
	}
	fi, err := os.Stat(deep)
	if err != nil || fi.Size() != 0 || fi.Mode().Perm()&0o007 != 0 {
		t.Errorf("the new file: %v, %v; want it empty and closed to others", fi, err)
	}
}

func TestCheckRefusesWhatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"a directory":              dir,
		"below a file":             filepath.Join(file, "out.log"),
		"a fifo that nobody reads": fifo, // and it does not wait for one
		"a name that is too long":  filepath.Join(dir, strings.Repeat("x", 256)),
	} {
		t.Run(name, func(t *testing.T) {
			good := filepath.Join(t.TempDir(), "good.log")
			_, err := Check([]string{good, path}, nil)
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want an error that names %s", err, path)
			}
		})
	}
}

func TestCheckLeavesNoDescriptor(t *testing.T) {
	// The lowest free descriptor is the next one to be given (open(2)).
	lowest := func() int {
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(fd)
		return fd
	}
	path := filepath.Join(t.TempDir(), "out.log")
	before := lowest()
	for range 64 {
		if _, err := Check([]string{path}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if after := lowest(); after > before+16 { // others may open some meanwhile
		t.Errorf("descriptors are open: the next was %d and is %d", before, after)
	}
}

func TestCheckGivesNewFilesToTheirOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, "old.log"), filepath.Join(dir, "new.log")
	if err := os.WriteFile(old, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	if _, err := Check([]string{old, fresh}, &Owner{UID: nobody, GID: -1}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]uint32{old: 0, fresh: nobody} {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st := fi.Sys().(*syscall.Stat_t); st.Uid != want || st.Gid != uint32(os.Getegid()) {
			t.Errorf("%s belongs to %d:%d, want user %d", path, st.Uid, st.Gid, want)
		}
	}
}
