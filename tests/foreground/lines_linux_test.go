package foreground

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tend/client"
	"tend/internal/testkit"
)

func TestLinesAreOurs(t *testing.T) {
	const apps = `echo one; echo two >&2; printf three; exit 0`
	tests := map[string]struct {
		option         string
		stdout, stderr []string // sorted
	}{
		"as they are": {"--raw", []string{"one", "three"}, []string{"two"}},
		"with names":  {"--formatted", []string{"0|a | one", "0|a | three", "0|a | two"}, nil},
		"as keys": {"--format", []string{
			"app=a id=0 type=error message=two", "app=a id=0 type=out message=one", "app=a id=0 type=out message=three",
		}, nil},
		"as JSON": {"--json", []string{
			`{"message":"one","type":"out","process_id":0,"app_name":"a"}`,
			`{"message":"three","type":"out","process_id":0,"app_name":"a"}`,
			`{"message":"two","type":"err","process_id":0,"app_name":"a"}`,
		}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRun(t)
			r.start(nil, "run", tt.option, r.file(sh("a", apps, "autorestart", false)))
			if code := r.code(); code != 0 {
				t.Fatalf("code %d\n%s", code, r.stderr.String())
			}
			var got, faults, happened []string
			for line := range strings.Lines(r.stdout.String()) {
				line = strings.TrimSpace(line)
				if before, after, ok := strings.Cut(line, " app="); ok && strings.HasPrefix(before, "timestamp=") {
					line = "app=" + after
				}
				if tt.option == "--json" {
					var v struct {
						Message   *string `json:"message"`
						Timestamp string  `json:"timestamp"`
						Type      string  `json:"type"`
						ID        int     `json:"process_id"`
						App       string  `json:"app_name"`
						Status    string  `json:"status"`
					}
					if err := json.Unmarshal([]byte(line), &v); err != nil || v.Timestamp == "" {
						t.Fatalf("%q: %v", line, err)
					}
					if v.Type == "process_event" {
						happened = append(happened, v.Status)
						continue
					}
					line = fmt.Sprintf(`{"message":%q,"type":%q,"process_id":%d,"app_name":%q}`, *v.Message, v.Type, v.ID, v.App)
				}
				got = append(got, line)
			}
			for line := range strings.Lines(r.stderr.String()) {
				if !strings.HasPrefix(line, "[tend]") {
					faults = append(faults, strings.TrimSpace(line))
				}
			}
			if want := []string{"online", "exit"}; tt.option == "--json" && !slices.Equal(happened, want) {
				t.Errorf("happened: got %q, want %q", happened, want)
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.stdout) || !slices.Equal(faults, tt.stderr) {
				t.Errorf("got %q and %q, want %q and %q", got, faults, tt.stdout, tt.stderr)
			}
		})
	}
}

// TestTheLastLinesAreThere: an app that writes much and ends loses nothing.
func TestTheLastLinesAreThere(t *testing.T) {
	r := newRun(t)
	r.start(nil, "run", r.file(sh("a", "seq 1 300000", "autorestart", false)))
	if code := r.code(); code != 0 {
		t.Fatalf("code %d\n%s", code, r.stderr.String())
	}
	inOrder(t, r.stdout.String(), 300_000)
}

// inOrder checks that text is the numbers from 1 on, a line each; at least 1 is
// no count.
func inOrder(t *testing.T, text string, count int) {
	t.Helper()
	n := 0
	for line := range strings.Lines(text) {
		n++
		if line != strconv.Itoa(n)+"\n" {
			t.Fatalf("line %d is %q", n, line)
		}
	}
	if count > 0 && n != count {
		t.Errorf("got %d lines, want %d", n, count)
	}
}

// TestDeathsOfTheDaemon: whoever is killed, each line comes once.
func TestDeathsOfTheDaemon(t *testing.T) {
	r := newRun(t)
	r.start(nil, "run", r.file(sh("a", "trap 'exit 0' INT TERM; i=0; while :; do i=$((i+1)); echo $i; done")))
	r.waitFor("\n100\n")
	for round := range 20 {
		was := r.ping()
		victim := was.PID
		if round%5 == 4 {
			victim = was.Keeper
		}
		if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
			t.Fatalf("round %d: kill %d of daemon %d and keeper %d: %v", round, victim, was.PID, was.Keeper, err)
		}
		testkit.WaitFor(t, soon, "another has taken over", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			now, err := r.c.Ping(ctx)
			return err == nil && now.PID != 0 && now.Keeper != 0 && (now.PID != was.PID || now.Keeper != was.Keeper)
		})
		r.goesOn()
	}
	r.signal(syscall.SIGTERM)
	if code := r.code(); code != 0 {
		t.Errorf("code %d\n%s", code, r.stderr.String())
	}
	inOrder(t, r.stdout.String(), 0)
	r.nobody()
}

// TestASlowReader makes the app slow, and nothing grows.
func TestASlowReader(t *testing.T) {
	r := newRun(t)
	tend, _ := testkit.Build(t)
	r.cmd = exec.Command(tend, "run", r.file(sh("a", "seq 1 2000000; echo done >&2", "autorestart", false)))
	r.cmd.Dir = r.dir
	r.cmd.Env = append(os.Environ(), "TEND_HOME="+string(r.home))
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stderr = &r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testkit.KillAtEnd(t, r.cmd.Process.Pid)
	in := bufio.NewReader(out)
	if _, err := in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	// Nobody reads: the app comes to rest with most of its lines unwritten.
	testkit.WaitFor(t, soon, "the app waits", func() bool {
		was := written(t, r)
		time.Sleep(100 * time.Millisecond)
		return was > 0 && written(t, r) == was
	})
	if strings.Contains(r.stderr.String(), "done") {
		t.Error("the app could write everything although nobody reads")
	}
	if kib := resident(t, r.cmd.Process.Pid); kib > 64<<10 {
		t.Errorf("tend run takes %d KiB", kib)
	}
	rest, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, r.stderr.String())
	}
	inOrder(t, "1\n"+string(rest), 2_000_000)
}

// written is how much the app has written.
func written(t *testing.T, r *run) int {
	t.Helper()
	list, err := r.c.Instances(t.Context(), client.Query{})
	if err != nil || len(list) == 0 || list[0].PID == 0 {
		return 0
	}
	// sh's child is seq.
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", list[0].PID))
	pid := strings.TrimSpace(string(children))
	text, _ := os.ReadFile("/proc/" + pid + "/io")
	var n int
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "wchar: %d", &n)
	}
	return n
}

func resident(t *testing.T, pid int) (kib int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d", &kib)
	}
	return kib
}
