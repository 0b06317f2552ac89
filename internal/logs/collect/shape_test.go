package collect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tend/internal/dayjs"
)

// noon is a time for tests, an hour east of Greenwich.
var noon = time.Date(2026, time.November, 22, 12, 0, 0, 7e6, time.FixedZone("CET", 3600))

func TestShapeThatChangesNothingNeedsNoShaper(t *testing.T) {
	for name, tt := range map[string]struct {
		shape  Shape
		needed bool
	}{
		"the zero value":          {Shape{}, false},
		"who says it":             {Shape{Type: "out", ID: 3, App: "api"}, false},
		"a rate below nothing":    {Shape{Rate: -1}, false},
		"a date":                  {Shape{Date: "HH:mm"}, true},
		"JSON":                    {Shape{JSON: true}, true},
		"a rate":                  {Shape{Rate: 1}, true},
		"a date that says little": {Shape{Date: " "}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := newShaper(tt.shape) != nil; got != tt.needed {
				t.Errorf("a shaper was made: %v, want %v", got, tt.needed)
			}
		})
	}
}

func TestShape(t *testing.T) {
	dated := Shape{Date: "HH:mm:ss"}
	object := Shape{JSON: true, Type: "out", ID: 3, App: "js"}
	iso := `","timestamp":"2026-11-22T11:00:00.007Z","type":"out","process_id":3,"app_name":"js"}` + "\n"
	for name, tt := range map[string]struct {
		shape      Shape
		in         []string
		want       string
		wantMiddle bool
	}{
		"each line gets the time":                {dated, []string{"a\nb\n"}, "12:00:00: a\n12:00:00: b\n", false},
		"an empty line gets it too":              {dated, []string{"\n"}, "12:00:00: \n", false},
		"no line gets it twice":                  {dated, []string{"a", "b", "\n"}, "12:00:00: ab\n", false},
		"a line that has not ended is said so":   {dated, []string{"a\nb"}, "12:00:00: a\n12:00:00: b", true},
		"nothing leaves a line as it was":        {dated, []string{"a", ""}, "12:00:00: a", true},
		"nothing begins no line":                 {dated, []string{""}, "", false},
		"an end of line that comes by itself":    {dated, []string{"a", "\n", "b\n"}, "12:00:00: a\n12:00:00: b\n", false},
		"ends of lines stay as they are":         {dated, []string{"a\r\nb\r"}, "12:00:00: a\r\n12:00:00: b\r", true},
		"any bytes pass":                         {dated, []string{"\x00\xff\xfe\n"}, "12:00:00: \x00\xff\xfe\n", false},
		"a line of JSON has PM2's fields":        {object, []string{"tick 0\n"}, `{"message":"tick 0\n` + iso, false},
		"each line is an object":                 {object, []string{"a\nb\n"}, `{"message":"a\n` + iso + `{"message":"b\n` + iso, false},
		"a piece of a line is one of its own":    {object, []string{"a", "b\n"}, `{"message":"a` + iso + `{"message":"b\n` + iso, false},
		"a last line may have no end":            {object, []string{"a"}, `{"message":"a` + iso, true},
		"what JSON needs escaped is":             {object, []string{"\"\\\b\f\r\t\x00\x1f\n"}, `{"message":"\"\\\b\f\r\t\u0000\u001f\n` + iso, false},
		"and nothing else":                       {object, []string{"</a>&'é\u2028😀\x7f\n"}, `{"message":"</a>&'é` + "\u2028😀\x7f" + `\n` + iso, false},
		"no UTF-8 is a replacement character":    {object, []string{"a\xffb\xe2\x82\n"}, `{"message":"a` + "\ufffdb\ufffd\ufffd" + `\n` + iso, false},
		"JSON has the time as the app wants it":  {Shape{JSON: true, Date: "[at \"]H"}, []string{"a\n"}, `{"message":"a\n","timestamp":"at \"12","type":"","process_id":0,"app_name":""}` + "\n", false},
		"names are escaped":                      {Shape{JSON: true, Date: "H", Type: "err", ID: -1, App: "a\"b"}, []string{"\n"}, `{"message":"\n","timestamp":"12","type":"err","process_id":-1,"app_name":"a\"b"}` + "\n", false},
		"more lines than the rate are dropped":   {Shape{Rate: 2}, []string{"1\n2\n3\n4\n"}, "1\n2\n", false},
		"a dropped line is dropped to its end":   {Shape{Rate: 1}, []string{"1\n2", "2", "2\n"}, "1\n", false},
		"a line that passes does to its end":     {Shape{Rate: 1}, []string{"1", "1", "1\n2"}, "111\n", true},
		"a rate alone changes nothing in a line": {Shape{Rate: 9}, []string{"\xff\r\n\x00"}, "\xff\r\n\x00", true},
		"a rate that nothing exceeds":            {Shape{Rate: 1 << 62}, []string{"1\n2\n"}, "1\n2\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShaper(tt.shape)
			got, middle := shapeAll(s, tt.in, noon)
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("%q came out otherwise (-want +got):\n%s", tt.in, diff)
			}
			if middle != tt.wantMiddle {
				t.Errorf("%q ends within a line: %v, want %v", tt.in, middle, tt.wantMiddle)
			}
		})
	}
}

