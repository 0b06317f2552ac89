package node

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"tend/internal/testkit"
)

// reload starts a reload, which has to succeed, and returns what waits for its
// end.
func (w *world) reload() (done func()) {
	over := make(chan struct{})
	var out string
	var err error
	go func() {
		defer close(over)
		out, err = w.try("reload", "web")
	}()
	w.t.Cleanup(func() { <-over })
	return func() {
		w.t.Helper()
		<-over
		if err != nil {
			w.t.Errorf("tend reload: %v\n%s", err, out)
		}
	}
}

// workers are the pids of the processes that have the places in the table.
func (w *world) workers() []int {
	w.t.Helper()
	var all []int
	for _, in := range w.list() {
		all = append(all, in.PID)
	}
	return all
}

// A reload waits for the answer to a request that the old worker has, and the
// client is told to come back on another connection.
func TestReloadFinishesRequests(t *testing.T) {
	onlyTend(t)
	eachBalance(t, func(t *testing.T, w *world) {
		w.start("web.js", 1, nil, options(t, "port", 0))
		at := w.listening(1)[0].String()
		old := pids(w.said("listening"))[0]
		gate := filepath.Join(w.dir, "gate")
		inFlight := open(t, "tcp", at)
		if _, err := inFlight.get("/"); err != nil {
			t.Fatal(err)
		}
		if err := inFlight.write("/wait/" + word(gate)); err != nil {
			t.Fatal(err)
		}
		w.hear("waiting", 1)

		done := w.reload()
		w.listening(2)
		next := pids(w.said("listening"))[1]
		testkit.WaitFor(t, patience, "the new worker alone answers", func() bool {
			return !slices.ContainsFunc(burst(t, at, "/", 8), func(a answer) bool { return a.PID != next })
		})
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if a, err := inFlight.read(); err != nil || a.PID != old || !a.closes {
			t.Errorf("the answer to the request in flight is %+v, %v; want one of worker %d that closes", a, err, old)
		}
		done()
		testkit.WaitFor(t, patience, "the old worker has ended", func() bool { return living([]int{old}) == 0 })
	})
}

// The daemon that comes after goes on with the reload, and the old worker still
// answers what it was asked.
func TestTheDaemonDiesInAReload(t *testing.T) {
	onlyTend(t)
	eachBalance(t, func(t *testing.T, w *world) {
		w.start("web.js", 1, nil, options(t, "port", 0))
		at := w.listening(1)[0].String()
		old := w.workers()[0]
		gate := filepath.Join(w.dir, "gate")
		inFlight := open(t, "tcp", at)
		if err := inFlight.write("/wait/" + word(gate)); err != nil {
			t.Fatal(err)
		}
		w.hear("waiting", 1)
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			w.try("reload", "web") // its answer is lost with the daemon
		}()
		w.listening(2)
		w.killDaemon()
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if a, err := inFlight.read(); err != nil || a.PID != old {
			t.Errorf("the answer to the request in flight is %+v, %v; want one of worker %d", a, err, old)
		}
		inFlight.Close()
		<-asked
		testkit.WaitFor(t, patience, "the old worker has ended", func() bool { return living([]int{old}) == 0 })
		if now := w.workers()[0]; now == old || mustAsk(t, at, "/").PID != now {
			t.Errorf("the new worker %d does not answer; the old one was %d", now, old)
		}
	})
}

// Connections that are kept between requests end without an error: those in
// use by Connection: close, those that are idle by their end.
func TestReloadEndsKeptConnections(t *testing.T) {
	onlyTend(t)
	eachBalance(t, func(t *testing.T, w *world) {
		w.start("web.js", 1, nil, options(t, "port", 0))
		at := w.listening(1)[0].String()
		old := pids(w.said("listening"))[0]
		inUse, idle, fresh := open(t, "tcp", at), open(t, "tcp", at), open(t, "tcp", at)
		for _, c := range []*conn{inUse, idle} {
			if _, err := c.get("/"); err != nil {
				t.Fatal(err)
			}
		}

		done := w.reload()
		for {
			a, err := inUse.get("/")
			if err != nil || a.PID != old {
				t.Fatalf("on the connection to worker %d: %+v, %v", old, a, err)
			}
			if a.closes {
				break
			}
		}
		for name, c := range map[string]*conn{"in use": inUse, "idle": idle, "fresh": fresh} {
			if _, err := c.r.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("the connection that was %s ends with %v, want EOF", name, err)
			}
			c.Close()
		}
		done()
	})
}

