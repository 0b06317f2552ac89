package httpapi

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
	"tend/internal/logs/read"
	"tend/internal/testkit"
)

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// readLogs is a client of d with a stream of logs, both closed at the end.
func (d *daemon) readLogs(q client.LogQuery) *client.LogStream {
	d.t.Helper()
	c := client.New(d.socket)
	s, err := c.Logs(d.t.Context(), q)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = s.Close(); c.Close() })
	return s
}

// lines reads n lines, or with n below 0 all to the end.
func lines(t *testing.T, s *client.LogStream, n int) []string {
	t.Helper()
	var got []string
	for n < 0 || len(got) < n {
		l, err := s.Next()
		if n < 0 && errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, l.Name+" "+l.Stream+" "+l.Line)
	}
	return got
}

func TestLogsOverHTTP(t *testing.T) {
	d := serve(t, 1)
	in := d.list("")[0]
	appendTo(t, in.OutFile, "one\ntwo\nthree\n")
	appendTo(t, in.ErrFile, "oops\n")
	two := 2
	for name, tt := range map[string]struct {
		q    client.LogQuery
		want []string
	}{
		"all":              {client.LogQuery{}, []string{"web out one", "web out two", "web out three", "web err oops"}},
		"of a stream":      {client.LogQuery{Stream: api.StreamErr}, []string{"web err oops"}},
		"the last":         {client.LogQuery{Targets: []string{"web"}, Lines: &two}, []string{"web out two", "web out three", "web err oops"}},
		"those that match": {client.LogQuery{Grep: "o", Exclude: "^t"}, []string{"web out one", "web err oops"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, lines(t, d.readLogs(tt.q), -1)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, bad := range []string{"?target=nosuch", "?stream=x", "?lines=x", "?grep=(", "?since=x", "?after=x&follow=1"} {
		status, text := d.call("GET", "/v1/logs"+bad, nil)
		if status < 400 || !strings.Contains(text, `"kind"`) {
			t.Errorf("%s: %d %s", bad, status, text)
		}
	}
	d.refused(http.StatusNotFound, errs.NotFound, "GET", "/v1/logs?target=nosuch", nil)
}

// A reader that comes back with positions has no gap and no repeat, also where
// a log was silent before and another was rotated.
func TestLogsGoOn(t *testing.T) {
	d := serve(t, 1)
	in := d.list("")[0]
	appendTo(t, in.OutFile, "old\n")
	appendTo(t, in.ErrFile, "old\n")
	none := 0
	s := d.readLogs(client.LogQuery{Lines: &none, Follow: true})
	appendTo(t, in.OutFile, "a\n")
	if got := lines(t, s, 1); !slices.Equal(got, []string{"web out a"}) {
		t.Fatalf("got %q", got)
	}
	after := s.Positions()
	_ = s.Close()
	appendTo(t, in.OutFile, "b\n")
	if err := os.Rename(in.OutFile, strings.TrimSuffix(in.OutFile, ".log")+"__2026-11-22_10-00-00.log"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, in.OutFile, "c\n")
	appendTo(t, in.ErrFile, "silent no more\n")
	got := lines(t, d.readLogs(client.LogQuery{Follow: true, After: after}), 3)
	slices.Sort(got)
	if diff := cmp.Diff([]string{"web err silent no more", "web out b", "web out c"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A damaged file is told of behind all that is whole, and keeps nobody from following.
func TestLogsOfDamagedFiles(t *testing.T) {
	d := serve(t, 1)
	in := d.list("")[0]
	damaged := strings.TrimSuffix(in.OutFile, ".log") + "__2026-11-22_10-00-00.log.gz"
	appendTo(t, damaged, "no archive")
	appendTo(t, in.OutFile, "one\n")
	appendTo(t, in.ErrFile, "oops\n")
	s := d.readLogs(client.LogQuery{})
	if diff := cmp.Diff([]string{"web out one", "web err oops"}, lines(t, s, 2)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err := s.Next()
	if e, ok := errors.AsType[*api.Error](err); !ok || e.On != damaged {
		t.Errorf("it ended with %v, want an error on %s", err, damaged)
	}
	s = d.readLogs(client.LogQuery{Follow: true})
	lines(t, s, 2)
	appendTo(t, in.OutFile, "two\n")
	if got := lines(t, s, 1); !slices.Equal(got, []string{"web out two"}) {
		t.Errorf("got %q", got)
	}
}

// nextEvent reads one event of a stream, and gives its id and its line.
func nextEvent(t *testing.T, r *bufio.Scanner) (id string, l api.LogLine) {
	t.Helper()
	for r.Scan() && r.Text() != "" {
		name, value, _ := strings.Cut(r.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			if err := json.Unmarshal([]byte(value), &l); err != nil {
				t.Fatal(err)
			}
		}
	}
	if id == "" {
		t.Fatalf("no event with an id: %+v, %v", l, r.Err())
	}
	return id, l
}

// A browser tells only the id of the last event: that is enough for all logs.
func TestLogsGoOnInABrowser(t *testing.T) {
	d := serve(t, 1)
	in := d.list("")[0]
	appendTo(t, in.OutFile, "old\n")
	appendTo(t, in.ErrFile, "old\n")
	last := ""
	lines := func(n int) (got []string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://tend/v1/logs?follow=1&lines=0", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/event-stream")
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		res, err := d.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		events := bufio.NewScanner(res.Body)
		for marks := 2; marks > 0 || len(got) < n; {
			id, l := nextEvent(t, events)
			last = id
			if l.Mark {
				marks--
				continue
			}
			got = append(got, l.Stream+" "+l.Line)
		}
		slices.Sort(got)
		return got
	}
	lines(0)
	appendTo(t, in.ErrFile, "e1\n")
	appendTo(t, in.OutFile, "o1\n")
	if diff := cmp.Diff([]string{"err e1", "out o1"}, lines(2)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	appendTo(t, in.ErrFile, "e2\n")
	appendTo(t, in.OutFile, "o2\n")
	if diff := cmp.Diff([]string{"err e2", "out o2"}, lines(2)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLogsOfInstancesThatCome(t *testing.T) {
	d := serve(t, 0)
	s := d.readLogs(client.LogQuery{Targets: []string{"web"}, Follow: true})
	d.events("/v1/apps", api.StartRequest{Apps: []api.Spec{web()}})
	appendTo(t, d.list("")[0].OutFile, "hello\n")
	d.publish(api.TopicProcess) // this supervisor has no notices
	if got := lines(t, s, 1); !slices.Equal(got, []string{"web out hello"}) {
		t.Errorf("got %q", got)
	}
}

func TestLogsAsServerSentEvents(t *testing.T) {
	d := serve(t, 1)
	appendTo(t, d.list("")[0].OutFile, "<b>\n")
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://tend/v1/logs", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := d.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%v %v", err, res.Header)
	}
	for _, want := range []string{"id: ", "\nevent: log:out\ndata: {", `"name":"web"`, "event: done\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

// A reader that is too slow is told so, behind all that it was given.
func TestASlowReaderOfLogsIsToldToGo(t *testing.T) {
	path := t.TempDir() + "/log"
	appendTo(t, path, strings.Repeat(strings.Repeat("x", 999)+"\n", 50_000))
	socket := testkit.Home(t) + "/s"
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := newLogStream(w, r, writeWait, nil)
		out.limit = 0 // nobody is as fast
		err := read.History(t.Context(), read.File{Path: path, Label: api.LogLine{Name: "web"}}, read.Query{Lines: -1}, out.Line)
		out.end(err)
		ended <- err
	})}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	c := client.New(socket)
	defer c.Close()
	s, err := c.Logs(t.Context(), client.LogQuery{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := 0; ; n++ {
		_, err := s.Next()
		if e, ok := errors.AsType[*api.Error](err); ok && n > 0 && n < 50_000 && e.Kind == string(errs.Timeout) {
			break
		}
		if err != nil {
			t.Fatalf("after %d lines: %v", n, err)
		}
	}
	if err := <-ended; !errors.Is(err, errSlow) {
		t.Errorf("it ended with %v", err)
	}
}