// shapeAll is what a shaper makes of chunks that come at one time.
func shapeAll[T string | []byte](s *shaper, chunks []T, now time.Time) (out []byte, middle bool) {
	for _, chunk := range chunks {
		out, middle = s.append(out, []byte(chunk), now, middle)
	}
	return out, middle
}

func TestShapeAddsToWhatIsThere(t *testing.T) {
	got, _ := newShaper(Shape{Date: "H"}).append([]byte("before "), []byte("a\n"), noon, false)
	if want := "before 12: a\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestShapeFollowsTheClock(t *testing.T) {
	for _, format := range []string{"HH:mm:ss.SSS", "HH:mm:ss", "HH:mm", "X", "[none]"} {
		for _, object := range []bool{false, true} {
			t.Run(fmt.Sprint(format, object), func(t *testing.T) {
				s := newShaper(Shape{Date: format, JSON: object})
				rapid.Check(t, func(t *rapid.T) {
					step := time.Duration(rapid.Int64Range(-int64(time.Minute), int64(time.Minute)).Draw(t, "step"))
					now := noon.Add(step)
					got, _ := s.append(nil, []byte("a\n"), now, false)
					want := string(dayjs.Parse(format).Append(nil, now))
					if object {
						want = `","timestamp":"` + want + `"`
					} else {
						want += ": a"
					}
					if !strings.Contains(string(got), want) {
						t.Fatalf("at %v got %q, which does not say %q", now, got, want)
					}
				})
			})
		}
	}
}

func TestJSONTellsTheTimeInUTC(t *testing.T) {
	s := newShaper(Shape{JSON: true})
	for _, step := range []time.Duration{0, 13 * time.Hour, time.Millisecond} {
		now := noon.Add(step)
		got, _ := s.append(nil, []byte("a\n"), now, false)
		if want := now.UTC().Format(`"timestamp":"2006-01-02T15:04:05.000Z"`); !bytes.Contains(got, []byte(want)) {
			t.Errorf("at %v got %s, which does not have %s", now, got, want)
		}
	}
}

