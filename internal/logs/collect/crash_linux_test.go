package collect

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/logs/logstest"
	"tend/internal/testkit"
)

// collectEnv makes the test binary a collector: "name=fd name=fd ...", and
// collectPaths tells where each stream goes.
const (
	collectEnv   = "TEND_TEST_COLLECT"
	collectPaths = "TEND_TEST_PATHS"
)

// collectChild is a daemon of which only the collector is left. It lives until
// it is killed.
func collectChild() {
	s := &testkit.Shelf{}
	for f := range strings.FieldsSeq(os.Getenv(collectEnv)) {
		name, number, _ := strings.Cut(f, "=")
		fd, _ := strconv.Atoi(number)
		if err := s.Hold(name, fd); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	c := New(slog.New(slog.NewTextHandler(os.Stderr, nil)), s, func(string) {})
	for f := range strings.FieldsSeq(os.Getenv(collectPaths)) {
		key, path, _ := strings.Cut(f, "=")
		fd, _ := s.Held(key)
		stream := Stream{Key: key, FD: fd, Paths: strings.Split(path, ",")}
		if strings.HasPrefix(key, "time") {
			stream.Shape = Shape{Date: "YYYY"}
		}
		stream.Shared = strings.HasPrefix(key, "shared")
		if key == "turned" {
			stream.Rotation = &api.Rotation{MaxSize: 300_000, Retain: -1, Compress: "gzip"}
		}
		if err := c.Add(stream); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	fmt.Fprintln(os.Stderr, c.Run(context.Background()))
	os.Exit(1)
}

// TestKilledAnywhere has collectors killed while five streams are written at
// full speed, and looks for every line.
func TestKilledAnywhere(t *testing.T) {
	dir := t.TempDir()
	shelf := testkit.NewShelf(t)
	if _, err := openSlate(shelf); err != nil {
		t.Fatal(err)
	}
	common := filepath.Join(dir, "common")
	paths := map[string]string{
		"raw": filepath.Join(dir, "raw"), "time": filepath.Join(dir, "time") + "," + filepath.Join(dir, "time2"),
		"shared1": common, "shared2": common, "turned": filepath.Join(dir, "turned"),
	}
	stop := make(chan struct{})
	wrote := make(chan string)
	for key := range paths {
		r, w := pipe(t)
		if err := shelf.Hold(key, r); err != nil {
			t.Fatal(err)
		}
		if key != "raw" {
			if _, err := openRest(shelf, key); err != nil {
				t.Fatal(err)
			}
		}
		go func() {
			n := 0
			out := bufio.NewWriterSize(w, 1+rand.IntN(100_000))
			for open := true; open; n++ {
				fmt.Fprintf(out, "%s %d %s\n", key, n, strings.Repeat("x", rand.IntN(200)))
				select {
				case <-stop:
					open = false
				default:
				}
			}
			_ = out.Flush()
			wrote <- fmt.Sprintf("%s %d", key, n)
		}()
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	start := func() *exec.Cmd {
		cmd := exec.Command(exe)
		var names, places []string
		for _, name := range shelf.Names() {
			fd, _ := shelf.Held(name)
			own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, fmt.Sprintf("%s=%d", name, 3+len(cmd.ExtraFiles)))
			cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(own), name))
		}
		for key, path := range paths {
			places = append(places, key+"="+path)
		}
		cmd.Env = append(os.Environ(), collectEnv+"="+strings.Join(names, " "), collectPaths+"="+strings.Join(places, " "))
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() }) // also where the test fails
		for _, f := range cmd.ExtraFiles {
			f.Close()
		}
		return cmd
	}
	end := func(cmd *exec.Cmd) {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	for range 40 {
		cmd := start()
		grown(t, filepath.Join(dir, "raw"))
		pause := time.Duration(rand.IntN(3000)) * time.Microsecond
		_ = unix.Nanosleep(&unix.Timespec{Nsec: pause.Nanoseconds()}, nil) // when it dies is chance
		end(cmd)
	}
	cmd := start()
	close(stop)
	last := map[string]int{}
	for range paths {
		f := strings.Fields(<-wrote)
		last[f[0]], _ = strconv.Atoi(f[1])
	}
	for end := time.Now().Add(20 * time.Second); ; {
		left := 0
		for key := range paths {
			fd, _ := shelf.Held(key)
			n, _ := unix.IoctlGetInt(fd, unix.TIOCINQ)
			left += n
		}
		if left == 0 || time.Now().After(end) {
			break
		}
	}
	end(cmd)
	drained := start() // and what the last one had in hand
	checkNumbers(t, filepath.Join(dir, "raw"), "", map[string]int{"raw": last["raw"]})
	year := time.Now().UTC().Format("2006") + ": "
	checkNumbers(t, filepath.Join(dir, "time"), year, map[string]int{"time": last["time"]})
	checkNumbers(t, filepath.Join(dir, "time2"), year, map[string]int{"time": last["time"]})
	checkNumbers(t, filepath.Join(dir, "turned"), "", map[string]int{"turned": last["turned"]})
	checkNumbers(t, common, "", map[string]int{"shared1": last["shared1"], "shared2": last["shared2"]})
	end(drained)
}

// grown waits until a file has grown.
func grown(t *testing.T, path string) {
	t.Helper()
	size := func() int64 {
		fi, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return fi.Size()
	}
	was := size()
	for end := time.Now().Add(20 * time.Second); size() == was; {
		if time.Now().After(end) {
			t.Fatalf("%s does not grow", path)
		}
	}
}

// checkNumbers checks that a file holds each line of some streams once, whole
// and in order. It waits until the last ones are there.
func checkNumbers(t *testing.T, path, prefix string, want map[string]int) {
	t.Helper()
	var data []byte
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		b := written(t, path)
		data = b
		missing := false
		for key, n := range want {
			missing = missing || !bytes.Contains(tailOf(b), fmt.Appendf(nil, "%s %d ", key, n-1))
		}
		if !missing {
			break
		}
	}
	next := map[string]int{}
	lines := bufio.NewReader(bytes.NewReader(data))
	for number := 1; ; number++ {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		}
		text, ok := strings.CutPrefix(line, prefix)
		f := strings.Fields(text)
		if !ok || len(f) < 2 || len(f) > 3 || f[1] != strconv.Itoa(next[f[0]]) || len(f) == 3 && strings.Trim(f[2], "x") != "" {
			t.Fatalf("%s: line %d is %.200q, want number %v", path, number, line, next)
		}
		next[f[0]]++
	}
	for key, n := range want {
		if next[key] != n {
			t.Errorf("%s: %d lines of %s, want %d", path, next[key], key, n)
		}
	}
}

// written is all that was written to a log, also what was put aside of it.
func written(t *testing.T, path string) []byte {
	t.Helper()
	var all []byte
	for i, text := range logstest.Aside(t, path) {
		if !strings.HasSuffix(text, "\n") {
			t.Fatalf("part %d of %s was put aside in the middle of a line", i, path)
		}
		all = append(all, text...)
	}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return append(all, b...)
}

func tailOf(b []byte) []byte { return b[max(0, len(b)-1<<20):] }
