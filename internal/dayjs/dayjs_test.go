package dayjs

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// day is the d-th of a month in 2026, at 09:05:03.042 west of Greenwich.
func day(month time.Month, d int) time.Time {
	return time.Date(2026, month, d, 9, 5, 3, 42e6+999_999, time.FixedZone("NST", -(3*60+30)*60))
}

func at(hour int) time.Time { return time.Date(2026, time.July, 4, hour, 0, 0, 0, time.UTC) }

func on(year int, month time.Month, d int) time.Time {
	return time.Date(year, month, d, 23, 59, 59, 999_999_999, time.UTC)
}

// The wants are what day.js 1.11.23 gives, or moment 2.31.0 for what day.js
// does not know.
func TestFormat(t *testing.T) {
	feb := day(time.February, 1)
	for name, tt := range map[string]struct {
		format string
		time   time.Time
		want   string
	}{
		"the format of --time":                {"YYYY-MM-DDTHH:mm:ss", feb, "2026-02-01T09:05:03"},
		"the format of PM2's documentation":   {"YYYY-MM-DD HH:mm Z", feb, "2026-02-01 09:05 -03:30"},
		"milliseconds and zone":               {"YYYY-MM-DD HH:mm:ss.SSS ZZ", feb, "2026-02-01 09:05:03.042 -0330"},
		"a zone to the east":                  {"Z ZZ", time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", (5*60+45)*60)), "+05:45 +0545"},
		"UTC":                                 {"Z ZZ z", at(0), "+00:00 +0000 UTC"},
		"years":                               {"YYYY YY Y", feb, "2026 26 2026"},
		"an early year":                       {"YYYY Y", on(33, time.April, 3), "0033 0033"},
		"months":                              {"MMMM MMM MM M Mo", feb, "February Feb 02 2 2nd"},
		"days of the month":                   {"DD D Do", feb, "01 1 1st"},
		"days of the year":                    {"DDDD DDD DDDo", feb, "032 32 32nd"},
		"days of the week":                    {"dddd ddd dd d do", feb, "Sunday Sun Su 0 0th"},
		"quarters":                            {"Q Qo", feb, "1 1st"},
		"the last quarter":                    {"Q", day(time.December, 1), "4"},
		"hours, minutes, seconds":             {"HH H hh h kk k mm m ss s", feb, "09 9 09 9 09 9 05 5 03 3"},
		"midnight":                            {"HH hh h k kk A a", at(0), "00 12 12 24 24 AM am"},
		"noon":                                {"HH hh h k A a", at(12), "12 12 12 12 PM pm"},
		"the last hour":                       {"HH hh h k A a", at(23), "23 11 11 23 PM pm"},
		"fractions are cut, not rounded":      {"S SS SSS SSSS SSSSSSSSS", feb, "0 04 042 0420 042000000"},
		"Unix time":                           {"X x", feb, "1769949303 1769949303042"},
		"first":                               {"Do", day(time.May, 1), "1st"},
		"third":                               {"Do", day(time.May, 3), "3rd"},
		"fourth":                              {"Do", day(time.May, 4), "4th"},
		"eleventh":                            {"Do", day(time.May, 11), "11th"},
		"twelfth":                             {"Do", day(time.May, 12), "12th"},
		"thirteenth":                          {"Do", day(time.May, 13), "13th"},
		"twenty-second":                       {"Do", day(time.May, 22), "22nd"},
		"hundred and eleventh":                {"DDDo", day(time.April, 21), "111th"},
		"a week that begins with the year":    {"w ww wo gggg gg", on(2026, time.January, 3), "1 01 1st 2026 26"},
		"the second begins on Sunday":         {"w gggg", on(2026, time.January, 4), "2 2026"},
		"the end of a year in the next one's": {"w gggg", on(2025, time.December, 28), "1 2026"},
		"the Saturday before":                 {"w gggg", on(2025, time.December, 27), "52 2025"},
		"a year of 53 weeks":                  {"w gggg", on(2022, time.December, 31), "53 2022"},
		"weeks of ISO 8601":                   {"W WW Wo GGGG GG", on(2026, time.January, 4), "1 01 1st 2026 26"},
		"New Year in the old year's last":     {"W GGGG", on(2027, time.January, 1), "53 2026"},
		"local formats":                       {"LT|LTS|L|l", feb, "9:05 AM|9:05:03 AM|02/01/2026|2/1/2026"},
		"long local formats":                  {"LL|ll|LLL|lll", feb, "February 1, 2026|Feb 1, 2026|February 1, 2026 9:05 AM|Feb 1, 2026 9:05 AM"},
		"the longest local formats":           {"LLLL|llll", feb, "Sunday, February 1, 2026 9:05 AM|Sun, Feb 1, 2026 9:05 AM"},
		"text in brackets":                    {"[at] HH[h YYYY] [", feb, "at 09h YYYY ["},
		"a bracket in brackets":               {"[[]HH]", feb, "[09]"},
		"brackets around nothing":             {"[]HH", feb, "[]09"},
		"a bracket that does not close":       {"[HH", feb, "[09"},
		"unknown letters":                     {"BCEFGIJKNOPRTUV bcefijnopqrtuvy", feb, "BCEFGIJKNOPRTUV bcefijnopqrtuvy"},
		"letters beyond ASCII":                {"HH é 時", feb, "09 é 時"},
		"tokens without a space":              {"YYYYMMDDHHmmssSSS", feb, "20260201090503042"},
		"nothing":                             {"", feb, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := format(tt.format, tt.time); got != tt.want {
				t.Errorf("%q at %v is %q, want %q", tt.format, tt.time, got, tt.want)
			}
		})
	}
}

