package tidy

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/logs"
	"tend/internal/logs/logstest"
	"tend/internal/rotation"
	"tend/internal/testkit"
)

func ending(method string) string {
	e, _ := rotation.Ending(method)
	return e
}

func TestWhatWasPutAsideIsCompressed(t *testing.T) {
	for _, method := range []string{"gzip", "zstd"} {
		for _, base := range []string{"api-out.log", "my api  out", "-rf", "a\nb.log", "x.gz"} {
			t.Run(method+" "+base, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), base)
				logstest.Put(t, path, "still written to\n")
				names := leaveAside(t, path, 3, 1000)
				const nobody = 65534
				root := os.Geteuid() == 0
				if root {
					if err := os.Chown(names[1], nobody, nobody); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.Chmod(names[1], 0o664); err != nil {
					t.Fatal(err)
				}
				before, err := os.Stat(names[1])
				if err != nil {
					t.Fatal(err)
				}
				want := logstest.Aside(t, path)
				lookAfter(t, path, rule(t, &api.Rotation{Compress: method}))
				if !slices.Equal(logstest.Aside(t, path), want) {
					t.Error("what was put aside has changed")
				}
				wantFiles := []string{base}
				for _, name := range names {
					wantFiles = append(wantFiles, filepath.Base(name)+ending(method))
				}
				slices.Sort(wantFiles)
				if diff := cmp.Diff(logstest.Names(t, filepath.Dir(path)), wantFiles); diff != "" {
					t.Errorf("files: got (-), want (+):\n%s", diff)
				}
				after, err := os.Stat(names[1] + ending(method))
				if err != nil {
					t.Fatal(err)
				}
				if after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) || after.Size() >= before.Size() {
					t.Errorf("%v %v, %d bytes; it was %v %v, %d bytes", after.Mode(), after.ModTime(), after.Size(), before.Mode(), before.ModTime(), before.Size())
				}
				if st := after.Sys().(*syscall.Stat_t); root && (st.Uid != nobody || st.Gid != nobody) {
					t.Errorf("it belongs to %d:%d", st.Uid, st.Gid)
				}
			})
		}
	}
}

// TestADeathAtEachStep puts a directory into each state that a death leaves,
// and has the next daemon look after it.
func TestADeathAtEachStep(t *testing.T) {
	for method, other := range map[string]string{"gzip": "zstd", "zstd": "gzip"} {
		compressed := func(t *testing.T, name string) []byte {
			var b bytes.Buffer
			src, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			if err := squeeze(&b, src, method); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		}
		write := func(t *testing.T, name string, b []byte) { logstest.Put(t, name, string(b)) }
		end := ending(method)
		for step, leave := range map[string]func(t *testing.T, name string){
			"put aside":         func(*testing.T, string) {},
			"the copy is begun": func(t *testing.T, name string) { write(t, name+end+rotation.HalfEnding, nil) },
			"the copy is half done": func(t *testing.T, name string) {
				b := compressed(t, name)
				write(t, name+end+rotation.HalfEnding, b[:len(b)/2])
			},
			"the copy is whole":            func(t *testing.T, name string) { write(t, name+end+rotation.HalfEnding, compressed(t, name)) },
			"the copy has its name":        func(t *testing.T, name string) { write(t, name+end, compressed(t, name)) },
			"the power went with the copy": func(t *testing.T, name string) { write(t, name+end, nil) },
			"the original is gone":         func(t *testing.T, name string) { write(t, name+end, compressed(t, name)); os.Remove(name) },
			"a copy in the way of another": func(t *testing.T, name string) {
				write(t, name+end, compressed(t, name))
				write(t, name+ending(other)+rotation.HalfEnding, nil)
			},
			"half done, and the rest expired": func(t *testing.T, name string) { write(t, name+end+rotation.HalfEnding, nil); os.Remove(name) },
		} {
			t.Run(method+" "+step, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "api.log")
				names := leaveAside(t, path, 3, 200)
				leave(t, names[1])
				modTime := time.Now().Add(-time.Hour).Add(time.Second)
				_ = os.Chtimes(names[1]+end, modTime, modTime) // where it is there
				want := logstest.Aside(t, path)
				if step == "half done, and the rest expired" {
					names = slices.Delete(names, 1, 2)
				}
				if n := strings.Count(strings.Join(want, ""), "line 0 of part"); n != len(names) {
					t.Errorf("a reader finds %d parts, want %d", n, len(names))
				}
				lookAfter(t, path, rule(t, &api.Rotation{Compress: method}))
				if !slices.Equal(logstest.Aside(t, path), want) {
					t.Error("what was put aside has changed")
				}
				var wantFiles []string
				for _, name := range names {
					wantFiles = append(wantFiles, filepath.Base(name)+end)
				}
				if diff := cmp.Diff(logstest.Names(t, filepath.Dir(path)), wantFiles); diff != "" {
					t.Errorf("files: got (-), want (+):\n%s", diff)
				}
			})
		}
	}
}

