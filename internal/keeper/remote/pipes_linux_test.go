package remote

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tend/internal/keeper/wire"
)

// a refused spawn leaves the our ends of its pipes on the daemon's shelf: descriptors for each try.
func TestARefusedSpawnKeepsNoPipes(t *testing.T) {
	f := running(t)
	frame, got := f.spawn(wire.Spawn{Key: "k", Slots: []wire.Slot{wire.SlotInput, wire.SlotPipe, wire.SlotPipe, wire.SlotChannel}})
	f.say(wire.Frame{Kind: wire.KindFailed, ID: frame.ID, Body: wire.Failed{Errno: int(syscall.ENOENT), Text: "no"}.Append(nil)})
	receive(t, got)
	for _, n := range []int{0, 1, 2, 3} {
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

// The end of each slot that stays with us does not block, is closed on exec,
// and is the other end of what the process gets.
func TestTheEndsOfSlots(t *testing.T) {
	f := running(t)
	_, pidfd := process(t)
	frame, got := f.spawn(wire.Spawn{Key: "k", Slots: []wire.Slot{wire.SlotInput, wire.SlotPipe, wire.SlotNull, wire.SlotChannel}})
	if len(frame.FDs) != 6 {
		t.Fatalf("%d descriptors are sent, want 6", len(frame.FDs))
	}
	f.say(wire.Frame{Kind: wire.KindSpawned, ID: frame.ID, Body: wire.Child{Key: "k"}.Append(nil), FDs: []int{pidfd}})
	receive(t, got)
	passes := func(from, to int) {
		t.Helper()
		if _, err := unix.Write(from, []byte("x")); err != nil {
			t.Errorf("write: %v", err)
		}
		buf := make([]byte, 8)
		if n, err := unix.Read(to, buf); n != 1 {
			t.Errorf("read %d, %v", n, err)
		}
	}
	ours := map[int]int{}
	for _, n := range []int{0, 1, 3} {
		fd, ok := f.Held(wire.PipeName("k", n))
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		exec, execErr := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if !ok || err != nil || execErr != nil || flags&unix.O_NONBLOCK == 0 || exec&unix.FD_CLOEXEC == 0 {
			t.Errorf("slot %d: held %v, flags %o %v, %o %v", n, ok, flags, err, exec, execErr)
		}
		ours[n] = fd
	}
	for n, its := range map[int]int{0: frame.FDs[0], 1: frame.FDs[2], 3: frame.FDs[4]} {
		if flags, err := unix.FcntlInt(uintptr(its), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("the process gets slot %d with flags %o, %v: it must find it as any other", n, flags, err)
		}
	}
	passes(ours[0], frame.FDs[0])
	passes(frame.FDs[2], ours[1])
	passes(ours[3], frame.FDs[4])
	passes(frame.FDs[4], ours[3])
}
