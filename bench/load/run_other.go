//go:build !linux

package load

import (
	"context"
	"errors"
)

// Run is for Linux, which has epoll.
func Run(context.Context, int, []Group) (Result, error) { return Result{}, errors.ErrUnsupported }
