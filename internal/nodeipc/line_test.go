package nodeipc

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lines are what processes write to their channels, and what that is.
var lines = map[string]struct {
	line string
	want message
}{
	"an acknowledgement":           {`{"cmd":"NODE_HANDLE_ACK"}`, message{class: classAck}},
	"one with more in it":          {`{"cmd":"NODE_HANDLE_ACK","seq":3}`, message{class: classAck}},
	"a handle that did not arrive": {`{"cmd":"NODE_HANDLE_NACK"}`, message{class: classNack}},
	"a handle of the app": {
		`{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"cmd":"NODE_x","a":[1]},"key":"k"}`,
		message{class: classHandle, body: json.RawMessage(`{"cmd":"NODE_x","a":[1]}`)},
	},
	"a handle with nothing": {`{"cmd":"NODE_HANDLE","type":"net.Server"}`, message{class: classHandle}},

	"accepted":                     {`{"cmd":"NODE_CLUSTER","ack":900015,"accepted":true,"seq":26}`, answerOf(900015, true)},
	"accepted, other order":        {`{"cmd":"NODE_CLUSTER","accepted":true,"ack":900015,"seq":26}`, answerOf(900015, true)},
	"accepted, cmd at the end":     {`{"seq":26,"accepted":true,"ack":900015,"cmd":"NODE_CLUSTER"}`, answerOf(900015, true)},
	"accepted, and more":           {`{"cmd":"NODE_CLUSTER","ack":9,"accepted":true,"seq":26,"x":1}`, answerOf(9, true)},
	"the last word counts":         {`{"cmd":"NODE_CLUSTER","ack":9,"accepted":true,"seq":26,"accepted":false}`, answerOf(9, false)},
	"accepted, with spaces":        {`{"cmd": "NODE_CLUSTER", "ack": 9, "accepted": true, "seq": 26}`, answerOf(9, true)},
	"accepted with a long number":  {`{"cmd":"NODE_CLUSTER","ack":123456789012345678,"accepted":true,"seq":0}`, answerOf(123456789012345678, true)},
	"with a longer one":            {`{"cmd":"NODE_CLUSTER","ack":1234567890123456789,"accepted":true,"seq":1}`, answerOf(1234567890123456789, true)},
	"accepted as zero":             {`{"cmd":"NODE_CLUSTER","ack":0,"accepted":true,"seq":0}`, answerOf(0, true)},
	"not accepted":                 {`{"cmd":"NODE_CLUSTER","ack":900015,"accepted":false,"seq":26}`, answerOf(900015, false)},
	"an answer without accepted":   {`{"cmd":"NODE_CLUSTER","ack":7,"seq":26}`, answerOf(7, false)},
	"accepted by Bun":              {"\x02" + `{"cmd":"NODE_CLUSTER","ack":9,"accepted":true,"seq":26}`, answerOf(9, true)},
	"an answer to no number":       {`{"cmd":"NODE_CLUSTER","ack":"9","accepted":true,"seq":1}`, message{class: classInternal}},
	"an answer to a negative one":  {`{"cmd":"NODE_CLUSTER","ack":-9,"accepted":true,"seq":1}`, message{class: classInternal}},
	"an act without a number":      {`{"cmd":"NODE_CLUSTER","act":"listening","port":80}`, message{class: classInternal}},
	"cluster, and nothing else":    {`{"cmd":"NODE_CLUSTER"}`, message{class: classInternal}},
	"online":                       {`{"cmd":"NODE_CLUSTER","act":"online","seq":0}`, requestOf(0, request{Act: "online"})},
	"online, of Bun":               {"\x02" + `{"cmd":"NODE_CLUSTER","act":"online","seq":0}`, requestOf(0, request{Act: "online"})},
	"online, cmd in the middle":    {`{"act":"online","cmd":"NODE_CLUSTER","seq":0}`, requestOf(0, request{Act: "online"})},
	"close":                        {`{"cmd":"NODE_CLUSTER","act":"close","key":"null:7001:4:null","seq":12}`, requestOf(12, request{Act: "close", Key: "null:7001:4:null"})},
	"an exit on purpose":           {`{"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect","seq":13}`, requestOf(13, request{Act: "exitedAfterDisconnect"})},
	"a fd that is no number":       {`{"cmd":"NODE_CLUSTER","act":"queryServer","fd":1.5,"port":80,"seq":1}`, requestOf(1, request{Act: "queryServer", FD: new(number(0)), Port: new(number(80))})},
	"a port that is a text":        {`{"cmd":"NODE_CLUSTER","act":"queryServer","port":"80","seq":1}`, requestOf(1, request{Act: "queryServer", Port: new(number(80))})},
	"an act that is none":          {`{"cmd":"NODE_CLUSTER","act":5,"seq":1}`, message{class: classInternal}},
	"our script":                   {`{"cmd":"NODE_TEND","act":"drained"}`, message{class: classPreload, act: "drained"}},
	"our script, saying nothing":   {`{"cmd":"NODE_TEND","act":5}`, message{class: classPreload}},
	"an unknown internal":          {`{"cmd":"NODE_DEBUG_ENABLED"}`, message{class: classInternal}},
	"an internal, escaped":         {`{"cmd":"\u004eODE_HANDLE_ACK"}`, message{class: classAck}},
	"an internal, the key escaped": {`{"\u0063md":"NODE\u005fHANDLE_ACK"}`, message{class: classAck}},
	"an internal after spaces":     {" \t" + `{"cmd":"NODE_HANDLE_ACK"}` + " \r", message{class: classAck}},
	"the last cmd counts":          {`{"cmd":"x","cmd":"NODE_x"}`, message{class: classInternal}},

	"a query of Node 20": {
		`{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":null,"port":7001,"addressType":4,"backlog":0,"seq":1}`,
		requestOf(1, request{Act: "queryServer", Port: new(number(7001)), Type: raw("4"), Data: raw("null")}),
	},
	"a query of TLS on a host": {
		`{"cmd":"NODE_CLUSTER","act":"queryServer","index":2,"data":{"ticketKeys":"ab"},"address":"::1","port":0,"addressType":6,"flags":1,"seq":4}`,
		requestOf(4, request{
			Act: "queryServer", Index: 2, Data: raw(`{"ticketKeys":"ab"}`), Address: new("::1"), Port: new(number(0)), Type: raw("6"), Flags: 1,
		}),
	},
	"a query of UDP": {
		`{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"0.0.0.0","port":53,"addressType":"udp4","fd":-1,"flags":4,"seq":2}`,
		requestOf(2, request{
			Act: "queryServer", Data: raw("null"), Address: new("0.0.0.0"), Port: new(number(53)), Type: raw(`"udp4"`), FD: new(number(-1)), Flags: 4,
		}),
	},
	"a query of a path": {
		`{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"/a/b","port":-1,"addressType":-1,"readableAll":true,"writableAll":"yes","seq":3}`,
		requestOf(3, request{
			Act: "queryServer", Data: raw("null"), Address: new("/a/b"), Port: new(number(-1)), Type: raw("-1"), ReadableAll: true, WritableAll: true,
		}),
	},
	"options as apps give them": {
		`{"cmd":"NODE_CLUSTER","act":"queryServer","port":80,"backlog":"64","readableAll":0,"writableAll":"","seq":3}`,
		requestOf(3, request{Act: "queryServer", Port: new(number(80)), Backlog: 64}),
	},
	"a backlog of nonsense": {
		`{"cmd":"NODE_CLUSTER","act":"queryServer","port":80,"backlog":{"a":1},"readableAll":null,"writableAll":{},"seq":3}`,
		requestOf(3, request{Act: "queryServer", Port: new(number(80)), WritableAll: true}),
	},
	"a query of a descriptor": {
		`{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":null,"port":null,"addressType":null,"fd":5,"seq":3}`,
		requestOf(3, request{Act: "queryServer", Data: raw("null"), Type: raw("null"), FD: new(number(5))}),
	},

	"a text":                          {`"ready"`, userOf(`"ready"`)},
	"a text and a carriage return":    {`"ready"` + "\r", userOf(`"ready"`)},
	"a text of Bun":                   {"\x02" + `"ready"`, userOf(`"ready"`)},
	"a text that names us":            {`"NODE_HANDLE_ACK"`, userOf(`"NODE_HANDLE_ACK"`)},
	"a number":                        {`-1.5e3`, userOf(`-1.5e3`)},
	"true":                            {`true`, userOf(`true`)},
	"null":                            {`null`, userOf(`null`)},
	"a list":                          {`[{"cmd":"NODE_x"}]`, userOf(`[{"cmd":"NODE_x"}]`)},
	"an object":                       {`{"cmd":"start"}`, userOf(`{"cmd":"start"}`)},
	"an empty object":                 {`{}`, userOf(`{}`)},
	"the prefix alone":                {`{"cmd":"NODE_"}`, userOf(`{"cmd":"NODE_"}`)},
	"the prefix in lower case":        {`{"cmd":"node_HANDLE_ACK"}`, userOf(`{"cmd":"node_HANDLE_ACK"}`)},
	"the prefix in the middle":        {`{"cmd":"xNODE_HANDLE_ACK"}`, userOf(`{"cmd":"xNODE_HANDLE_ACK"}`)},
	"a cmd that is a number":          {`{"cmd":1,"x":"NODE_x"}`, userOf(`{"cmd":1,"x":"NODE_x"}`)},
	"a cmd that is null":              {`{"cmd":null,"x":"NODE_x"}`, userOf(`{"cmd":null,"x":"NODE_x"}`)},
	"a cmd that is a list":            {`{"cmd":["NODE_x"]}`, userOf(`{"cmd":["NODE_x"]}`)},
	"a cmd further in":                {`{"a":{"cmd":"NODE_x"}}`, userOf(`{"a":{"cmd":"NODE_x"}}`)},
	"another field in capitals":       {`{"CMD":"NODE_HANDLE_ACK"}`, userOf(`{"CMD":"NODE_HANDLE_ACK"}`)},
	"capitals after the field itself": {`{"cmd":"a","Cmd":"NODE_HANDLE_ACK"}`, userOf(`{"cmd":"a","Cmd":"NODE_HANDLE_ACK"}`)},
	"nine thousand lists":             {nested(9000), userOf(nested(9000))},
}

