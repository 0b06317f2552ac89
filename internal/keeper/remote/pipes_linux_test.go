package remote

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tend/internal/keeper/wire"
)

// a refused spawn leaves the read ends of its pipes on the daemon's shelf: two descriptors a try.
func TestARefusedSpawnKeepsNoPipes(t *testing.T) {
	f := running(t)
	frame, got := f.spawn(wire.Spawn{Key: "k", Slots: []wire.Slot{wire.SlotNull, wire.SlotPipe, wire.SlotPipe}})
	f.say(wire.Frame{Kind: wire.KindFailed, ID: frame.ID, Body: wire.Failed{Errno: int(syscall.ENOENT), Text: "no"}.Append(nil)})
	receive(t, got)
	for _, n := range []int{1, 2} {
		if fd, ok := f.Held(wire.PipeName("k", n)); ok {
			t.Errorf("pipe %d of a spawn that was refused is held: %d", n, fd)
		}
	}
}

// Asking again for a key that runs must not replace the daemon's copy of its
// pipe by one that nobody writes.
func TestAskingAgainKeepsThePipe(t *testing.T) {
	f := running(t)
	_, pidfd := process(t)
	m := wire.Spawn{Key: "k", Slots: []wire.Slot{wire.SlotPipe}}
	frame, got := f.spawn(m)
	f.say(wire.Frame{Kind: wire.KindSpawned, ID: frame.ID, Body: wire.Child{Key: "k"}.Append(nil), FDs: []int{pidfd}})
	receive(t, got)
	again := make(chan wire.Child, 1) // it is answered at once: the process is known
	f.Spawn(m, func(c wire.Child, err error) {
		if err != nil {
			t.Errorf("asked again: %v", err)
		}
		again <- c
	})
	if c := <-again; c.Key != "k" {
		t.Errorf("asked again: got %q", c.Key)
	}
	if _, err := unix.Write(frame.FDs[0], []byte("x")); err != nil {
		t.Errorf("the process writes: %v", err)
	}
	fd, _ := f.Held("k/0")
	buf := make([]byte, 8)
	if n, err := unix.Read(fd, buf); n != 1 {
		t.Errorf("and the daemon reads %d, %v", n, err)
	}
}
