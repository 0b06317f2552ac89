package nodeipc

import (
	"encoding/json"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/internal/listen"
)

func TestUnderstand(t *testing.T) {
	data := raw(`{"ticketKeys":"` + strings.Repeat("ab", 48) + `"}`)
	for name, tt := range map[string]struct {
		request string
		want    query
	}{
		"no host, as Node 20 asks": {
			`{"index":3,"data":null,"address":null,"port":7001,"addressType":4,"backlog":0}`,
			query{address: listen.Address{Port: 7001}, key: "null:7001:4:null", index: 3, data: raw("null")},
		},
		"no address at all": {
			`{"port":7001,"addressType":4}`,
			query{address: listen.Address{Port: 7001}, key: "null:7001:4:null", data: raw("null")},
		},
		"a host, and a descriptor that is none": {
			`{"address":"127.0.0.1","port":7001,"addressType":4,"fd":-1,"backlog":9}`,
			query{address: listen.Address{Host: "127.0.0.1", Port: 7001, Backlog: 9}, key: "127.0.0.1:7001:4:null", data: raw("null")},
		},
		"IPv6 alone": {
			`{"address":"::","port":80,"addressType":6,"flags":1}`,
			query{address: listen.Address{Host: "::", Port: 80, V6Only: true}, key: ":::80:6:null", data: raw("null")},
		},
		"TCP that shares its port": {
			`{"address":"::","port":80,"addressType":6,"flags":2}`,
			query{address: listen.Address{Host: "::", Port: 80, Reuseport: true}, key: ":::80:6:null", data: raw("null")},
		},
		"a flag that is another's": {
			`{"address":"::","port":80,"addressType":6,"flags":76}`,
			query{address: listen.Address{Host: "::", Port: 80}, key: ":::80:6:null", data: raw("null")},
		},
		"any port": {
			`{"port":0,"addressType":4,"index":1}`,
			query{key: "null:0:4:null:1", index: 1, data: raw("null")},
		},
		"keys of TLS": {
			`{"port":443,"addressType":4,"data":` + string(data) + `}`,
			query{address: listen.Address{Port: 443}, key: "null:443:4:null", data: data},
		},
		"more data than is kept": {
			`{"port":443,"addressType":4,"data":"` + strings.Repeat("x", maxData) + `"}`,
			query{address: listen.Address{Port: 443}, key: "null:443:4:null", data: raw("null")},
		},
		"a path": {
			`{"address":"/run/a.sock","port":-1,"addressType":-1,"backlog":5}`,
			query{address: listen.Address{Kind: listen.Unix, Port: -1, Path: "/run/a.sock", Backlog: 5}, key: "/run/a.sock:-1:-1:null", data: raw("null")},
		},
		"a path for all": {
			`{"address":"/run/a.sock","port":-1,"addressType":-1,"readableAll":true,"writableAll":true}`,
			query{address: listen.Address{Kind: listen.Unix, Port: -1, Path: "/run/a.sock", Readable: true, Writable: true}, key: "/run/a.sock:-1:-1:null", data: raw("null")},
		},
		"datagrams": {
			`{"address":"0.0.0.0","port":53,"addressType":"udp4","fd":-1}`,
			query{address: listen.Address{Kind: listen.UDP, Host: "0.0.0.0", Port: 53}, key: "0.0.0.0:53:udp4:null", data: raw("null")},
		},
		"datagrams on any port": {
			`{"address":"0.0.0.0","port":0,"addressType":"udp4","index":2}`,
			query{address: listen.Address{Kind: listen.UDP, Host: "0.0.0.0"}, key: "0.0.0.0:0:udp4:null:2", index: 2, data: raw("null")},
		},
		"datagrams with all flags": {
			`{"address":"::","port":53,"addressType":"udp6","flags":69}`,
			query{
				address: listen.Address{Kind: listen.UDP, Host: "::", Port: 53, V6Only: true, ReuseAddr: true, Reuseport: true},
				key:     ":::53:udp6:null", data: raw("null"),
			},
		},
		"datagrams that share their address": {
			`{"address":"::","port":53,"addressType":"udp6","flags":4}`,
			query{address: listen.Address{Kind: listen.UDP, Host: "::", Port: 53, ReuseAddr: true}, key: ":::53:udp6:null", data: raw("null")},
		},
		"datagrams of libuv 1.49": {
			`{"address":"::","port":53,"addressType":"udp6","flags":8}`,
			query{address: listen.Address{Kind: listen.UDP, Host: "::", Port: 53, Reuseport: true}, key: ":::53:udp6:null", data: raw("null")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var r request
			if err := json.Unmarshal([]byte(tt.request), &r); err != nil {
				t.Fatal(err)
			}
			got, err := understand(r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(query{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.request, diff)
			}
		})
	}
}

func TestUnderstandRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		request string
		want    syscall.Errno
	}{
		"a descriptor of the primary": {`{"address":null,"port":null,"addressType":null,"fd":0}`, syscall.EBADF},
		"no port":                     {`{"addressType":4}`, syscall.EINVAL},
		"a port of null":              {`{"addressType":4,"port":null}`, syscall.EINVAL},
		"no type":                     {`{"port":80}`, syscall.EINVAL},
		"a type of null":              {`{"port":80,"addressType":null}`, syscall.EINVAL},
		"an unknown type":             {`{"port":80,"addressType":"sctp"}`, syscall.EINVAL},
		"a number as a text":          {`{"port":80,"addressType":"4"}`, syscall.EINVAL},
	} {
		t.Run(name, func(t *testing.T) {
			var r request
			if err := json.Unmarshal([]byte(tt.request), &r); err != nil {
				t.Fatal(err)
			}
			if _, err := understand(r); !errors.Is(err, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.request, err, tt.want)
			}
		})
	}
}

// FuzzUnderstand looks for a query that cannot be answered.
func FuzzUnderstand(f *testing.F) {
	for _, tt := range lines {
		if len(tt.line) < 1000 {
			f.Add([]byte(tt.line))
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := parse(line)
		if err != nil || m.class != classRequest {
			return
		}
		q, err := understand(m.request)
		if _, ok := asErrno(err); err != nil && !ok {
			t.Fatalf("%q: %v is nothing that a worker could be told", line, err)
		}
		if err == nil && q.key == "" {
			t.Fatalf("%q: no key", line)
		}
		if len(q.data) > maxData {
			t.Fatalf("%q: %d bytes of data", line, len(q.data))
		}
		text := answer{Ack: m.seq, Key: q.key, Data: q.data}.line()
		var back answer
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%q: the answer %q: %v", line, text, err)
		}
		if back.Key != q.key || back.Ack != m.seq {
			t.Fatalf("%q: the answer is %q", line, text)
		}
	})
}
