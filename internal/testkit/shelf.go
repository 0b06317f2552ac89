package testkit

import (
	"maps"
	"os"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Shelf keeps descriptors by name, as the daemon's shelf does, without a keeper
// behind it. The zero value is an empty one, for programs that die with it;
// tests use NewShelf.
type Shelf struct {
	mu  sync.Mutex
	fds map[string]int
}

// NewShelf is a Shelf that is emptied at the end of the test.
func NewShelf(t testing.TB) *Shelf {
	s := &Shelf{}
	t.Cleanup(func() {
		for _, name := range s.Names() {
			s.Drop(name)
		}
	})
	return s
}

// Hold puts a copy of fd on the shelf.
func (s *Shelf) Hold(name string, fd int) error {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("dup", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fds == nil {
		s.fds = map[string]int{}
	}
	if old, ok := s.fds[name]; ok {
		_ = unix.Close(old) // nothing was written
	}
	s.fds[name] = own
	return nil
}

// Held is the descriptor of that name; it stays the shelf's.
func (s *Shelf) Held(name string) (fd int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fd, ok = s.fds[name]
	return fd, ok
}

// Drop takes a descriptor off the shelf, and closes it.
func (s *Shelf) Drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fd, ok := s.fds[name]; ok {
		_ = unix.Close(fd)
		delete(s.fds, name)
	}
}

// Names are the names on the shelf, sorted.
func (s *Shelf) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.fds))
}
