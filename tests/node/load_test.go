package node

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tend/internal/testkit"
)

// load is requests that go on and on, none of which may fail.
type load struct {
	t       *testing.T
	clients sync.WaitGroup
	over    atomic.Bool
	asked   atomic.Int64
	failed  atomic.Pointer[error]
}

// startLoad has clients ask at once, each request on a new connection, or on
// one that is kept until the app says that it closes it.
func startLoad(t *testing.T, clients int, dial func() (*conn, error), keep bool) *load {
	t.Helper()
	l := &load{t: t}
	for range clients {
		l.clients.Go(func() {
			for !l.over.Load() {
				if err := l.visit(dial, keep); err != nil {
					l.failed.CompareAndSwap(nil, &err)
					return
				}
			}
		})
	}
	t.Cleanup(func() { l.over.Store(true); l.clients.Wait() })
	return l
}

// visit is what happens on one connection.
func (l *load) visit(dial func() (*conn, error), keep bool) error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		a, err := c.get("/")
		if err != nil {
			return err
		}
		l.asked.Add(1)
		if !keep || a.closes || l.over.Load() {
			return nil
		}
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
	}
}

// more waits until count further requests were answered.
func (l *load) more(count int64) {
	l.t.Helper()
	until := l.asked.Load() + count
	testkit.WaitFor(l.t, patience, "more answers", func() bool {
		l.check()
		return l.asked.Load() >= until
	})
}

func (l *load) check() {
	l.t.Helper()
	if err := l.failed.Load(); err != nil {
		l.t.Fatalf("after %d requests one failed: %v", l.asked.Load(), *err)
	}
}

// end lets the clients finish.
func (l *load) end() {
	l.t.Helper()
	l.over.Store(true)
	l.clients.Wait()
	l.check()
}
