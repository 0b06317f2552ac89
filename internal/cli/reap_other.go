//go:build !linux

package cli

import "context"

func reap(ctx context.Context) { <-ctx.Done() }
