package node

import (
	"net"
	"os/exec"
	"path/filepath"
	"testing"

	"tend/api"
	"tend/internal/testkit"
)

func TestForkMode(t *testing.T) {
	eachVersion(t, func(t *testing.T, w *world) {
		w.start("identity.js", 0, nil, "one")
		who := w.identities(1)[0]
		if who.IsWorker || !who.IsPrimary || who.ID != 0 || len(who.Env) != 0 || !who.Connected {
			t.Errorf("not a plain process with a channel: %+v", who)
		}
		if !who.IsMain || who.Argv[1] != filepath.Join(w.dir, "identity.js") || who.Argv[2] != "one" {
			t.Errorf("argv is %q, the script is main: %v", who.Argv, who.IsMain)
		}
	})
}

// A process in fork mode lives on without its channel, and its children never
// had it.
func TestDisconnectInForkMode(t *testing.T) {
	eachVersion(t, func(t *testing.T, w *world) {
		w.start("fork.js", 0, nil)
		type grandchild struct {
			Send string
			FD   *string
		}
		got := into[grandchild](t, w.hear("grandchild", 1)[0])
		if got.Send != "undefined" || got.FD != nil {
			t.Errorf("the child of the app has process.send %s, NODE_CHANNEL_FD %v", got.Send, got.FD)
		}
		gone := w.hear("disconnected", 1)[0]
		if into[struct{ Connected bool }](t, gone).Connected {
			t.Error("process.connected is still true")
		}
		if reference() {
			return
		}
		if in := w.list()[0]; in.State != api.Online || in.PID != gone.PID || in.Restarts != 0 {
			t.Errorf("the app is %s with pid %d, %d restarts; want it to live on as %d", in.State, in.PID, in.Restarts, gone.PID)
		}
	})
}

// The channel keeps nobody alive who does not listen to it.
func TestAScriptWithNothingToDoEnds(t *testing.T) {
	onlyTend(t)
	eachVersion(t, func(t *testing.T, w *world) {
		w.start("nothing.js", 0, flags{"--no-autorestart"})
		testkit.WaitFor(t, patience, "the app has ended", func() bool { return w.list()[0].State == api.Stopped })
		if in := w.list()[0]; in.ExitCode != 0 || in.ExitSignal != "" {
			t.Errorf("it ended with %d %s", in.ExitCode, in.ExitSignal)
		}
	})
}

func TestWaitReady(t *testing.T) {
	onlyTend(t)
	for mode, count := range map[string]int{"fork": 0, "cluster": 1} {
		t.Run(mode, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, w *world) {
				door := filepath.Join(w.dir, "door")
				started := make(chan struct{})
				go func() {
					defer close(started)
					w.start("ready.js", count, flags{"--wait-ready", "--listen-timeout", "60000"}, door)
				}()
				w.hear("up", 1)
				if in := w.list()[0]; in.State != api.Launching {
					t.Errorf("the app is %s before it is ready", in.State)
				}
				select {
				case <-started:
					t.Error("the start was over before the app was ready")
				default:
				}
				c, err := net.Dial("unix", door)
				if err != nil {
					t.Fatal(err)
				}
				c.Close()
				<-started
				if in := w.list()[0]; in.State != api.Online {
					t.Errorf("the app is %s after it was ready", in.State)
				}
			})
		})
	}
}

// An app that never says that it is ready is online after listen_timeout.
func TestListenTimeout(t *testing.T) {
	onlyTend(t)
	for mode, count := range map[string]int{"fork": 0, "cluster": 1} {
		t.Run(mode, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, w *world) {
				w.start("ready.js", count, flags{"--wait-ready", "--listen-timeout", "200"}, filepath.Join(w.dir, "door"))
				testkit.WaitFor(t, patience, "the app is online", func() bool { return w.list()[0].State == api.Online })
			})
		})
	}
}

