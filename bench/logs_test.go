package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/bench/lines"
)

// small is a scale for tests.
func small() scale { return scale{lines: 20_000, crowd: time.Second, history: 2 << 20} }

// takeLogs takes a measurement of an app that a shell redirects.
func takeLogs(t *testing.T, apps int, take func(context.Context, *turn) error) *turn {
	t.Helper()
	needLinux(t)
	on := &turn{apps: apps, who: plainFile, scale: small(), results: newResults()}
	if err := on.take(t.Context(), redirection{}, measurement{take: take}); err != nil {
		t.Fatal(err)
	}
	if left := marked(on.mark); len(left) > 0 {
		t.Errorf("%v still run", left)
	}
	return on
}

func TestLinesOfARedirectedApp(t *testing.T) {
	t.Parallel()
	for at, take := range map[situation]func(context.Context, *turn) error{inBlocks: takeBlocks, inSingles: takeSingles} {
		on := takeLogs(t, 1, take)
		if rate, _ := on.results.figure(row{lineRate.in(at), 1}, plainFile); rate < 1000 {
			t.Errorf("%s: %v lines a second", at, rate)
		}
		for _, c := range fates(at) {
			made, _ := on.results.figure(row{c.of, 1}, plainFile)
			if bad, ok := on.results.figure(row{c.q, 1}, plainFile); made != 20_000 || bad != 0 || !ok {
				t.Errorf("%s: %v of %v, %v", c.q, bad, made, ok)
			}
		}
	}
}

func TestFaultsOfLogsAreRemarked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	on := &turn{who: plainFile, home: &home{redirection{}, dir, ""}, results: newResults()}
	var text []byte
	for _, n := range []uint64{1, 3, 3} {
		text = lines.Append(text, 0, n, lines.Usual)
	}
	if err := os.WriteFile(redirection{}.logFile(dir, "w0"), append(text, "half"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := on.recordLines(inBlocks, &writers{apps: []app{{name: "w0"}}, made: 4}); err != nil {
		t.Fatal(err)
	}
	got := map[quantity]float64{}
	for _, c := range fates(inBlocks) {
		got[c.q], _ = on.results.figure(row{c.q, 0}, plainFile)
	}
	want := map[quantity]float64{linesLost.in(inBlocks): 2, linesBroken.in(inBlocks): 0, linesRepeated.in(inBlocks): 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if remarks := strings.Join(on.results.remarks, "\n"); !strings.Contains(remarks, "2 are lost, 0 broken, 1 came again, 0 too late, with 1 scraps") {
		t.Errorf("remarks: %s", remarks)
	}
}

func TestWatchLog(t *testing.T) {
	t.Parallel()
	last := lines.Append(nil, 0, 2, lines.Usual)
	log := filepath.Join(t.TempDir(), "log")
	began := time.Now()
	go func() {
		for _, text := range []string{string(lines.Append(nil, 0, 1, lines.Usual)), string(last[:50]), string(last[50:])} {
			time.Sleep(50 * time.Millisecond)
			f, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
			if err == nil {
				f.WriteString(text)
				f.Close()
			}
		}
	}()
	ended, err := watchLog(t.Context(), log, last)
	if took := ended.Sub(began); err != nil || took < 150*time.Millisecond || took > ratePatience {
		t.Errorf("complete after %v, error %v; want a little more than 150 ms", took, err)
	}
	if since := time.Since(ended); since > ratePatience/2 {
		t.Errorf("%v were waited for more", since)
	}
}

func TestMemoryThatStaysAsItIs(t *testing.T) {
	t.Parallel()
	needLinux(t)
	sleeper := exec.Command("/bin/sleep", "100000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { sleeper.Process.Kill(); sleeper.Wait() }()
	held, drift, err := watchMemory(t.Context(), sleeper.Process.Pid, 2*time.Second)
	if err != nil || held < 1<<10 || drift > 1<<20 {
		t.Errorf("a sleeper holds %v bytes, give or take %v, error %v", held, drift, err)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "b0-out.log")
	const size = 2 << 20
	h := newHistory(log, size, historyStep/2)
	if err := h.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := lines.Files(log)
	if err != nil || len(files) != historyLogs+1 {
		t.Fatalf("%d files, error %v: %v", len(files), err, files)
	}
	c := lines.Check{Dated: true}
	if err := c.ReadLog(log); err != nil {
		t.Fatal(err)
	}
	made := uint64(size / int64(len(dateLayout)+2+lines.Usual))
	if got := c.Tally(0, made); got != (lines.Tally{Whole: int(made)}) || c.Scraps > 0 {
		t.Errorf("of %d lines: %+v, %d scraps, %q", made, got, c.Scraps, c.Seen)
	}

	// What a reader should answer, and what not.
	var recent, all []string
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	from := h.last.Add(-historyAge).Format(dateLayout)
	for line := range strings.Lines(string(text)) {
		all = append(all, line)
		if line[:len(dateLayout)] >= from {
			recent = append(recent, line)
		}
	}
	if err := h.check([]byte(strings.Join(recent, "")), h.last, 0); err != nil {
		t.Error(err)
	}
	for name, wrong := range map[string][]string{"nothing": nil, "half": recent[len(recent)/2:], "all": all} {
		if err := h.check([]byte(strings.Join(wrong, "")), h.last, 0); err == nil {
			t.Errorf("%s passes for the last minute", name)
		}
	}
	if err := h.remove(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(log)); err != nil || len(left) != 1 {
		t.Errorf("left are %v, error %v; want the log", left, err)
	}
}

func TestRotationIsAskedOfThoseWhoRotate(t *testing.T) {
	t.Parallel()
	apps := []app{{name: "a", script: "/bin/true", rotation: rotation{Off: true}}, {name: "b", script: "/bin/true"}}
	for name, tt := range map[string]struct {
		who  *pm2Like
		want string
	}{
		"tend": {&pm2Like{rotates: true, dated: true}, `{"apps":[` +
			`{"name":"a","script":"/bin/true","interpreter":"none","exec_mode":"fork","time":true,"log_rotate":{"off":true}},` +
			`{"name":"b","script":"/bin/true","interpreter":"none","exec_mode":"fork","time":true}]}`},
		"PM2": {&pm2Like{}, `{"apps":[` +
			`{"name":"a","script":"/bin/true","interpreter":"none","exec_mode":"fork"},` +
			`{"name":"b","script":"/bin/true","interpreter":"none","exec_mode":"fork"}]}`},
	} {
		h := &home{manager: tt.who, dir: t.TempDir()}
		if err := tt.who.declare(t.Context(), h, apps); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(tt.who.appsFile(h.dir))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, strings.TrimSpace(string(got))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
