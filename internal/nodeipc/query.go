package nodeipc

import (
	"encoding/json"
	"strconv"
	"syscall"

	"tend/internal/listen"
)

// The flags of a queryServer: UV_TCP_IPV6ONLY, UV_TCP_REUSEPORT, and of a
// datagram socket UV_UDP_IPV6ONLY, UV_UDP_REUSEADDR and UV_UDP_REUSEPORT
// (include/uv.h).
const (
	flagV6Only       = 1
	flagTCPReuseport = 2
	flagUDPReuseaddr = 4
	flagUDPReuseport = 8 | 64 // 8 in libuv 1.49, where it was new; 64 in what Node ships
)

// query is a queryServer, understood.
type query struct {
	address listen.Address
	// key names what is listened on, the same for all workers that share it.
	// The daemon chooses it; this is how Node's own primary does.
	key   string
	index int
	data  json.RawMessage // what every worker gets of the first one: keys of TLS tickets
}

// maxData bounds what a worker leaves here for the others. Keys of TLS tickets
// are 120 bytes.
const maxData = 1 << 10

// understand makes a query of a request; an errno is for the worker.
func understand(r request) (query, error) {
	q := query{index: int(r.Index), data: r.Data}
	if len(q.data) > maxData || len(q.data) == 0 {
		q.data = json.RawMessage("null")
	}
	if r.FD != nil && *r.FD >= 0 {
		return q, syscall.EBADF // a descriptor of the primary: it has none for apps
	}
	if r.Port == nil {
		return q, syscall.EINVAL
	}
	q.address = listen.Address{Port: int(*r.Port), Backlog: int(r.Backlog)}
	if r.Address != nil {
		q.address.Host = *r.Address
	}
	kind := string(r.Type)
	switch kind {
	case `"udp4"`, `"udp6"`:
		q.address.Kind = listen.UDP
		q.address.V6Only = r.Flags&flagV6Only != 0
		q.address.ReuseAddr = r.Flags&flagUDPReuseaddr != 0
		q.address.Reuseport = r.Flags&flagUDPReuseport != 0
	case "-1":
		q.address.Kind, q.address.Path, q.address.Host = listen.Unix, q.address.Host, ""
		q.address.Readable, q.address.Writable = bool(r.ReadableAll), bool(r.WritableAll)
	case "4", "6":
		q.address.V6Only = r.Flags&flagV6Only != 0
		q.address.Reuseport = r.Flags&flagTCPReuseport != 0
	default:
		return q, syscall.EINVAL
	}
	q.key = "null"
	if r.Address != nil {
		q.key = *r.Address
	}
	q.key += ":" + strconv.Itoa(int(*r.Port)) + ":" + trimQuotes(kind) + ":null"
	if *r.Port == 0 {
		// The first listen(0) of each worker shares a port, the second another.
		q.key += ":" + strconv.Itoa(int(r.Index))
	}
	return q, nil
}

func trimQuotes(s string) string {
	if len(s) >= 2 && s[0] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
