package script

import (
	"os"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// mayMount tries it once: a container's root may not.
var mayMount = sync.OnceValue(func() bool {
	dir, err := os.MkdirTemp("", "tendmount")
	if err != nil {
		return false
	}
	defer os.Remove(dir)
	if unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4k") != nil {
		return false
	}
	return unix.Unmount(dir, 0) == nil
})

func tmpfs(ts *testscript.TestScript, args []string) {
	atLeast(ts, 2, args)
	dir := ts.MkAbs(args[0])
	ts.Check(unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,size="+args[1]))
	w := worldOf(ts)
	ts.Defer(func() {
		end(w.t, w.tend, w.home) // what runs holds it
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			w.t.Errorf("unmount %s: %v", dir, err)
		}
	})
}
