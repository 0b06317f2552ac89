package cron

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const shape = "2006-01-02 15:04:05"

// The times are those of croner 4.1, but where it says otherwise.
func TestNext(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Skip(err)
	}
	const spring, autumn = "2026-03-08 01:30:00", "2026-11-01 00:30:00"
	for name, test := range map[string]struct {
		pattern, after string
		want           []string
	}{
		"every ten seconds":                       {"*/10 * * * * *", spring, []string{"2026-03-08 01:30:10", "2026-03-08 01:30:20"}},
		"every night":                             {"0 0 * * *", spring, []string{"2026-03-09 00:00:00", "2026-03-10 00:00:00"}},
		"a word for it":                           {"@daily", spring, []string{"2026-03-09 00:00:00"}},
		"Friday the 13th: both days have to fit":  {"0 0 13 * FRI", spring, []string{"2026-03-13 00:00:00", "2026-11-13 00:00:00"}},
		"both days, as lists":                     {"0 12 1-7 * mon,wed", spring, []string{"2026-04-01 12:00:00", "2026-04-06 12:00:00"}},
		"both days, once in 28 years":             {"0 0 29 2 MON", spring, []string{"2044-02-29 00:00:00"}},
		"of all of February, the same day":        {"0 0 1-29 2 MON#5", "2044-02-29 01:00:00", []string{"2072-02-29 00:00:00"}},
		"twice on a day that is both":             {"0 6,18 13 3 FRI", spring, []string{"2026-03-13 06:00:00", "2026-03-13 18:00:00", "2037-03-13 06:00:00"}},
		"Sunday is 7 too":                         {"0 0 * * 7", spring, []string{"2026-03-15 00:00:00", "2026-03-22 00:00:00"}},
		"the last day of the month":               {"0 0 L * *", spring, []string{"2026-03-31 00:00:00", "2026-04-30 00:00:00"}},
		"a question mark is any":                  {"0 0 ? * MON", spring, []string{"2026-03-09 00:00:00"}},
		"an hour that comes twice counts once":    {"30 1 * * *", autumn, []string{"2026-11-01 01:30:00", "2026-11-02 01:30:00"}},
		"an hour that does not come is left out":  {"30 2 * * *", spring, []string{"2026-03-09 02:30:00"}},
		"the same second does not count as after": {"0 30 1 * * *", spring, []string{"2026-03-09 01:30:00"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Parse(test.pattern)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.ParseInLocation(shape, test.after, newYork)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for range test.want {
				at = p.Next(at)
				got = append(got, at.Format(shape))
			}
			if diff := cmp.Diff(got, test.want); diff != "" {
				t.Errorf("got (-), want (+):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                    "want minute, hour",
		"* * * *":             "want minute, hour",
		"0 0 1 1 * 2026":      "want minute, hour",
		"0 0 0 1 1 * 2026":    "want minute, hour",
		"60 * * * *":          `"60" is not understood as the minute`,
		"0,99 * * * *":        `"0,99" is not understood`,
		"0, * * * *":          `"0," is not understood`,
		"0 0 * * FUNDAY":      "is not understood as the day of the week",
		"*/0 * * * *":         `"*/0" is not understood`,
		"*/2/3 * * * *":       `"*/2/3" is not understood`,
		"5-1 * * * *":         `"5-1" is not understood`,
		"0 0 31 2 *":          "never comes",
		"0 0 1 * MON#3":       "never comes",
		"- / # , *":           "is not understood",
		"0 0 * * * * * * * *": "want minute, hour",
	} {
		if p, err := Parse(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is taken as %+v, %v; want it refused: %s", pattern, p, err, want)
		}
	}
}

func TestNoPatternNeverComesDue(t *testing.T) {
	if got := (Pattern{}).Next(time.Now()); !got.IsZero() {
		t.Errorf("due at %v", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"0 3 * * *", "*/5 0-12/3 1,L * MON-FRI", "0 0 15W * 5#2", "? ? ? ? ?", "@weekly"} {
		f.Add(pattern)
	}
	at := time.Date(2026, 11, 22, 10, 0, 0, 1, time.UTC)
	f.Fuzz(func(t *testing.T, pattern string) {
		begin := time.Now()
		defer func() {
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("%q takes %v", pattern, took)
			}
		}()
		p, err := Parse(pattern)
		if err != nil {
			return
		}
		if next := p.Next(at); !next.IsZero() && !next.After(at) {
			t.Errorf("%q: after %v comes %v", pattern, at, next)
		}
	})
}
