//go:build !linux

package collect

import (
	"context"
	"errors"
	"log/slog"

	"tend/api"
	"tend/internal/errs"
)

func unsupported() error {
	return &errs.Error{Op: "collect", On: "output", Kind: errs.Unavailable, Err: errors.New("this is not supported on this system yet")}
}

// Collector is for Linux alone so far.
type Collector struct{}

// New makes a Collector.
func New(*slog.Logger, Shelf, func(key string)) *Collector { return &Collector{} }

// Add is not supported.
func (*Collector) Add(Stream) error { return unsupported() }

// Discard does nothing.
func (*Collector) Discard(string) {}

// Defaults does nothing.
func (*Collector) Defaults(api.Rotation) {}

// Reopen is not supported.
func (*Collector) Reopen() error { return unsupported() }

// Truncate is not supported.
func (*Collector) Truncate([]string) error { return unsupported() }

// Console is not supported.
func (*Collector) Console(string, func()) error { return unsupported() }

// Drained tells that nothing is collected.
func (*Collector) Drained() bool { return true }

// Run waits for the end of ctx.
func (*Collector) Run(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}
