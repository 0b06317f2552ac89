package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"tend/api"
)

// messagesSent is how many an app sends, one every 20 ms, and messagesLimit how
// long their reader has for them.
const (
	messagesSent  = 500
	messagesLimit = 30 * time.Second
)

// takeMessages kills the daemon over and over while an app sends numbered
// messages, and looks whether a reader gets each of them once.
func takeMessages(ctx context.Context, t *turn) error {
	script := filepath.Join(t.dir, "talker.js")
	a := app{name: "talker", script: script, workers: 1, env: map[string]string{"TOTAL": strconv.Itoa(messagesSent)}}
	if err := writeProgram("talker.js", script); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, messagesLimit)
	defer cancel()
	r := newReader(filepath.Join(t.dir, "tend.sock"))
	work, ctx := errgroup.WithContext(ctx)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	work.Go(func() error { return r.read(reading) })
	work.Go(func() error {
		if err := wait(ctx, r.connected); err != nil {
			return fmt.Errorf("read notices: %w", err)
		}
		if _, err := t.start(ctx, []app{a}); err != nil {
			return err
		}
		if err := wait(ctx, r.first); err != nil {
			return fmt.Errorf("wait for the first message: %w", err)
		}
		for range daemonDeaths {
			if err := pause(ctx, betweenKills); err != nil {
				return err
			}
			if err := t.killDaemon(ctx); err != nil {
				return err
			}
		}
		_ = wait(ctx, r.last) // what is missing shows in the counts
		stop()
		return nil
	})
	if err := work.Wait(); err != nil {
		return err
	}
	missing, repeated := r.faults()
	t.record(messagesMade.in(daemonDeath), messagesSent)
	t.record(messagesMissing.in(daemonDeath), float64(missing))
	t.record(messagesRepeated.in(daemonDeath), float64(repeated))
	return nil
}

// reader reads the messages of the talker from the daemon's stream of notices,
// and goes on behind the last one when a daemon has died.
type reader struct {
	http                   *http.Client
	after                  uint64 // the notice that came last
	got                    []int  // how often each number came, by number
	connected, first, last chan struct{}
	began                  bool
}

func newReader(socket string) *reader {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &reader{
		http:      &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}},
		got:       make([]int, messagesSent+1),
		connected: make(chan struct{}), first: make(chan struct{}), last: make(chan struct{}),
	}
}

// read returns when ctx ends. A connection that ends is made again.
func (r *reader) read(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := r.stream(ctx); errors.As(err, new(*unexpected)) {
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return nil //nolint:nilerr // it was asked to end
		}
	}
	return nil
}

// unexpected is an answer that no further try would mend.
type unexpected struct{ what string }

func (u *unexpected) Error() string { return "read notices: " + u.what }

// stream reads from one daemon.
func (r *reader) stream(ctx context.Context) error {
	url := "http://tend/v1/events?topic=" + api.TopicMessage
	if r.began {
		url += "&after=" + strconv.FormatUint(r.after, 10)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := r.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 300)) // for the error
		return &unexpected{fmt.Sprintf("%s: %s", response.Status, tail(text))}
	}
	open(r.connected)
	for lines := json.NewDecoder(response.Body); ; {
		var n api.Notice
		if err := lines.Decode(&n); err != nil {
			return err
		}
		if err := r.take(n); err != nil {
			return err
		}
	}
}

func (r *reader) take(n api.Notice) error {
	if n.Topic != api.TopicMessage {
		return nil
	}
	var message struct {
		N int `json:"n"`
	}
	if err := json.Unmarshal(n.Data, &message); err != nil || message.N < 1 || message.N > messagesSent {
		return &unexpected{fmt.Sprintf("%.80s is no message of the app", n.Data)}
	}
	r.after, r.began = n.Seq, true
	r.got[message.N]++
	open(r.first)
	if message.N == messagesSent {
		open(r.last)
	}
	return nil
}

// faults counts the numbers that never came, and how often one came again.
func (r *reader) faults() (missing, repeated int) {
	for _, n := range r.got[1:] {
		if n == 0 {
			missing++
		}
		repeated += max(0, n-1)
	}
	return missing, repeated
}

// open lets those go on who wait for c. Only its one writer calls it.
func open(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

func wait(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
