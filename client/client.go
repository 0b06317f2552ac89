// Package client is the Go client of the tend daemon: requests over HTTP/1.1
// and JSON on the unix socket $TEND_HOME/tend.sock, in the types of package
// api. It needs the standard library only.
//
// It starts no daemon and resolves nothing: paths, interpreters and
// environments in a request are complete before they come here.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"tend/api"
)

// The bounds of what a daemon may answer. A list of 10,000 instances in detail,
// with 5 KB of environment each, is 60 MB.
const (
	maxBody  = 512 << 20
	maxError = 1 << 20
	maxLine  = 4 << 20
)

// The failures of the way to the daemon, which callers branch on. Each comes
// with an *api.Error of kind "unavailable" in its chain.
var (
	// ErrAbsent means that nobody listens on the socket: no daemon runs.
	ErrAbsent = errors.New("no daemon runs")
	// ErrBroken means that the connection ended before the answer did.
	ErrBroken = errors.New("it went away before it answered")
)

// Client talks to one daemon. It is safe for use by several goroutines.
type Client struct {
	socket string
	http   *http.Client
}

// New is a client of the daemon that listens on the unix socket at path
// socket. Nothing is connected yet.
func New(socket string) *Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		DisableCompression: true,
	}
	return &Client{socket: socket, http: &http.Client{Transport: t}}
}

// Close ends the connections that wait for another request.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ping asks the daemon who it is.
func (c *Client) Ping(ctx context.Context) (api.Pong, error) {
	var pong api.Pong
	err := c.get(ctx, "ping", nil, &pong)
	return pong, err
}

// Host asks what the machine as a whole has and uses.
func (c *Client) Host(ctx context.Context) (api.Host, error) {
	var host api.Host
	err := c.get(ctx, "host", nil, &host)
	return host, err
}

// Query chooses instances; the zero Query chooses all.
type Query struct {
	Targets []string // names, namespaces, ids, script paths, /regexes/, "all"
	Cwd     string   // against which a script path is resolved
	Detail  bool     // fill Instance.Detail
}

// Instances lists the instances that q chooses, ordered by id.
func (c *Client) Instances(ctx context.Context, q Query) ([]api.Instance, error) {
	v := url.Values{"target": q.Targets}
	if q.Cwd != "" {
		v.Set("cwd", q.Cwd)
	}
	if q.Detail {
		v.Set("detail", "1")
	}
	var list api.List
	err := c.get(ctx, "instances", v, &list)
	return list.Instances, err
}

// Save writes the list of apps to the dump file.
func (c *Client) Save(ctx context.Context, req api.SaveRequest) (api.SaveResponse, error) {
	var res api.SaveResponse
	err := c.post(ctx, "save", req, &res)
	return res, err
}

// Settings are what is set for the whole home.
func (c *Client) Settings(ctx context.Context) (api.Settings, error) {
	var s api.Settings
	err := c.get(ctx, "settings", nil, &s)
	return s, err
}

// ChangeSettings sets and unsets, all of a request or nothing, and returns what
// is set then.
func (c *Client) ChangeSettings(ctx context.Context, req api.SettingsRequest) (api.Settings, error) {
	var s api.Settings
	err := c.post(ctx, "settings", req, &s)
	return s, err
}

// Update makes the daemon and its keeper go over to other binaries. It returns
// what the daemon that leaves says of itself.
func (c *Client) Update(ctx context.Context, req api.UpdateRequest) (api.Pong, error) {
	var pong api.Pong
	err := c.post(ctx, "update", req, &pong)
	return pong, err
}

// ReloadLogs opens every log file anew.
func (c *Client) ReloadLogs(ctx context.Context) error {
	return c.post(ctx, "logs/reload", struct{}{}, nil)
}

// FlushLogs empties the log files of the instances that targets name, and with
// no target those of all instances and the daemon's own.
func (c *Client) FlushLogs(ctx context.Context, targets []string) error {
	return c.post(ctx, "logs/flush", struct {
		Targets []string `json:"targets"`
	}{targets}, nil)
}

