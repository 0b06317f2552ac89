package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
	"tend/internal/fanout"
	"tend/internal/testkit"
)

// ring is an empty one, closed at the end of the test.
func ring(t testing.TB, log *slog.Logger) *fanout.Ring {
	t.Helper()
	fd, err := fanout.Create(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	r, err := fanout.Open(fd, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// publish publishes one notice for each topic; Data is its number, from 1.
func (d *daemon) publish(topics ...string) {
	for i, topic := range topics {
		d.notices.Publish(api.Notice{Topic: topic, ID: 3, Name: "web", Data: json.RawMessage(fmt.Sprint(i + 1))})
	}
}

// subscribe is a client of d with a subscription, both closed at the end.
func (d *daemon) subscribe(after *uint64, topics ...string) *client.Subscription {
	d.t.Helper()
	c := client.New(d.socket)
	s, err := c.Subscribe(d.t.Context(), after, topics...)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = s.Close(); c.Close() })
	return s
}

// next reads n notices, and gives what matters of each.
func next(t *testing.T, s *client.Subscription, n int) (last uint64, got []string) {
	t.Helper()
	for range n {
		m, err := s.Next()
		if err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		last = m.Seq
		got = append(got, m.Topic+" "+string(m.Data))
	}
	return last, got
}

func TestEventsComeInOrderAndFromWhereOneAsks(t *testing.T) {
	d := serve(t, 0)
	d.publish("before")
	all, some := d.subscribe(nil), d.subscribe(nil, "b", "c")
	d.publish("a", "b", "c", "b")
	last, got := next(t, all, 2)
	if diff := cmp.Diff([]string{"a 1", "b 2"}, got); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if _, got := next(t, some, 3); !cmp.Equal(got, []string{"b 2", "c 3", "b 4"}) {
		t.Errorf("of two topics: %v", got)
	}
	resumed := d.subscribe(&last)
	for name, s := range map[string]*client.Subscription{"the first": all, "who resumed": resumed} {
		if _, got := next(t, s, 2); !cmp.Equal(got, []string{"c 3", "b 4"}) {
			t.Errorf("%s goes on with %v", name, got)
		}
	}
	d.publish("z")
	if _, got := next(t, resumed, 1); !cmp.Equal(got, []string{"z 1"}) {
		t.Errorf("and then with %v", got)
	}
	old := uint64(1)
	if _, got := next(t, d.subscribe(&old, "z"), 2); !cmp.Equal(got, []string{api.TopicLost + ` {"lost":1}`, "z 1"}) {
		t.Errorf("behind what is gone comes %v", got)
	}
	for _, after := range []string{"x", "-1", "1.5", "18446744073709551616"} {
		d.refused(http.StatusBadRequest, errs.Invalid, "GET", "/v1/events?after="+after, nil)
	}
}

func TestANoticeIsAsItWasPublished(t *testing.T) {
	d := serve(t, 0)
	s := d.subscribe(nil)
	want := api.Notice{
		At: 5, Topic: "t\n", ID: 3, Name: "<web>", Namespace: "ü", UniqueID: "u",
		Data: json.RawMessage(`{"html":"<b>","n":12345678901234567890}`),
	}
	d.notices.Publish(want)
	got, err := s.Next()
	want.Seq = got.Seq
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestASubscriptionEndsWhenItIsClosed(t *testing.T) {
	d := serve(t, 0)
	s := d.subscribe(nil)
	ended := make(chan error)
	go func() {
		_, err := s.Next()
		ended <- err
	}()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Next ended with %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := client.New(d.socket)
	defer c.Close()
	s, err := c.Subscribe(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := s.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("Next ended with %v", err)
	}
	_ = s.Close()
}

// streams counts the handlers that stream events.
func streams() int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "httpapi.(*Server).events(")
}

func TestAClientThatLeavesEndsItsStream(t *testing.T) {
	d := serve(t, 0)
	s := d.subscribe(nil, "never") // nothing is ever written to it
	d.publish("a")
	testkit.WaitFor(t, soon, "the stream is there", func() bool { return streams() == 1 })
	_ = s.Close()
	testkit.WaitFor(t, soon, "the stream has ended", func() bool { return streams() == 0 })
}

func TestTheEndOfTheDaemonEndsTheStream(t *testing.T) {
	d := serve(t, 0)
	s := d.subscribe(nil)
	d.publish("a")
	next(t, s, 1)
	d.stop()
	if _, err := s.Next(); !errors.Is(err, client.ErrBroken) {
		t.Errorf("ended with %v", err)
	}
}

