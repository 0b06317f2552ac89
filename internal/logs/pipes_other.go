//go:build !linux

package logs

import (
	"errors"
	"time"

	"tend/internal/errs"
)

func unsupported() error {
	return &errs.Error{Op: "collect", On: "output", Kind: errs.Unavailable, Err: errors.New("this is not supported on this system yet")}
}

type pipes struct{}

func newPipes() (*pipes, error)              { return nil, unsupported() }
func (*pipes) add(int) error                 { return unsupported() }
func (*pipes) remove(int)                    {}
func (*pipes) until(time.Time)               {}
func (*pipes) interrupt()                    {}
func (*pipes) wait() ([]int, error)          { return nil, unsupported() }
func (*pipes) peek(int) ([]byte, error)      { return nil, unsupported() }
func (*pipes) discard(int, int) (int, error) { return 0, unsupported() }
func (*pipes) held(int) int                  { return 0 }
func (*pipes) rest()                         {}
func (*pipes) close()                        {}
func checkPipe(int) error                    { return unsupported() }
