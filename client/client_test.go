package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tend/api"
	"tend/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers on a unix socket with h and returns a client of it.
func serve(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	srv.Start()
	c := client.New(socket)
	t.Cleanup(func() { c.Close(); srv.Close() })
	return c
}

func TestRequests(t *testing.T) {
	type call func(context.Context, *client.Client) error
	tests := map[string]struct {
		call   call
		answer string
		want   string // method, path with query, body
	}{
		"ping": {
			call:   func(ctx context.Context, c *client.Client) error { _, err := c.Ping(ctx); return err },
			answer: `{"pid":7}`,
			want:   "GET /v1/ping ",
		},
		"host": {
			call: func(ctx context.Context, c *client.Client) error {
				h, err := c.Host(ctx)
				if h.CPU == nil || *h.CPU != 12.5 {
					t.Errorf("got %+v", h)
				}
				return err
			},
			answer: `{"at_ms":7,"cpu_percent":12.5}`,
			want:   "GET /v1/host ",
		},
		"profile": {
			call: func(ctx context.Context, c *client.Client) error {
				text, err := c.Profile(ctx, api.ProfileCPU, 2500*time.Millisecond)
				if string(text) != "a profile\n" {
					t.Errorf("got %q", text)
				}
				return err
			},
			answer: "a profile",
			want:   "GET /v1/profile?kind=cpu&ms=2500 ",
		},
		"instances of two targets in detail": {
			call: func(ctx context.Context, c *client.Client) error {
				_, err := c.Instances(ctx, client.Query{Targets: []string{"api", "/w b/"}, Cwd: "/srv", Detail: true})
				return err
			},
			answer: `{"instances":[]}`,
			want:   "GET /v1/instances?cwd=%2Fsrv&detail=1&target=api&target=%2Fw+b%2F ",
		},
		"start": {
			call: func(ctx context.Context, c *client.Client) error {
				return c.Start(ctx, api.StartRequest{Inherited: map[string]string{"A": "1"}}, nil)
			},
			answer: `{"kind":"done"}`,
			want:   `POST /v1/apps {"inherited":{"A":"1"},"apps":null}`,
		},
		"act": {
			call: func(ctx context.Context, c *client.Client) error {
				return c.Act(ctx, api.ActRequest{Act: api.ActStop, Targets: []string{"all"}}, nil)
			},
			answer: `{"kind":"done"}`,
			want:   `POST /v1/instances {"act":"stop","targets":["all"]}`,
		},
		"scale": {
			call: func(ctx context.Context, c *client.Client) error {
				return c.Scale(ctx, api.ScaleRequest{Name: "api", Count: -2, Relative: true}, nil)
			},
			answer: `{"kind":"done"}`,
			want:   `POST /v1/scale {"name":"api","count":-2,"relative":true}`,
		},
		"message": {
			call: func(ctx context.Context, c *client.Client) error {
				return c.Message(ctx, api.MessageRequest{Targets: []string{"api"}, Message: json.RawMessage(`{"a":[1]}`)}, nil)
			},
			answer: `{"kind":"done"}`,
			want:   `POST /v1/message {"targets":["api"],"message":{"a":[1]}}`,
		},
		"trigger": {
			call: func(ctx context.Context, c *client.Client) error {
				return c.Trigger(ctx, api.TriggerRequest{Targets: []string{"0"}, Action: "dump", Params: "x"}, nil)
			},
			answer: `{"kind":"done"}`,
			want:   `POST /v1/trigger {"targets":["0"],"action":"dump","params":"x"}`,
		},
		"input": {
			call: func(ctx context.Context, c *client.Client) error {
				return c.Input(ctx, api.InputRequest{Targets: []string{"0"}, Line: "hi"}, nil)
			},
			answer: `{"kind":"done"}`,
			want:   `POST /v1/input {"targets":["0"],"line":"hi"}`,
		},
		"save": {
			call: func(ctx context.Context, c *client.Client) error {
				_, err := c.Save(ctx, api.SaveRequest{Force: true})
				return err
			},
			answer: `{"path":"/h/dump.pm2","saved":2}`,
			want:   `POST /v1/save {"force":true}`,
		},
		"settings": {
			call:   func(ctx context.Context, c *client.Client) error { _, err := c.Settings(ctx); return err },
			answer: `{"values":{}}`,
			want:   "GET /v1/settings ",
		},
		"a change of settings": {
			call: func(ctx context.Context, c *client.Client) error {
				_, err := c.ChangeSettings(ctx, api.SettingsRequest{Unset: []string{"a"}, Set: []api.Setting{{Key: "b:c", Value: "1"}}})
				return err
			},
			answer: `{"values":{}}`,
			want:   `POST /v1/settings {"unset":["a"],"set":[{"key":"b:c","value":"1"}]}`,
		},
		"resurrect": {
			call:   func(ctx context.Context, c *client.Client) error { return c.Resurrect(ctx, nil) },
			answer: `{"kind":"done"}`,
			want:   "POST /v1/resurrect {}",
		},
		"kill": {
			call:   func(ctx context.Context, c *client.Client) error { return c.Kill(ctx, nil) },
			answer: `{"kind":"done"}`,
			want:   "POST /v1/kill {}",
		},
		"subscribe behind a notice to two topics": {
			call: func(ctx context.Context, c *client.Client) error {
				after := uint64(7)
				s, err := c.Subscribe(ctx, &after, "axm:reply", "a&b")
				if err == nil {
					err = s.Close()
				}
				return err
			},
			want: "GET /v1/events?after=7&topic=axm%3Areply&topic=a%26b ",
		},
		"subscribe to what comes": {
			call: func(ctx context.Context, c *client.Client) error {
				s, err := c.Subscribe(ctx, nil)
				if err == nil {
					err = s.Close()
				}
				return err
			},
			want: "GET /v1/events ",
		},
		"update": {
			call: func(ctx context.Context, c *client.Client) error {
				_, err := c.Update(ctx, api.UpdateRequest{Daemon: "/b/tend", Keeper: "/b/tend-keeper"})
				return err
			},
			answer: `{"pid":7}`,
			want:   `POST /v1/update {"daemon":"/b/tend","keeper":"/b/tend-keeper"}`,
		},
		"reload logs": {
			call: func(ctx context.Context, c *client.Client) error { return c.ReloadLogs(ctx) },
			want: "POST /v1/logs/reload {}",
		},
		"flush logs": {
			call: func(ctx context.Context, c *client.Client) error { return c.FlushLogs(ctx, []string{"api"}) },
			want: `POST /v1/logs/flush {"targets":["api"]}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got string
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body := new(strings.Builder)
				_, _ = fmt.Fprintf(body, "%s %s ", r.Method, r.URL.RequestURI())
				buf := make([]byte, 4096)
				n, _ := r.Body.Read(buf)
				body.Write(buf[:n])
				got = body.String()
				fmt.Fprintln(w, tt.answer)
			})
			if err := tt.call(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("request\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestStreamCallsForEachEventAndReturnsTheLastError(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		enc := json.NewEncoder(w)
		_ = enc.Encode(api.Event{Kind: api.EventTarget, Target: "api", IDs: []int{0, 1}})
		_ = enc.Encode(api.Event{Kind: api.EventInstance, ID: 1, OK: true})
		_ = enc.Encode(api.Event{Kind: api.EventDone, Error: &api.Error{Kind: "crashed", Message: "exit 1", Lines: []string{"boom"}}})
	})
	var kinds []string
	err := c.Act(t.Context(), api.ActRequest{}, func(ev api.Event) { kinds = append(kinds, ev.Kind) })
	if diff := cmp.Diff(kinds, []string{"target", "instance"}); diff != "" {
		t.Error(diff)
	}
	e, ok := errors.AsType[*api.Error](err)
	if !ok || e.Kind != "crashed" || len(e.Lines) != 1 {
		t.Errorf("got %#v, want the crash with its line", err)
	}
}

func TestRefusal(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		kind   string
		text   string
	}{
		"an api error is passed on": {404, `{"op":"stop","on":"x","kind":"not_found","message":"no such app"}`, "not_found", "stop x: no such app"},
		"another page is described": {500, `<html>`, "internal", "ask the daemon GET /v1/ping: it answered 500 Internal Server Error"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			})
			_, err := c.Ping(t.Context())
			e, ok := errors.AsType[*api.Error](err)
			if !ok {
				t.Fatalf("got %v, want an api.Error", err)
			}
			if e.Kind != tt.kind || e.Error() != tt.text {
				t.Errorf("got %s %q, want %s %q", e.Kind, e.Error(), tt.kind, tt.text)
			}
		})
	}
}

// hangUp ends the connection of w in the middle of an answer.
func hangUp(t *testing.T, w http.ResponseWriter, sent string) {
	t.Helper()
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = conn.Write([]byte(sent))
	_ = conn.Close()
}

func TestBrokenConnections(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	tests := map[string]string{
		"before the answer":        "",
		"after its head":           head,
		"in the middle of a line":  head + "10\r\n{\"kind\":\"insta\r\n",
		"after a whole event":      head + "18\r\n{\"kind\":\"instance\"}     \n\r\n0\r\n\r\n",
		"after a torn event, done": head + "10\r\n{\"kind\":\"instanc\r\n0\r\n\r\n",
	}
	for name, sent := range tests {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) { calls.Add(1); hangUp(t, w, sent) })
			err := c.Act(t.Context(), api.ActRequest{}, nil)
			if !errors.Is(err, client.ErrBroken) {
				t.Errorf("got %v, want ErrBroken", err)
			}
			if e, ok := errors.AsType[*api.Error](err); !ok || e.Kind != "unavailable" || e.Hint == "" {
				t.Errorf("got %#v, want kind unavailable and a hint", err)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("a POST was sent %d times, want once", n)
			}
		})
	}
}

func TestGetIsTriedAgainOnce(t *testing.T) {
	for breaks, want := range map[int32]error{1: nil, 2: client.ErrBroken} {
		t.Run(fmt.Sprintf("%d breaks", breaks), func(t *testing.T) {
			var calls atomic.Int32
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if calls.Add(1) <= breaks {
					hangUp(t, w, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"pid\":")
					return
				}
				fmt.Fprint(w, `{"pid":9}`)
			})
			pong, err := c.Ping(t.Context())
			if !errors.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
			if want == nil && pong.PID != 9 {
				t.Errorf("got pid %d, want 9", pong.PID)
			}
			if n := calls.Load(); n != 2 {
				t.Errorf("asked %d times, want 2", n)
			}
		})
	}
}

func TestNoDaemon(t *testing.T) {
	dead := filepath.Join(t.TempDir(), "dead")
	l, err := net.Listen("unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	for name, socket := range map[string]string{
		"no socket":          filepath.Join(t.TempDir(), "none"),
		"a left-over socket": dead,
	} {
		t.Run(name, func(t *testing.T) {
			c := client.New(socket)
			defer c.Close()
			_, err := c.Ping(t.Context())
			if !errors.Is(err, client.ErrAbsent) {
				t.Errorf("got %v, want ErrAbsent", err)
			}
			if want := "reach the daemon " + socket + ": no daemon runs"; err.Error() != want {
				t.Errorf("got %q, want %q", err, want)
			}
		})
	}
}

func TestTenThousandInstancesPass(t *testing.T) {
	const n = 10_000
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		list := api.List{Instances: make([]api.Instance, n)}
		for i := range list.Instances {
			list.Instances[i] = api.Instance{ID: i, Name: "api", Detail: &api.Detail{Env: map[string]string{"X": strings.Repeat("x", 2000)}}}
		}
		_ = json.NewEncoder(w).Encode(list)
	})
	list, err := c.Instances(t.Context(), client.Query{Detail: true})
	if err != nil || len(list) != n {
		t.Errorf("got %d instances and %v, want %d", len(list), err, n)
	}
}

func TestEndlessLineIsRefused(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		text := []byte(strings.Repeat(" ", 64<<10))
		for {
			if _, err := w.Write(text); err != nil {
				return
			}
		}
	})
	err := c.Act(t.Context(), api.ActRequest{}, nil)
	if err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v, want a refusal of the long line", err)
	}
}

func TestCancelIsItsCause(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	if _, err := c.Ping(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
