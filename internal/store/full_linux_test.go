package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tend/internal/errs"
	"tend/internal/home"
	"tend/internal/lifecycle"
)

// fullVar makes this test binary meet a full disk in the directory of its
// value: the limit that stands in for one is a whole process's.
const fullVar = "TEND_TEST_STORE_FULL"

// fullDisk is how much fits.
const fullDisk = 64 << 10

func TestMain(m *testing.M) {
	if dir := os.Getenv(fullVar); dir != "" {
		if err := meetALimit(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// meetALimit makes a write beyond the limit fail with EFBIG, as a full disk
// does with ENOSPC.
func meetALimit(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	var free syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &free); err != nil {
		return err
	}
	limit := func(n uint64) error {
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: free.Max})
	}
	return meetFullDisk(filepath.Join(dir, "journal"), func() error { return limit(fullDisk) }, func() error { return limit(free.Cur) })
}

// meetFullDisk fills the disk and frees it again. It is no *testing.T's
// because a child runs it too.
func meetFullDisk(path string, fill, free func() error) error {
	s, _, err := Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	env := s.Intern(map[string]string{"A": "1"})
	var all []Record
	add := func() error {
		r := Record{Serial: s.Serial(), ID: len(all), Spec: spec(fmt.Sprint("app", len(all), strings.Repeat("x", 3000))), Inherited: env}
		all = append(all, r)
		return s.Put(r)
	}
	if err := add(); err != nil {
		return fmt.Errorf("before the disk is full: %w", err)
	}
	if err := fill(); err != nil {
		return err
	}
	for range 2 * fullDisk / 3000 {
		if err = add(); err != nil {
			break
		}
	}
	if errs.KindOf(err) != errs.Full {
		return fmt.Errorf("record %d on a full disk: %v, want kind full", len(all), err)
	}
	// It goes on in memory: changes, deletes and new ones, told again and again.
	for range 3 {
		if err := add(); errs.KindOf(err) != errs.Full {
			return fmt.Errorf("the next record: %v, want kind full", err)
		}
	}
	gone := all[2]
	if err := s.Delete(gone.Serial); errs.KindOf(err) != errs.Full {
		return fmt.Errorf("delete: %v, want kind full", err)
	}
	all[1].Life.State = lifecycle.Online
	if err := s.Put(all[1]); errs.KindOf(err) != errs.Full {
		return fmt.Errorf("change: %v, want kind full", err)
	}
	// Who reads the file now finds what was there when it became full.
	if _, records, err := Open(path+"-copy", slog.New(slog.DiscardHandler)); err != nil || len(records) > 0 {
		return fmt.Errorf("another journal: %v, %w", records, err)
	}
	if err := free(); err != nil {
		return err
	}
	if err := s.Put(all[0]); err != nil {
		return fmt.Errorf("when there is space again: %w", err)
	}
	size := s.journal.Size()
	if err := s.Put(all[0]); err != nil || s.journal.Size() <= size {
		return fmt.Errorf("then %d bytes, %d before, %w: want a line more, and nothing written anew", s.journal.Size(), size, err)
	}
	if err := s.Close(); err != nil {
		return err
	}
	_, records, err := Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if len(records) != len(all)-1 || records[1].Life.State != lifecycle.Online {
		return fmt.Errorf("%d records afterwards, want %d; the second: %+v", len(records), len(all)-1, records[1].Life)
	}
	for _, r := range records {
		if r.Serial == gone.Serial {
			return errors.New("what was deleted is back")
		}
		if r.Spec.Name != all[r.ID].Spec.Name || r.Inherited.Vars["A"] != "1" {
			return fmt.Errorf("record %d is of %.20s with %v", r.ID, r.Spec.Name, r.Inherited.Vars)
		}
	}
	return nil
}

func TestALimitOnFiles(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullVar+"="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// smallDisk mounts a file system of fullDisk bytes, where this user may.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", 2*fullDisk))
	if errors.Is(err, syscall.EPERM) {
		t.Skip("only root may mount; a limit on files stands in for it")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// filler takes all the space that is left, until it is removed.
func filler(dir string) (fill, free func() error) {
	path := filepath.Join(dir, "filler")
	fill = func() error {
		if err := os.WriteFile(path, make([]byte, 4*fullDisk), 0o600); !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("fill the disk: %v", err)
		}
		return nil
	}
	return fill, func() error { return os.Remove(path) }
}

func TestASmallDisk(t *testing.T) {
	dir := smallDisk(t)
	fill, free := filler(dir)
	if err := meetFullDisk(filepath.Join(dir, "journal"), fill, free); err != nil {
		t.Error(err)
	}
}

// TestRunCatchesUp: nobody has to put anything for it.
func TestRunCatchesUp(t *testing.T) {
	dir := smallDisk(t)
	fill, free := filler(dir)
	path := filepath.Join(dir, "journal")
	synctest.Test(t, func(t *testing.T) {
		s, _ := open(t, path)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		r := record(s, 0, spec("one"), s.Intern(nil))
		put(t, s, r)
		if err := fill(); err != nil {
			t.Fatal(err)
		}
		r.Life.Reason = strings.Repeat("x", 8000) // more than the rest of a page
		if err := s.Put(r); errs.KindOf(err) != errs.Full {
			t.Fatalf("%v, want kind full", err)
		}
		time.Sleep(5 * syncEvery) // fake time: it tries, in vain
		if err := free(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * syncEvery)
		synctest.Wait()
		_, got := open(t, path)
		same(t, []Record{r}, got)
	})
}

func TestAListThatCannotBeSaved(t *testing.T) {
	dir := smallDisk(t)
	h := home.Dir(dir)
	save(t, h, "a")
	fill, free := filler(dir)
	if err := fill(); err != nil {
		t.Fatal(err)
	}
	for name, save := range map[string]func() error{
		"save": func() error { return SaveList(h, list("b", strings.Repeat("b", fullDisk))) },
		"keep": func() error { return KeepList(h, list("b", strings.Repeat("b", fullDisk))) },
	} {
		var e *errs.Error
		if err := save(); !errors.As(err, &e) || e.Kind != errs.Full || e.Hint == "" {
			t.Errorf("%s: %v, want kind full and a hint", name, err)
		}
	}
	if err := free(); err != nil {
		t.Fatal(err)
	}
	if got, path, log := load(t, h); !cmp.Equal(got, []string{"a"}) || path != h.Dump() || log != "" {
		t.Errorf("%v from %s, log %q; want the save before", got, path, log)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