// someLines are bytes with many ends of lines, and much that JSON escapes.
func someLines(t *rapid.T) []byte {
	pieces := rapid.SliceOfN(rapid.OneOf(
		rapid.SampledFrom([]string{"\n", "\n", "\n\n", "\r\n", "\x00", "\"", `\`, "é", "\xc3", "\xa9", "\u2028", "\ufffd", "12: "}),
		rapid.StringN(0, 20, -1),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) }),
	), 0, 30).Draw(t, "output")
	return []byte(strings.Join(pieces, ""))
}

// inChunks are the bytes as a reader might get them.
func inChunks(t *rapid.T, b []byte) (chunks [][]byte) {
	for len(b) > 0 {
		n := rapid.IntRange(0, min(len(b), 40)).Draw(t, "chunk")
		chunks = append(chunks, b[:n])
		b = b[n:]
	}
	return chunks
}

func TestChunksMakeNoDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := Shape{
			Date: rapid.SampledFrom([]string{"", "HH:mm:ss", "[\n]"}).Draw(t, "date"),
			Rate: rapid.Int64Range(0, 8).Draw(t, "rate"),
		}
		if shape.Date == "" {
			shape.Rate++
		}
		data := someLines(t)
		whole, parts := newShaper(shape), newShaper(shape)
		want, wantMiddle := shapeAll(whole, [][]byte{data}, noon)
		got, middle := shapeAll(parts, inChunks(t, data), noon)
		if !bytes.Equal(got, want) || middle != wantMiddle {
			t.Fatalf("in chunks %q, %v; at once %q, %v", got, middle, want, wantMiddle)
		}
		if got, want := string(parts.note(noon)), string(whole.note(noon)); got != want {
			t.Fatalf("in chunks %q is noted; at once %q", got, want)
		}
	})
}

func TestNothingIsLostBehindDates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := someLines(t)
		got, middle := shapeAll(newShaper(Shape{Date: "HH"}), inChunks(t, data), noon)
		checkDated(t, got, data, middle)
	})
}

// checkDated holds output with "12: " before each line to what it was made of.
func checkDated(t rapid.TB, got, data []byte, middle bool) {
	t.Helper()
	var back []byte
	for line := range bytes.Lines(got) {
		rest, ok := bytes.CutPrefix(line, []byte("12: "))
		if !ok {
			t.Fatalf("the line %q has no time before it", line)
		}
		back = append(back, rest...)
	}
	if !bytes.Equal(back, data) {
		t.Fatalf("without the times it is %q, want %q", back, data)
	}
	if want := len(data) > 0 && data[len(data)-1] != '\n'; middle != want {
		t.Fatalf("%q ends within a line: %v, want %v", data, middle, want)
	}
}

func TestNothingIsLostInJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := Shape{JSON: true, Date: rapid.String().Draw(t, "date"), Type: "out", ID: rapid.Int().Draw(t, "id"), App: rapid.String().Draw(t, "app")}
		chunks := inChunks(t, someLines(t))
		got, _ := shapeAll(newShaper(shape), chunks, noon)
		checkJSON(t, got, shape, chunks)
	})
}

// message is a line of a file of JSON.
type message struct {
	Message string `json:"message"`
	Time    string `json:"timestamp"`
	Type    string `json:"type"`
	ID      int    `json:"process_id"`
	App     string `json:"app_name"`
}

// checkJSON holds lines of JSON to what they were made of.
func checkJSON(t rapid.TB, got []byte, shape Shape, chunks [][]byte) {
	t.Helper()
	format := shape.Date
	at := noon
	if format == "" {
		format, at = isoUTC, noon.UTC()
	}
	date := string(dayjs.Parse(format).Append(nil, at))
	for _, chunk := range chunks {
		for piece := range bytes.Lines(chunk) {
			line, rest, _ := bytes.Cut(got, []byte("\n"))
			got = rest
			want := message{valid(piece), valid([]byte(date)), valid([]byte(shape.Type)), shape.ID, valid([]byte(shape.App))}
			var m message
			if err := json.Unmarshal(line, &m); err != nil {
				t.Fatalf("%q of %q: %v", line, piece, err)
			}
			if m != want {
				t.Fatalf("%q says %+v, want %+v", line, m, want)
			}
		}
	}
	if len(got) > 0 {
		t.Fatalf("%q is there too", got)
	}
}

// valid is b with U+FFFD for each byte that is no UTF-8.
func valid(b []byte) string { return string([]rune(string(b))) }

func TestEscapesAreThoseOfJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := someLines(t)
		got := append(appendEscaped([]byte{'"'}, text), '"')
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(string(text)); err != nil {
			t.Fatal(err)
		}
		if len(got) > want.Len()-len("\n") {
			t.Fatalf("%q is longer than encoding/json's %q", got, want.Bytes())
		}
		var back string
		if err := json.Unmarshal(got, &back); err != nil || back != valid(text) {
			t.Fatalf("%q reads as %q, %v; want %q", got, back, err, text)
		}
	})
}

func TestEachByteIsEscapedWhereverItStands(t *testing.T) {
	for c := range 256 {
		for place := range 17 {
			text := bytes.Repeat([]byte("~"), 17)
			text[place] = byte(c)
			got := append(appendEscaped([]byte{'"'}, text), '"')
			var back string
			if err := json.Unmarshal(got, &back); err != nil || back != valid(text) || !utf8.Valid(got) {
				t.Errorf("%q reads as %q, %v; want %q", got, back, err, text)
			}
		}
	}
}

func TestDropsAreNoted(t *testing.T) {
	const note = "[tend] 2 lines dropped: more than 2 a second\n"
	for name, tt := range map[string]struct {
		shape Shape
		want  string
	}{
		"as they are": {Shape{Rate: 2}, note},
		"with a time": {Shape{Rate: 2, Date: "HH"}, "12: " + note},
		"in JSON": {
			Shape{Rate: 2, Date: "HH", JSON: true, Type: "err", ID: 1, App: "a"},
			`{"message":"[tend] 2 lines dropped: more than 2 a second\n","timestamp":"12","type":"err","process_id":1,"app_name":"a"}` + "\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShaper(tt.shape)
			flood := func(now time.Time) string {
				out, _ := s.append(nil, []byte("1\n2\n3\n4\n"), now, false)
				return string(out)
			}
			if got := string(s.note(noon)); got != "" {
				t.Errorf("before anything was dropped, %q was noted", got)
			}
			first := flood(noon)
			if got := flood(noon.Add(time.Second)); got != tt.want+first {
				t.Errorf("when lines pass again, got %q; want %q", got, tt.want+first)
			}
			if got := string(s.note(noon)); got != tt.want {
				t.Errorf("when asked, got %q; want %q", got, tt.want)
			}
			if got := string(s.note(noon)); got != "" {
				t.Errorf("%q was noted twice", got)
			}
		})
	}
}

func TestOneDropIsOneLine(t *testing.T) {
	s := newShaper(Shape{Rate: 1})
	s.append(nil, []byte("1\n2\n"), noon, false)
	if got, want := string(s.note(noon)), "[tend] 1 line dropped: more than 1 a second\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRestOfALineFromBeforePasses(t *testing.T) {
	s := newShaper(Shape{Rate: 1, Date: "HH"})
	got, _ := s.append(nil, []byte("rest\n1\n2\n"), noon, true)
	if want := "rest\n12: 1\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNoLinesPassBeforeASecondsWorthMay(t *testing.T) {
	s := newShaper(Shape{Rate: 10})
	flood := []byte(strings.Repeat("a\n", 100))
	for i, want := range []int{10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10 + 1, 0} {
		got, _ := s.append(nil, flood, noon.Add(time.Duration(i)*time.Second/10), false)
		if n := bytes.Count(got, []byte("\n")); n != want {
			t.Errorf("after %d tenths of a second %d lines came out, want %d", i, n, want)
		}
	}
}

func TestClockThatIsSetBackStopsNothing(t *testing.T) {
	s := newShaper(Shape{Rate: 1})
	for i := range 10 {
		now := noon.Add(-time.Duration(i) * time.Hour)
		s.append(nil, []byte("a\n"), now, false)
		s.note(now)
		got, _ := s.append(nil, []byte("a\n"), now.Add(time.Second), false)
		if want := "a\n"; string(got) != want {
			t.Fatalf("at %v got %q, want %q", now, got, want)
		}
		s.note(now)
	}
}

// TestEachLineIsThereOrCounted sends numbered lines at any pace. Between two
// that passed, the notes have to count those that are missing.
func TestEachLineIsThereOrCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Int64Range(1, 20).Draw(t, "rate")
		s := newShaper(Shape{Rate: rate})
		var in, out []byte
		now := noon
		var middle bool
		lines := rapid.IntRange(0, 200).Draw(t, "lines")
		for i := range lines {
			in = append(strconv.AppendInt(in, int64(i), 10), '\n')
		}
		for _, chunk := range inChunks(t, in) {
			out, middle = s.append(out, chunk, now, middle)
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "pause")))
			if rapid.IntRange(0, 4).Draw(t, "ask") == 0 {
				out = append(out, s.note(now)...)
			}
		}
		out = append(out, s.note(now)...)

		next, passed := 0, 0
		for line := range strings.Lines(string(out)) {
			var n int
			if _, err := fmt.Sscanf(line, "[tend] %d", &n); err == nil {
				next += n
				continue
			}
			if want := strconv.Itoa(next) + "\n"; line != want {
				t.Fatalf("got %q, want %q, in:\n%s", line, want, out)
			}
			next++
			passed++
		}
		if next != lines {
			t.Fatalf("%d lines passed or were counted, %d were sent:\n%s", next, lines, out)
		}
		if most := float64(rate) * (1 + now.Sub(noon).Seconds()); float64(passed) > most {
			t.Fatalf("%d lines passed, at %d a second %v may", passed, rate, most)
		}
	})
}

// TestLinesWithinTheRatePass sends less than the rate allows, at any pace.
func TestLinesWithinTheRatePass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Int64Range(1, 20).Draw(t, "rate")
		s := newShaper(Shape{Rate: rate})
		now := noon
		for range rapid.IntRange(40, 200).Draw(t, "lines") {
			out, _ := s.append(nil, []byte("a\n"), now, false)
			if string(out) != "a\n" {
				t.Fatalf("at %v got %q", now, out)
			}
			// Rounded up, so that no line comes too early.
			now = now.Add((time.Second + time.Duration(rate-1)) / time.Duration(rate))
		}
	})
}

func FuzzDatedLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\n\x00\xff"), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		got, middle := shapeAll(newShaper(Shape{Date: "HH"}), cut(data, size), noon)
		checkDated(t, got, data, middle)
	})
}

func FuzzLinesOfJSON(f *testing.F) {
	f.Add([]byte("a\n\"\\\r\n\n\x00\xff\xe2\x82\xac\u2028"), uint8(3), "YYYY [\"]", "js\n")
	f.Fuzz(func(t *testing.T, data []byte, size uint8, date, app string) {
		shape := Shape{JSON: true, Date: date, Type: "err", ID: 7, App: app}
		chunks := cut(data, size)
		got, _ := shapeAll(newShaper(shape), chunks, noon)
		checkJSON(t, got, shape, chunks)
	})
}

// cut cuts data into chunks of a size.
func cut(data []byte, size uint8) (chunks [][]byte) {
	for len(data) > 0 {
		n := min(int(size)+1, len(data))
		chunks = append(chunks, data[:n])
		data = data[n:]
	}
	return chunks
}

// shapes are those whose cost matters.
var shapes = map[string]Shape{
	"date":          {Date: "YYYY-MM-DDTHH:mm:ss"},
	"date with ms":  {Date: "YYYY-MM-DD HH:mm:ss.SSS Z"},
	"json":          {JSON: true, Type: "out", ID: 3, App: "api"},
	"rate":          {Rate: 1000},
	"rate and date": {Rate: 1000, Date: "YYYY-MM-DDTHH:mm:ss"},
}

// block is 64 KiB of lines of 100 bytes.
// lineSize is how long a line of output is where it is measured.
const lineSize = 100

func block() []byte {
	line := []byte(fmt.Sprintf("%-*s\n", lineSize-1, `GET /some/path?q="x" HTTP/1.1 200 é`))
	return bytes.Repeat(line, blockSize/len(line))
}

func TestShapingAllocatesNothing(t *testing.T) {
	data := block()
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			s, now := newShaper(shape), noon
			out := make([]byte, 0, 4*len(data))
			got := testing.AllocsPerRun(100, func() {
				now = now.Add(300 * time.Millisecond)
				s.append(out, data, now, false)
			})
			if got != 0 {
				t.Errorf("a block allocates %v times", got)
			}
		})
	}
}

func BenchmarkShape(b *testing.B) {
	data := block()
	lines := bytes.Count(data, []byte("\n"))
	for name, shape := range shapes {
		b.Run(name, func(b *testing.B) {
			s, now := newShaper(shape), noon
			out := make([]byte, 0, 4*len(data))
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				now = now.Add(100 * time.Microsecond)
				s.append(out, data, now, false)
			}
			b.ReportMetric(float64(lines*b.N)/b.Elapsed().Seconds()/1e6, "Mlines/s")
		})
	}
}
