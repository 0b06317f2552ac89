package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/bench/load"
)

func needNode(t *testing.T) []manager {
	t.Helper()
	needLinux(t)
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node")
	}
	clusters, err := newNodeClusters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return clusters
}

func TestSiteOfNodesOwnCluster(t *testing.T) {
	t.Parallel()
	for _, who := range needNode(t) {
		on := &turn{apps: 2, who: who.name(), results: newResults()}
		var workers int
		err := on.take(t.Context(), who, measurement{take: func(ctx context.Context, t *turn) error {
			s, err := t.startSite(ctx, siteOptions{delay: time.Millisecond})
			if err != nil {
				return err
			}
			workers = living(s.workers)
			r, err := s.meanwhile(ctx, visitors(), func(ctx context.Context) error { return pause(ctx, 200*time.Millisecond) })
			if err != nil {
				return err
			}
			t.recordVisits(slowReload, r)
			return nil
		}})
		if err != nil {
			t.Fatalf("%s: %v", who.name(), err)
		}
		if workers != 2 {
			t.Errorf("%s: %d workers lived, want 2", who.name(), workers)
		}
		for made, failed := range map[quantity]quantity{freshMade: freshFailed, keptMade: keptFailed} {
			n, _ := on.results.figure(row{made.in(slowReload), 2}, who.name())
			bad, _ := on.results.figure(row{failed.in(slowReload), 2}, who.name())
			if n == 0 || bad > 0 {
				t.Errorf("%s: %v of %v %s failed", who.name(), bad, n, made)
			}
		}
		if left := marked(on.mark); len(left) > 0 {
			t.Errorf("%s: %v still run", who.name(), left)
		}
	}
}

func TestAppsThatTalk(t *testing.T) {
	t.Parallel()
	needNode(t)
	// A parent that reads, and writes down what it got.
	const parent = `
		const child = require('node:child_process').fork(process.argv[1])
		child.on('message', (m) => {
			console.log(m.n ?? 0, JSON.stringify(m).length)
			if (m.n === 5) child.kill()
		})
		setTimeout(() => child.kill(), 1500)`
	for name, tt := range map[string]struct {
		environ string
		check   func(lines []string) bool
	}{
		"talker.js": {"TOTAL=5", func(lines []string) bool {
			return slices.Equal(lines, []string{"1 400", "2 4000", "3 40000", "4 50", "5 400"})
		}},
		"flood.js": {"SECONDS=1", func(lines []string) bool { return len(lines) > 1000 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := filepath.Join(t.TempDir(), name)
			if err := writeProgram(name, script); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("node", "-e", parent, script)
			cmd.Env = append(cmd.Environ(), tt.environ, "REPORT="+script+".report")
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); !tt.check(lines) {
				t.Errorf("its parent got %d messages: %.100q", len(lines), lines)
			}
		})
	}
}

// TestReaderResumes plays a daemon that dies after each notice.
func TestReaderResumes(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	numbers := []int{1, 2, 4, 4, messagesSent} // 3 is missing, 4 comes again
	var asked []string
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		asked = append(asked, q.URL.Query().Get("after"))
		i := len(asked) - 1
		if i >= len(numbers) {
			return
		}
		data := fmt.Appendf(nil, `{"n":%d}`, numbers[i])
		_ = json.NewEncoder(w).Encode(api.Notice{Seq: uint64(10 + i), Topic: api.TopicMessage, Data: data})
		fmt.Fprintf(w, `{"seq":1`) // cut by the death
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })

	r := newReader(socket)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		<-r.last
		stop()
	}()
	if err := r.read(ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"", "10", "11", "12", "13"}, asked[:len(numbers)]); diff != "" {
		t.Errorf("asked for what came after (-want +got):\n%s", diff)
	}
	missing, repeated := r.faults()
	if want := messagesSent - len(numbers) + 1; missing != want || repeated != 1 {
		t.Errorf("%d missing and %d repeated, want %d and 1", missing, repeated, want)
	}
}

func TestReaderGivesUpWhereThereIsNoStream(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	if err := newReader(socket).read(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("error %v, want one with 404", err)
	}
}

func TestPromisesAreInTheTables(t *testing.T) {
	names := []string{tendRoundRobin, tendShared, tendReuseport, tendRaw, tendDated}
	for _, chapter := range chapters() {
		shown := map[row]bool{}
		for _, s := range chapter.sections {
			for _, c := range s.columns {
				shown[row{c.q, s.count}] = true
			}
		}
		for _, p := range chapter.promises {
			if !shown[p.at] || !slices.Contains(names, p.who) {
				t.Errorf("%s: %v of %s is in no table", chapter.head, p.at, p.who)
			}
		}
	}
}

func TestOnlyChoosesAGroup(t *testing.T) {
	o, err := parse([]string{"-only", "cluster,cpu"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var chosen []string
	for _, m := range measurements() {
		if slices.ContainsFunc(o.only, m.isOf) {
			chosen = append(chosen, m.name)
		}
	}
	if len(chosen) < 3 || chosen[0] != "cpu" || slices.ContainsFunc(chosen[1:], func(name string) bool { return !strings.HasPrefix(name, "cluster-") }) {
		t.Errorf("chosen: %v", chosen)
	}
	if _, err := parse([]string{"-only", "clus"}, io.Discard); err == nil {
		t.Error("a part of a word stands for a group")
	}
}

func TestFailuresAreRemarked(t *testing.T) {
	turn := &turn{apps: 2, who: "tend shared", results: newResults()}
	r := load.Result{Tallies: make([]load.Tally, 2), Busy: 0.95}
	r.Tallies[0].Done, r.Tallies[0].Failed[load.Reset] = 10, 2
	turn.recordVisits(plainReload, r)
	got := strings.Join(turn.results.remarks, "\n")
	for _, want := range []string{"2 of 12 requests failed (2 reset)", "95 % of a core"} {
		if !strings.Contains(got, want) {
			t.Errorf("remarks have no %q:\n%s", want, got)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestEcosystemFile(t *testing.T) {
	t.Parallel()
	m := &pm2Like{title: "tend", balance: "shared"}
	h := &home{manager: m, dir: t.TempDir()}
	apps := []app{
		{name: "web", script: "app.js", workers: 2, env: map[string]string{"PORT": "80"}, listenTimeout: time.Second},
		sleepers(1)[0],
	}
	if err := m.declare(t.Context(), h, apps); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(m.appsFile(h.dir))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"apps":[` +
		`{"name":"web","script":"app.js","exec_mode":"cluster","instances":2,"balance":"shared","env":{"PORT":"80"},"listen_timeout":1000},` +
		`{"name":"b0","script":"/bin/sleep","args":["100000"],"interpreter":"none","exec_mode":"fork"}]}`
	if got := string(bytes.TrimSpace(got)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
