package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/testkit"
)

// identity is what identity.js finds.
type identity struct {
	IsWorker, IsPrimary, IsMaster bool
	ID                            int
	Env                           []string
	Connected, IsMain             bool
	Main, Exec                    string
	Argv                          []string
	Instance                      string
}

func (w *world) identities(count int) []identity {
	w.t.Helper()
	var all []identity
	for _, l := range w.hear("identity", count) {
		all = append(all, into[identity](w.t, l))
	}
	return all
}

func TestWorkersKnowWhoTheyAre(t *testing.T) {
	eachVersion(t, func(t *testing.T, w *world) {
		w.start("identity.js", 2, nil, "one", "two words", "--name")
		script := filepath.Join(w.dir, "identity.js")
		first := w.identities(2)
		for _, who := range first {
			if !who.IsWorker || who.IsPrimary || who.IsMaster || !who.Connected {
				t.Errorf("not a connected worker: %+v", who)
			}
			if len(who.Env) != 0 {
				t.Errorf("process.env holds %q, which are the channel's", who.Env)
			}
			if want := []string{w.node.path, script, "one", "two words", "--name"}; !sameFile(who.Exec, w.node.path) ||
				!slices.Equal(who.Argv[1:], want[1:]) || !sameFile(who.Argv[0], want[0]) {
				t.Errorf("argv is %q (execPath %s), want %q", who.Argv, who.Exec, want)
			}
			if !who.IsMain || who.Main != script {
				t.Errorf("require.main is %s (module: %v), want %s", who.Main, who.IsMain, script)
			}
		}
		if first[0].Instance == first[1].Instance {
			t.Errorf("both have NODE_APP_INSTANCE=%s", first[0].Instance)
		}

		// Whoever takes the place of a worker is another worker.
		for _, pid := range pids(w.said("identity")) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		var ids []int
		for _, who := range w.identities(4) {
			if who.ID == 0 || slices.Contains(ids, who.ID) {
				t.Errorf("cluster.worker.id is %d after %d", who.ID, ids)
			}
			ids = append(ids, who.ID)
		}
	})
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
}

// options is the argument of web.js for one server.
func options(t *testing.T, more ...any) string {
	t.Helper()
	o := map[string]any{}
	for i := 0; i < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWorkersShareAPort(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		port := freePort(t)
		w.start("web.js", 2, nil, options(t, "port", port))
		for _, at := range w.listening(2) {
			if at.Port != port || at.Family != "IPv6" || at.Address != "::" {
				t.Errorf("a worker listens on %+v, want :: and port %d", at, port)
			}
			if want := w.balance != api.RoundRobin; at.Real != want {
				t.Errorf("with balance %s the worker itself accepts: %v", w.balance, at.Real)
			}
		}
		all := pids(w.said("listening"))
		reach(t, local(port), "/", all...)
		reach(t, net.JoinHostPort("::1", strconv.Itoa(port)), "/", all...)
	})
}

func TestListenOnPortZero(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		// The first servers of both workers share a port, the second another.
		w.start("web.js", 2, nil, options(t, "port", 0), options(t, "port", 0))
		workers := map[int][]int{} // by port
		for _, l := range w.hear("listening", 4) {
			port := into[address](t, l).Port
			workers[port] = append(workers[port], l.PID)
		}
		if len(workers) != 2 {
			t.Fatalf("the workers by port: %v; want two ports", workers)
		}
		for port, pids := range workers {
			if len(pids) != 2 || pids[0] == pids[1] || port == 0 {
				t.Errorf("on port %d listen %d, want both workers", port, pids)
			}
			reach(t, local(port), "/", pids...)
		}
	})
}

func TestListenOnAHost(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		w.start("web.js", 2, nil, options(t, "port", 0, "host", "127.0.0.1"), options(t, "port", 0, "host", "::1"),
			options(t, "port", 0, "host", "localhost"))
		for _, at := range w.listening(6) {
			if at.Address != "127.0.0.1" && at.Address != "::1" {
				t.Errorf("a worker listens on %+v", at)
			}
			reach(t, net.JoinHostPort(at.Address, strconv.Itoa(at.Port)), "/", pids(w.said("listening"))...)
		}
	})
}

