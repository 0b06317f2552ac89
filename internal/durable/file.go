// Package durable keeps files whole. WriteFile replaces a file so that a crash
// leaves the old content or the new, never half of one. A Journal is an
// append-only file of records that opens after any crash to what was appended
// before it.
//
// It never overwrites data that it does not recognise: a damaged or foreign
// file stays where it is, or is set aside under another name first. It does
// not lock: the caller makes sure that one process works on a file at a time.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// WriteFile makes data the content of the file at path, with exactly the
// permissions perm whatever the umask. After a crash, of this program or of
// the machine, the file has the old content or the new. On an error the old
// file stands as it was and nothing is left beside it, unless the error came
// from syncing the directory: then the new file is in place, and only a crash
// of the machine could still bring the old one back.
//
// A symbolic link at path is replaced, not followed.
func WriteFile(path string, data []byte, perm os.FileMode) error {
	dir := filepath.Dir(path)
	// The temporary file is made beside path: by default renameio would first
	// try whether $TMPDIR is on the same file system.
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir), renameio.WithStaticPermissions(perm))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer f.Cleanup() //nolint:errcheck // it does nothing once the file has its name
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return syncDir(dir)
}

// SetAside moves the file at path to "<path>.damaged-<unix seconds>", or to
// such a name with a number behind it where the name is taken, and tells the
// new path. It overwrites nothing.
func SetAside(path string) (string, error) {
	aside, err := linkAside(path)
	if err != nil {
		return "", err
	}
	if err := os.Remove(path); err != nil {
		return "", fmt.Errorf("set %s aside: %w", path, err)
	}
	return aside, syncDir(filepath.Dir(path))
}

// linkAside gives the file at path a second name. A link and not a rename,
// for it fails where the name is taken; a link and not a copy, for it works on
// a full disk.
func linkAside(path string) (string, error) {
	base := path + ".damaged-" + strconv.FormatInt(time.Now().Unix(), 10)
	const attempts = 1000
	name := base
	for n := 1; n <= attempts; n++ {
		err := os.Link(path, name)
		if err == nil {
			return name, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("set %s aside: %w", path, err)
		}
		name = base + "." + strconv.Itoa(n)
	}
	return "", fmt.Errorf("set %s aside: %d names like %s are taken", path, attempts, base)
}

// syncDir makes the names in dir durable: fsync(2) of a file says nothing of
// the directory that names it.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close() //nolint:errcheck // nothing was written through it
	err = d.Sync()
	// Some network file systems know no fsync of a directory.
	if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}