// TestKilledAtAnyInstruction kills the daemon's part of it as it comes, and
// looks at what is there each time.
func TestKilledAtAnyInstruction(t *testing.T) {
	const deaths = 30
	for _, method := range []string{"gzip", "zstd"} {
		t.Run(method, func(t *testing.T) {
			prepare := func() (path string, want []string) {
				path = filepath.Join(t.TempDir(), "api.log")
				leaveAside(t, path, 6, 3000)
				return path, logstest.Aside(t, path)
			}
			run := func(path string, limit time.Duration) (ended bool) {
				cmd := exec.Command("/proc/self/exe")
				cmd.Env = append(os.Environ(), caretakerVar+"="+path, "METHOD="+method)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				kill := time.AfterFunc(limit, func() { cmd.Process.Kill() })
				err := cmd.Wait()
				kill.Stop()
				if stderr.Len() > 0 {
					t.Fatalf("%v: %s", err, &stderr)
				}
				return err == nil
			}
			// How long it takes when nobody disturbs it is the machine's affair.
			path, _ := prepare()
			began := time.Now()
			if !run(path, time.Minute) {
				t.Fatal("it does not come to its end")
			}
			whole := time.Since(began)
			path, want := prepare()
			for range deaths {
				ended := run(path, rand.N(whole))
				if !slices.Equal(logstest.Aside(t, path), want) {
					t.Fatal("what was put aside has changed")
				}
				if ended {
					path, want = prepare()
				}
			}
			run(path, time.Minute)
			if !slices.Equal(logstest.Aside(t, path), want) {
				t.Error("what was put aside has changed")
			}
			for _, name := range logstest.Names(t, filepath.Dir(path)) {
				if !strings.HasSuffix(name, ending(method)) {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

// child waits for the child of a process that compresses. The runtime has short
// ones of its own.
func child(t *testing.T, pid int) int {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			list, _ := os.ReadFile(task)
			if pids := strings.Fields(string(list)); len(pids) > 0 {
				pid, err := strconv.Atoi(pids[0])
				if err != nil {
					t.Fatal(err)
				}
				if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); bytes.Contains(line, []byte("\x00"+CompressCommand+"\x00")) {
					return pid
				}
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d has no child", pid)
		}
	}
}

// TestTheChildIsPoliteAndDiesWithTheDaemon looks at a child with much to do.
func TestTheChildIsPoliteAndDiesWithTheDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.log")
	name := leaveAside(t, path, 1, 1)[0]
	if err := os.Truncate(name, 64<<30); err != nil { // it takes no room
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), caretakerVar+"="+path, "METHOD=gzip")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	pid := child(t, cmd.Process.Pid)
	half := name + ".gz" + rotation.HalfEnding
	for deadline := time.Now().Add(20 * time.Second); !logs.Exists(half); {
		if time.Now().After(deadline) {
			t.Fatal("the child has not begun")
		}
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		nice, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
		if err != nil {
			t.Fatal(err)
		}
		const ofProcess, classShift, idle = 1, 13, 3
		io, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, ofProcess, uintptr(tid), 0)
		if nice != 1 || errno != 0 || io>>classShift != idle { // getpriority(2) gives 20 - nice
			t.Errorf("thread %d: nice %d, class of its I/O %d, %v; want 19 and %d", tid, 20-nice, io>>classShift, errno, idle)
		}
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	cmd.Process.Kill()
	gone := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	defer unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) // where it lives on
	testkit.WaitFor(t, 20*time.Second, "the child ends with the daemon", func() bool {
		n, err := unix.Poll(gone, 0)
		return n == 1 && err == nil
	})
}

func TestTheEndInTheMiddleOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.log")
	name := leaveAside(t, path, 1, 1)[0]
	if err := os.Truncate(name, 64<<30); err != nil {
		t.Fatal(err)
	}
	c, log := caretaker(t)
	whileItRuns(t, c, func() {
		c.Tidy(path, rule(t))
		testkit.WaitFor(t, 20*time.Second, "it has begun", func() bool { return logs.Exists(name + ".gz" + rotation.HalfEnding) })
	})
	if diff := cmp.Diff(logstest.Names(t, filepath.Dir(path)), []string{filepath.Base(name)}); diff != "" {
		t.Errorf("files: got (-), want (+):\n%s", diff)
	}
	if got := log.Messages(); len(got) > 0 {
		t.Errorf("logged %q for its own end", got)
	}
}

