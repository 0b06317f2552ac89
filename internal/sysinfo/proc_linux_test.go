package sysinfo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// child starts a shell script as a leader of its own session and gives the
// pids that it prints, one a line, until it has printed want of them.
func child(t testing.TB, env []string, script string, want int) (root int, printed []int) {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = w
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for len(printed) < want && lines.Scan() {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the child printed %q: %v", lines.Text(), err)
		}
		printed = append(printed, pid)
	}
	if len(printed) < want {
		t.Fatalf("the child printed %d pids, want %d", len(printed), want)
	}
	return cmd.Process.Pid, printed
}

func look(t testing.TB) *Table {
	t.Helper()
	r := newReader()
	defer r.close()
	tab, err := r.look()
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// until looks again and again until what is awaited is there.
func until(t *testing.T, what string, there func(*Table) bool) *Table {
	t.Helper()
	r := newReader()
	defer r.close()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		tab, err := r.look()
		if err != nil {
			t.Fatal(err)
		}
		if there(tab) {
			return tab
		}
	}
	t.Fatalf("waited in vain for %s", what)
	return nil
}

func TestLookAgreesWithProcfs(t *testing.T) {
	_, sleepers := child(t, nil, `sleep 100 & echo $!; sleep 100 & echo $!; wait`, 2)
	tab := until(t, "the sleepers to sleep", func(tab *Table) bool {
		return !slices.ContainsFunc(sleepers, func(pid int) bool {
			p, _ := tab.Get(pid)
			return p.State != 'S' || p.RSS == 0
		})
	})
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		t.Fatal(err)
	}
	all, err := fs.AllProcs()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, o := range all {
		stat, err := o.Stat()
		got, ok := tab.Get(o.PID)
		if err != nil || !ok {
			continue // one came or went
		}
		compared++
		want := Proc{PID: stat.PID, PPID: stat.PPID, PGID: stat.PGRP, SID: stat.Session, Threads: stat.NumThreads, Start: stat.Starttime}
		if slices.Contains(sleepers, o.PID) { // nothing of them changes
			want.State, want.CPU, want.RSS = stat.State[0], uint64(stat.UTime)+uint64(stat.STime), int64(stat.ResidentMemory())
		} else {
			got.State, got.CPU, got.RSS, got.Threads = 0, 0, 0, want.Threads
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("process %d (%s): got (-), want (+):\n%s", o.PID, stat.Comm, diff)
		}
	}
	if compared < 4 {
		t.Errorf("compared %d processes of %d", compared, len(all))
	}
}

func TestLookSurvivesProcessesThatVanish(t *testing.T) {
	child(t, nil, `echo 1; while :; do (:); (:); (:); done`, 1)
	r := newReader()
	defer r.close()
	for range 100 {
		tab, err := r.look()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := tab.Get(os.Getpid()); !ok {
			t.Fatal("the look lacks this process")
		}
	}
	if _, ok := r.read(int(r.proc.Fd()), []byte("4194305")); ok { // above the kernel's largest pid
		t.Error("a process that cannot be was read")
	}
}

func TestLookAllocatesLittle(t *testing.T) {
	r := newReader()
	defer r.close()
	if _, err := r.look(); err != nil {
		t.Fatal(err)
	}
	const agreed = 4 // the table, its processes, its index, and one to spare
	if got := testing.AllocsPerRun(20, func() { _, _ = r.look() }); got > agreed {
		t.Errorf("a look allocates %.0f times, agreed are %d", got, agreed)
	}
}

func BenchmarkLook(b *testing.B) {
	for _, extra := range []int{0, 1000} {
		b.Run(fmt.Sprintf("extra=%d", extra), func(b *testing.B) {
			if extra > 0 {
				script := fmt.Sprintf(`i=0; while [ $i -lt %d ]; do sleep 1000 & i=$((i+1)); done; echo 1; wait`, extra)
				child(b, nil, script, 1)
			}
			r := newReader()
			defer r.close()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.look(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(r.count), "processes")
		})
	}
}

func TestTreeOfRealProcesses(t *testing.T) {
	root, printed := child(t, nil, `sh -c 'sleep 100 & echo $!; sleep 100 & echo $!; wait' & echo $!; wait`, 3)
	tab := look(t)
	tree := pids(tab.Tree(root))
	slices.Sort(printed)
	if got := slices.Sorted(slices.Values(tree)); !slices.Equal(got, printed) {
		t.Fatalf("tree %v, want %v", got, printed)
	}
	middle, _ := tab.Get(tree[0])
	if tree[2] != middle.PPID {
		t.Errorf("tree %v does not end with the parent %d of the others", tree, middle.PPID)
	}
}