// Only where IPv6 is wanted alone, IPv4 is left to others.
func TestListenOnIPv6Only(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		port := freePort(t)
		w.start("web.js", 2, nil, options(t, "port", port, "host", "::", "ipv6Only", true))
		w.listening(2)
		reach(t, net.JoinHostPort("::1", strconv.Itoa(port)), "/", pids(w.said("listening"))...)
		if c, err := net.Dial("tcp4", local(port)); err == nil {
			c.Close()
			t.Error("it listens on IPv4 too")
		}
	})
}

func TestListenOnAUnixPath(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		path := filepath.Join(w.dir, "web.sock")
		w.start("web.js", 2, nil, options(t, "path", path))
		for _, at := range w.listening(2) {
			if at.Path != path {
				t.Errorf("a worker listens on %+v, want %s", at, path)
			}
		}
		for range 20 {
			if _, err := ask("unix", path, "/"); err != nil {
				t.Fatal(err)
			}
		}
		// The path goes with the app, and it can come again.
		if reference() {
			return
		}
		w.run("delete", "web")
		testkit.WaitFor(t, patience, "no "+path, func() bool { _, err := os.Stat(path); return err != nil })
		w.start("web.js", 2, nil, options(t, "path", path))
		w.listening(4)
		if _, err := ask("unix", path, "/"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestListenOnARelativePath(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		w.start("web.js", 2, nil, options(t, "path", "web.sock"))
		w.listening(2)
		if _, err := ask("unix", filepath.Join(w.dir, "web.sock"), "/"); err != nil {
			t.Fatal(err)
		}
	})
}

// The address of a unix socket has 107 bytes: unix(7). A longer path is there
// whole, or the app is told, but it is never cut.
func TestListenOnALongPath(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		nodeCannot(t, w.node.major < 24, "it cuts the path")
		path := filepath.Join(w.dir, strings.Repeat("long", 30)+".sock")
		w.start("web.js", 2, nil, options(t, "path", path))
		var told []line
		testkit.WaitFor(t, patience, "both workers know", func() bool {
			told = append(w.said("error"), w.said("listening")...)
			return len(told) == 2
		})
		for _, l := range told {
			if l.Say == "error" {
				if got := into[failure](t, l); got.Code != "EINVAL" && got.Code != "ENAMETOOLONG" {
					t.Errorf("the app was told %+v", got)
				}
			} else if fi, err := os.Stat(path); err != nil || fi.Mode().Type() != os.ModeSocket {
				t.Errorf("the app listens, but not on the path: %v", err)
			}
		}
	})
}

func TestListenOnATakenPort(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		// Even one that would share it: another program is no worker of this app.
		sharing := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
			failed := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
			return errors.Join(failed, err)
		}}
		other, err := sharing.Listen(t.Context(), "tcp", "[::]:0")
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		port := other.Addr().(*net.TCPAddr).Port
		w.start("web.js", 2, nil, options(t, "port", port))
		want := failure{
			Code: "EADDRINUSE", Errno: -int(syscall.EADDRINUSE), Syscall: "bind", Port: port,
			Message: fmt.Sprintf("bind EADDRINUSE null:%d", port),
		}
		for _, l := range w.hear("error", 2) {
			if got := into[failure](t, l); got != want {
				t.Errorf("the app was told %+v, want %+v", got, want)
			}
		}
	})
}

// What a worker has already it cannot have again; the first server works on.
func TestListenTwiceOnOnePort(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		nodeCannot(t, w.node.major >= 22 && w.balance == api.Shared, "the worker ends by an assertion")
		port := freePort(t)
		w.start("web.js", 2, nil, options(t, "port", port), options(t, "port", port))
		for _, l := range w.hear("error", 2) {
			if got := into[failure](t, l); got.Code != "EADDRINUSE" || got.Port != port {
				t.Errorf("the app was told %+v", got)
			}
		}
		w.listening(2)
		reach(t, local(port), "/", pids(w.said("listening"))...)
	})
}

func TestListenOnWhatCannotBe(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		file := filepath.Join(w.dir, "taken.sock")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		cases := map[string]string{ // code of the error, by options
			options(t, "port", 1, "host", "192.0.2.1"):            "EADDRNOTAVAIL", // of TEST-NET-1
			options(t, "path", filepath.Join(w.dir, "no/dir/so")): "EACCES",        // as libuv calls ENOENT
			options(t, "path", file):                              "EADDRINUSE",
		}
		if os.Geteuid() != 0 && lowestPort(t) > 1 {
			cases[options(t, "port", 1, "host", "127.0.0.1")] = "EACCES"
		}
		var args, want []string
		for arg, code := range cases {
			args = append(args, arg)
			want = append(want, code)
		}
		w.start("web.js", 1, nil, args...)
		var got []string
		for _, l := range w.hear("error", len(cases)) {
			got = append(got, into[failure](t, l).Code)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("the app was told %q, want %q", got, want)
		}
	})
}

