package keeper

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"tend/internal/fdpass"
	"tend/internal/keeper/wire"
	"tend/internal/testkit"
)

func TestHello(t *testing.T) {
	l := adopted(t)
	f := l.ask(wire.KindHello, wire.Hello{Daemon: "/bin/daemon"}.Append(nil))
	got, err := wire.ParseHello(f.Body)
	want := wire.Hello{PID: l.pid, Daemon: "/bin/daemon", Keeper: testkit.Keeper(t), Level: wire.LevelLimits}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || f.Kind != wire.KindHello {
		t.Errorf("kind %d, %v (-want +got):\n%s", f.Kind, err, diff)
	}
}

func TestAProcess(t *testing.T) {
	l := adopted(t)
	m := shell("a key", `echo "$0|$1|$A|$PWD"; echo wrong >&2; echo $B; exit 7`)
	m.Argv = append(m.Argv, "an argument", "")
	m.Env = append(m.Env, "A=one=1\ntwo", "B=")
	m.Dir = "/usr"
	m.Tag = []byte{0, 1, 255}
	c := l.spawn(m)
	if c.Key != m.Key || string(c.Tag) != string(m.Tag) {
		t.Errorf("answered with %+v", c.Child)
	}
	if got, want := output(t, c.pipes[0]), "an argument||one=1\ntwo|/usr\n\n"; got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
	if got := output(t, c.pipes[1]); got != "wrong\n" {
		t.Errorf("stderr %q", got)
	}
	e := l.exit(m.Key)
	if e.Seq != 1 || e.PID != c.PID || !e.Known || !syscall.WaitStatus(e.Status).Exited() || syscall.WaitStatus(e.Status).ExitStatus() != 7 || e.At == 0 {
		t.Errorf("exit %+v, want the first, of pid %d, with code 7", e, c.PID)
	}
}

// TestWhatAProcessStartsWith: a session of its own, nothing but its slots
// open, and no signal blocked or ignored.
func TestWhatAProcessStartsWith(t *testing.T) {
	l := adopted(t)
	c := l.spawn(wire.Spawn{
		Key: "a", Path: "/bin/sleep", Argv: []string{"sleep", "100"}, Dir: "/",
		Slots: []wire.Slot{wire.SlotNull, wire.SlotPipe, wire.SlotNull, wire.SlotPipe},
	})
	executed(t, c.PID)
	pid := strconv.Itoa(c.PID)
	if group, session := field(c.PID, 5), field(c.PID, 6); group != pid || session != pid || parent(c.PID) != l.pid {
		t.Errorf("group %s, session %s, parent %d; want %s, %s and the keeper %d", group, session, parent(c.PID), pid, pid, l.pid)
	}
	if got := field(c.PID, 22); got != strconv.FormatUint(c.Start, 10) {
		t.Errorf("start %d is told, and it is %s", c.Start, got)
	}
	testkit.WaitFor(t, soon, "nothing else is open, its libraries loaded", func() bool { return descriptors(t, c.PID) == 4 })
	var links []string
	for n := range 4 {
		link, err := os.Readlink("/proc/" + pid + "/fd/" + strconv.Itoa(n))
		if err != nil {
			break
		}
		links = append(links, strings.TrimRight(link, "0123456789:[]"))
	}
	if diff := cmp.Diff([]string{"/dev/null", "pipe", "/dev/null", "pipe"}, links); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, mask := range []string{"SigBlk", "SigIgn"} {
		_, line, _ := strings.Cut(string(status), mask+":\t")
		hex, _, _ := strings.Cut(line, "\n")
		set, err := strconv.ParseUint(hex, 16, 64)
		// The signals that have names, 1 to 31. The C library of whoever
		// started this test may ignore one of its own (nptl(7)), and an
		// ignored signal is inherited.
		if err != nil || set&0x7fffffff != 0 {
			t.Errorf("%s of a new process is %s (%v), want it empty:\n%s", mask, hex, err, status)
		}
	}
}

// executed waits until execve(2) is done. The keeper hears of it when the
// kernel closes what is closed on exec, which is a little before; and until
// then the new process shows the keeper's memory as its own.
func executed(t *testing.T, pid int) {
	t.Helper()
	testkit.WaitFor(t, soon, "the program runs", func() bool {
		name := proc(t, pid, "cmdline")[0]
		return name != "" && name != testkit.Keeper(t)
	})
}

