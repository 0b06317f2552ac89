// Package own is the log that the daemon writes itself. It looks after that
// alone, with the rules of package rotation, for it is to be written also when
// nothing else works: it needs no collector, and starts no goroutine and no
// child.
package own

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"tend/api"
	"tend/internal/logs"
	"tend/internal/rotation"
)

// Log is the daemon's log. It is put aside while it is written, by whoever
// writes to it: its lines are few. The file stays under its descriptor, so that
// what the runtime has to say at the end goes there too.
type Log struct {
	path string
	fds  []int // of the file
	file *os.File
	rule rotation.Rule
}

// New makes a Log of an open file. One that is not at path is none of ours,
// and only written to.
func New(path string, file *os.File) *Log {
	o := &Log{path: path, file: file}
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
func (o *Log) Write(b []byte) (int, error) {
	if len(o.fds) > 0 {
		o.turn(time.Now())
	}
	return o.file.Write(b)
}

// turn puts the log aside when it has grown, and goes on in a new one. The same
// when somebody else moved it. What does not work is tried with the next line,
// and meanwhile the old file serves: there is nowhere to say so.
func (o *Log) turn(now time.Time) {
	named, err := os.Stat(o.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return
	case is(o.file, named):
		if !o.rule.Due(named.Size(), time.Time{}, now) || os.Rename(o.path, o.rule.Name(o.path, now, logs.Exists)) != nil {
			return
		}
	}
	if o.reopen() != nil {
		return
	}
	parts, _ := logs.Rotated(o.path)
	for _, p := range o.rule.Expired(parts, now) {
		_ = os.Remove(p.Path)
	}
}

func (o *Log) reopen() error {
	file, err := os.OpenFile(o.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	for _, old := range o.fds {
		if err := takePlace(int(file.Fd()), old); err != nil {
			return err
		}
	}
	return nil
}
