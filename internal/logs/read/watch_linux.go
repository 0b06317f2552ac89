package read

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// A file tells that it grew or was emptied, its directory that another file
	// has the name, or none.
	fileMask = unix.IN_MODIFY
	dirMask  = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ONLYDIR

	eventsSize = 16 << 10
)

// inotify is the watch that is told (inotify(7)).
type inotify struct {
	file *os.File
	buf  []byte
	ids  []int // of a wait

	paths map[string]int   // the number of a file by its path
	marks map[int32]int    // and by the mark on it
	mark  map[int]int32    // the mark of a number
	dirs  map[int32]string // the directories that are looked at
	known map[string]bool  // and the same by path

	// short says that the system has no more marks to give: all files are
	// looked at often.
	short bool
	end   time.Time
}

// newWatch is a watch that is told, or where the system gives none, one that
// looks.
func newWatch() watch {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return newPoll()
	}
	return &inotify{
		file: os.NewFile(uintptr(fd), "inotify"), buf: make([]byte, eventsSize),
		paths: map[string]int{}, marks: map[int32]int{}, mark: map[int]int32{},
		dirs: map[int32]string{}, known: map[string]bool{},
	}
}

func (n *inotify) close() { _ = n.file.Close() }

func (n *inotify) add(id int, path string) {
	n.paths[path] = id
	if dir := filepath.Dir(path); !n.known[dir] {
		if wd, ok := n.look(dir, dirMask); ok {
			n.dirs[wd], n.known[dir] = dir, true
		}
	}
	wd, ok := n.look(path, fileMask)
	if old, there := n.mark[id]; there && (!ok || old != wd) {
		delete(n.mark, id)
		delete(n.marks, old)
		n.drop(old)
	}
	if ok {
		n.marks[wd], n.mark[id] = id, wd
	}
}

func (n *inotify) look(path string, mask uint32) (wd int32, ok bool) {
	var err error
	var w int
	if cerr := n.control(func(fd int) { w, err = unix.InotifyAddWatch(fd, path, mask) }); cerr != nil {
		return 0, false
	}
	n.short = n.short || errors.Is(err, unix.ENOSPC)
	return int32(w), err == nil
}

func (n *inotify) drop(wd int32) {
	_ = n.control(func(fd int) { _, _ = unix.InotifyRmWatch(fd, uint32(wd)) }) // it may be gone already
}

func (n *inotify) control(do func(fd int)) error {
	conn, err := n.file.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Control(func(fd uintptr) { do(int(fd)) })
}

func (n *inotify) until(t time.Time) {
	n.end = t
	if soon := time.Now().Add(pollEvery); n.short && soon.Before(t) {
		t = soon
	}
	_ = n.file.SetReadDeadline(t)
}

func (n *inotify) interrupt() { _ = n.file.SetReadDeadline(time.Unix(1, 0)) }

func (n *inotify) wait() (ids []int, all bool, err error) {
	got, err := n.file.Read(n.buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, n.short, nil
	}
	if err != nil {
		return nil, false, err
	}
	n.ids = n.ids[:0]
	for b := n.buf[:got]; len(b) >= unix.SizeofInotifyEvent; {
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		if size > len(b) {
			break
		}
		all = n.event(b[:size]) || all
		b = b[size:]
	}
	return n.ids, all, nil
}

// event notes which file a struct inotify_event is about; all: some were lost.
func (n *inotify) event(b []byte) (all bool) {
	wd, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
	id, ok := n.marks[wd]
	if dir, isDir := n.dirs[wd]; isDir {
		path := filepath.Join(dir, strings.TrimRight(string(b[unix.SizeofInotifyEvent:]), "\x00"))
		id, ok = n.paths[path]
		if ok && mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0 {
			// The one before it may still be read, and keeps its mark until then.
			if next, marked := n.look(path, fileMask); marked {
				n.marks[next] = id
			}
		}
		if mask&unix.IN_IGNORED != 0 { // the directory is gone
			delete(n.dirs, wd)
			delete(n.known, dir)
		}
	} else if mask&unix.IN_IGNORED != 0 {
		delete(n.marks, wd)
	}
	if ok {
		n.ids = append(n.ids, id)
	}
	return mask&unix.IN_Q_OVERFLOW != 0
}
