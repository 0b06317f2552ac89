package launch

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tend/internal/errs"
	"tend/internal/home"
	"tend/internal/testkit"
)

// Running fails before Make can tell what is wrong with a home, and its error has no hint.
func TestABadHomeIsToldAsOne(t *testing.T) {
	_, b := stage(t, serves)
	for _, h := range []home.Dir{home.Dir(testkit.Keeper(t)), home.Dir("/tmp/" + strings.Repeat("a", 100))} {
		if _, err := Ensure(t.Context(), h, b); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%v of kind %s, want what Make says: %v", err, errs.KindOf(err), h.Make())
		}
	}
}

// what is open in the client's shell (exec 9>lock; flock 9; tend start x) stays open in keeper, daemon and every app.
func TestDescriptorsOfTheShellAreNotInherited(t *testing.T) {
	h, b := stage(t, serves)
	f, err := os.Create(t.TempDir() + "/lock")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	} // as a shell's exec 9>lock
	if _, err := Ensure(t.Context(), h, b); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids(t, h) {
		entries, _ := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
		for _, e := range entries {
			if link, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/fd/" + e.Name()); link == f.Name() {
				t.Errorf("process %d has the shell's file open as %s", pid, e.Name())
			}
		}
	}
}