// TestASlowClientLosesAndCostsNothing has a client that does not read while
// much is published.
func TestASlowClientLosesAndCostsNothing(t *testing.T) {
	d := serve(t, 0)
	c, err := net.Dial("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprint(c, "GET /v1/events HTTP/1.1\r\nHost: tend\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	const many, size = 100_000, 200 // twenty times what the ring takes
	n := api.Notice{Topic: "t", Data: json.RawMessage(`"` + strings.Repeat("x", size) + `"`)}
	limit := time.AfterFunc(time.Minute, func() { c.Close() })
	for range many {
		d.notices.Publish(n)
	}
	if !limit.Stop() {
		t.Error("who publishes waited until it left")
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	d.publish("last")
	lines := json.NewDecoder(res.Body)
	var seen, lost uint64
	for {
		var n api.Notice
		if err := lines.Decode(&n); err != nil {
			t.Fatalf("after %d and %d lost: %v", seen, lost, err)
		}
		if n.Topic == "last" {
			break
		}
		if n.Topic != api.TopicLost {
			seen++
			continue
		}
		var data struct {
			Lost uint64 `json:"lost"`
		}
		if err := json.Unmarshal(n.Data, &data); err != nil {
			t.Fatal(err)
		}
		lost += data.Lost
	}
	if seen+lost != many || lost < many/2 {
		t.Errorf("%d came and %d were lost, of %d", seen, lost, many)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkEvents is a flood with three subscribers: what one notice costs.
func BenchmarkEvents(b *testing.B) {
	for _, rate := range []int{20_000, 100_000} {
		b.Run(fmt.Sprintf("%d a second", rate), func(b *testing.B) { flood(b, rate) })
	}
}

func flood(b *testing.B, rate int) {
	const subscribers = 3
	log := slog.New(slog.DiscardHandler)
	r := ring(b, log)
	socket := testkit.Home(b) + "/s"
	l, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var server, readers sync.WaitGroup
	server.Go(func() { _ = New(Options{Notices: r, Log: log}).Run(ctx, l) })
	var bytes atomic.Int64
	for range subscribers {
		res, err := over(socket).Get("http://tend/v1/events")
		if err != nil {
			b.Fatal(err)
		}
		readers.Go(func() {
			n, _ := io.Copy(io.Discard, res.Body)
			bytes.Add(n)
		})
	}
	n := api.Notice{Topic: "process:msg", ID: 3, Name: "web", Namespace: "default", UniqueID: "0a4f0a4f-0a4f-0a4f-0a4f-0a4f0a4f0a4f"}
	n.Data = json.RawMessage(`"` + strings.Repeat("x", 98) + `"`)
	before := cpuTime()
	began := time.Now()
	b.ResetTimer()
	for i := range b.N {
		for time.Since(began) < time.Duration(i)*time.Second/time.Duration(rate) {
			time.Sleep(time.Millisecond)
		}
		r.Publish(n)
	}
	b.StopTimer()
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
	cancel()
	server.Wait()
	readers.Wait()
	b.ReportMetric(float64(bytes.Load())/float64(b.N)/subscribers, "bytes/op")
}

func cpuTime() time.Duration {
	var use unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &use)
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// Lines are notices for who asks for them, beside all others.
func TestLinesAsEvents(t *testing.T) {
	d := serve(t, 1)
	in := d.list("")[0]
	appendTo(t, in.OutFile, "before\n")
	appendTo(t, in.ErrFile, "before\n")
	both, one, none := d.subscribe(nil, "log:out", "log:err", "x"), d.subscribe(nil, "log:err"), d.subscribe(nil)
	appendTo(t, in.OutFile, "\"out\"\n")
	if _, got := next(t, both, 1); got[0] != `log:out "\"out\""` {
		t.Errorf("got %q", got)
	}
	appendTo(t, in.ErrFile, "err\n")
	for _, s := range []*client.Subscription{both, one} {
		n, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if n.At < in.CreatedAt {
			t.Errorf("written at %d", n.At)
		}
		n.At = 0
		if diff := cmp.Diff(api.Notice{Topic: api.TopicErr, ID: in.ID, Name: in.Name, Namespace: in.Namespace, Data: json.RawMessage(`"err"`)}, n); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	d.publish("x")
	for _, s := range []*client.Subscription{both, none} {
		if _, got := next(t, s, 1); got[0] != "x 1" {
			t.Errorf("got %q", got)
		}
	}
}
