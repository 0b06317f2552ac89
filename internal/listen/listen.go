// Package listen opens the sockets that apps listen on, with the options that
// libuv would give them in the app itself (src/unix/tcp.c, pipe.c and udp.c of
// libuv). The sockets do not block and are closed on exec.
package listen

// Kind is the kind of an address.
type Kind int

// The kinds.
const (
	TCP  Kind = 0
	UDP  Kind = 1
	Unix Kind = 2
)

// Address is what an app wants to listen on.
type Address struct {
	Kind Kind
	// Host is an IP literal, with a zone where it is needed. "": every address
	// of the machine, of both families where there are both.
	Host string
	Port int    // 0: any
	Path string // of a unix socket, absolute

	V6Only    bool
	ReuseAddr bool // for UDP: SO_REUSEADDR. TCP has it always
	Reuseport bool // SO_REUSEPORT
	Backlog   int  // of listen(2); 0 or less: 511, as Node
	// As is who touches the file system for a unix socket; nil: us.
	As *User
	// Readable and Writable give everybody these rights to a unix socket.
	Readable, Writable bool
}

// User is in whose name a file is made or removed: a daemon that is root must
// not do for an app of another user what that user may not.
type User struct{ UID, GID int }
