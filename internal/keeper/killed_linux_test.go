package keeper

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"tend/internal/keeper/remote"
	"tend/internal/testkit"
)

// replaced waits until the daemon has a keeper that is not the one of pid old.
func (p *handle) replaced(s *stage, old int) (pid int) {
	p.t.Helper()
	testkit.WaitFor(p.t, soon, "another keeper holds everything", func() bool {
		k := p.ask(note{Do: "keeper"})
		pid = k.PID
		return k.PID != old && k.Settled
	})
	s.pids = append(s.pids, pid)
	return pid
}

// tellsExit is whether this kernel tells how a process ended that is reaped
// already (Linux 6.15: PIDFD_GET_INFO).
func tellsExit(t *testing.T) bool {
	t.Helper()
	var pidfd int
	pid, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{PidFD: &pidfd}})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	reap(t, pid)
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	return unix.IoctlPidfdInfo(pidfd, &info) == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0
}

// reap waits for a child of ours.
func reap(t *testing.T, pid int) {
	t.Helper()
	for {
		got, err := unix.Wait4(pid, nil, 0, nil)
		if got == pid {
			return
		}
		if err != unix.EINTR {
			t.Fatalf("wait for %d: %v", pid, err)
		}
	}
}

func TestAKeeperThatIsKilled(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	pids := map[string]int{}
	for _, key := range []string{"zombie", "reaped", "later"} {
		pids[key] = p.spawn(key, "until [ -e "+filepath.Join(s.home, key)+" ]; do sleep 0.01; done; echo last; exit 9")
	}
	end := func(key string) {
		if err := os.WriteFile(filepath.Join(s.home, key), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.spawn("before", "exit 2")
	p.exit("before")
	p.ask(note{Do: "hold", Name: "socket", Text: "held"})

	kill(t, k.pid, syscall.SIGKILL)
	k.wait(t)
	second := p.replaced(s, k.pid)
	for key, pid := range pids {
		if !there(pid) {
			t.Errorf("%s has ended", key)
		}
	}
	third, ready := s.keep(testkit.Self(t), s.ctl.Addr().String())
	if got := output(t, ready); got != "busy\n" {
		t.Errorf("another keeper said %q: the home's lock was lost", got)
	}
	third.wait(t)

	t.Run("an exit before its parent reaps it", func(t *testing.T) {
		end("zombie")
		if e := p.exit("zombie"); e.Seq != 2 || !e.Known || code(e) != 9 || e.PID != pids["zombie"] {
			t.Errorf("exit %+v, want number 2 with code 9", e)
		}
		reap(t, pids["zombie"])
		if got := p.ask(note{Do: "read", Name: "zombie/1"}).Text; got != "last\n" {
			t.Errorf("its output: %q", got)
		}
	})
	t.Run("an exit after its parent reaped it", func(t *testing.T) {
		kill(t, second, syscall.SIGSTOP)
		end("reaped")
		reap(t, pids["reaped"])
		kill(t, second, syscall.SIGCONT)
		e := p.exit("reaped")
		if tells := tellsExit(t); e.Known != tells || tells && code(e) != 9 {
			t.Errorf("exit %+v, and it can be known: %v", e, tells)
		}
	})
	t.Run("a key is still started once", func(t *testing.T) {
		if pid := p.spawn("later", "echo never"); pid != pids["later"] {
			t.Errorf("pid %d, want %d", pid, pids["later"])
		}
	})
	t.Run("the new keeper has children of its own", func(t *testing.T) {
		pid := p.spawn("own", "exit 8")
		if e := p.exit("own"); !e.Known || code(e) != 8 || e.PID != pid {
			t.Errorf("exit %+v, want code 8", e)
		}
	})
	t.Run("the daemon is started again", func(t *testing.T) {
		kill(t, p.PID, syscall.SIGKILL)
		next := s.puppet()
		if next.Number != second {
			t.Errorf("its keeper is %d, want %d", next.Number, second)
		}
		found := next.keys()
		for _, name := range slices.Collect(maps.Keys(found)) {
			if strings.HasSuffix(name, "/1") || strings.HasSuffix(name, "/2") {
				delete(found, name)
			}
		}
		// Exit 1 was told to a daemon that lives on: it is that daemon's to
		// remember. The others the new keeper has told itself.
		want := map[string]int{"child later": pids["later"], "exit zombie": 2, "exit reaped": 3, "exit own": 4, "socket": 0, LockName: 0}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("what it finds (-want +got):\n%s", diff)
		}
		next.ask(note{Do: "ready"})
		end("later")
		if e := next.exit("later"); e.Seq != 5 || !e.Known || code(e) != 9 {
			t.Errorf("exit %+v, want number 5 with code 9", e)
		}
		reap(t, pids["later"])
	})
}

// TestASpawnThatNobodyAnswered: the asker is told that it is lost, and not
// that it failed.
func TestASpawnThatNobodyAnswered(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	kill(t, k.pid, syscall.SIGSTOP)
	m := shell("lost", "exec sleep 100")
	p.tell(note{Do: "spawn", Key: m.Key, Path: m.Path, Argv: m.Argv, Env: m.Env, Dir: m.Dir, Slots: m.Slots})
	kill(t, k.pid, syscall.SIGKILL)
	if n := p.hear(); n.Err != remote.ErrLost.Error() {
		t.Errorf("%+v, want %v", n, remote.ErrLost)
	}
	p.replaced(s, k.pid)
	p.spawn("lost", "exec sleep 100") // and may be asked again
}

// TestAppsThatEndWithTheirKeeper ends both in one moment, in both orders.
func TestAppsThatEndWithTheirKeeper(t *testing.T) {
	tells := tellsExit(t)
	s := newStage(t)
	k, p := s.begin()
	keeper, held, known := k.pid, 0, true
	for round := range 6 {
		key := "app" + strconv.Itoa(round)
		app := p.spawn(key, "exec sleep 100")
		both := []int{app, keeper}
		if round%2 == 1 {
			slices.Reverse(both)
		}
		for _, pid := range both {
			kill(t, pid, syscall.SIGKILL)
		}
		keeper = p.replaced(s, keeper)
		e := p.exit(key)
		known = known && e.Known
		if e.PID != app || e.Seq != uint64(round+1) || e.Known && syscall.WaitStatus(e.Status).Signal() != syscall.SIGKILL {
			t.Errorf("exit %+v, want number %d and SIGKILL", e, round+1)
		}
		for _, name := range []string{key + "/1", key + "/2"} {
			p.ask(note{Do: "drop", Name: name})
		}
		// The keeper before the last is reaped when the next is started.
		switch now := descriptors(t, p.PID); {
		case round == 1:
			held = now
		case round > 1 && now != held:
			t.Errorf("the daemon has %d descriptors open, %d before", now, held)
		}
	}
	if tells && !known {
		t.Error("a status is lost that the kernel can tell")
	}
	if z := zombies(t, p.PID); len(z) > 1 {
		t.Errorf("keepers %v were not reaped by the daemon that started them", z)
	}
}

// TestKeeperAndDaemonDieInTurn kills one after the other, many times.
func TestKeeperAndDaemonDieInTurn(t *testing.T) {
	s := newStage(t)
	k, p := s.begin()
	app := p.spawn("app", "exec sleep 100")
	keeper := k.pid
	const rounds = 4
	for range rounds {
		kill(t, keeper, syscall.SIGKILL)
		keeper = p.replaced(s, keeper)
		kill(t, p.PID, syscall.SIGKILL)
		p = s.puppet()
		p.ask(note{Do: "ready"})
	}
	want := map[string]int{"child app": app, "app/1": 0, "app/2": 0, LockName: 0}
	if diff := cmp.Diff(want, p.keys()); diff != "" || !there(app) {
		t.Fatalf("what the last daemon finds (-want +got):\n%s", diff)
	}
	p.ask(note{Do: "signal", Key: "app", Number: int(syscall.SIGKILL)})
	if e := p.exit("app"); e.PID != app || e.Known && syscall.WaitStatus(e.Status).Signal() != syscall.SIGKILL {
		t.Errorf("exit %+v", e)
	}
}
