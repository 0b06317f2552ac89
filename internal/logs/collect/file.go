package collect

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/logs"
	"tend/internal/logs/tidy"
)

// file is an open log file. It is a bare descriptor and not an os.File, which
// would make the one goroutine wait where path is a terminal or a fifo.
type file struct {
	path    string
	owner   *Owner
	fd      int  // -1: it could not be opened yet
	users   int  // streams that go here
	failing bool // the last write did not succeed
	plain   bool // what was written can be cut off again
	size    int64
	mid     bool // what was written last lacks its end
	times   *logs.Times

	said    *api.Rotation // by its stream; nil: nothing
	care    tidy.Care
	until   time.Time // when it is due whatever its size; zero: never
	turning bool      // it could not be put aside, which was told
}

// openFile opens a log for appending and creates it where it is missing.
func openFile(path string, owner *Owner) (*file, error) {
	fd, err := openLog(path, owner)
	if err != nil {
		return nil, refuse("open log", path, err)
	}
	f := &file{path: path, owner: owner, fd: fd}
	f.plain = f.isPlain()
	return f, nil
}

func (f *file) isPlain() bool {
	var st unix.Stat_t
	return unix.Fstat(f.fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
}

// reopen opens the path anew. Where that does not work, the file stays.
func (f *file) reopen() error {
	fd, err := openLog(f.path, f.owner)
	if err != nil {
		return refuse("open log", f.path, err)
	}
	f.close()
	f.fd = fd
	f.plain = f.isPlain()
	return nil
}

// write appends b, or as much of it as the file takes before an error.
func (f *file) write(b []byte) (written int, err error) {
	for written < len(b) {
		n, err := unix.Write(f.fd, b[written:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

func (f *file) close() {
	_ = unix.Close(f.fd)
	if f.times != nil {
		f.times.Close()
	}
}

func closeAll(files []*file) {
	for _, f := range files {
		f.close()
	}
}

// passes tells whether a log that cannot be opened may be later, with nothing
// changed: there is no room for it, or nobody reads the fifo that it is.
func passes(err error) bool {
	return errs.KindOf(err) == errs.Full || errors.Is(err, unix.ENXIO)
}

// openLog opens path. O_NONBLOCK means nothing to a plain file; a fifo without
// a reader is an error with it and not a wait for ever.
func openLog(path string, owner *Owner) (int, error) {
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	fd, err := openRetry(path, flags, 0)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return -1, err
	}
	fd, err = openRetry(path, flags|unix.O_CREAT|unix.O_EXCL, 0o640)
	if errors.Is(err, unix.EEXIST) { // somebody was faster, or it is a link to nowhere
		return openRetry(path, flags|unix.O_CREAT, 0o640)
	}
	if err != nil || owner == nil {
		return fd, err
	}
	if err := unix.Fchown(fd, owner.UID, owner.GID); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func openRetry(path string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Open(path, flags, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// refuse is what a person is told about a log that cannot be written.
func refuse(op, path string, err error) error {
	e := logs.Problem(op, path, err)
	switch {
	case e.Hint != "":
	case e.Kind == errs.Denied:
		e.Hint = "choose a path that tend may write to, with --output, --error or --log"
	case e.Kind == errs.Invalid:
		e.Hint = "choose the path of a file, with --output, --error or --log"
	}
	return e
}
