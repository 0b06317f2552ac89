//go:build !linux

package hostinfo

import (
	"errors"

	"tend/internal/errs"
)

func read() (look, error) {
	return look{}, &errs.Error{
		Op: "read", On: "figures of the machine", Kind: errs.Unavailable, Err: errors.New("this is not supported on this system yet"),
	}
}
