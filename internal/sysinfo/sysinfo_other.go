//go:build !linux

package sysinfo

import (
	"context"
	"errors"
	"syscall"

	"tend/internal/errs"
)

func unsupported(op, on string) error {
	return &errs.Error{Op: op, On: on, Kind: errs.Unavailable, Err: errors.New("this is not supported on this system yet")}
}

// BootID names the boot that lasts.
func BootID() (string, error) { return "", unsupported("read", "boot id") }

// RunTime is how long a process has been on a processor, and its state.
func RunTime(int) (ns uint64, state byte, err error) { return 0, 0, unsupported("read", "processes") }

// Resident is how many bytes of a process are in memory.
func Resident(Root, int64) (int64, error) { return 0, unsupported("read", "processes") }

// SignalProcess sends sig to exactly the process that p names.
func SignalProcess(Process, syscall.Signal) error { return unsupported("signal", "a process") }

// WaitGone returns when the process that p names has ended.
func WaitGone(context.Context, Process) error { return unsupported("wait for", "a process") }

func readProc(int) (Proc, error) { return Proc{}, unsupported("read", "processes") }

type reader struct{}

func newReader() *reader { return &reader{} }

func (*reader) look() (*Table, error) { return nil, unsupported("read", "processes") }

func (*reader) close() {}