// Reloads under load lose nothing, whatever the connections.
func TestReloadUnderLoad(t *testing.T) {
	onlyTend(t)
	loads := map[string]struct {
		app        string
		unix, keep bool
	}{
		"a connection each": {app: "web.js"},
		"kept connections":  {app: "web.js", keep: true},
		"kept, over TLS":    {app: "tls.js", keep: true},
		"a unix socket":     {app: "web.js", unix: true},
	}
	for name, l := range loads {
		t.Run(name, func(t *testing.T) {
			eachBalance(t, func(t *testing.T, w *world) {
				path := filepath.Join(w.dir, "web.sock")
				args := []string{options(t, "port", 0)}
				switch {
				case l.unix:
					args = []string{options(t, "path", path)}
				case l.app == "tls.js":
					key, cert := certificate(t, w.dir)
					args = []string{key, cert}
				}
				w.start(l.app, 2, nil, args...)
				at := w.listening(2)[0].String()
				dialer := func() (*conn, error) {
					if l.unix {
						return dial("unix", path)
					}
					c, err := dial("tcp", at)
					if err == nil && l.app == "tls.js" {
						c = newConn(tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true}))
					}
					return c, err
				}
				load := startLoad(t, 2, dialer, l.keep)
				load.more(20)
				old := w.workers()
				w.reload()()
				load.more(20)
				if n := living(old); n != 0 {
					t.Errorf("%d of the old workers %d live after the reload", n, old)
				}
				load.end()
			})
		})
	}
}

// A websocket is the app's own affair: it stays until kill_timeout.
func TestReloadLeavesWebsockets(t *testing.T) {
	onlyTend(t)
	eachBalance(t, func(t *testing.T, w *world) {
		w.needLibraries()
		w.start("ws.js", 1, flags{"--kill-timeout", "3000"})
		at := w.listening(1)[0].String()
		s := upgrade(t, at)
		done := w.reload()
		w.listening(2)
		w.hear("SIGINT", 1)
		for _, text := range []string{"still", "here"} {
			s.send(text)
			if got := s.receive(); got != text {
				t.Fatalf("the echo of %q is %q", text, got)
			}
		}
		if other := upgrade(t, at); other.pid == s.pid {
			t.Errorf("a new websocket is the old worker's, %d", s.pid)
		}
		if _, err := s.r.ReadByte(); err == nil {
			t.Error("the old worker said something more")
		}
		done()
	})
}

// An app that has a way of its own to end is asked to.
func TestReloadRunsTheHandlerOfSIGINT(t *testing.T) {
	onlyTend(t)
	eachBalance(t, func(t *testing.T, w *world) {
		w.start("graceful.js", 2, nil, "0")
		w.listening(2)
		old := pids(w.said("listening"))
		w.reload()()
		for _, what := range []string{"SIGINT", "done"} {
			if got := pids(w.hear(what, 2)); len(got) != 2 || !slices.Contains(old, got[0]) || !slices.Contains(old, got[1]) {
				t.Errorf("%q was said by %d, the old workers were %d", what, got, old)
			}
		}
	})
}

// The new workers have the port, the numbers and the balance of the old ones.
func TestReloadKeepsThePort(t *testing.T) {
	onlyTend(t)
	eachBalance(t, func(t *testing.T, w *world) {
		w.start("web.js", 2, nil, options(t, "port", 0))
		first, old := w.listening(2), w.workers()
		w.reload()()
		all := w.listening(4)
		for _, at := range all {
			if at != first[0] {
				t.Errorf("a worker listens on %+v, the first on %+v", at, first[0])
			}
		}
		now := w.workers()
		reach(t, first[0].String(), "/", now...)
		lines := w.said("listening")
		for _, in := range w.list() {
			if slices.Contains(old, in.PID) || in.Restarts != 1 {
				t.Errorf("instance %d has pid %d, %d restarts; the old workers were %d", in.Index, in.PID, in.Restarts, old)
			}
			for _, l := range lines {
				if l.PID == in.PID && l.Instance != strconv.Itoa(in.Index) {
					t.Errorf("NODE_APP_INSTANCE is %s in instance %d", l.Instance, in.Index)
				}
			}
		}
	})
}
