package units

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const bad = -1 // the text is refused

func TestParseSize(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want int64
	}{
		"a bare number is bytes":             {"512", 512},
		"zero":                               {"0", 0},
		"kilobytes are 1024":                 {"512K", 512 * 1024},
		"megabytes as PM2 reads them":        {"200M", 209715200},
		"gigabytes":                          {"1G", 1 << 30},
		"terabytes":                          {"2T", 2 << 40},
		"lower case":                         {"200m", 209715200},
		"with B":                             {"200MB", 209715200},
		"with b after a lower case unit":     {"1gb", 1 << 30},
		"bytes by name":                      {"10b", 10},
		"spaces around and between":          {" 200 M ", 209715200},
		"the largest":                        {"9223372036854775807", math.MaxInt64},
		"one more than the largest":          {"9223372036854775808", bad},
		"an overflow by the unit":            {"9007199254740992K", bad},
		"the largest that the unit lets fit": {"9007199254740991K", 9007199254740991 * 1024},
		"nothing":                            {"", bad},
		"a unit alone":                       {"M", bad},
		"a negative":                         {"-1M", bad},
		"a fraction":                         {"1.5G", bad},
		"an unknown unit":                    {"5X", bad},
		"a unit twice":                       {"5MM", bad},
	} {
		t.Run(name, func(t *testing.T) { check(t, tt.text, ParseSize, tt.want) })
	}
}

func TestParseDuration(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want int64
	}{
		"a bare number is milliseconds": {"1500", 1500},
		"milliseconds by name":          {"100ms", 100},
		"seconds":                       {"3s", 3000},
		"minutes":                       {"5m", 300_000},
		"hours":                         {"2h", 7_200_000},
		"days":                          {"1d", 86_400_000},
		"upper case":                    {"3S", 3000},
		"spaces":                        {" 3 s", 3000},
		"the largest":                   {"9223372036854775807", math.MaxInt64},
		"an overflow by the unit":       {"9223372036854775807s", bad},
		"nothing":                       {"", bad},
		"a unit alone":                  {"s", bad},
		"a negative":                    {"-3s", bad},
		"two units":                     {"1h30m", bad},
		"a fraction":                    {"1.5s", bad},
		"an unknown unit":               {"3w", bad},
	} {
		t.Run(name, func(t *testing.T) { check(t, tt.text, ParseDuration, tt.want) })
	}
}

func check(t *testing.T, text string, parse func(string) (int64, error), want int64) {
	t.Helper()
	got, err := parse(text)
	switch {
	case want == bad && err == nil:
		t.Errorf("%q gave %d, want an error", text, got)
	case want == bad && !strings.Contains(err.Error(), strconv.Quote(text)):
		t.Errorf("error %q does not name the text %q", err, text)
	case want != bad && (err != nil || got != want):
		t.Errorf("%q gave %d, %v; want %d", text, got, err, want)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0b", 1023: "1023b", 1024: "1.0kb", 1536: "1.5kb", 55155097: "52.6mb",
		1<<20 - 1: "1024.0kb", 1 << 30: "1.0gb", 1 << 40: "1.0tb", 5000 << 40: "5000.0tb",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestSince(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 999 * time.Millisecond: "0s", 119 * time.Second: "119s",
		2 * time.Minute: "2m", 90 * time.Minute: "90m", 36 * time.Hour: "36h", 47 * time.Hour: "47h",
		2 * day: "2D", 59 * day: "59D", 60 * day: "2M", 729 * day: "24M", 730 * day: "2Y",
	} {
		if got := Since(d); got != want {
			t.Errorf("Since(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestWhatIsWrittenInAUnitReadsBackInIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<20).Draw(t, "n")
		if got, err := ParseSize(strconv.FormatInt(n, 10) + "m"); err != nil || got != n<<20 {
			t.Fatalf("%dm gave %d, %v", n, got, err)
		}
		if got, err := ParseDuration(strconv.FormatInt(n, 10) + "s"); err != nil || got != n*1000 {
			t.Fatalf("%ds gave %d, %v", n, got, err)
		}
	})
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"200M", "1gb", "9223372036854775807T", "", "K"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { neverNegative(t, text, ParseSize) })
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"3s", "1d", "9223372036854775807d", "", "ms"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { neverNegative(t, text, ParseDuration) })
}

// An overflow would show as a negative number.
func neverNegative(t *testing.T, text string, parse func(string) (int64, error)) {
	n, err := parse(text)
	if n < 0 || err != nil && n != 0 {
		t.Errorf("%q gave %d, %v", text, n, err)
	}
}
