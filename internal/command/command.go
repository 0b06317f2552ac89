// Package command runs a program for what it writes: without a shell, as
// somebody else where that is asked for, and with an end to our patience and to
// what is kept. It is not for apps, which the keeper starts.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// User is who a program runs as.
type User struct {
	UID, GID int
	Groups   []int
}

// Command is a program to run.
type Command struct {
	Argv []string // the program by its absolute path, and its arguments
	Env  []string
	Dir  string
	User *User // nil: ourselves
	Most int   // bytes that it may write
}

// ErrTooLong tells of a program that wrote more than it may.
var ErrTooLong = errors.New("it wrote too much")

// maxSaid bounds what is kept of a program's complaints.
const maxSaid = 1 << 10

// Output is what the program writes to its standard output. It runs in a process
// group of its own, which ends with ctx; the error is then ctx's cause.
func (c Command) Output(ctx context.Context) ([]byte, error) {
	out, said := bounded{most: c.Most}, bounded{most: maxSaid, rest: true}
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Env, cmd.Dir = c.Env, c.Dir
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would stand for ours
	}
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.SysProcAttr = attributes()
	if u := c.User; u != nil {
		cmd.SysProcAttr.Credential = u.credential()
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// A child that inherited the pipe must not keep us waiting after that.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	ended, hasEnded := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return out.text.Bytes(), nil
	case out.over: // and the program died of a closed pipe
		return nil, ErrTooLong
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case hasEnded && said.text.Len() > 0:
		return nil, fmt.Errorf("it ended with %v: %s", ended, harmless(said.text.Bytes()))
	case hasEnded:
		return nil, fmt.Errorf("it ended with %v", ended)
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, e.Err // the path is what we were asked to run
	}
	return nil, err
}

func (u User) credential() *syscall.Credential {
	c := &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)} //nolint:gosec // validated where it was asked for
	for _, g := range u.Groups {
		c.Groups = append(c.Groups, uint32(g)) //nolint:gosec // validated where it was asked for
	}
	return c
}

// harmless is what a program said of its failure, on one short line.
func harmless(said []byte) string {
	const most = 200
	text := strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.TrimSpace(string(said)))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// bounded keeps what is written, up to most bytes. More is refused, or with rest
// dropped.
type bounded struct {
	text bytes.Buffer
	most int
	rest bool
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.most - b.text.Len()
	if b.over = b.over || len(p) > room; b.over && !b.rest {
		return 0, ErrTooLong
	}
	b.text.Write(p[:min(len(p), room)])
	return len(p), nil
}