// smallMount is a small file system that children find too.
func smallMount(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tend-test", dir, "tmpfs", 0, size); err != nil {
		t.Skipf("a small disk needs the right to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskLeavesTheOriginal(t *testing.T) {
	path := filepath.Join(smallMount(t, "size=1m"), "api.log")
	leaveAside(t, path, 2, 1000)
	ballast := filepath.Join(filepath.Dir(path), "ballast")
	want := logstest.Aside(t, path)
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if f.Close(); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	c, log := caretaker(t)
	before := logstest.Names(t, filepath.Dir(path))
	for range 3 {
		err := c.lookAfter(t.Context(), path, rule(t), logs.Listings{})
		if err == nil || !strings.Contains(err.Error(), "no space left on device") {
			t.Fatalf("%v, want no space", err)
		}
		c.note(t.Context(), path, err)
		if diff := cmp.Diff(logstest.Names(t, filepath.Dir(path)), before); diff != "" {
			t.Fatalf("files: got (-), want (+):\n%s", diff)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c.note(t.Context(), path, c.lookAfter(t.Context(), path, rule(t), logs.Listings{}))
	}
	if !slices.Equal(logstest.Aside(t, path), want) {
		t.Error("what was put aside has changed")
	}
	for _, name := range logstest.Names(t, filepath.Dir(path)) {
		if !strings.HasSuffix(name, ".gz") {
			t.Errorf("%s is left", name)
		}
	}
	wantLog := []string{"rotated logs are left as they are for now", "rotated logs are looked after again"}
	if diff := cmp.Diff(log.Messages(), wantLog); diff != "" {
		t.Errorf("logged: got (-), want (+):\n%s", diff)
	}
}

func TestTheOriginalStaysUntilItsCopyHasItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.log")
	name := leaveAside(t, path, 1, 10)[0]
	want := logstest.Aside(t, path)
	logstest.Put(t, filepath.Join(mkdir(t, name+".gz"), "x"), "in the way")
	c, _ := caretaker(t)
	if err := c.lookAfter(t.Context(), path, rule(t), logs.Listings{}); err == nil {
		t.Error("it is compressed, where something is in the way")
	}
	if !slices.Equal(logstest.Aside(t, path), want) {
		t.Error("what was put aside has changed")
	}
}

func mkdir(t testing.TB, path string) string {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAReaderFindsEachPartAtAnyMoment lists what is just being compressed.
func TestAReaderFindsEachPartAtAnyMoment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.log")
	const parts = 40
	leaveAside(t, path, parts, 1)
	c, _ := caretaker(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.lookAfter(t.Context(), path, rule(t, &api.Rotation{Retain: -1}), logs.Listings{}); err != nil {
			t.Error(err)
		}
	})
	for last := false; !last; {
		list, err := logs.Rotated(path)
		if err != nil || len(list) != parts {
			t.Errorf("%d parts are found, %v; want %d", len(list), err, parts)
			break
		}
		last = list[parts-1].Method != ""
	}
	wg.Wait()
}