func TestShutdownWithMessage(t *testing.T) {
	onlyTend(t)
	for mode, count := range modes {
		t.Run(mode, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, w *world) {
				w.start("shutdown.js", count, flags{"--shutdown-with-message", "--kill-timeout", "15000"})
				w.hear("up", max(count, 1))
				w.run("stop", "web")
				if n := len(w.said("message")); n != max(count, 1) {
					t.Errorf("%d processes were told to shut down", n)
				}
				if len(w.said("SIGINT")) > 0 {
					t.Error("a process got SIGINT")
				}
				for _, in := range w.list() {
					if in.State != api.Stopped || in.ExitCode != 0 || in.ExitSignal != "" {
						t.Errorf("an instance is %s, it ended with %d %s", in.State, in.ExitCode, in.ExitSignal)
					}
				}
			})
		})
	}
}

// Workers do not notice that the daemon was killed, and can do afterwards what
// they could before.
func TestTheDaemonDies(t *testing.T) {
	onlyTend(t)
	eachBalance(t, func(t *testing.T, w *world) {
		w.start("web.js", 2, nil, options(t, "port", 0))
		at := w.listening(2)[0].String()
		workers := pids(w.said("listening"))
		idle := open(t, "tcp", at)
		was, err := idle.get("/")
		if err != nil {
			t.Fatal(err)
		}
		// Under round robin, a connection that the daemon has just accepted may
		// go with it; requests on those that the workers have go on.
		load := startLoad(t, 2, func() (*conn, error) { return dial("tcp", at) }, w.balance == api.RoundRobin)
		for range 3 {
			load.more(20)
			w.killDaemon()
		}
		load.more(20)
		load.end()
		reach(t, at, "/connected", workers...)
		for _, a := range burst(t, at, "/connected", 8) {
			if !a.Connected {
				t.Errorf("worker %d is not connected any more", a.PID)
			}
		}
		if now, err := idle.get("/"); err != nil || now.PID != was.PID {
			t.Errorf("a connection from before: %+v, %v", now, err)
		}

		port := freePort(t)
		w.send(map[string]any{"listen": port})
		w.listening(4)
		reach(t, local(port), "/", workers...)

		for _, in := range w.list() {
			if in.Restarts != 0 || in.PID != workers[0] && in.PID != workers[1] {
				t.Errorf("instance %d has pid %d, %d restarts; the workers were %d", in.Index, in.PID, in.Restarts, workers)
			}
		}
	})
}

// Messages pass both ways after the daemon was killed, and none is lost that
// was sent meanwhile.
func TestTheDaemonDiesBetweenMessages(t *testing.T) {
	onlyTend(t)
	for mode, count := range modes {
		t.Run(mode, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, w *world) {
				w.start("messages.js", min(count, 1), nil)
				w.hear("up", 1)
				w.killDaemon()
				w.follow()
				w.send("send")
				w.hear("sent", 1)
				w.compare(sentByApp())
			})
		})
	}
}

// Bun and Deno have a channel. Several of them are as many in fork mode:
// cluster mode is for Node alone.
func TestOtherRuntimes(t *testing.T) {
	onlyTend(t)
	for _, name := range []string{"bun", "deno"} {
		t.Run(name, func(t *testing.T) {
			path, err := exec.LookPath(name)
			if err != nil {
				t.Skip(err)
			}
			w := newWorld(t, version{path: path}, "")
			args := flags{}
			if name == "deno" {
				args = flags{"--interpreter-args", "run -A"}
			}
			w.start("messages.js", 0, args)
			w.hear("up", 1)
			w.follow()
			w.send(map[string]any{"a": "ä€😀"})
			got := into[struct{ Message any }](t, w.hear("message", 1)[0])
			if m, ok := got.Message.(map[string]any); !ok || m["a"] != "ä€😀" {
				t.Errorf("it got %v", got.Message)
			}
			w.send("send")
			w.hear("sent", 1)
			w.compare(sentByApp())

			w.run(append([]string{"start", "messages.js", "--name", "several", "--interpreter", path, "-i", "2"}, args...)...)
			w.hear("up", 3)
			for _, in := range w.list() {
				if in.Mode != api.Fork {
					t.Errorf("%s is in %s mode", in.Name, in.Mode)
				}
			}
		})
	}
}
