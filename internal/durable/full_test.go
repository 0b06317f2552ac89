package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fullDisk is how much fits on the disk, or into the file, of these tests.
const fullDisk = 64 << 10

func TestFullDisk(t *testing.T) {
	for name, mount := range map[string]func(t *testing.T) (dir string){
		"a small file system": smallDisk,
		"a limit on files":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			if mount != nil {
				if err := meetFullDisk(mount(t), syscall.ENOSPC); err != nil {
					t.Error(err)
				}
				return
			}
			if out, err := child(t, "small files", t.TempDir()).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// meetFullDisk is the test, in a directory where fullDisk bytes fit. It is no
// *testing.T's because a child runs it too.
func meetFullDisk(dir string, full error) error {
	path := filepath.Join(dir, "journal")
	j, _, err := OpenJournal(path, func([]byte) error { return nil })
	if err != nil {
		return err
	}

	// 5,000 bytes divide no page and no limit: the last write is a short one.
	taken := 0
	record := []byte(strings.Repeat("x", 5000))
	for err == nil && taken <= fullDisk/len(record) {
		if err = j.Append(record); err == nil {
			taken++
		}
	}
	if !errors.Is(err, full) {
		return fmt.Errorf("after %d records: error %v, want %v", taken, err, full)
	}
	if fi, err := os.Stat(path); err != nil || fi.Size() != j.Size() {
		return fmt.Errorf("the file has %d bytes (%v), its records %d", fi.Size(), err, j.Size())
	}
	if err := j.Append([]byte("small")); err != nil {
		return fmt.Errorf("a record that fits: %w", err)
	}
	// Too large for the disk, whatever else is on it.
	err = j.Rewrite(func(add func([]byte) error) error { return add(make([]byte, 2*fullDisk)) })
	if !errors.Is(err, full) {
		return fmt.Errorf("rewrite: %v, want %v", err, full)
	}
	records := 0
	again, damage, err := OpenJournal(path, func([]byte) error { records++; return nil })
	if err != nil || damage != (Damage{}) || records != taken+1 {
		return fmt.Errorf("reopened: %d records, want %d; damage %v; %v", records, taken+1, damage, err)
	}
	// Its space comes free with its last name and its last descriptor.
	if err := errors.Join(j.Close(), again.Close(), os.Remove(path)); err != nil {
		return err
	}

	list := filepath.Join(dir, "list")
	if err := WriteFile(list, []byte("old"), 0o600); err != nil {
		return err
	}
	if err := WriteFile(list, make([]byte, 2*fullDisk), 0o600); !errors.Is(err, full) {
		return fmt.Errorf("write file: %v, want %v", err, full)
	}
	if b, err := os.ReadFile(list); err != nil || string(b) != "old" {
		return fmt.Errorf("the old file now is %q, %v", b, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		return fmt.Errorf("left behind: %v, %v", entries, err)
	}
	return nil
}
