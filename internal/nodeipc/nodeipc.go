// Package nodeipc is the other end of Node's IPC channel (child_process's
// process.send) and the primary that Node's cluster module expects, for any
// number of processes of any version of Node.
//
// It knows no rule of a life: it tells what came over a channel and does what
// it is told. The protocol is that of Node's lib/internal/child_process.js and
// lib/internal/cluster.
package nodeipc

import (
	"tend/api"
	"tend/internal/listen"
)

// ChannelSlot is the descriptor of a process that its channel is, and what
// NODE_CHANNEL_FD says.
const ChannelSlot = 3

// InboxName is the name on the shelf of what has been read from the channel of
// process key and not yet dealt with. Whoever lets go of a channel for good
// drops both.
func InboxName(key string) string { return key + "/inbox" }

// Channel is the channel of one process.
type Channel struct {
	Key string // of the launch: unique
	// FD is our end, with O_NONBLOCK. It stays the caller's, and must stay open
	// until the channel is closed.
	FD int
	// Source tells readers of notices whose messages these are.
	Source Source
	// Group is, for a worker of a cluster, what the workers that share sockets
	// have in common; "" for others.
	Group   string
	Slot    int // number of the worker in its group: who takes its place has the same
	Balance api.Balance
	As      *listen.User // who the process runs as, where that is not us
	// Preloaded: the process has loaded what InstallPreload installs.
	Preloaded bool
}

// Source is what a Notice says of an instance.
type Source struct {
	ID              int
	Name, Namespace string
}

// News is what the owner of a channel hears of it.
type News int

// The news. Each is told at most once for a channel and a daemon.
const (
	// Online: the process has come up far enough to speak the cluster protocol.
	Online News = 1
	// Listening: the worker accepts connections on its first address.
	Listening News = 2
	// Ready: the app sent "ready".
	Ready News = 3
	// Drained: what Drain waited for has come, or its time is over.
	Drained News = 4
	// Closed: the process closed its end.
	Closed News = 5
)

// Status is what is known of a channel.
type Status struct {
	Open      bool // a message can be sent
	Listening bool // the worker has an address on which it accepts
	Ready     bool // the app sent "ready"
	// Metrics are the figures that the app tells of itself. Nobody changes them.
	Metrics map[string]api.Metric
}
