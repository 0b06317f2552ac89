package nodeipc

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tend/api"
)

// greeter answers each connection with its number.
func greeter(port int) string {
	return fmt.Sprintf(`require('net').createServer((c) => { c.end(process.env.SLOT) }).listen(%d)`, port)
}

// greeters are two workers that listen on one port, and the first of them.
func greeters(t *testing.T, balance api.Balance) (w *world, port int, first *app) {
	t.Helper()
	w, port = newWorld(t), freePort(t)
	first = w.spawn(worker(0, balance), greeter(port))
	w.spawn(worker(1, balance), greeter(port))
	w.waitNews("w0", Listening)
	w.waitNews("w1", Listening)
	return w, port, first
}

func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// spread makes n connections and counts who answered.
func spread(t *testing.T, port, n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		text, err := ask("tcp", address(port))
		if err != nil {
			t.Fatal(err)
		}
		got[text]++
	}
	return got
}

func TestBalances(t *testing.T) {
	for _, balance := range []api.Balance{api.RoundRobin, api.Shared, api.Reuseport} {
		t.Run(string(balance), func(t *testing.T) {
			t.Parallel()
			_, port, _ := greeters(t, balance)
			got := spread(t, port, 40)
			if got["0"]+got["1"] != 40 {
				t.Errorf("%v", got)
			}
			if balance == api.RoundRobin && got["0"] != 20 {
				t.Errorf("one at a time they are served in turn, got %v", got)
			}
		})
	}
}

func TestAnotherDaemonGoesOn(t *testing.T) {
	for _, balance := range []api.Balance{api.RoundRobin, api.Shared, api.Reuseport} {
		t.Run(string(balance), func(t *testing.T) {
			t.Parallel()
			w, port, _ := greeters(t, balance)
			for range 5 {
				w.replace()
				if got := spread(t, port, 10); got["0"]+got["1"] != 10 {
					t.Errorf("%v", got)
				}
			}
			if s := w.Status("w0"); !s.Open || !s.Listening {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestUnderLoad has connections under way all the time while daemons come and
// go.
func TestUnderLoad(t *testing.T) {
	w, port, _ := greeters(t, api.RoundRobin)
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var mu sync.Mutex
	served, failed := 0, 0
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				text, err := ask("tcp", address(port))
				mu.Lock()
				if err != nil || text == "" {
					failed++
				} else {
					served++
				}
				mu.Unlock()
			}
		})
	}
	for range 10 {
		before := 0
		mu.Lock()
		before = served
		mu.Unlock()
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
			mu.Lock()
			now := served
			mu.Unlock()
			if now >= before+50 {
				break
			}
		}
		w.replace()
	}
	cancel()
	clients.Wait()
	if failed > 0 || served < 500 {
		t.Errorf("%d served, %d failed", served, failed)
	}
}

func TestAWorkerThatIsGone(t *testing.T) {
	for _, balance := range []api.Balance{api.RoundRobin, api.Shared, api.Reuseport} {
		t.Run(string(balance), func(t *testing.T) {
			t.Parallel()
			w, port, first := greeters(t, balance)
			first.end()
			w.waitNews("w0", Closed)
			w.Forget("w0")
			if got := spread(t, port, 30); got["1"] != 30 {
				t.Errorf("%v", got)
			}
			again := worker(0, balance)
			again.Key = "again"
			w.spawn(again, greeter(port))
			w.waitNews("again", Listening)
			w.waitFor(func() bool { return spread(t, port, 10)["0"] > 0 })
			if _, there := w.shelf.Held("w0/3"); there {
				t.Error("the channel of the old one is on the shelf")
			}
		})
	}
}

// waitFor is for what the kernel decides.
func (w *world) waitFor(cond func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !cond(); {
		if time.Now().After(end) {
			w.t.Fatal("it did not come to that")
		}
	}
}

func TestAStuckWorker(t *testing.T) {
	_, port, stuck := greeters(t, api.RoundRobin)
	if err := stuck.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var asking sync.WaitGroup
	answers := make(chan string, 100)
	for range 100 {
		asking.Go(func() {
			text, _ := ask("tcp", address(port))
			answers <- text
		})
	}
	for range 100 - credit {
		if text := <-answers; text != "1" {
			t.Errorf("%q", text)
		}
	}
	if err := stuck.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	asking.Wait()
	close(answers)
	for text := range answers {
		if text != "0" {
			t.Errorf("what the stuck one held was answered %q", text)
		}
	}
}

func TestARefusedConnection(t *testing.T) {
	w := newWorld(t)
	port := freePort(t)
	w.spawn(worker(0, api.RoundRobin), fmt.Sprintf(`
const s = require('net').createServer((c) => c.end('0')); s.maxConnections = -1; s.listen(%d)`, port))
	w.spawn(worker(1, api.RoundRobin), greeter(port))
	w.waitNews("w0", Listening)
	w.waitNews("w1", Listening)
	if got := spread(t, port, 20); got["1"] != 20 {
		t.Errorf("%v", got)
	}
}

