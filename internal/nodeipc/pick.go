package nodeipc

// credit is how many connections a worker may hold unanswered: Node's own
// primary allows one, and with a few the worker needs not wait for the daemon
// between two. More gain nothing, and would wait where a worker is stuck.
const credit = 4

// pick chooses who gets a connection: of those that may have it the one with
// the fewest unanswered, and of equals the next one after last. busy are the
// unanswered connections of each, negative for those who may not have it. -1:
// nobody.
func pick(busy []int, last int) int {
	best := -1
	for i := range busy {
		at := (last + 1 + i) % len(busy)
		if busy[at] < 0 || busy[at] >= credit {
			continue
		}
		if best < 0 || busy[at] < busy[best] {
			best = at
		}
	}
	return best
}