func answerOf(seq uint64, accepted bool) message {
	return message{class: classAnswer, seq: seq, accepted: accepted}
}

func requestOf(seq uint64, r request) message {
	return message{class: classRequest, seq: seq, request: r}
}

func userOf(text string) message { return message{class: classUser, body: raw(text)} }

func raw(text string) json.RawMessage { return json.RawMessage(text) }

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

var exported = cmp.AllowUnexported(message{})

func TestParse(t *testing.T) {
	for name, tt := range lines {
		t.Run(name, func(t *testing.T) {
			got, err := parse([]byte(tt.line))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, exported); diff != "" {
				t.Errorf("%.200s (-want +got):\n%s", tt.line, diff)
			}
		})
	}
}

func TestParseRefusesWhatIsNoJSON(t *testing.T) {
	for name, line := range map[string]string{
		"nothing":                       "",
		"a carriage return":             "\r",
		"Bun's mark alone":              "\x02",
		"Bun's mark twice":              "\x02\x02{}",
		"words":                         "hello",
		"half an object":                `{"cmd":"NODE_HANDLE_ACK"`,
		"an acknowledgement and more":   `{"cmd":"NODE_HANDLE_ACK"}}`,
		"an answer and more":            `{"cmd":"NODE_CLUSTER","ack":9,"accepted":true,"seq":26}}`,
		"half an answer":                `{"cmd":"NODE_CLUSTER","ack":9,"accepted":true`,
		"an answer of nonsense":         `{"cmd":"NODE_CLUSTER","ack":9,"accepted":true,nonsense}`,
		"an answer to 007":              `{"cmd":"NODE_CLUSTER","ack":007,"accepted":true,"seq":26}`,
		"an answer to nothing":          `{"cmd":"NODE_CLUSTER","ack":,"accepted":true,"seq":26}`,
		"two values":                    `1 2`,
		"a zero byte":                   "{\"a\":\x001}",
		"a zero byte in a text":         "\"a\x00b\"",
		"a space that is none of JSON":  "\u00a01",
		"deeper than Go's decoder goes": nested(20000),
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := parse([]byte(line)); err == nil {
				t.Errorf("%.100q was understood as %+v", line, m)
			}
		})
	}
}