func TestMembersOfRealProcesses(t *testing.T) {
	// Orphans come to this process, as they come to the keeper.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	const id = "7f1c-members"
	// One child in the session, whose parent is gone, and two daemons of their
	// own sessions: one is of another launch.
	root, printed := child(t, []string{"unique_id=" + id}, `
		sh -c 'sleep 100 & echo $!'
		sh -c 'setsid sh -c "echo \$\$; sleep 100 & echo \$!; wait" &'
		unique_id=other sh -c 'setsid sh -c "echo \$\$; exec sleep 100" &'
		exec sleep 100`, 4)
	for _, pid := range printed {
		t.Cleanup(func() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, 0, nil)
		})
	}
	self := []int{os.Getpid()}
	nobody := func(int) bool { return false }
	sorted := func(tab *Table) []int { return slices.Sorted(slices.Values(pids(tab.Members(root, id, self, nobody)))) }

	// The middle shells end by themselves: look until they have. In the middle of
	// execve(2) a process has no environment to be read, so all but the shell that
	// waits have to be over it.
	var other int
	tab := until(t, "three orphans, and no process that is about to become another", func(tab *Table) bool {
		orphans, asleep := 0, 0
		for _, pid := range append([]int{root}, printed...) {
			p, ok := tab.Get(pid)
			if !ok {
				return false
			}
			if p.PPID == os.Getpid() && pid != root {
				orphans++
			}
			comm, _ := os.ReadFile(procPath(pid, "comm"))
			found := readID(p)
			if string(comm) == "sleep\n" && found != "" {
				asleep++
			}
			if found == "other" {
				other = pid
			}
		}
		return orphans == 3 && asleep == 4 && other != 0
	})
	want := slices.DeleteFunc(slices.Sorted(slices.Values(printed)), func(pid int) bool { return pid == other })
	if got := sorted(tab); !slices.Equal(got, want) {
		t.Errorf("members %v, want %v (without %d)", got, want, other)
	}
	if got := tab.FindByUnique(id); len(got) != len(want)+1 || !slices.ContainsFunc(got, func(p Proc) bool { return p.PID == root }) {
		t.Errorf("found by id %v, want %v and root %d", pids(got), want, root)
	}

	rootProc, _ := tab.Get(root)
	if err := SignalProcess(rootProc, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := WaitGone(t.Context(), rootProc); err != nil {
		t.Fatal(err)
	}
	if got := sorted(look(t)); !slices.Equal(got, want) {
		t.Errorf("members after root is gone %v, want %v", got, want)
	}
}

func TestFindID(t *testing.T) {
	long := strings.Repeat("X=yyyyyyyyyyyyyyy\x00", 2000) // over several blocks
	tests := map[string]struct{ environ, want string }{
		"the only one":               {"unique_id=u\x00", "u"},
		"the first":                  {"unique_id=u\x00A=b\x00", "u"},
		"the last":                   {"A=b\x00unique_id=u\x00", "u"},
		"the last, not ended":        {"A=b\x00unique_id=u", "u"},
		"behind many":                {long + "unique_id=u\x00A=b\x00", "u"},
		"before many":                {"unique_id=u\x00" + long, "u"},
		"an empty value":             {"unique_id=\x00", ""},
		"a longer name":              {"not_unique_id=u\x00", ""},
		"within another value":       {"A=unique_id=u\x00", ""},
		"nothing":                    {"", ""},
		"none":                       {long, ""},
		"behind one beyond all size": {strings.Repeat("x", 1<<20) + "\x00unique_id=u\x00", "u"},
		"at the end of an oversize":  {strings.Repeat("x", 4<<10) + "unique_id=u\x00", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := findID(strings.NewReader(tt.environ)); got != tt.want {
				t.Errorf("found: %q, want %q", got, tt.want)
			}
			if got := findID(iotest.OneByteReader(strings.NewReader(tt.environ))); got != tt.want {
				t.Errorf("byte by byte, found: %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("wherever the border of a block falls", func(t *testing.T) {
		for pad := 4<<10 - 64; pad < 4<<10+64; pad++ {
			if got := findID(strings.NewReader(strings.Repeat("x", pad) + "\x00unique_id=u\x00A=b\x00")); got != "u" {
				t.Errorf("behind %d bytes: found %q", pad, got)
			}
		}
	})
}

func TestIdentity(t *testing.T) {
	pid, _ := child(t, nil, `echo 1; exec sleep 100`, 1)
	id, err := Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	if !id.Alive() {
		t.Errorf("%+v is not alive", id)
	}
	younger := id
	younger.Start++
	if younger.Alive() {
		t.Error("another process with the same pid passes for it")
	}
	lastBoot := id
	lastBoot.Boot = "3e9a6f0c-0000-0000-0000-000000000000"
	if lastBoot.Alive() {
		t.Error("a process of another boot is alive")
	}
	kill(t, pid)
	if id.Alive() {
		t.Error("a zombie is alive")
	}
	if _, err := Identify(4194305); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("identify nobody: %v, want %v", err, os.ErrProcessDone)
	}
}

// kill ends a child and returns when it is a zombie.
func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
}

