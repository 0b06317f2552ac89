package load

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nDate: now\r\ncontent-length: 5\r\n"
	for name, tt := range map[string]struct {
		text string
		want verdict
		last bool
	}{
		"nothing is not wrong":                 {"", partial, false},
		"half a first line":                    {"HTTP/1.", partial, false},
		"another version":                      {"HTTP/1.0 2", wrong, true},
		"a failure":                            {"HTTP/1.1 503 Service Unavailable\r\n\r\n", wrong, true},
		"half a head":                          {head, partial, false},
		"a head without a body":                {head + "\r\n", partial, false},
		"a body that lacks a byte":             {head + "\r\nhell", partial, false},
		"all of it":                            {head + "\r\nhello", whole, false},
		"all of it, and the server will close": {head + "Connection: close\r\n\r\nhello", whole, true},
		"all of it, and the server will not":   {head + "Connection: keep-alive\r\n\r\nhello", whole, false},
		"a byte too many":                      {head + "\r\nhello!", wrong, true},
		"a length that is none":                {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", wrong, true},
		"no length":                            {"HTTP/1.1 200 OK\r\n\r\nhello", wrong, true},
	} {
		t.Run(name, func(t *testing.T) {
			if v, last := judge([]byte(tt.text)); v != tt.want || last != tt.last {
				t.Errorf("judge(%q) = %v, last %v, want %v, %v", tt.text, v, last, tt.want, tt.last)
			}
		})
	}
}

func TestJudgeAndHistogramDoNotAllocate(t *testing.T) {
	text := []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { judge(text); h.add(time.Millisecond) }); n > 0 {
		t.Errorf("%v allocations for each answer", n)
	}
}

func TestQuantile(t *testing.T) {
	var h Histogram
	if got := h.Quantile(0.99); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	order := rand.Perm(10_000)
	for _, i := range order {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0: time.Millisecond, 0.5: 5 * time.Second, 0.99: 9900 * time.Millisecond, 1: 10 * time.Second} {
		if got := h.Quantile(q); got < want || got > want+want/8 {
			t.Errorf("quantile %v of 1 ms to 10 s is %v, want %v and at most an eighth more", q, got, want)
		}
	}
	h.add(1000 * time.Hour) // the last bucket has room for it
}

func TestFailuresAreCountedTogether(t *testing.T) {
	tally := Tally{Done: 10}
	tally.Failed[Reset], tally.Failed[Late] = 2, 3
	if made, all, some := tally.Made(), tally.Failures(), tally.Failures(Late); made != 15 || all != 5 || some != 2 {
		t.Errorf("made %d, failures %d, without the late ones %d; want 15, 5, 2", made, all, some)
	}
}
