// Package load is a lean HTTP client for measuring: one thread, epoll(7),
// requests that are made beforehand, and no allocation for a request, because
// it shares the machine with what it measures. No request is made again: one
// that is not answered is counted.
//
// It speaks only as much HTTP as that takes: answers have a Content-Length, no
// more than a kilobyte, and come from this machine.
package load

import (
	"fmt"
	"strings"
	"time"
)

// Kind is how a client behaves.
type Kind int

// The kinds.
const (
	// Fresh makes a connection for each request, asks for it to be closed, and
	// reads to its end.
	Fresh Kind = iota
	// Kept makes its requests on one connection. It makes a new one where the
	// server said that it would close it, or closed it before a request.
	Kept
	// Garbage sends what is no HTTP and waits for the server to close.
	Garbage
	// Loris sends half a request and says no more.
	Loris
)

// Group is clients that behave alike.
type Group struct {
	Kind Kind
	// Clients is how many connections they have at most, all at once.
	Clients int
	// Rate is how many connections they make in a second. 0 is as many as they
	// can: each client makes its next request when it has the answer.
	Rate int
	// Patience is how long a Fresh or Kept client waits for an answer.
	Patience time.Duration
}

// Failure is why a request was not answered.
type Failure int

// The failures.
const (
	// Refused: nobody listened.
	Refused Failure = iota
	// Reset: the server threw the connection away.
	Reset
	// Cut: the server closed before the whole answer was there, or before its
	// first byte.
	Cut
	// Strange: the answer is not what the app says.
	Strange
	// Late: there was no answer in time.
	Late
	// Own: this client ran out of something.
	Own

	failures
)

func (f Failure) String() string {
	return [...]string{"refused", "reset", "cut", "strange", "late", "own"}[f]
}

// Tally is what became of a group's requests. Those of Garbage and Loris are
// done when the server closes, in whatever way.
type Tally struct {
	Opened  int // connections
	Done    int
	Failed  [failures]int
	Latency Histogram // from the connect, or on a kept connection the request, to the end of the answer
}

// Failures is how many requests failed, but for those for which one of except
// is why.
func (t *Tally) Failures(except ...Failure) (n int) {
	for f, count := range t.Failed {
		n += count
		for _, e := range except {
			if Failure(f) == e {
				n -= count
			}
		}
	}
	return n
}

// Made is how many requests have an end.
func (t *Tally) Made() int { return t.Done + t.Failures() }

// String says how many requests failed, and why.
func (t *Tally) String() string {
	var parts []string
	for f, n := range t.Failed {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %v", n, Failure(f)))
		}
	}
	return strings.Join(parts, ", ")
}

// Result is what became of a load.
type Result struct {
	Tallies []Tally // one for each group
	Took    time.Duration
	// Busy is how much of one core the client used, from 0 to 1. Near 1 it
	// measures itself.
	Busy float64
}

// Saturated is the Busy from which on a rate may be the client's own.
const Saturated = 0.9