func TestSignalProcess(t *testing.T) {
	pid, _ := child(t, nil, `echo 1; exec sleep 100`, 1)
	p, ok := look(t).Get(pid)
	if !ok {
		t.Fatal("the look lacks the child")
	}
	reused := p
	reused.Start--
	if err := SignalProcess(reused, syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal one whose pid was reused: %v, want %v", err, os.ErrProcessDone)
	}
	if now, err := readProc(pid); err != nil || now.Ended() {
		t.Fatalf("the wrong process was hit: %+v, %v", now, err)
	}
	id, err := Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []Process{p, id} {
		if err := SignalProcess(by, syscall.SIGCONT); err != nil {
			t.Errorf("signal by %T: %v", by, err)
		}
	}
	if err := SignalProcess(id, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := WaitGone(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := SignalProcess(p, syscall.SIGCONT); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal a zombie: %v, want %v", err, os.ErrProcessDone)
	}
	if err := SignalProcess(Proc{PID: 4194305}, syscall.SIGCONT); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal nobody: %v, want %v", err, os.ErrProcessDone)
	}
}

func TestWaitGone(t *testing.T) {
	const many = 30
	var wg sync.WaitGroup
	procs := make([]Proc, many)
	for i := range procs {
		pid, _ := child(t, nil, `echo 1; exec sleep 100`, 1)
		p, err := readProc(pid)
		if err != nil {
			t.Fatal(err)
		}
		procs[i] = p
	}
	ended := make(chan int, many)
	for _, p := range procs {
		wg.Go(func() {
			if err := WaitGone(t.Context(), p); err != nil {
				t.Errorf("wait for %d: %v", p.PID, err)
			}
			ended <- p.PID
		})
	}
	for _, p := range procs {
		if err := SignalProcess(p, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if got := <-ended; got != p.PID {
			t.Fatalf("%d ended, want %d", got, p.PID)
		}
	}
	wg.Wait()

	reused := procs[0]
	reused.PID = os.Getpid()
	if err := WaitGone(t.Context(), reused); err != nil {
		t.Errorf("wait for one whose pid was reused: %v", err)
	}
}

func TestWaitGoneEndsWithItsContext(t *testing.T) {
	pid, _ := child(t, nil, `echo 1; exec sleep 100`, 1)
	p, err := readProc(pid)
	if err != nil {
		t.Fatal(err)
	}
	bored := errors.New("bored")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, bored)
	defer cancel()
	if err := WaitGone(ctx, p); !errors.Is(err, bored) {
		t.Errorf("wait: %v, want %v", err, bored)
	}
	if err := WaitGone(ctx, p); !errors.Is(err, bored) {
		t.Errorf("wait with a context that has ended: %v, want %v", err, bored)
	}
}

func TestRunTime(t *testing.T) {
	pid, _ := child(t, nil, `echo 1; while :; do :; done`, 1)
	busy, _, err := RunTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	for now := busy; now == busy; {
		if now, _, err = RunTime(pid); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	one, state, err := RunTime(pid)
	if err != nil || state != 'T' {
		t.Fatalf("state %c, %v, want T", state, err)
	}
	if two, _, _ := RunTime(pid); two != one {
		t.Errorf("a stopped process ran %d ns", two-one)
	}
	if _, _, err := RunTime(4194305); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("nobody: %v, want %v", err, os.ErrProcessDone)
	}
}

func TestSampleSeesABusyProcess(t *testing.T) {
	root, _ := child(t, nil, `echo 1; while :; do :; done`, 1)
	s := NewSampler()
	top, err := readProc(root)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the child at work", func(tab *Table) bool {
		return s.Sample(tab, []Root{{top.PID, top.Start}})[root].CPU > 5
	})
}

func TestResident(t *testing.T) {
	id, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	before, err := Resident(Root{PID: id.PID, Start: id.Start}, 0)
	if err != nil || before < 1<<20 {
		t.Fatalf("%d bytes, %v", before, err)
	}
	const size = 64 << 20
	held := bytes.Repeat([]byte{1}, size)
	after, err := Resident(Root{PID: id.PID, Start: id.Start}, 0)
	if err != nil || after < before+size/2 {
		t.Errorf("%d bytes more, %v; want about %d", after-before, err, len(held))
	}
	runtime.KeepAlive(held)
	if _, err := Resident(Root{PID: id.PID, Start: id.Start + 1}, 0); err == nil {
		t.Error("another process that has the pid is taken for it")
	}
	if rss, err := Resident(Root{PID: id.PID, Start: id.Start + 1}, 1<<60); err != nil || rss == 0 {
		t.Errorf("below the limit nobody needs to know who it is: %d, %v", rss, err)
	}
	if _, err := Resident(Root{PID: 1 << 30}, 0); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("of a process that is not there: %v", err)
	}
}

func BenchmarkResident(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Resident(Root{PID: os.Getpid()}, 1<<60); err != nil {
			b.Fatal(err)
		}
	}
}
