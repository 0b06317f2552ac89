package nodeipc

import (
	"encoding/json"
	"strconv"
	"syscall"
)

// What the daemon says. All lines but those that carry a message of a user are
// shorter than 4 KiB.

const (
	ackLine        = `{"cmd":"NODE_HANDLE_ACK"}` + "\n"
	drainLine      = `{"cmd":"NODE_TEND","act":"drain"}` + "\n"
	nativeEnvelope = `{"cmd":"NODE_HANDLE","type":"net.Native","msg":`
	dgramEnvelope  = `{"cmd":"NODE_HANDLE","type":"dgram.Native","msg":`
)

// appendNewconn says that a connection comes along for the server of key,
// which is quoted.
func appendNewconn(b []byte, key string, seq uint64) []byte {
	b = append(b, nativeEnvelope+`{"cmd":"NODE_CLUSTER","act":"newconn","key":`...)
	b = append(b, key...)
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	return append(b, "}}\n"...)
}

// disconnectLine asks a worker to close its servers and then the channel.
func disconnectLine(seq uint64) []byte {
	b := []byte(`{"cmd":"NODE_CLUSTER","act":"disconnect","seq":`)
	return append(strconv.AppendUint(b, seq, 10), "}\n"...)
}

// plainAck answers a request that wants no more than that.
func plainAck(ack, seq uint64) []byte {
	b := []byte(`{"cmd":"NODE_CLUSTER","ack":`)
	b = strconv.AppendUint(b, ack, 10)
	b = append(b, `,"seq":`...)
	return append(strconv.AppendUint(b, seq, 10), "}\n"...)
}

// sockname is what a worker is told that its server is bound to.
type sockname struct {
	Address string `json:"address"`
	Family  string `json:"family"`
	Port    int    `json:"port"`
}

// answer is the answer to a queryServer.
type answer struct {
	Cmd      string          `json:"cmd"`
	Ack      uint64          `json:"ack"`
	Errno    *int            `json:"errno"` // null, or a negative number
	Key      string          `json:"key"`
	Data     json.RawMessage `json:"data"`
	Sockname *sockname       `json:"sockname,omitempty"`
	Seq      uint64          `json:"seq"`
}

func (a answer) line() []byte {
	a.Cmd = "NODE_CLUSTER"
	if a.Data == nil {
		a.Data = json.RawMessage("null")
	}
	b, err := json.Marshal(a)
	if err != nil { // the data of a worker was checked when it came
		a.Data = json.RawMessage("null")
		b, _ = json.Marshal(a)
	}
	return append(b, '\n')
}

// enveloped puts a line that carries a handle into its envelope.
func enveloped(line []byte, envelope string) []byte {
	b := append([]byte(envelope), line[:len(line)-1]...)
	return append(b, "}\n"...)
}

// errnoOf is a failure as a worker takes it: it makes the error that its app
// sees of the number.
func errnoOf(err error) *int {
	n := -int(syscall.EINVAL)
	if errno, ok := asErrno(err); ok {
		n = -int(errno)
	}
	return &n
}