func TestAKeyIsStartedOnce(t *testing.T) {
	l := adopted(t)
	first := l.spawn(shell("a", "echo here; exec sleep 100"))
	second := l.spawn(shell("a", "echo never"))
	if first.PID != second.PID || first.Start != second.Start {
		t.Errorf("%+v and %+v, want one process", first.Child, second.Child)
	}
	if got := firstLine(t, first.pipes[0]); got != "here" {
		t.Errorf("its pipe says %q", got)
	}
	if got := output(t, second.pipes[0]); got != "" { // at an end: nobody has it
		t.Errorf("the pipe of the second asking says %q", got)
	}
	other := l.spawn(shell("b", "exec sleep 100"))
	if other.PID == first.PID {
		t.Error("another key is the same process")
	}
}

// TestLargeArguments fills what execve(2) takes: 2 MiB with an 8 MiB stack,
// no single string above 128 KiB.
func TestLargeArguments(t *testing.T) {
	const part, parts = 100_000, 19
	m := wire.Spawn{Key: "large", Path: "/bin/sleep", Argv: []string{"sleep", "100"}, Dir: "/", Slots: []wire.Slot{wire.SlotNull}}
	for i := range parts {
		m.Env = append(m.Env, fmt.Sprintf("V%d=%s", i, strings.Repeat(string(rune('a'+i)), part)))
	}
	l := adopted(t)
	c := l.spawn(m)
	testkit.WaitFor(t, soon, "its environment is there", func() bool {
		e := proc(t, c.PID, "environ")
		return len(e) == parts && len(e[parts-1]) > part
	})
	if diff := cmp.Diff(m.Env, proc(t, c.PID, "environ")); diff != "" {
		t.Errorf("environment (-sent +there):\n%.500s", diff)
	}
	m = wire.Spawn{Key: "long", Path: "/bin/sh", Argv: []string{"sh", "-c", "exec sleep 100"}, Dir: "/", Env: []string{"PATH=/bin:/usr/bin"}}
	for i := range parts {
		m.Argv = append(m.Argv, strings.Repeat(string(rune('a'+i)), part))
	}
	m.Argv[2] = "kill -STOP $$" // it stays what it is
	c = l.spawn(m)
	executed(t, c.PID)
	if diff := cmp.Diff(m.Argv, proc(t, c.PID, "cmdline")); diff != "" {
		t.Errorf("arguments (-sent +there):\n%.500s", diff)
	}
}

func TestSpawnRefused(t *testing.T) {
	dir := t.TempDir()
	plain, garbage := filepath.Join(dir, "plain"), filepath.Join(dir, "garbage")
	for path, mode := range map[string]os.FileMode{plain: 0o600, garbage: 0o700} {
		if err := os.WriteFile(path, []byte("no program\x00"), mode); err != nil {
			t.Fatal(err)
		}
	}
	l := adopted(t)
	l.spawn(shell("first", "exec sleep 100")) // what is made on first use, is
	before := l.descriptors()
	for name, test := range map[string]struct {
		change func(*wire.Spawn)
		errno  syscall.Errno
	}{
		"no such program":           {func(m *wire.Spawn) { m.Path = dir + "/missing" }, syscall.ENOENT},
		"no such directory":         {func(m *wire.Spawn) { m.Dir = dir + "/missing" }, syscall.ENOENT},
		"a directory for a program": {func(m *wire.Spawn) { m.Path = dir }, syscall.EACCES},
		"no permission":             {func(m *wire.Spawn) { m.Path = plain }, syscall.EACCES},
		"no format":                 {func(m *wire.Spawn) { m.Path = garbage }, syscall.ENOEXEC},
		"a file for a directory":    {func(m *wire.Spawn) { m.Dir = plain }, syscall.ENOTDIR},
		"a too long argument":       {func(m *wire.Spawn) { m.Argv = append(m.Argv, strings.Repeat("x", 200_000)) }, syscall.E2BIG},
		"a zero byte":               {func(m *wire.Spawn) { m.Argv = append(m.Argv, "\x00") }, syscall.EINVAL},
		"a relative path":           {func(m *wire.Spawn) { m.Path = "sh" }, 0},
		"no path":                   {func(m *wire.Spawn) { m.Path = "" }, 0},
		"a slot of a newer version": {func(m *wire.Spawn) { m.Slots = append(m.Slots, 9) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := shell("refused", "exit")
			test.change(&m)
			f, pipes := l.askSpawn(m)
			for _, p := range pipes {
				if got := output(t, p); got != "" { // at an end: the keeper has kept none
					t.Errorf("a pipe of it says %q", got)
				}
				p.Close()
			}
			failed, err := wire.ParseFailed(f.Body)
			if f.Kind != wire.KindFailed || err != nil || failed.Errno != int(test.errno) || failed.Text == "" {
				t.Errorf("kind %d, errno %d %q, %v; want a refusal with errno %d", f.Kind, failed.Errno, failed.Text, err, int(test.errno))
			}
		})
	}
	if now := l.descriptors(); now != before {
		t.Errorf("%d descriptors are open in the keeper, %d before", now, before)
	}
	// And a key that was refused is free.
	l.spawn(shell("refused", "exec sleep 100"))
}

