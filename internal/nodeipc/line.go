package nodeipc

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// class is what a line that came over a channel is.
type class int

const (
	classUser     class = iota // for whoever listens to the app
	classAck                   // a handle of ours arrived
	classNack                  // the line arrived, its handle did not
	classHandle                // carries a handle, which has to be acknowledged
	classAnswer                // of a cluster worker, to a request of ours
	classRequest               // of a cluster worker
	classPreload               // of our own script in the process
	classInternal              // Node's own, and nothing to us
)

// message is a line, understood.
type message struct {
	class    class
	seq      uint64 // that a classAnswer answers, or that of a classRequest
	accepted bool   // of a classAnswer
	request  request
	body     json.RawMessage // of a classHandle: what came with the handle
	act      string          // of a classPreload
}

// request is what a cluster worker asks or tells (lib/internal/cluster/child.js).
type request struct {
	Act     string          `json:"act"`
	Key     string          `json:"key"`
	Address *string         `json:"address"`
	Port    *loose          `json:"port"`
	Type    json.RawMessage `json:"addressType"` // 4, 6, -1, "udp4", "udp6" or null
	FD      *loose          `json:"fd"`
	Flags   loose           `json:"flags"`
	Index   loose           `json:"index"`
	Backlog loose           `json:"backlog"`
	Data    json.RawMessage `json:"data"`

	ReadableAll bool `json:"readableAll"`
	WritableAll bool `json:"writableAll"`
}

// loose is a number that may be anything: Node passes on what the app gave to
// listen, and a backlog may be false there.
type loose int

// UnmarshalJSON takes 0 for what is no whole number.
func (n *loose) UnmarshalJSON(text []byte) error {
	v, err := strconv.Atoi(string(text))
	if err != nil {
		v = 0
	}
	*n = loose(v)
	return nil
}

// The lines that come with every connection are understood without a decoder:
// Node writes them in this order of fields, and any other order is understood
// the long way.
var (
	lineAck      = []byte(`{"cmd":"NODE_HANDLE_ACK"}`)
	answerPrefix = []byte(`{"cmd":"NODE_CLUSTER","ack":`)
	acceptedMark = []byte(`,"accepted":true`)
	internalMark = []byte(`NODE_`)
	escapeMark   = []byte(`\u`)
)

const internalPrefix = "NODE_"

var errLine = errors.New("it is no JSON value")

// parse understands a line, without its line break. What it returns points
// into the line.
func parse(line []byte) (message, error) {
	line = bytes.TrimPrefix(bytes.TrimRight(line, "\r"), []byte{2}) // Bun begins its own lines with a 2
	if bytes.Equal(line, lineAck) {
		return message{class: classAck}, nil
	}
	if m, ok := parseAnswer(line); ok {
		return m, nil
	}
	if !json.Valid(line) {
		return message{}, errLine
	}
	if line[0] != '{' || !bytes.Contains(line, internalMark) && !bytes.Contains(line, escapeMark) {
		return message{class: classUser}, nil
	}
	return parseObject(line)
}

// parseAnswer reads {"cmd":"NODE_CLUSTER","ack":N,"accepted":B,...}.
func parseAnswer(line []byte) (message, bool) {
	rest, ok := bytes.CutPrefix(line, answerPrefix)
	if !ok {
		return message{}, false
	}
	m := message{class: classAnswer}
	digits := 0
	for digits < len(rest) && digits < 18 && rest[digits] >= '0' && rest[digits] <= '9' {
		m.seq = m.seq*10 + uint64(rest[digits]-'0')
		digits++
	}
	rest = rest[digits:]
	if digits == 0 || len(rest) == 0 || rest[len(rest)-1] != '}' {
		return message{}, false
	}
	m.accepted = bytes.HasPrefix(rest, acceptedMark)
	return m, m.accepted // what was not accepted is rare: the long way
}

func parseObject(line []byte) (message, error) {
	var head struct {
		Cmd json.RawMessage `json:"cmd"`
	}
	var cmd string
	if json.Unmarshal(line, &head) != nil || json.Unmarshal(head.Cmd, &cmd) != nil ||
		!strings.HasPrefix(cmd, internalPrefix) || len(cmd) == len(internalPrefix) {
		return message{class: classUser}, nil // also {"cmd":1}: Node goes by the same rule
	}
	switch cmd {
	case "NODE_HANDLE":
		var h struct {
			Msg json.RawMessage `json:"msg"`
		}
		_ = json.Unmarshal(line, &h) // it is valid; without "msg" nothing came along
		return message{class: classHandle, body: h.Msg}, nil
	case "NODE_HANDLE_ACK":
		return message{class: classAck}, nil
	case "NODE_HANDLE_NACK":
		return message{class: classNack}, nil
	case "NODE_CLUSTER":
		return parseCluster(line)
	case "NODE_TEND":
		var t struct {
			Act string `json:"act"`
		}
		err := json.Unmarshal(line, &t)
		return message{class: classPreload, act: t.Act}, err
	}
	return message{class: classInternal}, nil
}

func parseCluster(line []byte) (message, error) {
	var c struct {
		request

		Seq      *uint64 `json:"seq"`
		Ack      *uint64 `json:"ack"`
		Accepted bool    `json:"accepted"`
	}
	if err := json.Unmarshal(line, &c); err != nil {
		return message{}, err
	}
	switch {
	case c.Ack != nil:
		return message{class: classAnswer, seq: *c.Ack, accepted: c.Accepted}, nil
	case c.Seq == nil:
		return message{class: classInternal}, nil // Bun's listening has none, and binds by itself
	}
	return message{class: classRequest, seq: *c.Seq, request: c.request}, nil
}

// IsInternal tells whether a message, a valid JSON value, is one that Node
// would take for its own.
func IsInternal(text []byte) bool {
	m, err := parse(bytes.TrimSpace(text))
	return err == nil && m.class != classUser
}
