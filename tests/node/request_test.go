package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"tend/api"
)

// conn is a raw connection to an app.
type conn struct {
	net.Conn
	r *bufio.Reader
}

// dial makes a new connection, as a client that waits no longer than patience.
func dial(network, addr string) (*conn, error) {
	c, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	return newConn(c), nil
}

func newConn(c net.Conn) *conn { return &conn{c, bufio.NewReader(c)} }

// open is a new connection that is closed at the end of the test.
func open(t *testing.T, network, addr string) *conn {
	t.Helper()
	c, err := dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// write sends a request.
func (c *conn) write(path string) error {
	_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: app\r\n\r\n", path)
	return err
}

// answer is what the apps answer.
type answer struct {
	PID       int    `json:"pid"`
	ID        int    `json:"id"`
	Connected bool   `json:"connected"`
	Resumed   bool   `json:"resumed"`
	Version   string `json:"version"`
	Round     int    `json:"round"`

	closes bool // it came with Connection: close
}

// read reads the answer to a request.
func (c *conn) read() (answer, error) {
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return answer{}, err
	}
	return decode(res)
}

func decode(res *http.Response) (answer, error) {
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{closes: res.Close}
	if res.StatusCode != http.StatusOK {
		return a, fmt.Errorf("%s: %s", res.Status, text)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("%w in %q", err, text)
	}
	return a, nil
}

// get asks on this connection.
func (c *conn) get(path string) (answer, error) {
	if err := c.write(path); err != nil {
		return answer{}, err
	}
	return c.read()
}

// ask asks once, on a new connection.
func ask(network, addr, path string) (answer, error) {
	c, err := dial(network, addr)
	if err != nil {
		return answer{}, err
	}
	defer c.Close()
	return c.get(path)
}

// mustAsk asks once over TCP and has to get an answer.
func mustAsk(t *testing.T, addr, path string) answer {
	t.Helper()
	a, err := ask("tcp", addr, path)
	if err != nil {
		t.Fatalf("GET %s of %s: %v", path, addr, err)
	}
	return a
}

// burst asks n times at once, on as many new connections, and returns what was
// answered.
func burst(t *testing.T, addr, path string, n int) []answer {
	t.Helper()
	answers, errs := make([]answer, n), make([]error, n)
	var clients sync.WaitGroup
	for i := range n {
		clients.Go(func() { answers[i], errs[i] = ask("tcp", addr, path) })
	}
	clients.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("GET %s of %s, %d at once: %v", path, addr, n, err)
	}
	return answers
}

// reach asks until every worker of pids has answered.
func reach(t *testing.T, addr, path string, pids ...int) {
	t.Helper()
	const bursts = 200 // the kernel may be very uneven in picking
	missing := slices.Clone(pids)
	for range bursts {
		for _, a := range burst(t, addr, path, 16) {
			missing = slices.DeleteFunc(missing, func(pid int) bool { return pid == a.PID })
		}
		if len(missing) == 0 {
			return
		}
	}
	t.Fatalf("of the workers %d, %d never answered on %s", pids, missing, addr)
}

// local is the address of a port on this machine.
func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// word makes a part of a path of anything.
func word(s string) string { return url.PathEscape(s) }

// request asks the daemon.
func (w *world) request(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", w.home.Socket())
		},
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://tend/"+api.Version+"/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	return transport.RoundTrip(req)
}

// post posts to the daemon and reads the whole answer.
func (w *world) post(path string, body []byte) (answer []byte, status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	res, err := w.request(ctx, "POST", path, body)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	return answer, res.StatusCode, err
}
