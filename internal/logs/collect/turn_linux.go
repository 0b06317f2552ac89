package collect

import (
	"cmp"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/logs"
	"tend/internal/rotation"
)

// rotateDue puts the files of a stream aside that have become too large or too
// old. Nothing is on its way to a file at that moment.
func (l *loop) rotateDue(s *stream, now time.Time) {
	for _, o := range s.outs {
		switch {
		case !o.plain || !o.due(now):
		case o.mid: // from now on it ends with whole lines, and then it is time
			s.framed = true
		default:
			l.turn(o.file, now)
		}
	}
}

// turnDue puts files aside whose time has come, though nothing is written to
// them now.
func (l *loop) turnDue(now time.Time) {
	if l.left != "" || l.turnAt.IsZero() || l.turnAt.After(now) {
		return
	}
	l.turnAt = time.Time{}
	for _, f := range l.files {
		if !f.until.IsZero() && !f.until.After(now) {
			l.turnQuiet(f, now)
		}
		if f.until.After(now) {
			l.expect(f.until)
		}
	}
}

// turnQuiet is turn between two writes. One that lacks the end of a line waits
// for that.
func (l *loop) turnQuiet(f *file, now time.Time) {
	var st unix.Stat_t
	if !f.plain || unix.Fstat(f.fd, &st) != nil {
		return
	}
	switch f.size = st.Size; {
	case f.size == 0:
		f.until = f.care.Rule.Next(now)
	case !f.mid:
		l.turn(f, now)
	}
}

// expect remembers the first time at which a file is due whatever its size.
func (l *loop) expect(at time.Time) {
	if !at.IsZero() && (l.turnAt.IsZero() || at.Before(l.turnAt)) {
		l.turnAt = at
	}
}

// due tells whether a file is to be put aside.
func (f *file) due(now time.Time) bool { return f.care.Rule.Due(f.size, f.until, now) }

// turn puts a file aside and begins another in its place. Where that fails, the
// file goes on as it is, until it is due again.
func (l *loop) turn(f *file, now time.Time) {
	f.until = f.care.Rule.Next(now)
	l.expect(f.until)
	was, ok := f.named()
	if !ok {
		return // a link, or moved away by somebody: not ours to put aside
	}
	aside := f.care.Rule.Name(f.path, now, logs.Exists)
	err := os.Rename(f.path, aside)
	if err == nil {
		if err = f.reopen(); err != nil {
			_ = os.Rename(aside, f.path) // it is better to go on there than nowhere
		}
	}
	if err != nil {
		if !f.turning {
			l.c.log.Error("rotate log", "path", f.path, "err", err)
		}
		f.turning = true
		return
	}
	f.alike(&was)
	f.turning, f.size = false, 0
	f.times.Rename(aside)
	for _, o := range l.files {
		if o.is(&was) { // by another path, and nobody is to write to it any more
			_ = o.reopen() // of the same directory, in which that has just worked
		}
	}
	l.c.caretaker.Tidy(f.path, f.care)
}

// named tells whether the path is the file itself, and what that is.
func (f *file) named() (st unix.Stat_t, ok bool) {
	ok = unix.Lstat(f.path, &st) == nil && f.is(&st)
	return st, ok
}

// is tells whether a file is the one that was looked at.
func (f *file) is(st *unix.Stat_t) bool {
	var open unix.Stat_t
	return unix.Fstat(f.fd, &open) == nil && open.Dev == st.Dev && open.Ino == st.Ino
}

// alike gives a file that was begun anew to whom the one before belonged, and
// opens it to the same people.
func (f *file) alike(was *unix.Stat_t) {
	_ = unix.Fchown(f.fd, int(was.Uid), int(was.Gid)) // as far as we may
	_ = unix.Fchmod(f.fd, was.Mode&0o777)             // after that, which may take bits away
}

// govern says how a file is rotated: as its stream says, or as the home.
func (l *loop) govern(f *file, said *api.Rotation, app string) {
	if f.times == nil {
		f.times, f.mid = logs.NewTimes(f.path, l.c.log), f.plain && endsMid(f.path)
	}
	if said != nil {
		f.said = said
	}
	rules := l.c.home()
	if f.said != nil {
		rules = *f.said
	}
	r, err := rotation.New(rules)
	if err != nil { // it was checked when it was said; a journal of another version may differ
		l.c.log.Error("a log is not rotated", "path", f.path, "err", err)
		r.Off = true
	}
	f.care.Rule, f.until = r, r.Next(begun(f.fd))
	l.expect(f.until)
	f.care.App = cmp.Or(app, f.care.App)
	if f.plain {
		l.c.caretaker.Tidy(f.path, f.care)
	}
}

// turnAll goes by other rules for all files whose streams say nothing.
func (l *loop) turnAll() {
	for _, f := range l.files {
		l.govern(f, nil, "")
	}
}

// endsMid tells whether the last line of a log lacks its end.
func endsMid(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var last [1]byte
	info, err := f.Stat()
	if err != nil || info.Size() == 0 || !info.Mode().IsRegular() {
		return false
	}
	_, err = f.ReadAt(last[:], info.Size()-1)
	return err == nil && last[0] != '\n'
}

// begun is when a file was made, as far as its file system knows.
func begun(fd int) time.Time {
	var st unix.Statx_t
	if unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &st) != nil || st.Mask&unix.STATX_BTIME == 0 {
		return time.Now()
	}
	return time.Unix(st.Btime.Sec, int64(st.Btime.Nsec))
}
