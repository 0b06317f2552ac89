package sidebyside

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"testing"
	"time"
)

// call asks PM2's daemon: a message is a byte with the number of its arguments,
// and each argument after its length in four bytes.
func call(t *testing.T, socket, method string) []byte {
	t.Helper()
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return nil // it has just gone, or is just coming
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	request := []byte{0x12}
	for _, arg := range []string{`j:{"type":"call","method":"` + method + `","args":[{}]}`, "s:1:1"} {
		request = binary.BigEndian.AppendUint32(request, uint32(len(arg)))
		request = append(request, arg...)
	}
	if _, err := conn.Write(request); err != nil {
		t.Fatalf("ask PM2: %v", err)
	}
	head := make([]byte, 5)
	if _, err := io.ReadFull(conn, head); err != nil {
		t.Fatalf("ask PM2: %v", err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[1:]))
	if _, err := io.ReadFull(conn, body); err != nil {
		t.Fatalf("ask PM2: %v", err)
	}
	var answer struct {
		Args  []json.RawMessage `json:"args"`
		Error string            `json:"error"`
	}
	if err := json.Unmarshal(body[len("j:"):], &answer); err != nil || answer.Error != "" || len(answer.Args) == 0 {
		t.Fatalf("ask PM2: %v\n%.300s", err, body)
	}
	return answer.Args[0]
}
