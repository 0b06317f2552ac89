package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// reap waits for processes that lost their parents and came to us, which is what
// the first process of a PID namespace is for (pid_namespaces(7)), until ctx
// ends. Nothing else in the program may wait for a child meanwhile.
func reap(ctx context.Context) {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // as process 1 we are one anyway
	ended := make(chan os.Signal, 1)                        // one is as good as many
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	for {
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if err != unix.EINTR && pid <= 0 {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ended:
		}
	}
}
