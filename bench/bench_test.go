package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/bench/lines"
	"tend/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite testdata/report.md")

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case mortalWord:
			os.Exit(mortalMain(os.Args[2:]))
		case lines.Word:
			os.Exit(lines.Main(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

func needLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
}

func TestMedian(t *testing.T) {
	for name, tt := range map[string]struct {
		values []float64
		want   float64
	}{
		"of one is it":                       {[]float64{3}, 3},
		"of three is the middle one":         {[]float64{9, 1, 4}, 4},
		"of four is between the middle ones": {[]float64{9, 1, 4, 6}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			if got := median(tt.values); got != tt.want {
				t.Errorf("median(%v) = %v, want %v", tt.values, got, tt.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for name, tt := range map[string]struct {
		args string
		want string // in the error
	}{
		"a measurement that is none": {"-only memory,speed", `"speed"`},
		"a size that is no number":   {"-sizes 10,many", `"many"`},
		"no apps":                    {"-sizes 0", `"0"`},
		"no rounds":                  {"-rounds 0", "-rounds"},
		"no lines":                   {"-lines 0", "-lines"},
		"a word too many":            {"fast", `"fast"`},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			_, err := parse(strings.Fields(tt.args), io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("parse(%q): error %v, want one with %s", tt.args, err, tt.want)
			}
		})
	}
	o, err := parse(strings.Fields("-only ls,cpu -sizes 100,10,100"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{[]string{"ls", "cpu"}, []int{10, 100}}, []any{o.only, o.sizes}); diff != "" {
		t.Errorf("-only and -sizes (-want +got):\n%s", diff)
	}
}

func TestParseJlist(t *testing.T) {
	for name, tt := range map[string]struct {
		out     string
		want    []instance
		refused bool
	}{
		"one line":                        {out: `[{"pid":7,"name":"a","pm2_env":{}}]`, want: []instance{{"a", 7}}},
		"behind what PM2 has to say":      {out: "\x1b[32m[PM2] Spawning\n[PM2] done\n[]\n", want: []instance{}},
		"an app that does not run":        {out: `[{"pid":0,"name":"a"}]`, want: []instance{}},
		"no list at all":                  {out: "[PM2] nothing\n", refused: true},
		"a list that was cut in its half": {out: `[{"pid":7,`, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseJlist([]byte(tt.out))
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(instance{})); diff != "" || (err != nil) != tt.refused {
				t.Errorf("error %v, refused %v (-want +got):\n%s", err, tt.refused, diff)
			}
		})
	}
}

func TestParseStatus(t *testing.T) {
	got := parseStatus([]byte("" +
		"b0                               RUNNING   pid 101, uptime 0:00:01\n" +
		"b1                               STOPPED   Not started\n" +
		"b2                               RUNNING   pid 102, uptime 1 day, 0:00:01\n"))
	want := []instance{{"b0", 101}, {"b2", 102}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(instance{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMortalWritesItsLives(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lives")
	a := mortal(os.Args[0], file, 20*time.Millisecond)
	for range 3 {
		if out, err := exec.Command(a.script, a.args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := appendTo(file, "sta"); err != nil { // a fourth, about to write
		t.Fatal(err)
	}
	got, err := gaps(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("three lives have %d gaps, want 2: %v", len(got), got)
	}
	for _, gap := range got {
		if gap <= 0 || gap > 10 {
			t.Errorf("a gap of %v s", gap)
		}
	}
}

func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func TestEndMarkedSparesOthers(t *testing.T) {
	needLinux(t)
	mark := "TEND_BENCH=" + t.TempDir()
	var own, other exec.Cmd
	for cmd, mark := range map[*exec.Cmd]string{&own: mark, &other: mark + "x"} {
		*cmd = *exec.Command("/bin/sleep", "100000")
		cmd.Env = []string{mark}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Process.Kill()
		// execve closes what Start waits for before it shows the environment.
		testkit.WaitFor(t, 10*time.Second, "the mark is there", func() bool { return hasMark(cmd.Process.Pid, mark) })
	}

	want := []process{{own.Process.Pid, "/bin/sleep\x00100000\x00"}}
	got := marked(mark)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(process{})); diff != "" {
		t.Fatalf("marked (-want +got):\n%s", diff)
	}
	if !got[0].sleeps() {
		t.Error("a sleeper is not known for one")
	}
	endMarked(other.Process.Pid, mark)
	endMarked(own.Process.Pid, mark)
	_ = other.Process.Signal(syscall.SIGTERM) // comes too late after SIGKILL
	for cmd, want := range map[*exec.Cmd]syscall.Signal{&own: syscall.SIGKILL, &other: syscall.SIGTERM} {
		_ = cmd.Wait()
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != want {
			t.Errorf("the sleeper with %s ended by %v, want %v", cmd.Env[0], cmd.ProcessState, want)
		}
	}
}

func TestCPUTimeAgreesWithTheKernelsOtherCount(t *testing.T) {
	needLinux(t)
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; { // so that there is something to count
	}
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		t.Fatal(err)
	}
	got, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		t.Fatal(err)
	}
	total := func(r syscall.Rusage) time.Duration { return time.Duration(r.Utime.Nano() + r.Stime.Nano()) }
	const slack = 10 * time.Millisecond
	if got < total(before)-slack || got > total(after)+slack {
		t.Errorf("%v, want between %v and %v", got, total(before), total(after))
	}
}

func TestChildrenTimeCountsThoseThatHaveEnded(t *testing.T) {
	needLinux(t)
	before, err := childrenTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "n=0; while [ $n -lt 300000 ]; do n=$((n+1)); done")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	after, err := childrenTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	// Other tests may have had children meanwhile.
	if got := after - before; got < used-20*time.Millisecond || used == 0 {
		t.Errorf("%v, where a child has used %v", got, used)
	}
}

func TestMachineTimeCountsThisProcess(t *testing.T) {
	needLinux(t)
	before, err := machineTime()
	if err != nil {
		t.Fatal(err)
	}
	own, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const work = 200 * time.Millisecond
	for used := own; used < own+work; {
		if used, err = cpuTime(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	after, err := machineTime()
	if err != nil {
		t.Fatal(err)
	}
	if after-before < work*8/10 {
		t.Errorf("the machine did %v while this process did %v", after-before, work)
	}
}

func TestResident(t *testing.T) {
	needLinux(t)
	ballast := bytes.Repeat([]byte{1}, 64<<20)
	got, err := resident(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if got < float64(len(ballast)) || got > 1<<30 {
		t.Errorf("%v bytes with %d of ballast", got, len(ballast))
	}
	runtime.KeepAlive(ballast)
}

// stub is a manager made of a shell script, which has the command in $1 and
// its home in $STUB_HOME.
func stub(t *testing.T, script string) manager {
	t.Helper()
	needLinux(t)
	path := filepath.Join(t.TempDir(), "stub")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return &pm2Like{title: "stub", program: path, homeVar: "STUB_HOME", pidName: "pid", limit: tendLimit}
}

const (
	// launch leaves a sleeper behind, and goes on when it is one.
	launch = `/bin/sleep 100000 </dev/null >/dev/null 2>&1 &
echo $! >>$STUB_HOME/pids
until grep -q 100000 /proc/$!/cmdline; do :; done
`
	// obey ends them at the command kill.
	obey = `if [ $1 = kill ]; then kill -9 $(cat $STUB_HOME/pids); exit; fi
`
)

func TestCloseEndsWhatTheManagerLeaves(t *testing.T) {
	t.Parallel()
	h, err := openHome(t.Context(), stub(t, "[ $1 != ping ] || {\n"+launch+launch+"}"))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(h.sleepers()); got != 2 {
		t.Errorf("%d sleepers, want 2", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // as after Ctrl-C
	if err := h.close(ctx); err != nil {
		t.Fatal(err)
	}
	if left := marked(h.mark); len(left) > 0 {
		t.Errorf("%v still run", left)
	}
	if _, err := os.Stat(h.dir); !os.IsNotExist(err) {
		t.Errorf("the home is still there: %v", err)
	}
}

func TestManagersThatDoNotDoTheirWorkAreFoundOut(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		take   func(context.Context, *turn) error
		want   string
	}{
		"start starts too few":     {obey + "[ $1 != start ] || {\n" + launch + "}", takeCycle, "check the start: 1 apps run, not 2"},
		"restart does nothing":     {obey + "[ $1 != start ] || {\n" + launch + launch + "}", takeCycle, "2 of them are the old ones"},
		"start ends with an error": {`[ $1 != start ] || { echo no memory; exit 3; }`, takeList, "exit status 3: no memory"},
		"there is no manager":      {``, func(ctx context.Context, t *turn) error { t.apps = 0; return takeMemory(ctx, t) }, "it does not run"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			turn := &turn{apps: 2, who: "stub", results: newResults()}
			err := turn.take(t.Context(), stub(t, tt.script), measurement{take: tt.take})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestRoundsAreInTurns(t *testing.T) {
	a, b := &pm2Like{title: "a", limit: 10}, &pm2Like{title: "b", limit: 1}
	var got []string
	m := measurement{name: "order", of: allManagers, take: func(_ context.Context, t *turn) error {
		got = append(got, fmt.Sprintf("%s %d", t.who, t.apps))
		return errors.New("enough")
	}}
	for _, who := range []*pm2Like{a, b} {
		who.program, who.homeVar = "/bin/true", "STUB_HOME"
	}
	r := &runner{peers: peers{managers: []manager{a, b}}, results: newResults(), progress: io.Discard}
	for _, n := range []int{1, 5} {
		for round := range 2 {
			if err := r.round(t.Context(), m, n, round); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []string{"a 1", "b 1", "b 1", "a 1", "a 5", "a 5"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(r.results.failures) != len(want) || !strings.Contains(r.results.failures[0], "order, 1 apps, round 1, a: enough") {
		t.Errorf("failures: %q", r.results.failures)
	}
}

func TestReport(t *testing.T) {
	r := &runner{
		options: options{rounds: 2, sizes: []int{100, 1000}},
		peers:   peers{managers: []manager{&pm2Like{title: "tend", release: "1"}, &pm2Like{title: "PM2", release: "7"}}},
		machine: machine{kernel: "6.1", cores: 2, load: "0.10"},
		notes:   []string{"A note."}, results: newResults(),
	}
	r.results.add(row{startTime, 1000}, "tend", 3)
	r.results.add(row{startTime, 100}, "tend", 0.2, 0.3, 0.2)
	r.results.add(row{startTime, 100}, "PM2", 1)
	r.results.add(row{memory, 0}, "tend", 10<<20)
	r.results.add(row{daemonKept, victims}, "tend", 20, 20, 19)
	r.peers.clusters = []manager{
		&pm2Like{title: tendRoundRobin, balance: "round-robin"}, &pm2Like{title: tendShared, balance: "shared"}, &pm2Like{title: pm2Title},
	}
	r.results.add(row{freshRate, pair}, tendRoundRobin, 9000, 9100, 8900)
	r.results.add(row{freshRate, pair}, tendShared, 14000)
	r.results.add(row{freshRate, pair}, pm2Title, 4500, 4400)
	r.results.add(row{managerCost, pair}, tendRoundRobin, 33e-6)
	for who, failed := range map[string]float64{tendShared: 1, pm2Title: 174} {
		r.results.add(row{freshMade.in(slowReload), pair}, who, 11000, 12000)
		r.results.add(row{freshFailed.in(slowReload), pair}, who, failed, 0)
	}
	r.peers.loggers = []manager{&pm2Like{title: tendRaw}, &pm2Like{title: pm2Raw}, &pm2Like{title: pm2Dated}, redirection{}}
	for who, rate := range map[string]float64{tendRaw: 3e6, pm2Raw: 1.5e6, plainFile: 3.2e6} {
		r.results.add(row{lineRate.in(inBlocks), 1}, who, rate)
		r.results.add(row{linesMade.in(inBlocks), 1}, who, 2e6, 2e6)
		r.results.add(row{linesBroken.in(inBlocks), 1}, who, 0, 0)
	}
	r.results.add(row{lineCPU.in(inBlocks), 1}, tendRaw, 0.31)
	r.results.remarks = []string{"One was late."}
	r.results.failures = []string{"One failed."}
	r.machine.began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got := strings.ReplaceAll(r.report(), runtime.Version(), "go1.0")
	const golden = "testdata/report.md"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("(-%s +got; if it is meant so: go test ./bench -update):\n%s", golden, diff)
	}
}