func TestSpawnWithoutItsPipesIsRefused(t *testing.T) {
	l := adopted(t)
	before := l.descriptors()
	m := shell("a", "exit")
	for _, fds := range [][]int{nil, {l.FD()}, {l.FD(), l.FD(), l.FD()}} {
		f := l.ask(wire.KindSpawn, m.Append(nil), fds...)
		if failed, err := wire.ParseFailed(f.Body); f.Kind != wire.KindFailed || err != nil || failed.Errno != 0 {
			t.Errorf("two pipes in %d descriptors: kind %d, %+v, %v", len(fds), f.Kind, failed, err)
		}
	}
	if now := l.descriptors(); now != before {
		t.Errorf("%d descriptors are open in the keeper, %d before", now, before)
	}
}

func TestAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may become another user")
	}
	l := adopted(t)
	m := shell("nobody", "id -u; id -g; id -G")
	m.AsUser, m.UID, m.GID, m.Groups = true, 65534, 65533, []uint32{65531, 65532}
	c := l.spawn(m)
	if got, want := output(t, c.pipes[0]), "65534\n65533\n65533 65531 65532\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	m.Key, m.Groups = "alone", nil
	c = l.spawn(m)
	if got, want := output(t, c.pipes[0]), "65534\n65533\n65533\n"; got != want {
		t.Errorf("%q, want %q: the groups of root must not stay", got, want)
	}
}

