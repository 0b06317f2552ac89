package nodeipc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

// TestComposed compares with what Node's own primary writes.
func TestComposed(t *testing.T) {
	for name, tt := range map[string]struct {
		got  []byte
		want string
	}{
		"a connection": {
			appendNewconn([]byte("x"), `"null:7001:4:null"`, 900015),
			`x{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","act":"newconn","key":"null:7001:4:null","seq":900015}}`,
		},
		"disconnect":                  {disconnectLine(7), `{"cmd":"NODE_CLUSTER","act":"disconnect","seq":7}`},
		"an answer that says no more": {plainAck(3, 1<<53), `{"cmd":"NODE_CLUSTER","ack":3,"seq":9007199254740992}`},
		"an acknowledgement":          {[]byte(ackLine), `{"cmd":"NODE_HANDLE_ACK"}`},
		"drain":                       {[]byte(drainLine), `{"cmd":"NODE_TEND","act":"drain"}`},
		"an answer to a query": {
			answer{Ack: 1, Key: "null:7001:4:null", Sockname: &sockname{"::", "IPv6", 7001}, Seq: 900001}.line(),
			`{"cmd":"NODE_CLUSTER","ack":1,"errno":null,"key":"null:7001:4:null","data":null,"sockname":{"address":"::","family":"IPv6","port":7001},"seq":900001}`,
		},
		"an answer to a query of a path": {
			answer{Ack: 1, Key: "/a:-1:-1:null", Data: raw(`{"ticketKeys":"ab"}`), Seq: 2}.line(),
			`{"cmd":"NODE_CLUSTER","ack":1,"errno":null,"key":"/a:-1:-1:null","data":{"ticketKeys":"ab"},"seq":2}`,
		},
		"a failure": {
			answer{Ack: 1, Key: "k", Errno: errnoOf(syscall.EADDRINUSE), Seq: 2}.line(),
			`{"cmd":"NODE_CLUSTER","ack":1,"errno":-98,"key":"k","data":null,"seq":2}`,
		},
		"an answer whose data is none": {
			answer{Ack: 1, Key: "k", Data: raw(`{`), Seq: 2}.line(),
			`{"cmd":"NODE_CLUSTER","ack":1,"errno":null,"key":"k","data":null,"seq":2}`,
		},
		"an answer with a socket": {
			enveloped([]byte("{\"ack\":1}\n"), nativeEnvelope),
			`{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"ack":1}}`,
		},
		"an answer with a socket for datagrams": {
			enveloped([]byte("{\"ack\":1}\n"), dgramEnvelope),
			`{"cmd":"NODE_HANDLE","type":"dgram.Native","msg":{"ack":1}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if string(tt.got) != tt.want+"\n" {
				t.Errorf("got  %swant %s", tt.got, tt.want)
			}
			if !json.Valid(bytes.TrimPrefix(tt.got, []byte("x"))) {
				t.Errorf("%s is no JSON", tt.got) // which would kill the worker
			}
		})
	}
}

func TestAnswerKeepsAnyKey(t *testing.T) {
	for _, key := range []string{"", "a\nb", `"`, "ü", "<&>", "\u2028", "\x00"} {
		line := answer{Key: key}.line()
		var back answer
		if err := json.Unmarshal(line, &back); err != nil || back.Key != key {
			t.Errorf("key %q came as %q, %v", key, back.Key, err)
		}
		if n := bytes.IndexByte(line, '\n'); n != len(line)-1 {
			t.Errorf("key %q: the line breaks after %d of %d bytes", key, n, len(line))
		}
	}
}

func TestErrnoOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{syscall.EADDRINUSE, -98},
		{fmt.Errorf("bind: %w", syscall.EACCES), -13},
		{&fs.PathError{Op: "chmod", Path: "/a", Err: syscall.EPERM}, -1},
		{errors.New("no errno"), -22},
	} {
		if got := *errnoOf(tt.err); got != tt.want {
			t.Errorf("%v is %d for a worker, want %d", tt.err, got, tt.want)
		}
	}
}