// Profile is a profile of the daemon, as pprof reads it: see api.ProfileCPU.
func (c *Client) Profile(ctx context.Context, kind string, during time.Duration) ([]byte, error) {
	v := url.Values{"kind": {kind}, "ms": {strconv.FormatInt(during.Milliseconds(), 10)}}
	res, err := c.do(ctx, http.MethodGet, "profile", v, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return nil, c.lost(ctx, err)
	}
	return text, nil
}

func (c *Client) get(ctx context.Context, path string, v url.Values, into any) error {
	return c.again(ctx, func() error {
		res, err := c.do(ctx, http.MethodGet, path, v, nil)
		if err != nil {
			return err
		}
		return c.decode(ctx, res, into)
	})
}

// again tries what changes nothing a second time when the connection breaks: a
// daemon that is being replaced leaves the socket open, and its successor
// answers.
func (c *Client) again(ctx context.Context, try func() error) error {
	err := try()
	if errors.Is(err, ErrBroken) && ctx.Err() == nil {
		err = try()
	}
	return err
}

func (c *Client) post(ctx context.Context, path string, body, into any) error {
	res, err := c.do(ctx, http.MethodPost, path, nil, body)
	if err != nil {
		return err
	}
	if into == nil {
		return res.Body.Close()
	}
	return c.decode(ctx, res, into)
}

// do sends one request. The answer it returns is a success with an open body;
// any other has become an error.
func (c *Client) do(ctx context.Context, method, path string, v url.Values, body any) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "tend", Path: "/" + api.Version + "/" + path, RawQuery: v.Encode()}
	var r io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode request %s: %w", path, err)
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), r)
	if err != nil {
		return nil, fmt.Errorf("make request %s: %w", path, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.lost(ctx, err)
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, refusal(res)
}

// refusal is what an answer that is no success says.
func refusal(res *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(res.Body, maxError))
	e := new(api.Error)
	if err == nil && json.Unmarshal(text, e) == nil && e.Kind != "" {
		return e
	}
	return &api.Error{
		Op: "ask the daemon", On: res.Request.Method + " " + res.Request.URL.Path, Kind: "internal",
		Message: "it answered " + res.Status,
		Hint:    "the daemon may be of another version; `tend update` brings it to this one",
	}
}

// decode reads a body of JSON to its end and closes it.
func (c *Client) decode(ctx context.Context, res *http.Response, into any) error {
	defer res.Body.Close()
	body := &io.LimitedReader{R: res.Body, N: maxBody}
	err := json.NewDecoder(body).Decode(into)
	var syntax *json.SyntaxError
	var shape *json.UnmarshalTypeError
	switch {
	case err == nil:
		// The connection is used again only when the body was read to its end.
		_, _ = io.CopyN(io.Discard, body, 1)
		return nil
	case body.N == 0:
		return &api.Error{
			Op: "read", On: "the answer", Kind: "internal",
			Message: fmt.Sprintf("it is longer than %d bytes", maxBody),
		}
	case errors.As(err, &syntax) && !errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &shape):
		return fmt.Errorf("read the answer: %w", err)
	}
	return c.lost(ctx, err)
}

// lost is what err of a connection, or its early end, means to a caller.
func (c *Client) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" {
		return &fault{cause: ErrBroken, wire: &api.Error{
			Op: "wait for", On: "the daemon", Kind: "unavailable", Message: ErrBroken.Error(),
			Hint: "the daemon was restarted in the middle; look at `tend ls` and run the command again",
		}}
	}
	e := &api.Error{Op: "reach the daemon", On: c.socket, Kind: "unavailable", Message: op.Err.Error()}
	// The socket is not there, or was left behind by a process that died (unix(7)).
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		e.Message, err = ErrAbsent.Error(), ErrAbsent
	}
	return &fault{cause: err, wire: e}
}

// fault is an error as people read it, and its cause for programs.
type fault struct {
	wire  *api.Error
	cause error
}

func (f *fault) Error() string   { return f.wire.Error() }
func (f *fault) Unwrap() []error { return []error{f.wire, f.cause} }