func TestExitsAreNumberedAndKept(t *testing.T) {
	l := adopted(t)
	for i, script := range []string{"exit 1", "kill -9 $$", "exit 255"} {
		key := strconv.Itoa(i)
		l.spawn(shell(key, script))
		l.exit(key)
	}
	list := func() (exits []string) {
		l.id++
		if err := l.Write(wire.Frame{Kind: wire.KindList, ID: l.id}); err != nil {
			t.Fatal(err)
		}
		id := l.id
		for {
			f := l.next("list", func(f wire.Frame) bool { return f.ID == id })
			fdpass.CloseAll(f.FDs)
			switch f.Kind { //nolint:exhaustive // the others are not looked for
			case wire.KindExit:
				e, err := wire.ParseExit(f.Body)
				if err != nil {
					t.Fatal(err)
				}
				exits = append(exits, fmt.Sprintf("%d:%s:%x", e.Seq, e.Key, e.Status))
			case wire.KindEnd:
				return exits
			}
		}
	}
	all := []string{"1:0:100", "2:1:9", "3:2:ff00"}
	for range 2 { // to be told is not to be acknowledged
		if diff := cmp.Diff(all, list()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
	l.tell(wire.KindAck, wire.Seq{Seq: 2}.Append(nil))
	l.tell(wire.KindAck, wire.Seq{Seq: 2}.Append(nil))
	l.tell(wire.KindAck, wire.Seq{Seq: 99}.Append(nil))
	if diff := cmp.Diff([]string{"1:0:100", "3:2:ff00"}, list()); diff != "" {
		t.Errorf("after the second is acknowledged (-want +got):\n%s", diff)
	}
}

// inventory is everything that the keeper lists: names, in any order.
func (l *line) inventory() map[string]int {
	l.t.Helper()
	l.id++
	id := l.id
	if err := l.Write(wire.Frame{Kind: wire.KindList, ID: id}); err != nil {
		l.t.Fatal(err)
	}
	names := map[string]int{}
	for {
		f := l.next("list", func(f wire.Frame) bool { return f.ID == id })
		switch f.Kind { //nolint:exhaustive // the others are not looked for
		case wire.KindChild:
			m, err := wire.ParseChild(f.Body)
			if err != nil || len(f.FDs) != 1 {
				l.t.Fatalf("a child with descriptors %v: %v", f.FDs, err)
			}
			names["child "+m.Key] = m.PID
		case wire.KindHold:
			m, err := wire.ParseHeld(f.Body)
			if err != nil || len(f.FDs) != 1 {
				l.t.Fatalf("a held one with descriptors %v: %v", f.FDs, err)
			}
			names[m.Name]++
		case wire.KindExit:
			m, err := wire.ParseExit(f.Body)
			if err != nil {
				l.t.Fatal(err)
			}
			names["exit "+m.Key] = m.PID
		case wire.KindEnd:
			return names
		}
		fdpass.CloseAll(f.FDs)
	}
}

func TestTheShelf(t *testing.T) {
	l := adopted(t)
	c := l.spawn(shell("a", "exec sleep 100"))
	short := l.spawn(shell("b", "echo output; exit"))
	l.exit("b")
	if diff := cmp.Diff(map[string]int{"child a": c.PID, "a/1": 1, "a/2": 1, "exit b": short.PID, "b/1": 1, "b/2": 1}, l.inventory()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	before := l.descriptors()
	if f := l.ask(wire.KindHold, wire.Held{Name: "mine"}.Append(nil), int(w.Fd())); f.Kind != wire.KindOK {
		t.Errorf("answered with kind %d", f.Kind)
	}
	// The same name again takes the place of the first.
	l.ask(wire.KindHold, wire.Held{Name: "mine"}.Append(nil), int(w.Fd()))
	w.Close()
	if l.inventory()["mine"] != 1 || l.descriptors() != before+1 {
		t.Errorf("%v and %d descriptors; want mine once, and one more than %d", l.inventory(), l.descriptors(), before)
	}
	for _, name := range []string{"mine", "b/1", "b/2", "never was"} {
		l.tell(wire.KindDrop, wire.Held{Name: name}.Append(nil))
	}
	if diff := cmp.Diff(map[string]int{"child a": c.PID, "a/1": 1, "a/2": 1, "exit b": short.PID}, l.inventory()); diff != "" {
		t.Errorf("after drops (-want +got):\n%s", diff)
	}
	// Its last copy is closed: whoever reads the pipe sees the end.
	if got := output(t, r); got != "" {
		t.Errorf("%q", got)
	}
	if now := l.descriptors(); now != before-2 {
		t.Errorf("%d descriptors are open in the keeper, want %d", now, before-2)
	}
}

func TestFramesThatMeanNothing(t *testing.T) {
	l := adopted(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	before := l.descriptors()
	for _, kind := range []wire.Kind{wire.KindSpawned, wire.KindExit, wire.KindOK, wire.KindEnd, 200} {
		l.tell(kind, []byte("x"), int(w.Fd())) // from a newer daemon
	}
	for kind, body := range map[wire.Kind][]byte{
		wire.KindSpawn: {1}, wire.KindAck: {1}, wire.KindChild: {1}, wire.KindHold: {1}, wire.KindDrop: {1}, wire.KindUpgrade: {1},
	} {
		if f := l.ask(kind, body, int(w.Fd())); f.Kind != wire.KindFailed {
			t.Errorf("a broken body of kind %d is answered with kind %d", kind, f.Kind)
		}
	}
	for _, kind := range []wire.Kind{wire.KindChild, wire.KindHold} {
		if f := l.ask(kind, nil); f.Kind != wire.KindFailed {
			t.Errorf("kind %d without its descriptor is answered with kind %d", kind, f.Kind)
		}
	}
	if now := l.descriptors(); now != before {
		t.Errorf("%d descriptors are open in the keeper, %d before", now, before)
	}
}

func TestOrphansAreReaped(t *testing.T) {
	l := adopted(t)
	c := l.spawn(shell("a", `sh -c 'sleep 100 & echo $!; exit'; exec sleep 100`))
	orphan, err := strconv.Atoi(firstLine(t, c.pipes[0]))
	if err != nil {
		t.Fatal(err)
	}
	testkit.KillAtEnd(t, orphan)
	testkit.WaitFor(t, soon, "the orphan is the keeper's", func() bool { return parent(orphan) == l.pid })
	kill(t, orphan, syscall.SIGKILL)
	testkit.WaitFor(t, soon, "the orphan is reaped", gone(orphan))
	kill(t, c.PID, syscall.SIGKILL)
	if e := l.exit("a"); e.Seq != 1 {
		t.Errorf("the orphan's end was numbered: %+v", e)
	}
	if z := zombies(t, l.pid); len(z) > 0 {
		t.Errorf("zombies %v", z)
	}
}

func TestNothingLeaksOverManyProcesses(t *testing.T) {
	l := adopted(t)
	const batch, batches = 20, 10
	round := func(n int) {
		for i := range batch {
			key := fmt.Sprintf("%d-%d", n, i)
			m := wire.Spawn{Key: key, Path: "/bin/true", Argv: []string{"true"}, Dir: "/", Slots: []wire.Slot{wire.SlotNull, wire.SlotPipe, wire.SlotPipe}}
			f, pipes := l.askSpawn(m)
			fdpass.CloseAll(f.FDs)
			for _, p := range pipes {
				p.Close()
			}
		}
		for i := range batch {
			key := fmt.Sprintf("%d-%d", n, i)
			e := l.exit(key)
			l.tell(wire.KindAck, wire.Seq{Seq: e.Seq}.Append(nil))
			l.tell(wire.KindDrop, wire.Held{Name: wire.PipeName(key, 1)}.Append(nil))
			l.tell(wire.KindDrop, wire.Held{Name: wire.PipeName(key, 2)}.Append(nil))
		}
	}
	round(0)
	before := l.descriptors()
	for n := range batches {
		round(n + 1)
	}
	if now := l.descriptors(); now != before {
		t.Errorf("%d descriptors are open in the keeper after %d processes, %d before", now, batch*batches, before)
	}
	if left := l.inventory(); len(left) > 0 {
		t.Errorf("it still holds %v", left)
	}
	if z := zombies(t, l.pid); len(z) > 0 {
		t.Errorf("zombies %v", z)
	}
}

// TestTheLimitOfDescriptors: Go raises its own (os, rlimit.go) and must not
// hand that on, for select(2) breaks beyond 1024.
func TestTheLimitOfDescriptors(t *testing.T) {
	l := dial(t, func(home string) *exec.Cmd {
		return exec.Command("sh", "-c", `ulimit -Sn 256; exec "$0" adopt --home="$1" --fd=3`, testkit.Keeper(t), home)
	})
	c := l.spawn(shell("a", "ulimit -Sn"))
	if got := output(t, c.pipes[0]); got != "256\n" {
		t.Errorf("an app may open %q, want 256 as its keeper was given", got)
	}
	var limit unix.Rlimit
	if err := unix.Prlimit(l.pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur <= 256 {
		t.Errorf("the keeper itself may open %d, and holds three for each app", limit.Cur)
	}
}

func TestTheKeeperEndsWithItsConnection(t *testing.T) {
	l := adopted(t) // and no daemon has said who it is
	l.ask(wire.KindHello, wire.Hello{}.Append(nil))
	l.Close()
	if ws := l.wait(t); !ws.Exited() || ws.ExitStatus() != 0 {
		t.Errorf("ended with %v, want code 0", ws)
	}
}

func TestADaemonThatClosesItsConnectionIsKilled(t *testing.T) {
	l := adopted(t)
	cmd := testkit.Command(t, "sleep") // stands for the daemon
	cmd.Path, cmd.Args, cmd.Env = "/bin/sleep", []string{"sleep", "100"}, nil
	stand, end := startProgram(t, cmd)
	t.Cleanup(end)
	pidfd, err := unix.PidfdOpen(stand.pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	f := l.ask(wire.KindHello, wire.Hello{PID: stand.pid, Daemon: "/missing/daemon", Seq: 41}.Append(nil), pidfd)
	if m, err := wire.ParseHello(f.Body); err != nil || m.Seq != 41 {
		t.Errorf("%+v, %v; want the numbers of exits to go on from 41", m, err)
	}
	l.spawn(shell("a", "exit 3"))
	if e := l.exit("a"); e.Seq != 42 {
		t.Errorf("exit %+v, want number 42", e)
	}
	l.Close()
	if ws := stand.wait(t); ws.Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", ws)
	}
}
