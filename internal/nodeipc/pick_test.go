package nodeipc

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPick(t *testing.T) {
	for name, tt := range map[string]struct {
		busy []int
		last int
		want int
	}{
		"nobody is there":             {nil, 0, -1},
		"the first, when none was":    {[]int{0, 0}, -1, 0},
		"the next":                    {[]int{0, 0, 0}, 0, 1},
		"after the last the first":    {[]int{0, 0, 0}, 2, 0},
		"the least busy":              {[]int{2, 1, 3}, 0, 1},
		"the only one again":          {[]int{1}, 0, 0},
		"not who may not":             {[]int{-1, 3}, 1, 1},
		"not who has his fill":        {[]int{credit, credit - 1}, 1, 1},
		"nobody is free":              {[]int{credit, -1, credit + 1}, 0, -1},
		"who was last is gone":        {[]int{0, 0}, 5, 0},
		"of two equals the next one":  {[]int{1, 0, 2, 0}, 1, 3},
		"of two equals the one round": {[]int{1, 0, 2, 0}, 3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := pick(tt.busy, tt.last); got != tt.want {
				t.Errorf("pick(%v, %d) is %d, want %d", tt.busy, tt.last, got, tt.want)
			}
		})
	}
}

func TestPickProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		busy := rapid.SliceOfN(rapid.IntRange(-2, credit+1), 0, 12).Draw(t, "busy")
		last := rapid.IntRange(-1, 15).Draw(t, "last")
		free := func(n int) bool { return n >= 0 && n < credit }
		got := pick(busy, last)
		if got < 0 {
			if at := slices.IndexFunc(busy, free); got != -1 || at >= 0 {
				t.Fatalf("got %d, though %d is free", got, at)
			}
			return
		}
		if !free(busy[got]) {
			t.Fatalf("got %d, which has %d", got, busy[got])
		}
		for at := (last + 1) % len(busy); at != got; at = (at + 1) % len(busy) {
			if free(busy[at]) && busy[at] <= busy[got] {
				t.Fatalf("got %d, before it comes %d, which is no busier", got, at)
			}
		}
		for at, n := range busy {
			if free(n) && n < busy[got] {
				t.Fatalf("got %d with %d, and %d has %d", got, busy[got], at, n)
			}
		}
	})
}

// TestPickIsFair deals as the hub does, to workers that answer at once.
func TestPickIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workers := rapid.IntRange(1, 9).Draw(t, "workers")
		rounds := rapid.IntRange(1, 9).Draw(t, "rounds")
		got, last := make([]int, workers), -1
		for range workers * rounds {
			last = pick(make([]int, workers), last)
			got[last]++
		}
		if slices.Min(got) != rounds || slices.Max(got) != rounds {
			t.Fatalf("%d connections were dealt as %v", workers*rounds, got)
		}
	})
}
