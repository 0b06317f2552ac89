package node

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// needLibraries gives the apps the libraries of testdata/apps/package.json:
// those of TEND_NODE_MODULES, or of a cache that npm fills once.
func (w *world) needLibraries() {
	w.t.Helper()
	modules := os.Getenv("TEND_NODE_MODULES")
	if modules == "" {
		var err error
		if modules, err = installed(); err != nil {
			if os.Getenv("CI") == "true" {
				w.t.Fatal(err)
			}
			w.t.Skip(err)
		}
	}
	if err := os.Symlink(modules, filepath.Join(w.dir, "node_modules")); err != nil {
		w.t.Fatal(err)
	}
}

// installed is the directory of the libraries that package-lock.json names.
var installed = sync.OnceValues(func() (string, error) {
	lock, err := os.ReadFile("testdata/apps/package-lock.json")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(lock)
	dir := filepath.Join(cache, "tend-test", hex.EncodeToString(sum[:8]))
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "new")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join("testdata/apps", name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(fresh, name), text, 0o644); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	npm.Dir = fresh
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return modules, nil
})

func TestAnESModule(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		w.start("esm.mjs", 2, nil)
		at := w.listening(2)[0].String()
		reach(t, at, "/", pids(w.said("listening"))...)
		if a := mustAsk(t, at, "/"); a.ID == 0 {
			t.Error("cluster.worker has no id")
		}
	})
}

func TestExpress(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		w.needLibraries()
		w.start("express.js", 2, nil)
		reach(t, w.listening(2)[0].String(), "/", pids(w.said("listening"))...)
	})
}

func TestFastify(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		if w.node.major < 20 {
			t.Skip("fastify 5 is for Node 20 and later")
		}
		w.needLibraries()
		w.start("fastify.js", 2, nil)
		reach(t, w.listening(2)[0].String(), "/", pids(w.said("listening"))...)
	})
}

func TestWebsockets(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		w.needLibraries()
		w.start("ws.js", 2, nil)
		at := w.listening(2)[0].String()
		for range 4 {
			s := upgrade(t, at)
			for _, text := range []string{"hello", "ä€😀"} {
				s.send(text)
				if got := s.receive(); got != text {
					t.Fatalf("the echo of %q is %q", text, got)
				}
			}
		}
		reach(t, at, "/", pids(w.said("listening"))...)
	})
}

// websocket is a client's end: RFC 6455, with short text messages only.
type websocket struct {
	*conn
	t   *testing.T
	pid int // of the worker
}

func upgrade(t *testing.T, addr string) *websocket {
	t.Helper()
	c := open(t, "tcp", addr)
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %s", res.Status)
	}
	s := &websocket{conn: c, t: t}
	if _, err := fmt.Sscanf(s.receive(), `{"pid":%d}`, &s.pid); err != nil {
		t.Fatal(err)
	}
	return s
}

// The first byte of a frame that is a whole text message, and the bit of the
// second that says that a mask follows.
const (
	wholeText = 0x81
	masked    = 0x80
)

func (s *websocket) send(text string) {
	s.t.Helper()
	frame := append([]byte{wholeText, masked | byte(len(text)), 0, 0, 0, 0}, text...)
	if _, err := s.Write(frame); err != nil {
		s.t.Fatal(err)
	}
}

func (s *websocket) receive() string {
	s.t.Helper()
	var head [2]byte
	if err := binary.Read(s.r, binary.BigEndian, &head); err != nil {
		s.t.Fatal(err)
	}
	if head[0] != wholeText || head[1] > 125 {
		s.t.Fatalf("a frame begins with % x", head)
	}
	text := make([]byte, head[1])
	if _, err := io.ReadFull(s.r, text); err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// A session that one worker began, another takes up: they share the keys of
// session tickets.
func TestTLSSessionsPassBetweenWorkers(t *testing.T) {
	for name, highest := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			eachBalance(t, func(t *testing.T, w *world) {
				key, cert := certificate(t, w.dir)
				w.start("tls.js", 2, nil, key, cert)
				at := w.listening(2)[0].String()
				first := tls.NewLRUClientSessionCache(1)
				config := &tls.Config{InsecureSkipVerify: true, MaxVersion: highest, ClientSessionCache: first}
				began := secure(t, at, config)
				if began.Resumed {
					t.Fatal("there was a session before the first connection")
				}
				// Several at once, for the kernel to pick the other worker.
				const bursts, size = 100, 16
				for range bursts {
					var clients sync.WaitGroup
					answers := make([]answer, size)
					for i := range size {
						clients.Go(func() { answers[i] = secure(t, at, config) })
					}
					clients.Wait()
					for _, a := range answers {
						if a.PID == 0 || !a.Resumed && highest == tls.VersionTLS12 {
							t.Fatalf("worker %d did not take up the session of worker %d: %+v", a.PID, began.PID, a)
						}
						if a.PID != began.PID && a.Resumed {
							return
						}
					}
				}
				t.Fatalf("no session passed from worker %d to the other", began.PID)
			})
		})
	}
}

// secure asks once over TLS.
func secure(t *testing.T, addr string, config *tls.Config) answer {
	c, err := dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return answer{}
	}
	defer c.Close()
	s := tls.Client(c, config)
	fmt.Fprint(s, "GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")
	text, err := io.ReadAll(s)
	if err != nil {
		t.Error(err)
		return answer{}
	}
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), nil)
	if err != nil {
		t.Error(err)
		return answer{}
	}
	a, err := decode(res)
	if err != nil {
		t.Error(err)
	}
	return a
}

// certificate makes a key and a certificate and returns their files.
func certificate(t *testing.T, dir string) (keyFile, certFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, bytes []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("key.pem", "PRIVATE KEY", der), write("cert.pem", "CERTIFICATE", cert)
}

func TestHTTP2WithoutTLS(t *testing.T) {
	eachBalance(t, func(t *testing.T, w *world) {
		w.start("h2c.js", 2, nil)
		at := w.listening(2)[0].String()
		all := pids(w.said("listening"))
		for range 10 {
			var only http.Protocols
			only.SetUnencryptedHTTP2(true)
			transport := &http.Transport{Protocols: &only}
			c := &http.Client{Transport: transport, Timeout: patience}
			res, err := c.Get("http://" + at + "/")
			if err != nil {
				t.Fatal(err)
			}
			a, err := decode(res)
			transport.CloseIdleConnections()
			if err != nil || a.Version != "2.0" || a.PID != all[0] && a.PID != all[1] {
				t.Fatalf("the answer is %+v, %v", a, err)
			}
		}
	})
}
