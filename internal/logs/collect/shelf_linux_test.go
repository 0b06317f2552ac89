package collect

import (
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// shelf is a shelf without a keeper behind it.
type shelf struct {
	mu  sync.Mutex
	fds map[string]int
}

func newShelf(t testing.TB) *shelf {
	s := &shelf{fds: map[string]int{}}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, fd := range s.fds {
			_ = unix.Close(fd)
		}
	})
	return s
}

func (s *shelf) Hold(name string, fd int) error {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fds[name] = own
	return err
}

func (s *shelf) Held(name string) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fd, ok := s.fds[name]
	return fd, ok
}

func (s *shelf) Drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fd, ok := s.fds[name]; ok {
		_ = unix.Close(fd)
		delete(s.fds, name)
	}
}