// TestParseIsCheapForEachConnection: these two lines come with every one.
func TestParseIsCheapForEachConnection(t *testing.T) {
	for _, name := range []string{"an acknowledgement", "accepted", "a text"} {
		line := []byte(lines[name].line)
		if n := testing.AllocsPerRun(100, func() { _, _ = parse(line) }); n > 0 {
			t.Errorf("%s takes %v allocations", name, n)
		}
	}
}

func TestIsInternal(t *testing.T) {
	for text, want := range map[string]bool{
		`{"cmd":"NODE_HANDLE_ACK"}`:       true,
		" {\"cmd\":\n\"NODE_CLUSTER\"}\n": true,
		`{"cmd":"\u004eODE_x"}`:           true,
		`{"cmd":"NODE_"}`:                 false,
		`{"cmd":"start"}`:                 false,
		`"NODE_x"`:                        false,
		`no JSON`:                         false,
	} {
		if got := IsInternal([]byte(text)); got != want {
			t.Errorf("IsInternal(%s) is %v", text, got)
		}
	}
}

// slowClass is what a line is by Node's rules, without a short cut.
func slowClass(line []byte) (c class, ok bool) {
	line = bytes.TrimPrefix(line, []byte{2})
	var value any
	if json.Unmarshal(line, &value) != nil {
		return 0, false
	}
	object, _ := value.(map[string]any)
	cmd, _ := object["cmd"].(string)
	if len(cmd) <= len("NODE_") || cmd[:len("NODE_")] != "NODE_" {
		return classUser, true
	}
	switch cmd {
	case "NODE_HANDLE":
		return classHandle, true
	case "NODE_HANDLE_ACK":
		return classAck, true
	case "NODE_HANDLE_NACK":
		return classNack, true
	case "NODE_TEND":
		return classPreload, true
	case "NODE_CLUSTER":
		return parseCluster(line).class, true
	}
	return classInternal, true
}

