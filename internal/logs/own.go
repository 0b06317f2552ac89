package logs

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/rotation"
)

// Own is the log that the daemon writes itself. It is put aside while it is
// written, by whoever writes to it: its lines are few. The file stays under its
// descriptor, so that what the runtime has to say at the end goes there too.
type Own struct {
	path string
	fds  []int // of the file
	file *os.File
	rule rotation.Rule
}

// NewOwn makes one of an open file. One that is not at path is none of ours,
// and only written to.
func NewOwn(path string, file *os.File) *Own {
	o := &Own{path: path, file: file}
	o.rule, _ = rotation.New(api.Rotation{MaxSize: 10 << 20, Retain: 5}) // nothing to misunderstand
	named, err := os.Stat(path)
	if err != nil || !is(file, named) {
		return o
	}
	for _, f := range []*os.File{file, os.Stdout, os.Stderr} {
		if fd := int(f.Fd()); is(f, named) && !slices.Contains(o.fds, fd) {
			o.fds = append(o.fds, fd)
		}
	}
	return o
}

func is(f *os.File, named fs.FileInfo) bool {
	info, err := f.Stat()
	return err == nil && os.SameFile(info, named) && info.Mode().IsRegular()
}

// Write appends to the log. It is not for several goroutines at once; a
// handler of slog's calls it for one after the other.
func (o *Own) Write(b []byte) (int, error) {
	if len(o.fds) > 0 {
		o.turn(time.Now())
	}
	return o.file.Write(b)
}

// turn puts the log aside when it has grown, and goes on in a new one. The same
// when somebody else moved it. What does not work is tried with the next line,
// and meanwhile the old file serves: there is nowhere to say so.
func (o *Own) turn(now time.Time) {
	named, err := os.Stat(o.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return
	case is(o.file, named):
		if !o.rule.Due(named.Size(), time.Time{}, now) || os.Rename(o.path, o.rule.Name(o.path, now, Exists)) != nil {
			return
		}
	}
	if o.reopen() != nil {
		return
	}
	parts, _ := Rotated(o.path)
	for _, p := range o.rule.Expired(parts, now) {
		_ = os.Remove(p.Path)
	}
}

func (o *Own) reopen() error {
	fd, err := openRetry(o.path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, old := range o.fds {
		if err := takePlace(fd, old); err != nil {
			return err
		}
	}
	return nil
}
