package collect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/errs"
	"tend/internal/logs/logstest"
	"tend/internal/testkit"
)

// running is a Collector at work.
type running struct {
	*Collector
	log    *logstest.Log
	closed chan string // what was closed, in order
	stop   func()      // ends Run and waits for it
}

func run(t testing.TB) *running {
	t.Helper()
	return runOn(t, testkit.NewShelf(t))
}

// runOn is run with what is on a shelf.
func runOn(t testing.TB, shelf *testkit.Shelf) *running {
	t.Helper()
	return runWith(t, shelf, func(*Collector) {})
}

// runWith is runOn with what is to be said before it runs.
func runWith(t testing.TB, shelf *testkit.Shelf, prepare func(*Collector)) *running {
	t.Helper()
	t.TempDir() // goes after r has stopped, which writes beside its logs until then
	r := &running{log: &logstest.Log{}, closed: make(chan string, 1000)}
	r.Collector = New(slog.New(r.log), shelf, func(key string) { r.closed <- key })
	prepare(r.Collector)
	ctx, cancel := context.WithCancelCause(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Run(ctx); !errors.Is(err, errEnough) {
			t.Errorf("run: %v, want %v", err, errEnough)
		}
	})
	r.stop = sync.OnceFunc(func() { cancel(errEnough); wg.Wait() })
	t.Cleanup(r.stop)
	return r
}

// pipe makes a pipe as the keeper does: the end that the app gets blocks.
func pipe(t testing.TB) (r int, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	w = os.NewFile(uintptr(fds[1]), "pipe")
	t.Cleanup(func() { _ = unix.Close(fds[0]); _ = w.Close() })
	return fds[0], w
}

func add(t testing.TB, c *running, s Stream) {
	t.Helper()
	if err := c.Add(s); err != nil {
		t.Fatal(err)
	}
}

// chunks writes size bytes of numbered lines of all lengths, in writes of all
// lengths, and sums them up.
func chunks(t testing.TB, w io.Writer, name string, size int) (sum [sha256.Size]byte) {
	hash := sha256.New()
	random := rand.New(rand.NewPCG(1, uint64(size)))
	var buf []byte
	for i, written := 0, 0; written < size; i++ {
		buf = fmt.Appendf(buf[:0], "%s %d ", name, i)
		for range random.IntN(20_000) {
			buf = append(buf, byte('a'+i%26))
		}
		buf = append(buf, '\n')
		n, err := w.Write(buf)
		if err != nil {
			t.Errorf("write: %v", err)
			break
		}
		hash.Write(buf[:n])
		written += n
	}
	hash.Sum(sum[:0])
	return sum
}

func sumOf(t testing.TB, path string) (sum [sha256.Size]byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		t.Fatal(err)
	}
	hash.Sum(sum[:0])
	return sum
}

// awaitContent waits until a file reads so. There is nothing else to wait
// on: the collector tells nobody that it wrote.
func awaitContent(t *testing.T, path, want string) {
	t.Helper()
	var got []byte
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); runtime.Gosched() {
		if got, _ = os.ReadFile(path); string(got) == want {
			return
		}
	}
	t.Fatalf("%s reads %.200q, want %.200q", path, got, want)
}

func TestEveryByteArrives(t *testing.T) {
	const streams = 4
	size := 200 << 20 / streams
	if testing.Short() {
		size = 8 << 20 / streams
	}
	dir := t.TempDir()
	c := run(t)
	var wg sync.WaitGroup
	var want [streams][sha256.Size]byte
	for i := range streams {
		key := fmt.Sprint(i)
		fd, w := pipe(t)
		add(t, c, Stream{Key: key, FD: fd, Paths: []string{filepath.Join(dir, key)}})
		wg.Go(func() {
			want[i] = chunks(t, w, key, size)
			w.Close()
		})
	}
	for range streams {
		<-c.closed
	}
	wg.Wait()
	for i := range streams {
		if got := sumOf(t, filepath.Join(dir, fmt.Sprint(i))); got != want[i] {
			t.Errorf("stream %d: the file is not what was written", i)
		}
	}
	if got := c.log.Messages(); len(got) != 0 {
		t.Errorf("logged %q, want nothing", got)
	}
}