func FuzzParse(f *testing.F) {
	for _, tt := range lines {
		if len(tt.line) < 1000 {
			f.Add([]byte(tt.line))
		}
	}
	f.Add([]byte(`{"cmd":"NODE_CLUSTER","ack":007,"accepted":true,"seq":1}`))
	f.Add([]byte("{\"cmd\":\"NODE_HANDLE_ACK\"\x00}"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if bytes.IndexByte(line, '\n') >= 0 {
			return // then it is not one line
		}
		got, err := parse(line)
		want, ok := slowClass(line)
		if (err == nil) != ok {
			t.Fatalf("%q: got error %v, and its being a JSON value is %v", line, err, ok)
		}
		if err != nil {
			return
		}
		if got.class != want {
			t.Fatalf("%q: got class %d, want %d", line, got.class, want)
		}
		switch got.class {
		case classAnswer, classRequest:
			slow := parseCluster(bytes.TrimPrefix(line, []byte{2}))
			if diff := cmp.Diff(slow, got, exported); diff != "" {
				t.Fatalf("%q the long way and the short one:\n%s", line, diff)
			}
		case classUser, classHandle:
			if len(got.body) > 0 && !json.Valid(got.body) {
				t.Fatalf("%q: its message is %q, which is no JSON", line, got.body)
			}
		default: // says no more than its class
		}
	})
}
