package collect

import (
	"testing"
	"time"
)

// Apps are left alone for as long as none of them has to wait for room.
func TestRest(t *testing.T) {
	const µs = time.Microsecond
	type served struct {
		n    int
		wide bool
	}
	for name, tt := range map[string]struct {
		since  time.Duration
		served []served
		want   time.Duration
	}{
		"a few lines after a night":             {24 * time.Hour, []served{{200, true}}, longRest},
		"the same, in a pipe of usual size":     {time.Hour, []served{{200, false}}, shortRest},
		"200 MB a second":                       {200 * µs, []served{{100_000, true}}, 200 * µs * wideSize / 200_000},
		"as fast as memory":                     {50 * µs, []served{{wideSize / 2, true}}, 50 * µs},
		"a pipe that may be full":               {time.Hour, []served{{wideSize * 3 / 4, true}}, 0},
		"a pipe of usual size that may be full": {time.Hour, []served{{blockSize, false}}, 0},
		"one that is fast beside slow ones":     {time.Hour, []served{{10, true}, {wideSize, true}, {10, false}}, 0},
		"one that had nothing":                  {time.Hour, []served{{0, false}, {200, true}}, longRest},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			r := round{ended: began.Add(-tt.since)}
			r.begin(began)
			for _, s := range tt.served {
				r.served(s.n, s.wide)
			}
			if got := r.end(began); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