// lowestPort is the first port that is not only root's.
func lowestPort(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCloseAndListenAgain(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		nodeCannot(t, w.node.major < 22 && w.balance == api.Shared, "one worker's second try meets the other's first")
		port := freePort(t)
		w.start("relisten.js", 2, nil, strconv.Itoa(port))
		w.listening(6)
		if errs := w.said("error"); len(errs) > 0 {
			t.Fatalf("an error: %s", errs[0].Data)
		}
		reach(t, local(port), "/", pids(w.said("listening"))...)
	})
}

func TestUDP(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		w.start("udp.js", 2, nil, "0")
		ats := w.listening(2)
		if ats[0].Port != ats[1].Port {
			t.Fatalf("the workers are bound to different ports: %+v", ats)
		}
		all := pids(w.said("listening"))
		for range 20 {
			if pid := datagram(t, ats[0].String()); !slices.Contains(all, pid) {
				t.Fatalf("process %d answered, the workers are %d", pid, all)
			}
		}
	})
}

// datagram sends one and returns the pid of who answered.
func datagram(t *testing.T, addr string) int {
	t.Helper()
	c := open(t, "udp", addr)
	if _, err := c.Write([]byte("who?")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(buf[:n], &a); err != nil {
		t.Fatal(err)
	}
	return a.PID
}

// An exclusive server is the worker's own, so that the second finds the port
// taken.
func TestExclusive(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		port := freePort(t)
		w.start("web.js", 2, nil, options(t, "port", port, "exclusive", true))
		w.listening(1)
		failed := w.hear("error", 1)[0]
		want := failure{
			Code: "EADDRINUSE", Errno: -int(syscall.EADDRINUSE), Syscall: "listen", Address: "::", Port: port,
			Message: fmt.Sprintf("listen EADDRINUSE: address already in use :::%d", port),
		}
		if got := into[failure](t, failed); got != want {
			t.Errorf("the app was told %+v, want %+v", got, want)
		}
		if a := mustAsk(t, local(port), "/"); a.PID == failed.PID {
			t.Errorf("worker %d answers, which found the port taken", a.PID)
		}
	})
}

func TestReusePortOfTheAppItself(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		if w.node.major < 22 {
			t.Skip("this Node has no reusePort")
		}
		port := freePort(t)
		w.start("web.js", 2, nil, options(t, "port", port, "reusePort", true))
		w.listening(2)
		reach(t, local(port), "/", pids(w.said("listening"))...)
	})
}

func TestRoundRobinIsEven(t *testing.T) {
	eachVersion(t, func(t *testing.T, w *world) {
		const workers, rounds = 4, 25
		w.balance = api.RoundRobin
		w.start("web.js", workers, nil, options(t, "port", 0))
		at := w.listening(workers)[0].String()
		got := map[int]int{}
		for range workers * rounds {
			got[mustAsk(t, at, "/").PID]++
		}
		for pid, n := range got {
			if len(got) != workers || n < rounds-2 || n > rounds+2 {
				t.Fatalf("%d connections by worker: %v; worker %d has %d", workers*rounds, got, pid, n)
			}
		}
	})
}

func TestTheBalanceIsThatOfNodesVariable(t *testing.T) {
	for policy, real := range map[string]bool{"none": true, "rr": false} {
		t.Run(policy, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, w *world) {
				w.env = []string{"NODE_CLUSTER_SCHED_POLICY=" + policy}
				w.start("web.js", 2, nil, options(t, "port", 0))
				for _, at := range w.listening(2) {
					if at.Real != real {
						t.Errorf("the worker itself accepts: %v", at.Real)
					}
				}
			})
		})
	}
}

// Connections that a worker refuses, for it has enough, go to the others.
func TestMaxConnections(t *testing.T) {
	eachVersion(t, func(t *testing.T, w *world) {
		w.balance = api.RoundRobin
		w.start("web.js", 2, nil, options(t, "port", 0, "maxConnections", 1, "only", 0))
		at := w.listening(2)[0].String()
		var full int // pid of the worker that takes one connection
		for _, l := range w.said("listening") {
			if l.Instance == "0" {
				full = l.PID
			}
		}
		for { // keep every connection, until the worker has its one
			a, err := open(t, "tcp", at).get("/")
			if err != nil {
				t.Fatal(err)
			}
			if a.PID == full {
				break
			}
		}
		for range 20 {
			if a := mustAsk(t, at, "/"); a.PID == full {
				t.Fatalf("worker %d took a second connection", full)
			}
		}
	})
}

