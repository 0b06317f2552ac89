package load

import (
	"math/bits"
	"time"
)

// The buckets of a Histogram: 2^fine to each power of two of microseconds.
const (
	fine    = 4
	buckets = (40 - fine) << fine
)

// Histogram counts times, each to within a sixteenth.
type Histogram struct {
	counts [buckets]int
	total  int
}

func (h *Histogram) add(d time.Duration) {
	h.counts[bucket(uint64(max(0, d.Microseconds())))]++
	h.total++
}

// bucket is where us belongs: small numbers have a bucket each, larger ones
// share it with those that have the same fine+1 leading bits.
func bucket(us uint64) int {
	shift := max(0, bits.Len64(us)-fine-1)
	return min(shift<<fine+int(us>>shift), buckets-1)
}

// Quantile is the time within which the part q, from 0 to 1, of all came.
func (h *Histogram) Quantile(q float64) time.Duration {
	rest := int(q * float64(h.total))
	for i, n := range h.counts {
		if rest -= n; rest < 0 || rest == 0 && q == 1 {
			return time.Duration(least(i+1)) * time.Microsecond
		}
	}
	return 0
}

// least is the smallest number in bucket i.
func least(i int) uint64 {
	shift := max(0, i>>fine-1)
	return uint64(i-shift<<fine) << shift
}
