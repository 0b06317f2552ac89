package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// output is what a program writes to its standard output. It runs without a
// shell, in a process group of its own that ends with our patience.
func (r Reader) output(ctx context.Context, argv []string) ([]byte, error) {
	out, said := bounded{most: maxValue + 2}, bounded{most: maxSaid, rest: true}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = r.Env, r.Dir
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.SysProcAttr = attributes()
	if u := r.User; u != nil {
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
		return nil, errTooLong
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case hasEnded && said.text.Len() > 0:
		return nil, fmt.Errorf("it ended with %v: %s", ended, harmless(said.text.Bytes()))
	case hasEnded:
		return nil, fmt.Errorf("it ended with %v", ended)
	}
	return nil, cause(err)
}

// maxSaid bounds what is kept of a program's complaints.
const maxSaid = 1 << 10

func (u User) credential() *syscall.Credential {
	c := &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)} //nolint:gosec // validated
	for _, g := range u.Groups {
		c.Groups = append(c.Groups, uint32(g)) //nolint:gosec // validated
	}
	return c
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
		return 0, errTooLong
	}
	b.text.Write(p[:min(len(p), room)])
	return len(p), nil
}
