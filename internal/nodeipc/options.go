package nodeipc

import (
	"errors"
	"log/slog"
	"syscall"

	"tend/api"
)

// Shelf keeps descriptors over the death of the daemon.
type Shelf interface {
	// Hold puts a copy of fd on the shelf.
	Hold(name string, fd int) error
	// Held is the descriptor of that name; it stays the shelf's.
	Held(name string) (fd int, ok bool)
	// Drop takes it off the shelf, and closes it.
	Drop(name string)
}

// Options are what a Hub works with. None of the functions may block.
type Options struct {
	Shelf Shelf
	// Held are the names on the shelf when the daemon came: the sockets of its
	// predecessor are among them.
	Held []string
	Log  *slog.Logger
	// Heard is told the news of a channel.
	Heard func(key string, n News)
	// Action is told of each action that an app registers (axm:action).
	Action func(key string, a api.Action)
	// Publish makes a message of an app known. line is its number on the
	// channel; Published is the last one that the daemon before us made known.
	Publish   func(n api.Notice, line uint64)
	Published func(key string) (line uint64, ok bool)
}

// Failures of Send.
var (
	errClosed = errors.New("its IPC channel is closed")
	errFull   = errors.New("it does not read its IPC channel")
	errSize   = errors.New("the message is larger than 32 KiB")
)

func asErrno(err error) (syscall.Errno, bool) { return errors.AsType[syscall.Errno](err) }