func TestAStreamEndsWithItsLastWriter(t *testing.T) {
	c := run(t)
	path := filepath.Join(t.TempDir(), "not", "there", "log")
	fd, w := pipe(t)
	second, err := unix.Dup(int(w.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	add(t, c, Stream{Key: "a/1", FD: fd, Paths: []string{path}})
	fmt.Fprintln(w, "one")
	w.Close()
	awaitContent(t, path, "one\n")
	select {
	case key := <-c.closed:
		t.Fatalf("%s was closed while a writer is left", key)
	default:
	}
	if _, err := unix.Write(second, []byte("two")); err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(second)
	if key := <-c.closed; key != "a/1" {
		t.Errorf("closed %s, want a/1", key)
	}
	if got, _ := os.ReadFile(path); string(got) != "one\ntwo" {
		t.Errorf("the file reads %q", got)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fi.Mode().Perm() &^ 0o640; got != 0 {
		t.Errorf("the file has mode %v, want at most 0640", fi.Mode())
	}
	// The same key may come again: the instance was restarted.
	fd, w = pipe(t)
	add(t, c, Stream{Key: "a/1", FD: fd, Paths: []string{path}})
	fmt.Fprintln(w, "three")
	w.Close()
	<-c.closed
	if got, _ := os.ReadFile(path); string(got) != "one\ntwothree\n" {
		t.Errorf("the file reads %q", got)
	}
}

func TestStreamsShareAFileAndHaveMoreThanOne(t *testing.T) {
	dir := t.TempDir()
	all := filepath.Join(dir, "all")
	c := run(t)
	var wg sync.WaitGroup
	const lines = 2000
	for i := range 3 {
		own := filepath.Join(dir, fmt.Sprint(i))
		fd, w := pipe(t)
		add(t, c, Stream{Key: own, FD: fd, Paths: []string{own, all, own, os.DevNull}})
		wg.Go(func() {
			for n := range lines {
				fmt.Fprintf(w, "%d %d\n", i, n)
			}
			w.Close()
		})
	}
	for range 3 {
		<-c.closed
	}
	wg.Wait()
	merged, err := os.ReadFile(all)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		var want strings.Builder
		for n := range lines {
			fmt.Fprintf(&want, "%d %d\n", i, n)
		}
		if got, _ := os.ReadFile(filepath.Join(dir, fmt.Sprint(i))); string(got) != want.String() {
			t.Errorf("file %d differs from what was written", i)
		}
	}
	if got, want := len(merged), 3*lines*len("0 0000\n")-3*1110; got != want {
		t.Errorf("the merged file has %d bytes, want %d", got, want)
	}
}

func TestOutputForNobodyIsTakenAway(t *testing.T) {
	c := run(t)
	for _, paths := range [][]string{nil, {os.DevNull}} {
		fd, w := pipe(t)
		add(t, c, Stream{Key: "x", FD: fd, Paths: paths})
		chunks(t, w, "x", 1<<20)
		w.Close()
		<-c.closed
	}
}

// paced writes no more than it was allowed to.
type paced struct {
	io.Writer

	allowed chan int
	left    int
}

func (p *paced) Write(b []byte) (int, error) {
	for p.left < len(b) {
		p.left += <-p.allowed
	}
	p.left -= len(b)
	return p.Writer.Write(b)
}

func TestTheNextCollectorGoesOn(t *testing.T) {
	size := 32 << 20
	if testing.Short() {
		size = 4 << 20
	}
	path := filepath.Join(t.TempDir(), "log")
	fd, w := pipe(t)
	app := &paced{Writer: w, allowed: make(chan int, 16)}
	var want [sha256.Size]byte
	var wg sync.WaitGroup
	wg.Go(func() {
		want = chunks(t, app, "x", size)
		w.Close()
	})
	// Each collector is ended in the middle of its work: when half of the part
	// that it lets the app write is in the file.
	part := size / 8
	for n := 1; ; n++ {
		c := run(t)
		add(t, c, Stream{Key: "x", FD: fd, Paths: []string{path}})
		app.allowed <- part
		target := int64(n*part - part/2)
		for done := false; !done; {
			if len(c.closed) > 0 {
				wg.Wait()
				if got := sumOf(t, path); got != want {
					t.Error("the file is not what was written")
				}
				return
			}
			fi, err := os.Stat(path)
			done = err == nil && fi.Size() >= target
		}
		c.stop()
	}
}

func TestReopenFollowsThePath(t *testing.T) {
	c := run(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "log")
	fd, w := pipe(t)
	add(t, c, Stream{Key: "x", FD: fd, Paths: []string{path}})
	fmt.Fprintln(w, "one")
	awaitContent(t, path, "one\n")
	if err := os.Rename(filepath.Dir(path), filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(w, "two")
	awaitContent(t, filepath.Join(dir, "moved", "log"), "one\ntwo\n")
	if err := c.Reopen(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(w, "three")
	awaitContent(t, path, "three\n")
	// The loop answers between two turns, so that the one that wrote this, and
	// notes its time beside the log afterwards, is over.
	if err := c.Reopen(); err != nil {
		t.Fatal(err)
	}

	// What cannot be opened goes on as it was.
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	logstest.Put(t, filepath.Dir(path), "in the way")
	if err := c.Reopen(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("reopen: %v, want an error that names %s", err, path)
	}
	fmt.Fprintln(w, "four")
	w.Close()
	<-c.closed
	if got := c.log.Messages(); len(got) != 0 {
		t.Errorf("logged %q, want nothing", got)
	}
}

func TestTruncate(t *testing.T) {
	c := run(t)
	dir := t.TempDir()
	path, other := filepath.Join(dir, "log"), filepath.Join(dir, "other")
	logstest.Put(t, other, "of a stopped app\n")
	fd, w := pipe(t)
	add(t, c, Stream{Key: "x", FD: fd, Paths: []string{path}})
	fmt.Fprintln(w, "one")
	awaitContent(t, path, "one\n")
	if err := c.Truncate([]string{path, other, filepath.Join(dir, "missing"), os.DevNull}); err != nil {
		t.Fatal(err)
	}
	awaitContent(t, other, "")
	fmt.Fprintln(w, "two")
	awaitContent(t, path, "two\n")
	if err := c.Truncate([]string{dir}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("truncate a directory: %v, want invalid", err)
	}
}

func TestAddRefuses(t *testing.T) {
	c := run(t)
	dir := t.TempDir()
	logstest.Put(t, filepath.Join(dir, "file"), "")
	fd, _ := pipe(t)
	fd2, _ := pipe(t)
	good := filepath.Join(dir, "good")
	add(t, c, Stream{Key: "taken", FD: fd, Paths: []string{good}})
	tests := map[string]struct {
		stream Stream
		want   errs.Kind
		names  string
	}{
		"a directory":         {Stream{Key: "x", FD: fd2, Paths: []string{good, dir}}, errs.Invalid, dir},
		"a path below a file": {Stream{Key: "x", FD: fd2, Paths: []string{filepath.Join(dir, "file", "log")}}, errs.Invalid, "file/log"},
		"a key twice":         {Stream{Key: "taken", FD: fd2}, errs.Exists, "taken"},
		"a pipe twice":        {Stream{Key: "x", FD: fd}, errs.Exists, "taken"},
		"what is no pipe":     {Stream{Key: "x", FD: -1}, errs.Internal, "x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := c.Add(tt.stream)
			if err == nil || errs.KindOf(err) != tt.want || !strings.Contains(err.Error(), tt.names) {
				t.Errorf("add: %v (%s), want %s naming %s", err, errs.KindOf(err), tt.want, tt.names)
			}
		})
	}
	// What was refused left nothing behind.
	add(t, c, Stream{Key: "x", FD: fd2, Paths: []string{good}})
	c.stop()
	fd3, _ := pipe(t)
	for what, err := range map[string]error{
		"add":      c.Add(Stream{Key: "y", FD: fd3, Paths: []string{good}}),
		"reopen":   c.Reopen(),
		"truncate": c.Truncate([]string{good}),
	} {
		if errs.KindOf(err) != errs.Unavailable {
			t.Errorf("%s after the end: %v, want unavailable", what, err)
		}
	}
}

func TestANewFileBelongsToItsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	c := run(t)
	dir := t.TempDir()
	there, fresh := filepath.Join(dir, "there"), filepath.Join(dir, "fresh")
	logstest.Put(t, there, "")
	fd, _ := pipe(t)
	add(t, c, Stream{Key: "x", FD: fd, Paths: []string{there, fresh}, Owner: &Owner{UID: 1234, GID: 2345}})
	for path, want := range map[string]Owner{there: {0, 0}, fresh: {1234, 2345}} {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		if got := (Owner{int(st.Uid), int(st.Gid)}); got != want {
			t.Errorf("%s belongs to %v, want %v", path, got, want)
		}
	}
}

func TestQuietStreamsCostNothing(t *testing.T) {
	c := run(t)
	path := filepath.Join(t.TempDir(), "log")
	fd, w := pipe(t)
	add(t, c, Stream{Key: "busy", FD: fd, Paths: []string{path}})
	for i := range 200 {
		fd, _ := pipe(t)
		add(t, c, Stream{Key: fmt.Sprint(i), FD: fd, Paths: []string{path}})
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var st unix.Stat_t
	line, size := []byte("a line\n"), int64(0)
	write := func() {
		if _, err := w.Write(line); err != nil {
			t.Error(err)
		}
		for size += int64(len(line)); st.Size < size; runtime.Gosched() {
			if err := unix.Fstat(int(file.Fd()), &st); err != nil {
				t.Fatal(err)
			}
		}
	}
	write()
	const agreed = 0
	if got := testing.AllocsPerRun(200, write); got > agreed {
		t.Errorf("a line costs %.0f allocations, agreed are %d", got, agreed)
	}
}

// BenchmarkCollector measures what an app gets through that does nothing but
// write lines, and the processor time that costs us.
func BenchmarkCollector(b *testing.B) {
	const lines = 500_000
	for _, writers := range []int{1, 2} {
		b.Run(fmt.Sprintf("apps=%d", writers), func(b *testing.B) {
			dir := b.TempDir()
			c := run(b)
			b.SetBytes(int64(writers) * lines * lineSize)
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				for i := range writers {
					fd, w := pipe(b)
					add(b, c, Stream{Key: fmt.Sprint(i), FD: fd, Paths: []string{filepath.Join(dir, fmt.Sprint(i))}})
					app := exec.Command(os.Args[0])
					app.Env = append(os.Environ(), fmt.Sprintf("%s=%d", writerVar, lines))
					app.Stdout = w
					if err := app.Start(); err != nil {
						b.Fatal(err)
					}
					b.Cleanup(func() { _ = app.Wait() })
					w.Close()
				}
				for range writers {
					<-c.closed
				}
			}
			total := float64(b.N * writers * lines)
			b.ReportMetric(total/b.Elapsed().Seconds(), "lines/s")
			b.ReportMetric((cpu(b)-before)/total*2e6, "cpu-s/2Mlines")
		})
	}
}

// cpu is the processor time this process has used, in seconds.
func cpu(b *testing.B) float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
