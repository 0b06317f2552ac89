package rotation

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pgregory.net/rapid"

	"tend/api"
)

// rule is a rotation of which only what matters was said; the rest is as most
// have it.
func rule(t testing.TB, said ...*api.Rotation) *Rule {
	t.Helper()
	var all api.Rotation
	if len(said) > 0 {
		all = *said[0]
	}
	if all.MaxSize == 0 {
		all.MaxSize = 100 << 20
	}
	if all.Retain == 0 {
		all.Retain = 10
	}
	switch all.Compress {
	case "":
		all.Compress = "gzip"
	case "none":
		all.Compress = ""
	}
	r, err := New(all)
	if err != nil {
		t.Fatal(err)
	}
	return &r
}

func TestARotationThatIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		said api.Rotation
		text string
	}{
		"no cron pattern":         {api.Rotation{Interval: "daily"}, `interval: cron pattern "daily"`},
		"a compression not known": {api.Rotation{Compress: "rar"}, `compress: "rar" is neither gzip nor zstd`},
		"a date of letters":       {api.Rotation{DateFormat: "YYYY-MMM-DD"}, `date_format: "YYYY-MMM-DD" dates a file "2001-Sep-09"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(test.said)
			if err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v, want it to say: %s", err, test.text)
			}
		})
	}
}

func TestDue(t *testing.T) {
	begun := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return time.Date(2026, 11, 22+n, 0, 0, 0, 0, time.UTC) }
	size, nightly := &api.Rotation{MaxSize: 100}, &api.Rotation{MaxSize: 100, Interval: "0 0 * * *"}
	for name, test := range map[string]struct {
		said *api.Rotation
		size int64
		now  time.Time
		want bool
	}{
		"too small":                        {size, 99, day(30), false},
		"just grown enough":                {size, 100, begun, true},
		"the night has not come":           {nightly, 1, day(1).Add(-1), false},
		"the night has come":               {nightly, 1, day(1), true},
		"the night has come over an empty": {nightly, 0, day(1), false},
		"nights later":                     {nightly, 1, day(5), true},
		"grown before the night":           {nightly, 100, begun, true},
		"any size goes":                    {&api.Rotation{MaxSize: -1}, 1 << 60, day(1), false},
		"off":                              {&api.Rotation{Off: true, MaxSize: 1, Interval: "* * * * *"}, 100, day(1), false},
	} {
		t.Run(name, func(t *testing.T) {
			r := rule(t, test.said)
			if got := r.Due(test.size, r.Next(begun), test.now); got != test.want {
				t.Errorf("due: %v", got)
			}
		})
	}
	if got := rule(t, nightly).Next(begun); !got.Equal(day(1)) {
		t.Errorf("next at %v, want %v", got, day(1))
	}
	if got := rule(t, size).Next(begun); !got.IsZero() {
		t.Errorf("next at %v, want never", got)
	}
}

func TestNamesOfRotatedFiles(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.Local)
	for path, want := range map[string]string{
		"/l/api-out.log":      "/l/api-out__2026-11-22_10-00-00.log",
		"/l/api-out-0.log":    "/l/api-out-0__2026-11-22_10-00-00.log",
		"/l/my app  out.log":  "/l/my app  out__2026-11-22_10-00-00.log",
		"/l/out":              "/l/out__2026-11-22_10-00-00",
		"/l/.log":             "/l/.log__2026-11-22_10-00-00",
		"/l/a.b/out":          "/l/a.b/out__2026-11-22_10-00-00",
		"/l/out.1":            "/l/out.1__2026-11-22_10-00-00",
		"/l/out.":             "/l/out.__2026-11-22_10-00-00",
		"/l/out.gz":           "/l/out__2026-11-22_10-00-00.gz",
		"/l/out.tmp":          "/l/out__2026-11-22_10-00-00.tmp",
		"/l/[a]*?.log":        "/l/[a]*?__2026-11-22_10-00-00.log",
		"/l/a__b__.log":       "/l/a__b____2026-11-22_10-00-00.log",
		"/l/a\n\xff__2026.og": "/l/a\n\xff__2026__2026-11-22_10-00-00.og",
	} {
		r := rule(t, &api.Rotation{})
		taken := map[string]bool{}
		got := []string{}
		for _, ending := range []string{"", ".gz", ".zst", ""} {
			name := r.Name(path, now, func(name string) bool { return taken[name] })
			taken[name+ending] = true
			got = append(got, name)
		}
		stem, ext := cutExt(path)
		second := strings.TrimSuffix(want, ext)
		if diff := cmp.Diff(got, []string{want, second + ".123" + ext, second + ".123456" + ext, second + ".123456789" + ext}); diff != "" {
			t.Errorf("%q: got (-), want (+):\n%s", path, diff)
		}
		if stem+ext != path {
			t.Errorf("%q was cut into %q and %q", path, stem, ext)
		}
		for _, name := range got {
			checkParsed(t, path, name)
		}
	}
}

func checkParsed(t interface{ Errorf(string, ...any) }, path, name string) {
	for _, e := range methods {
		want := Part{Path: name + e.ending, Log: path, Method: e.name}
		if got, ok := Parse(path, want.Path); !ok || got != want {
			t.Errorf("%q is %+v, %v of %q; want %+v", want.Path, got, ok, path, want)
		}
		if got := want.Plain(); got != name {
			t.Errorf("%q was %q before it was compressed; want %q", want.Path, got, name)
		}
		want.Path, want.Half = want.Path+HalfEnding, true
		if got, ok := Parse(path, want.Path); ok != (e.name != "") || ok && got != want {
			t.Errorf("%q is %+v, %v of %q; want %+v", want.Path, got, ok, path, want)
		}
	}
}

func TestWhatIsNoRotatedFile(t *testing.T) {
	const path = "/l/api.log"
	for _, name := range []string{
		path, "/l/api__.log", "/l/api__worker.log", "/l/api__1.log", "/l/api__2026.log", "/l/api__2026-11-22",
		"/l/api__2026-11-22.txt", "/l/api__2026-11-22.log.bz2", "/l/api__2026-11-22.log.tmp", "/l/api__2026-11-22.log.gz.gz",
		"/l/api__2026-11-22_10-00-00_.log", "/l/api__-2026-11-22.log", "/l/api__2026-11-22__2026-11-22.log", "/l/api-2026-11-22.log",
		"/l/api2__2026-11-22.log", "/m/api__2026-11-22.log", "/l/api__2026/11.log", "/l/.log", "/l/api.log.gz",
	} {
		if p, ok := Parse(path, name); ok {
			t.Errorf("%q is taken for %+v of %q", name, p, path)
		}
	}
}

func TestNamesAreNewAndKnownAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.OneOf(
			rapid.StringMatching(`[a-c_.0-9]{1,6}(\.log|\.gz|\.zst|\.tmp|)`),
			rapid.StringMatching(`[^/\x00]{1,12}`),
		).Filter(func(s string) bool { return s != "." && s != ".." }).Draw(t, "base")
		path := filepath.Join("/logs", base)
		at := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanosecond"))
		r, err := New(api.Rotation{DateFormat: rapid.SampledFrom([]string{"", "YYYY-MM", "DD.MM.YYYY", "YYYYMMDD"}).Draw(t, "format")})
		if err != nil {
			t.Fatal(err)
		}
		taken := map[string]bool{path: true}
		for range rapid.IntRange(1, 12).Draw(t, "rotations") {
			name := r.Name(path, at, func(name string) bool { return taken[name] })
			if filepath.Dir(name) != "/logs" {
				t.Fatalf("%q leads away", name)
			}
			checkParsed(t, path, name)
			for _, e := range methods {
				if taken[name+e.ending] {
					t.Fatalf("%q is taken", name+e.ending)
				}
			}
			taken[name+rapid.SampledFrom(methods).Draw(t, "ending").ending] = true
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "later")))
		}
		if p, ok := Parse(path, path); ok {
			t.Fatalf("the log itself is taken for %+v", p)
		}
	})
}

func TestPartsOfOneSecondAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := "/logs/out" + rapid.SampledFrom([]string{".log", ""}).Draw(t, "ext")
		r, _ := New(api.Rotation{MaxSize: 100 << 20, Retain: 10})
		at := time.Unix(1e9, 0)
		taken := map[string]bool{}
		var parts []Part
		for range rapid.IntRange(2, 20).Draw(t, "rotations") {
			at = at.Add(time.Duration(rapid.Int64Range(1, int64(time.Second)/20).Draw(t, "later")))
			name := r.Name(path, at, func(name string) bool { return taken[name] })
			taken[name] = true
			p, _ := Parse(path, name+rapid.SampledFrom(methods).Draw(t, "ending").ending)
			parts = append(parts, p) // and the clock of the file system stands still
		}
		if !slices.IsSortedFunc(parts, Part.Compare) {
			t.Fatalf("out of order: %+v", parts)
		}
	})
}

func TestExpired(t *testing.T) {
	now := time.Unix(1e9, 0)
	rapid.Check(t, func(t *rapid.T) {
		limit := func(name string, most int64) int64 { return rapid.Int64Range(-1, most).Draw(t, name) }
		r := Rule{Rotation: api.Rotation{
			Retain: int(limit("retain", 5)), MaxAge: limit("age", 20) * 1000, TotalCap: limit("cap", 30),
		}}
		var list []Part
		for i := range rapid.IntRange(0, 12).Draw(t, "parts") {
			log := rapid.SampledFrom([]string{"/a", "/b"}).Draw(t, "log")
			list = append(list, Part{
				Path: log + string(rune('a'+i)), Log: log, Size: rapid.Int64Range(0, 9).Draw(t, "size"),
				Last: now.Add(-time.Duration(rapid.Int64Range(0, 25).Draw(t, "age")) * time.Second),
			})
		}
		expired := r.Expired(list, now)
		gone := func(p Part) bool { return slices.Contains(expired, p) }
		slices.SortFunc(list, Part.Compare)
		var inOrder []Part
		for _, p := range list {
			if gone(p) {
				inOrder = append(inOrder, p)
			}
		}
		if !slices.Equal(expired, inOrder) {
			t.Fatalf("%v, which is not oldest first", expired)
		}
		if broken := r.broken(slices.DeleteFunc(slices.Clone(list), gone), now); broken != "" {
			t.Fatalf("what is left has %s", broken)
		}
		for i, p := range list {
			// With all that is newer, it was too much already.
			if gone(p) && r.broken(list[i:], now) == "" {
				t.Fatalf("%+v is not to be kept, though nothing would be too much", p)
			}
		}
	})
}

// broken says which limit a list of parts breaks.
func (r Rule) broken(list []Part, now time.Time) string {
	count := map[string]int{}
	var size int64
	for _, p := range list {
		count[p.Log]++
		size += p.Size
		if r.MaxAge > 0 && now.Sub(p.Last).Milliseconds() > r.MaxAge {
			return "one too old"
		}
		if r.Retain > 0 && count[p.Log] > r.Retain {
			return "too many of " + p.Log
		}
	}
	if r.TotalCap > 0 && size > r.TotalCap {
		return "too much"
	}
	return ""
}
