package daemon

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestHostIsLookedAt(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is nothing to read")
	}
	synctest.Test(t, func(t *testing.T) {
		var off atomic.Bool
		h := newHosts(slog.New(slog.NewTextHandler(t.Output(), nil)), off.Load)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = h.run(ctx) })
		defer running.Wait()
		defer cancel()
		synctest.Wait()

		first := h.ask(ctx)
		if first.Memory.Total == 0 || first.Disk != nil {
			t.Errorf("got %+v; want no rates at first", first)
		}
		time.Sleep(hostWindow)
		second := h.ask(ctx)
		if second.Disk == nil || second.At == first.At {
			t.Errorf("got %+v; want rates", second)
		}
		if again := h.ask(ctx); again.At != second.At {
			t.Errorf("it was looked anew after no time: %+v", again)
		}
		off.Store(true)
		if now := h.ask(ctx); !now.Off || now.Memory.Total != 0 {
			t.Errorf("got %+v; want it off", now)
		}
		off.Store(false)
		time.Sleep(2*hostEvery + time.Second) // nobody asks, and yet the last look is no older than that
		last := h.ask(ctx)
		if last.At <= second.At+hostEvery.Milliseconds() {
			t.Errorf("got %+v", last)
		}
		cancel()
		running.Wait()
		if gone := h.ask(t.Context()); gone.Memory.Total != 0 {
			t.Errorf("got %+v of one that does not run", gone)
		}
	})
}