func TestListenTwice(t *testing.T) {
	w := newWorld(t)
	port := freePort(t)
	w.spawn(worker(0, api.RoundRobin), fmt.Sprintf(`
const net = require('net');
net.createServer().listen(%[1]d, () => {
  net.createServer().on('error', (e) => process.send(e.code)).listen(%[1]d);
});
const a = net.createServer().listen(0, () => {
  const b = net.createServer().listen(0, () => process.send(a.address().port !== b.address().port));
});`, port))
	w.waitMessage(`"EADDRINUSE"`)
	w.waitMessage(`true`)
}

func TestWhatAnAppSays(t *testing.T) {
	w := newWorld(t)
	w.spawn(Channel{Key: "k", Source: Source{ID: 7, Name: "app", Namespace: "ns"}}, `
process.send('ready'); process.send('ready');
process.send({ type: 'human:event', data: { a: 1 } });
process.send({ type: 'axm:action', data: { action_name: 'purge' } });
process.send({ cmd: 'start' }); process.send(null); process.send([1, 'ü']);
const s = require('net').createServer().listen(0, () => {
  process.send('with a handle', s);
  process.send('after it');
  process.send('x'.repeat(3 << 20), () => process.send('at the end'));
});
process.on('message', (m) => process.send({ echo: m }));`)
	w.waitMessage(`"at the end"`)
	w.waitNews("k", Ready)
	if err := w.Send(t.Context(), "k", []byte(`{"q":"ü"}`)); err != nil {
		t.Fatal(err)
	}
	w.waitMessage(`{"echo":{"q":"ü"}}`)
	got := w.messages()
	want := []string{`"ready"`, `"ready"`, `{"a":1}`, `{"cmd":"start"}`, `null`, `[1,"ü"]`, `"with a handle"`, `"after it"`}
	if !slices.Equal(got[:len(want)], want) {
		t.Errorf("%q, want %q", got[:len(want)], want)
	}
	if len(got[len(want)]) != 3<<20+2 {
		t.Errorf("a long message came as %d bytes", len(got[len(want)]))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.notices[2]; n.Topic != "human:event" || n.ID != 7 || n.Name != "app" || n.Namespace != "ns" || n.UniqueID != "k" {
		t.Errorf("%+v", n)
	}
	if !slices.Equal(w.actions, []string{"purge"}) || w.heard["k"][Ready] != 1 {
		t.Errorf("%v, %v", w.actions, w.heard)
	}
}

// TestNumbersOverManyDaemons: nothing that an app says is lost or said twice.
func TestNumbersOverManyDaemons(t *testing.T) {
	w := newWorld(t)
	w.spawn(Channel{Key: "k"}, `
let n = 0;
setInterval(() => { for (let i = 0; i < 20; i++) process.send(n + ' '.repeat(n % 7 === 0 ? 40000 : 50) + n++) }, 1)`)
	for i := range 20 {
		w.wait("more", func() bool { return len(w.notices) >= 100*(i+1) })
		w.replace()
	}
	for i, text := range w.messages() {
		f := strings.Fields(strings.Trim(text, `"`))
		if len(f) != 2 || f[0] != strconv.Itoa(i) || f[1] != f[0] {
			t.Fatalf("message %d is %.60q", i, text)
		}
	}
}

func TestAnAppThatDoesNotListen(t *testing.T) {
	w := newWorld(t)
	a := w.spawn(Channel{Key: "k"}, `process.on('message', () => {}); process.send('up')`)
	w.waitMessage(`"up"`)
	if err := a.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	big := []byte(`"` + strings.Repeat("x", 30<<10) + `"`)
	var err error
	for n := 0; err == nil; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err = w.Send(ctx, "k", big)
		cancel()
		if n > 1000 {
			t.Fatal("it takes everything")
		}
	}
	if err := w.Send(t.Context(), "k", make([]byte, api.MaxMessage+1)); err == nil {
		t.Error("a message that is too large was sent")
	}
	if err := a.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	most := []byte(`"` + strings.Repeat("x", api.MaxMessage-2) + `"`)
	if err := w.Send(t.Context(), "k", most); err != nil {
		t.Errorf("now that it reads again: %v", err)
	}
}

func TestTheEndOfAChannel(t *testing.T) {
	w := newWorld(t)
	a := w.spawn(Channel{Key: "k"}, `process.send('last words'); process.disconnect(); setInterval(() => {}, 1000)`)
	w.waitNews("k", Closed)
	w.waitMessage(`"last words"`)
	if w.Status("k").Open || w.Send(t.Context(), "k", []byte(`1`)) == nil {
		t.Error("a closed channel is open")
	}
	a.end()
	w.Forget("k")
	w.Drain("k", time.Hour)
	w.waitNews("k", Drained)
	if left := w.shelf.Names(); len(left) > 0 {
		t.Errorf("on the shelf: %v", left)
	}
}
