//go:build !linux

package nodeipc

import (
	"context"
	"errors"
	"time"

	"tend/internal/errs"
)

func unsupported() error {
	return &errs.Error{Op: "speak over", On: "IPC channels", Kind: errs.Unavailable, Err: errors.New("this is not supported on this system yet")}
}

// Hub is for Linux alone so far.
type Hub struct{}

// New makes a Hub.
func New(Options) *Hub { return &Hub{} }

// Open is not supported.
func (*Hub) Open(Channel) error { return unsupported() }

// Status is that of a channel that is not open.
func (*Hub) Status(string) Status { return Status{} }

// Send is not supported.
func (*Hub) Send(context.Context, string, []byte) error { return unsupported() }

// Retire does nothing.
func (*Hub) Retire(string) {}

// Drain does nothing.
func (*Hub) Drain(string, time.Duration) {}

// Forget does nothing.
func (*Hub) Forget(string) {}

// Release does nothing.
func (*Hub) Release(string) {}

// Run waits for the end of ctx.
func (*Hub) Run(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}
