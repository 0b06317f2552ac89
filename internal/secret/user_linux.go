package secret

import (
	"fmt"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/internal/command"
)

// as does something with the rights that a user has over files. They belong to a
// thread (setfsuid(2)); this one ends with its goroutine, which never lets go of
// it, so that no other ever runs with them.
func as(u command.User, do func()) (err error) {
	var working sync.WaitGroup
	working.Go(func() {
		runtime.LockOSThread()
		if err = assume(u); err == nil {
			do()
		}
	})
	working.Wait()
	return err
}

// assume gives the calling thread the user's rights over files. With the user
// root's capabilities over files go as well (capabilities(7)).
func assume(u command.User) error {
	if err := unix.Setgroups(u.Groups); err != nil {
		return fmt.Errorf("take the groups of uid %d: %w", u.UID, err)
	}
	// Neither tells of a failure: one asks afterwards, by what cannot be set.
	_, _ = unix.SetfsgidRetGid(u.GID)
	_, _ = unix.SetfsuidRetUid(u.UID)
	gid, _ := unix.SetfsgidRetGid(-1)
	if uid, _ := unix.SetfsuidRetUid(-1); uid != u.UID || gid != u.GID {
		return fmt.Errorf("become uid %d, gid %d: %w", u.UID, u.GID, syscall.EPERM)
	}
	return nil
}
