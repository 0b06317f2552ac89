package load

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	answer    = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	goodbye   = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
	runLength = 150 * time.Millisecond
)

// serve has each connection dealt with by handle, and returns the port.
func serve(t *testing.T, handle func(net.Conn)) int {
	t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// ask reads one request and tells whether there was one.
func ask(conn net.Conn) bool {
	var text strings.Builder
	var b [512]byte
	for !strings.HasSuffix(text.String(), "\r\n\r\n") {
		n, err := conn.Read(b[:])
		if err != nil {
			return false
		}
		text.Write(b[:n])
	}
	return true
}

func runFor(t *testing.T, d time.Duration, port int, groups ...Group) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	r, err := Run(ctx, port, groups)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRequestsAreCountedByWhatBecomesOfThem(t *testing.T) {
	say := func(words ...string) func(net.Conn) {
		return func(conn net.Conn) {
			for _, w := range words {
				if !ask(conn) {
					return
				}
				fmt.Fprint(conn, w)
			}
		}
	}
	abort := func(conn net.Conn) {
		ask(conn)
		conn.(*net.TCPConn).SetLinger(0)
	}
	for name, tt := range map[string]struct {
		kind   Kind
		handle func(net.Conn)
		want   Failure // failures: none
		done   bool
	}{
		"an answer and an end":                       {Fresh, say(goodbye), failures, true},
		"an end and no answer":                       {Fresh, say(""), Cut, false},
		"half an answer":                             {Fresh, say(answer[:30]), Cut, false},
		"a reset":                                    {Fresh, abort, Reset, false},
		"a refusal by the server":                    {Fresh, say("HTTP/1.1 503 No\r\n\r\n"), Strange, false},
		"no word":                                    {Fresh, func(c net.Conn) { ask(c); ask(c) }, Late, false},
		"kept: answers and an end that was told":     {Kept, say(answer, answer, goodbye), failures, true},
		"kept: an end in place of the second answer": {Kept, say(answer, ""), Cut, true},
		"kept: half of the second answer":            {Kept, say(answer, answer[:40]), Cut, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runFor(t, runLength, serve(t, tt.handle), Group{Kind: tt.kind, Clients: 3, Patience: 50 * time.Millisecond}).Tallies[0]
			if got.Done > 0 != tt.done {
				t.Errorf("%d done, want some: %v", got.Done, tt.done)
			}
			for f, n := range got.Failed {
				if n > 0 != (Failure(f) == tt.want) {
					t.Errorf("%d %v, want some of %d only", n, Failure(f), tt.want)
				}
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	got := runFor(t, runLength, l.Addr().(*net.TCPAddr).Port, Group{Clients: 1, Patience: time.Second}).Tallies[0]
	if n := got.Failed[Refused]; n == 0 || n > int(2*runLength/tick) || got.Made() != n {
		t.Errorf("%+v, want refusals, one for each tick of %v", got.Failed, tick)
	}
}

func TestWhoIsLateMayBeLast(t *testing.T) {
	port := serve(t, func(conn net.Conn) {
		if ask(conn) {
			time.Sleep(2 * runLength) // until no more requests are made
			fmt.Fprint(conn, goodbye)
		}
	})
	if got := runFor(t, runLength, port, Group{Clients: 4, Patience: time.Minute}).Tallies[0]; got.Done != 4 || got.Made() != 4 {
		t.Errorf("%d done of %d, want 4 of 4", got.Done, got.Made())
	}
}

func TestWhoIsNeverAnsweredIsCountedAtTheEnd(t *testing.T) {
	port := serve(t, func(conn net.Conn) {
		ask(conn)
		ask(conn)
	})
	if got := runFor(t, runLength, port, Group{Clients: 4, Patience: time.Minute}).Tallies[0]; got.Failed[Late] != 4 || got.Made() != 4 {
		t.Errorf("%d late of %d, want 4 of 4", got.Failed[Late], got.Made())
	}
}

func TestRealServer(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	r := runFor(t, runLength, l.Addr().(*net.TCPAddr).Port,
		Group{Kind: Fresh, Clients: 8, Patience: time.Minute}, Group{Kind: Kept, Clients: 8, Patience: time.Minute},
		Group{Kind: Garbage, Clients: 8, Patience: time.Minute})
	for i, tally := range r.Tallies {
		if tally.Done == 0 || tally.Failures() > 0 {
			t.Errorf("group %d: %d done, failed %v", i, tally.Done, tally.Failed)
		}
		if p50, p99 := tally.Latency.Quantile(0.5), tally.Latency.Quantile(0.99); p50 <= 0 || p99 < p50 || p99 > 2*runLength {
			t.Errorf("group %d: half of all within %v, 99 %% within %v", i, p50, p99)
		}
	}
	if r.Busy <= 0 || r.Busy > 1.1 || r.Took < runLength*9/10 {
		t.Errorf("busy %v for %v", r.Busy, r.Took)
	}
}

func TestRateIsKept(t *testing.T) {
	var opened atomic.Int64
	port := serve(t, func(conn net.Conn) {
		opened.Add(1)
		for ask(conn) { // a loris never finishes
		}
	})
	const rate = 400
	r := runFor(t, time.Second, port, Group{Kind: Loris, Clients: 1000, Rate: rate})
	if n := opened.Load(); n < rate*8/10 || n > rate*11/10 {
		t.Errorf("%d connections in a second, want %d", n, rate)
	}
	if n, had := r.Tallies[0].Opened, int(opened.Load()); n < had || n > had+rate/10 {
		t.Errorf("%d connections are counted, the server had %d", n, had)
	}
	if made := r.Tallies[0].Made(); made != 0 {
		t.Errorf("%d ended, but the server closed none", made)
	}
}

func TestNothingIsLeftOpen(t *testing.T) {
	open := func() (n int) {
		for fd := range 1024 {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
				n++
			}
		}
		return n
	}
	before := open()
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(l, &unix.SockaddrInet4{}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 100); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(l)
	if err != nil {
		t.Fatal(err)
	}
	runFor(t, runLength, name.(*unix.SockaddrInet4).Port, Group{Kind: Loris, Clients: 20}, Group{Clients: 20, Patience: 10 * time.Millisecond})
	unix.Close(l)
	if after := open(); after > before {
		t.Errorf("%d descriptors are open, before it were %d", after, before)
	}
}
