package epoll

import (
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tend/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSet(t *testing.T) *Set {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// pipe is two descriptors: one to wait for, and one to write to.
func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(p[0]); _ = unix.Close(p[1]) })
	return p[0], p[1]
}

func write(t *testing.T, fd int) {
	t.Helper()
	if _, err := unix.Write(fd, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

// waited is what the next Wait gives.
func waited(t *testing.T, s *Set) (fds []int) {
	t.Helper()
	events, err := s.Wait()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		fds = append(fds, int(e.Fd))
	}
	slices.Sort(fds)
	return fds
}

// nothing waits for a moment, in which nothing is to come.
func nothing(t *testing.T, s *Set) {
	t.Helper()
	s.Until(time.Now().Add(10 * time.Millisecond))
	if got := waited(t, s); got != nil {
		t.Errorf("events of %v, want none", got)
	}
	s.Until(time.Time{})
}

func TestWhatIsWaitedFor(t *testing.T) {
	s := newSet(t)
	r1, w1 := pipe(t)
	r2, w2 := pipe(t)
	for _, fd := range []int{r1, r2} {
		if err := s.Add(fd, unix.EPOLLIN); err != nil {
			t.Fatal(err)
		}
	}
	nothing(t, s)
	write(t, w1)
	if got := waited(t, s); !slices.Equal(got, []int{r1}) {
		t.Errorf("events of %v, want %d", got, r1)
	}
	write(t, w2)
	both := []int{r1, r2}
	slices.Sort(both)
	for range 2 { // until they are read
		if got := waited(t, s); !slices.Equal(got, both) {
			t.Errorf("events of %v, want %v", got, both)
		}
	}
	if err := s.Change(r1, 0); err != nil {
		t.Fatal(err)
	}
	if got := waited(t, s); !slices.Equal(got, []int{r2}) {
		t.Errorf("after a change events of %v, want %d", got, r2)
	}
	s.Remove(r2)
	nothing(t, s)
	if err := s.Change(r1, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	if got := waited(t, s); !slices.Equal(got, []int{r1}) {
		t.Errorf("after a change back events of %v, want %d", got, r1)
	}
}

func TestEventsAreTold(t *testing.T) {
	s := newSet(t)
	r, w := pipe(t)
	if err := s.Add(r, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(w, unix.EPOLLOUT); err != nil {
		t.Fatal(err)
	}
	events, err := s.Wait()
	if err != nil || len(events) != 1 || int(events[0].Fd) != w || events[0].Events != unix.EPOLLOUT {
		t.Errorf("got %+v, %v; want that %d can be written to", events, err, w)
	}
	s.Remove(w)
	s.Remove(w) // of what is not there
	write(t, w)
	if events, err = s.Wait(); err != nil || len(events) != 1 || events[0].Events != unix.EPOLLIN {
		t.Errorf("got %+v, %v; want that %d can be read", events, err, r)
	}
}

func TestMistakesAreTold(t *testing.T) {
	s := newSet(t)
	r, _ := pipe(t)
	if err := s.Add(r, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	if s.Add(r, unix.EPOLLIN) == nil {
		t.Error("a descriptor was added twice")
	}
	s.Remove(r)
	if s.Change(r, unix.EPOLLIN) == nil {
		t.Error("what is not there was changed")
	}
	if s.Add(-1, unix.EPOLLIN) == nil {
		t.Error("no descriptor was added")
	}
}

// parked waits in another goroutine, and returns when that has looked and found
// nothing: from there it goes to sleep.
func parked(t *testing.T, s *Set) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	begun := make(chan bool)
	look, once := s.poll, sync.Once{}
	s.poll = func(fd uintptr) bool {
		found := look(fd)
		once.Do(func() { close(begun) })
		return found
	}
	go func() {
		events, err := s.Wait()
		if err == nil && len(events) > 0 {
			t.Errorf("events %v, want none", events)
		}
		ended <- err
	}()
	<-begun
	return ended
}

func TestInterrupt(t *testing.T) {
	s := newSet(t)
	r, w := pipe(t)
	if err := s.Add(r, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	ended := parked(t, s)
	s.Interrupt()
	if err := <-ended; err != nil {
		t.Errorf("interrupted: %v", err)
	}
	if got := waited(t, s); got != nil { // the interrupt holds until Until
		t.Errorf("events of %v, want none", got)
	}
	s.Until(time.Time{})
	write(t, w)
	if got := waited(t, s); !slices.Equal(got, []int{r}) {
		t.Errorf("events of %v, want %d", got, r)
	}
	s.Interrupt() // before the wait
	if got := waited(t, s); got != nil {
		t.Errorf("interrupted before, events of %v, want none", got)
	}
	s.Until(time.Time{})
	if got := waited(t, s); !slices.Equal(got, []int{r}) {
		t.Errorf("what came during an interrupt is gone: %v", got)
	}
}

// TestInterruptIsNeverMissed is what the order of Until and Wait is for.
func TestInterruptIsNeverMissed(t *testing.T) {
	s := newSet(t)
	orders := make(chan int, 1)
	go func() {
		for n := range 2000 {
			orders <- n // waits until the one before was taken
			s.Interrupt()
		}
	}()
	for want := 0; want < 2000; {
		s.Until(time.Time{})
		select {
		case got := <-orders:
			if got != want {
				t.Fatalf("order %d, want %d", got, want)
			}
			want++
			continue
		default:
		}
		if got := waited(t, s); got != nil {
			t.Fatalf("events of %v", got)
		}
	}
}

func TestUntil(t *testing.T) {
	s := newSet(t)
	start := time.Now()
	s.Until(start.Add(30 * time.Millisecond))
	if got := waited(t, s); got != nil {
		t.Errorf("events of %v, want none", got)
	}
	if d := time.Since(start); d < 30*time.Millisecond {
		t.Errorf("the wait ended after %v", d)
	}
	s.Until(time.Now().Add(-time.Hour))
	if got := waited(t, s); got != nil {
		t.Errorf("events of %v, want none", got)
	}
}

func TestCloseEndsAWait(t *testing.T) {
	s := newSet(t)
	r, _ := pipe(t)
	if err := s.Add(r, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	ended := parked(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if <-ended == nil {
		t.Error("the wait ended without a word")
	}
	if _, err := s.Wait(); err == nil {
		t.Error("a closed set was waited for")
	}
	if s.Add(r, unix.EPOLLIN) == nil {
		t.Error("a closed set took a descriptor")
	}
	if _, err := unix.FcntlInt(uintptr(r), unix.F_GETFD, 0); err != nil {
		t.Errorf("its descriptor: %v", err)
	}
	s.Interrupt() // and Until: of no use, and no harm
	s.Until(time.Now())
}

// TestMany has more ready descriptors than one Wait tells of.
func TestMany(t *testing.T) {
	s := newSet(t)
	want := map[int]bool{}
	for range most + 50 {
		fd, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		if err := s.Add(fd, unix.EPOLLIN|unix.EPOLLET); err != nil { // each is told once
			t.Fatal(err)
		}
		want[fd] = true
	}
	for round := 0; len(want) > 0; round++ {
		got := waited(t, s)
		if len(got) == 0 || len(got) > most {
			t.Fatalf("round %d: %d events", round, len(got))
		}
		for _, fd := range got {
			if !want[fd] {
				t.Fatalf("round %d: an event of %d, which was told already", round, fd)
			}
			delete(want, fd)
		}
	}
	nothing(t, s)
}

func TestSetIsClosedOnExec(t *testing.T) {
	before := testkit.Descriptors(t)
	s := newSet(t)
	if err := s.conn.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("flags %x, %v", flags, err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after := testkit.Descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
