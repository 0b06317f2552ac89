package nodeipc

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tend/api"
)

// client asks over one connection as long as it is kept, and does not ask
// twice: a connection that ends before the answer is a failure.
type client struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
}

func (c *client) ask() (string, error) {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			return "", err
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c.conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err == nil && resp.Close {
		c.close()
	}
	return string(body), err
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// TestDrain replaces both workers again and again under clients that keep
// their connections, and others that do not.
func TestDrain(t *testing.T) {
	for _, balance := range []api.Balance{api.RoundRobin, api.Shared, api.Reuseport} {
		t.Run(string(balance), func(t *testing.T) {
			w := newWorld(t)
			script := filepath.Join(t.TempDir(), "preload.cjs")
			if err := InstallPreload(script); err != nil {
				t.Fatal(err)
			}
			port := freePort(t)
			server := fmt.Sprintf(`
require('http').createServer((q, s) => setTimeout(() => s.end('hello'), 2)).listen(%d)`, port)
			serial := 0
			spawn := func(slot int) *app {
				c := worker(slot, balance)
				serial++
				c.Key, c.Preloaded = fmt.Sprintf("w%d", serial), true
				a := w.spawn(c, server, "--require="+script)
				w.waitNews(c.Key, Listening)
				return a
			}
			workers := []*app{spawn(0), spawn(1)}
			ctx, cancel := context.WithCancel(t.Context())
			var asking sync.WaitGroup
			var asked, failed atomic.Int64
			for i := range 8 {
				asking.Go(func() {
					c := client{address: address(port)}
					defer c.close()
					for ctx.Err() == nil {
						text, err := c.ask()
						asked.Add(1)
						if err != nil || text != "hello" {
							failed.Add(1)
							t.Log(err)
							c.close()
						}
						if i%2 == 0 {
							c.close()
						}
					}
				})
			}
			for i := range 6 {
				old := workers[i%2]
				workers[i%2] = spawn(i % 2)
				w.Drain(old.Key, 5*time.Second)
				w.waitNews(old.Key, Drained)
				old.end()
				w.Forget(old.Key)
			}
			cancel()
			asking.Wait()
			if failed.Load() > 0 || asked.Load() < 100 {
				t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
			}
		})
	}
}
