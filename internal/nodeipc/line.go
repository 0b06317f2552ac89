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
	body     json.RawMessage // of a classUser: all of it; of a classHandle: what came with the handle
	act      string          // of a classPreload
}

// request is what a cluster worker asks or tells (lib/internal/cluster/child.js).
type request struct {
	Act     string          `json:"act"`
	Key     string          `json:"key"`
	Address *string         `json:"address"`
	Port    *number         `json:"port"`
	Type    json.RawMessage `json:"addressType"` // 4, 6, -1, "udp4", "udp6" or null
	FD      *number         `json:"fd"`
	Flags   number          `json:"flags"`
	Index   number          `json:"index"`
	Backlog number          `json:"backlog"`
	Data    json.RawMessage `json:"data"`

	ReadableAll truth `json:"readableAll"`
	WritableAll truth `json:"writableAll"`
}

// number and truth are options as the app gave them to listen: JavaScript takes
// a text for a number, and anything for a truth.
type (
	number int
	truth  bool
)

// UnmarshalJSON takes what is no number for none.
func (n *number) UnmarshalJSON(text []byte) error {
	v, _ := strconv.Atoi(string(bytes.Trim(text, `"`)))
	*n = number(v)
	return nil
}

// UnmarshalJSON goes by JavaScript's rule of what is true.
func (t *truth) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case "false", "null", "0", `""`:
		*t = false
	default:
		*t = true
	}
	return nil
}

// The lines that come with every connection are understood without a decoder:
// Node writes them in this order of fields, and any other order is understood
// the long way.
const (
	lineAck      = `{"cmd":"NODE_HANDLE_ACK"}`
	answerPrefix = `{"cmd":"NODE_CLUSTER","ack":`
	acceptedMark = `,"accepted":true,"seq":`
	escapeMark   = `\u`
)

const internalPrefix = "NODE_"

var errLine = errors.New("it is no JSON value")

// parse understands a line, without its line break. What it returns points
// into the line.
func parse(line []byte) (message, error) {
	line = bytes.Trim(bytes.TrimPrefix(line, []byte{2}), " \t\r") // Bun begins its own lines with a 2
	if string(line) == lineAck {
		return message{class: classAck}, nil
	}
	if m, ok := parseAnswer(line); ok {
		return m, nil
	}
	if !json.Valid(line) {
		return message{}, errLine
	}
	if line[0] != '{' || !bytes.Contains(line, []byte(internalPrefix)) && !bytes.Contains(line, []byte(escapeMark)) {
		return message{class: classUser, body: line}, nil
	}
	return parseObject(line), nil
}

// parseAnswer reads {"cmd":"NODE_CLUSTER","ack":N,"accepted":true,"seq":N}.
// What was not accepted is rare: the long way.
func parseAnswer(line []byte) (message, bool) {
	rest, ok := bytes.CutPrefix(line, []byte(answerPrefix))
	if !ok {
		return message{}, false
	}
	ack, rest := cutDigits(rest)
	rest, ok = bytes.CutPrefix(rest, []byte(acceptedMark))
	seq, rest := cutDigits(rest)
	if !ok || len(ack) == 0 || len(seq) == 0 || string(rest) != "}" {
		return message{}, false
	}
	m := message{class: classAnswer, accepted: true}
	for _, d := range ack {
		m.seq = m.seq*10 + uint64(d-'0')
	}
	return m, true
}

// cutDigits cuts a number off: none where there are more digits than a number
// has, or a zero first.
func cutDigits(b []byte) (digits, rest []byte) {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	if n > 18 || n > 1 && b[0] == '0' {
		n = 0
	}
	return b[:n], b[n:]
}

// parseObject reads an object, which is valid. Its fields are those with just
// these names: a struct would take "CMD" for "cmd".
func parseObject(line []byte) message {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(line, &fields)
	cmd := text(fields["cmd"])
	if !strings.HasPrefix(cmd, internalPrefix) || len(cmd) == len(internalPrefix) {
		return message{class: classUser, body: line} // also {"cmd":1}: Node goes by the same rule
	}
	switch cmd {
	case "NODE_HANDLE":
		return message{class: classHandle, body: fields["msg"]}
	case "NODE_HANDLE_ACK":
		return message{class: classAck}
	case "NODE_HANDLE_NACK":
		return message{class: classNack}
	case "NODE_CLUSTER":
		return parseCluster(line)
	case "NODE_TEND":
		return message{class: classPreload, act: text(fields["act"])}
	}
	return message{class: classInternal}
}

// text is a JSON string, decoded; "" for what is none.
func text(value json.RawMessage) (s string) {
	_ = json.Unmarshal(value, &s)
	return s
}

func parseCluster(line []byte) message {
	var c struct {
		Act      string  `json:"act"`
		Seq      *uint64 `json:"seq"`
		Ack      *uint64 `json:"ack"`
		Accepted bool    `json:"accepted"`
	}
	err := json.Unmarshal(line, &c)
	switch {
	case err != nil:
		return message{class: classInternal} // nothing that can be answered
	case c.Ack != nil:
		return message{class: classAnswer, seq: *c.Ack, accepted: c.Accepted}
	case c.Seq == nil:
		return message{class: classInternal} // Bun's listening has none, and binds by itself
	}
	m := message{class: classRequest, seq: *c.Seq}
	if json.Unmarshal(line, &m.request) != nil {
		m.request = request{Act: c.Act} // a worker waits for the answer, if only that it is wrong
	}
	return m
}

// IsInternal tells whether a message, a valid JSON value, is one that Node
// would take for its own.
func IsInternal(value []byte) bool {
	m, err := parse(value)
	return err == nil && m.class != classUser
}