func format(format string, t time.Time) string { return string(Parse(format).Append(nil, t)) }

func TestAppendKeepsWhatIsThere(t *testing.T) {
	if got, want := string(Parse("SS").Append([]byte("at "), at(0))), "at 00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTokensAreFoundWhole(t *testing.T) {
	for token := range strings.FieldsSeq(tokens) {
		if got := leadingToken(token + "-"); got != token {
			t.Errorf("%q is read as %q: the longer has to stand first", token, got)
		}
	}
}

func TestCoarsest(t *testing.T) {
	for format, want := range map[string]time.Duration{
		"YYYY-MM-DD HH:mm:ss.SSS": time.Millisecond,
		"ss SSSSSS":               time.Millisecond,
		"x":                       time.Millisecond,
		"SS s":                    10 * time.Millisecond,
		"S":                       100 * time.Millisecond,
		"YYYY-MM-DDTHH:mm:ss":     time.Second,
		"X":                       time.Second,
		"LTS":                     time.Second,
		"s":                       time.Second,
		"YYYY-MM-DD HH:mm":        time.Minute,
		"LT":                      time.Minute,
		"YYYY":                    time.Minute,
		"[SSS]":                   time.Minute,
		"":                        time.Minute,
	} {
		if got := Parse(format).Coarsest(); got != want {
			t.Errorf("%q changes every %v, want %v", format, got, want)
		}
	}
}

// someFormat is made of tokens and of text.
func someFormat() *rapid.Generator[string] {
	piece := rapid.OneOf(rapid.SampledFrom(slices.Collect(strings.FieldsSeq(tokens))), rapid.SampledFrom([]string{" ", "[", "]", "T"}), rapid.String())
	return rapid.Map(rapid.SliceOfN(piece, 0, 6), func(p []string) string { return strings.Join(p, "") })
}

// zones are some that change their clocks, and some far from whole hours.
func zones(t *testing.T) (all []*time.Location) {
	t.Helper()
	for _, name := range []string{"UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Skip(err) // a system without zones
		}
		all = append(all, zone)
	}
	return all
}

func someTime(t *rapid.T, zones []*time.Location) time.Time {
	from, to := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2038, 1, 1, 0, 0, 0, 0, time.UTC)
	ms := rapid.Int64Range(from.UnixMilli(), to.UnixMilli()).Draw(t, "ms")
	return time.UnixMilli(ms).In(rapid.SampledFrom(zones).Draw(t, "zone"))
}

func TestOutputLastsAsLongAsCoarsestSays(t *testing.T) {
	zones := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		text := someFormat().Draw(t, "format")
		f, begin := Parse(text), someTime(t, zones).Truncate(Parse(text).Coarsest())
		end := begin.Add(f.Coarsest() - 1)
		if got, want := format(text, end), format(text, begin); got != want {
			t.Fatalf("%q is %q at %v and %q at %v, within %v", text, want, begin, got, end, f.Coarsest())
		}
	})
}

func TestFormatIsThatOfItsParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := on(2026, time.May, 22)
		text := rapid.StringMatching(`[^\]]+`).Draw(t, "text")
		a, b := someFormat().Draw(t, "before"), someFormat().Draw(t, "after")
		a = strings.NewReplacer("[", "", "]", "").Replace(a)
		if got, want := format(a+"["+text+"]"+b, now), format(a, now)+text+format(b, now); got != want {
			t.Fatalf("%q and %q and %q is %q, want %q", a, text, b, got, want)
		}
	})
}

func TestAppendAllocatesNothing(t *testing.T) {
	f := Parse(strings.ReplaceAll(tokens, " ", "|"))
	b := make([]byte, 0, 2<<10)
	if got := testing.AllocsPerRun(100, func() { f.Append(b, time.Now()) }); got != 0 {
		t.Errorf("all tokens allocate %v times", got)
	}
}

func FuzzFormat(f *testing.F) {
	f.Add("YYYY-MM-DD HH:mm:ss.SSS Z [at] LLLL", int64(1e18))
	f.Fuzz(func(t *testing.T, text string, ns int64) {
		format := Parse(text)
		unit := int64(format.Coarsest())
		ns &= 1<<62 - 1 // after 1970, before the end of what nanoseconds count
		ns -= ns % unit
		got := string(format.Append(nil, time.Unix(0, ns).UTC()))
		if later := string(format.Append(nil, time.Unix(0, ns+unit-1).UTC())); later != got {
			t.Errorf("%q is %q and then %q within %v", text, got, later, format.Coarsest())
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, format := range []string{"YYYY-MM-DDTHH:mm:ss", "YYYY-MM-DD HH:mm:ss.SSS Z"} {
		b.Run(format, func(b *testing.B) {
			f, out, now := Parse(format), make([]byte, 0, 64), time.Now()
			b.ReportAllocs()
			for b.Loop() {
				f.Append(out, now)
			}
		})
	}
}