// A worker that never gets to read keeps nobody waiting but those whose
// connections it has.
func TestABusyWorkerDoesNotStopOthers(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		w.start("web.js", 2, nil, options(t, "port", 0))
		at := w.listening(2)[0].String()
		gate := filepath.Join(w.dir, "gate")
		stuck := open(t, "tcp", at)
		if err := stuck.write("/busy/" + word(gate)); err != nil {
			t.Fatal(err)
		}
		busy := w.hear("busy", 1)[0].PID

		const clients = 60
		answers := make(chan answer, clients)
		for range clients {
			c := open(t, "tcp", at)
			if err := c.write("/"); err != nil {
				t.Fatal(err)
			}
			go func() {
				a, err := c.read()
				if err != nil {
					t.Errorf("a client: %v", err)
				}
				answers <- a
			}()
		}
		// Under round robin some connections may be on the way to the busy
		// worker already; with a socket for each worker the kernel gives it its
		// share.
		free := clients
		switch w.balance {
		case api.RoundRobin:
			free -= 16
		case api.Reuseport:
			free = 1
		case api.Shared: // only who is idle takes
		}
		for range free {
			if a := <-answers; a.PID == busy {
				t.Fatal("the busy worker answered")
			}
		}
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for range clients - free {
			<-answers
		}
		if a, err := stuck.read(); err != nil || a.PID != busy {
			t.Errorf("the busy worker answered %+v, %v", a, err)
		}
	})
}

// Ways for a worker to leave, and what it finds: as Node's cluster has it.
func TestLeaving(t *testing.T) {
	ways := map[string]struct {
		meant bool // exitedAfterDisconnect
		code  int
	}{
		"worker.disconnect":  {true, 0},
		"worker.kill":        {true, 0},
		"process.disconnect": {false, 0},
		"process.exit":       {false, 3},
	}
	for how, want := range ways {
		t.Run(how, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, w *world) {
				w.start("web.js", 2, nil, options(t, "port", 0))
				at := w.listening(2)[0].String()
				left := mustAsk(t, at, "/leave/"+how).PID
				exit := w.hear("exit", 1)[0]
				type end struct {
					Code  int  `json:"code"`
					Meant bool `json:"meant"`
				}
				if got := into[end](t, exit); exit.PID != left || got.Code != want.code || got.Meant != want.meant {
					t.Errorf("worker %d ended with %+v, want %+v of worker %d", exit.PID, got, want, left)
				}
				// Whoever left of its own will is replaced.
				w.listening(3)
				all := pids(w.said("listening"))
				reach(t, at, "/", slices.DeleteFunc(all, func(pid int) bool { return pid == left })...)
			})
		})
	}
}

// A worker that closes its server lives on; the other has the port alone.
func TestServerClose(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		w.start("web.js", 2, nil, options(t, "port", 0))
		at := w.listening(2)[0].String()
		closed := mustAsk(t, at, "/close").PID
		w.hear("closed", 1)
		for range 40 {
			if a := mustAsk(t, at, "/"); a.PID == closed {
				t.Fatalf("worker %d answers, and has closed its server", closed)
			}
		}
		if err := syscall.Kill(closed, 0); err != nil {
			t.Errorf("worker %d has ended: %v", closed, err)
		}
	})
}

func TestScaleUnderRequests(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		nodeCannot(t, w.node.major >= 26, "a worker that leaves resets connections whose request it has not read")
		w.start("web.js", 2, nil, options(t, "port", 0))
		at := w.listening(2)[0].String()
		load := startLoad(t, 2, func() (*conn, error) { return dial("tcp", at) }, false)
		w.scale(4)
		w.listening(4)
		load.more(40)
		old := pids(w.said("listening"))
		w.scale(1)
		testkit.WaitFor(t, patience, "one worker", func() bool { return living(old) == 1 })
		load.more(40)
		w.scale(3)
		w.listening(6)
		load.end()
	})
}

// living counts the processes that are there and no zombies.
func living(pids []int) int {
	n := 0
	for _, pid := range pids {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			n++
		}
	}
	return n
}
