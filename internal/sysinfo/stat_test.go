package sysinfo

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const rest = " 10 11 12 34816 12 4194560 100 0 0 0 7 5 90 90 20 0 3 0 4242 9999 250 18446744073709551615 1 1 0 0\n"

func TestParseStat(t *testing.T) {
	want := Proc{PID: 42, PPID: 10, PGID: 11, SID: 12, State: 'S', Threads: 3, Start: 4242, CPU: 12, RSS: 250 * 4096}
	tests := map[string]struct {
		line string
		want Proc
		ok   bool
	}{
		"a plain name":                        {"42 (sleep) S" + rest, want, true},
		"a name with blanks and parentheses":  {"42 (a) R 1 (b) S" + rest, want, true},
		"a name that is empty":                {"42 () S" + rest, want, true},
		"a name with a line break":            {"42 (a\n)) S" + rest, want, true},
		"a process that is losing its parts":  {"42 (x) X 0 -1 -1 0 -1 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 0\n", Proc{PID: 42, State: 'X', PGID: -1, SID: -1, Start: 1}, true},
		"nothing":                             {"", Proc{}, false},
		"no name":                             {"42 S" + rest, Proc{}, false},
		"parentheses the wrong way round":     {"42 )( S" + rest, Proc{}, false},
		"a line that ends too early":          {"42 (sleep) S 1 2 3", Proc{}, false},
		"a pid that is not a number":          {"4x (sleep) S" + rest, Proc{}, false},
		"a pid of nobody":                     {"0 (sleep) S" + rest, Proc{}, false},
		"a state of two letters":              {"42 (sleep) SS" + rest, Proc{}, false},
		"a number that no integer holds":      {"42 (x) S 1 2 3 0 -1 0 0 0 0 0 99999999999999999999 0 0 0 0 0 0 0 1 0 0", Proc{}, false},
		"more memory than bytes can be named": {"42 (x) S 1 2 3 0 -1 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 18446744073709551615", Proc{}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := parseStat([]byte(tt.line), 4096)
			if ok != tt.ok {
				t.Fatalf("parsed: %t, want %t", ok, tt.ok)
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("got (-), want (+):\n%s", diff)
			}
		})
	}
}

func TestParseStatReadsWhatTheKernelWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.IntRange(-1, 1<<22)
		want := Proc{
			PID: rapid.IntRange(1, 1<<22).Draw(t, "pid"), PPID: id.Draw(t, "ppid"), PGID: id.Draw(t, "pgid"), SID: id.Draw(t, "sid"),
			State:   rapid.SampledFrom([]byte("RSDZTtXI")).Draw(t, "state"),
			Threads: rapid.IntRange(0, 1<<20).Draw(t, "threads"),
			Start:   rapid.Uint64().Draw(t, "start"),
			RSS:     rapid.Int64Range(0, 1<<40).Draw(t, "pages") * 4096,
		}
		user := rapid.Uint64Max(math.MaxUint64/2).Draw(t, "user")
		system := rapid.Uint64Max(math.MaxUint64/2).Draw(t, "system")
		want.CPU = user + system
		name := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "name")
		line := fmt.Sprintf("%d (%s) %c %d %d %d 0 -1 0 0 0 0 0 %d %d 0 0 20 0 %d 0 %d 0 %d 0 0 0\n",
			want.PID, name, want.State, want.PPID, want.PGID, want.SID, user, system, want.Threads, want.Start, want.RSS/4096)
		got, ok := parseStat([]byte(line), 4096)
		if !ok {
			t.Fatalf("%q was refused", line)
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("%q: got (-), want (+):\n%s", line, diff)
		}
	})
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (sleep) S" + rest))
	f.Add([]byte("42 (a) R 1 (b) S" + rest))
	f.Add([]byte("42 ()"))
	f.Fuzz(func(t *testing.T, line []byte) {
		p, ok := parseStat(line, 4096)
		if !ok && p != (Proc{}) {
			t.Errorf("a refused line gave %+v", p)
		}
		if ok && (p.PID <= 0 || p.RSS < 0 || p.State == 0) {
			t.Errorf("%q gave %+v", line, p)
		}
	})
}

func TestEnded(t *testing.T) {
	tests := map[string]struct {
		proc Proc
		want bool
	}{
		"a sleeper lives":                            {Proc{State: 'S', Threads: 1}, false},
		"a stopped one lives":                        {Proc{State: 'T', Threads: 1}, false},
		"a zombie has ended":                         {Proc{State: 'Z', Threads: 1}, true},
		"one whose first thread alone is over lives": {Proc{State: 'Z', Threads: 2}, false},
		"one that is being taken away has ended":     {Proc{State: 'X'}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.proc.Ended(); got != tt.want {
				t.Errorf("ended: %t, want %t", got, tt.want)
			}
		})
	}
}
