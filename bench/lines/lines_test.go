package lines

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tend/internal/testkit"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Word {
		os.Exit(Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func TestLinesAreAsLongAsTheySay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream, n := rapid.IntRange(0, 255).Draw(t, "stream"), rapid.Uint64Range(1, 1e12-1).Draw(t, "n")
		length := rapid.OneOf(rapid.IntRange(Least, 300), rapid.Just(Mixed(n)), rapid.Just(99_999)).Draw(t, "length")
		line := Append(nil, stream, n, length)
		if len(line) != length || bytes.IndexByte(line, '\n') != length-1 {
			t.Fatalf("%d bytes, want %d and a line feed at the end: %.200q", len(line), length, line)
		}
		if s, m, ok := parse(line[:length-1]); s != stream || m != n || !ok {
			t.Fatalf("parsed as line %d of stream %d, %v", m, s, ok)
		}
		at := rapid.IntRange(0, length-2).Draw(t, "at")
		line[at] ^= 1
		if _, _, ok := parse(line[:length-1]); ok {
			t.Fatalf("with a wrong byte at %d it passes as well", at)
		}
	})
}

const now = "2026-01-02T03:04:05: "

// text is lines of stream 1, each with a prefix.
func text(prefix string, numbers ...uint64) string {
	var b []byte
	for _, n := range numbers {
		b = append(b, prefix...)
		b = Append(b, 1, n, Usual)
	}
	return string(b)
}

func TestCheck(t *testing.T) {
	three := text("", 1, 2, 3)
	for name, tt := range map[string]struct {
		text  string
		dated bool
		made  uint64
		want  Tally
		scrap int
	}{
		"nothing":                        {"", false, 2, Tally{Lost: 2}, 0},
		"all":                            {three, false, 3, Tally{Whole: 3}, 0},
		"one lost":                       {text("", 1, 3), false, 3, Tally{Whole: 2, Lost: 1}, 0},
		"the last lost":                  {three, false, 4, Tally{Whole: 3, Lost: 1}, 0},
		"one again":                      {text("", 1, 2, 2, 3), false, 3, Tally{Whole: 3, Repeated: 1}, 0},
		"a block again":                  {text("", 1, 2, 1, 2, 3), false, 3, Tally{Whole: 3, Repeated: 2}, 0},
		"one too late":                   {text("", 2, 1, 3), false, 3, Tally{Whole: 3, Disordered: 1}, 0},
		"a line feed too many":           {three[:150] + "\n" + three[150:], false, 3, Tally{Whole: 2, Broken: 1}, 0},
		"a line feed missing":            {three[:199] + three[200:], false, 3, Tally{Whole: 1, Broken: 2}, 0},
		"no line feed at the end":        {three[:299], false, 3, Tally{Whole: 2, Broken: 1}, 0},
		"a piece missing":                {three[:150] + three[160:], false, 3, Tally{Whole: 2, Lost: 1}, 1},
		"a piece missing over the end":   {three[:150] + three[210:], false, 3, Tally{Whole: 1, Lost: 2}, 1},
		"a piece again":                  {three[:160] + three[150:], false, 3, Tally{Whole: 2, Lost: 1}, 1},
		"a torn write done again":        {three[:150] + three[100:], false, 3, Tally{Whole: 2, Broken: 1}, 1},
		"the end of a line again":        {three[:200] + three[150:], false, 3, Tally{Whole: 3}, 1},
		"an empty line":                  {three[:100] + "\n" + three[100:], false, 3, Tally{Whole: 3}, 1},
		"a hole":                         {three[:200] + "\x00\x00" + three[200:], false, 3, Tally{Whole: 2, Broken: 1}, 1},
		"something else":                 {three[:200] + "rotated\n" + three[200:], false, 3, Tally{Whole: 3}, 1},
		"a time that was not asked for":  {text(now, 1), false, 1, Tally{Broken: 1}, 0},
		"with a time":                    {text(now, 1, 2), true, 2, Tally{Whole: 2}, 0},
		"without the time":               {text("", 1, 2), true, 2, Tally{Broken: 2}, 0},
		"with two times":                 {text(now+now, 1), true, 1, Tally{Broken: 1}, 0},
		"with a time in the middle":      {now + three[:40] + now + three[40:100], true, 1, Tally{Broken: 1}, 0},
		"with a time in the number":      {now + three[:9] + now + three[9:100], true, 1, Tally{Broken: 1}, 0},
		"broken, each half with a time":  {now + three[:40] + "\n" + now + three[40:100] + text(now, 2), true, 2, Tally{Whole: 1, Broken: 1}, 0},
		"with half a time before a line": {now[:10] + text(now, 1), true, 1, Tally{Broken: 1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := Check{Dated: tt.dated}
			if err := c.Read(strings.NewReader(tt.text)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, c.Tally(1, tt.made)); diff != "" || c.Scraps != tt.scrap {
				t.Errorf("%d scraps, want %d (-want +got):\n%s%q", c.Scraps, tt.scrap, diff, c.Seen)
			}
		})
	}
}

func TestStreamsAreCountedApart(t *testing.T) {
	var both []byte
	for n := uint64(1); n <= 200; n++ {
		both = Append(both, 1, n, Mixed(n))
		if n != 130 {
			both = Append(both, 2, n, Usual)
		}
	}
	var c Check
	if err := c.Read(bytes.NewReader(both)); err != nil {
		t.Fatal(err)
	}
	got := []Tally{c.Tally(1, 200), c.Tally(2, 200), c.Tally(3, 1)}
	if diff := cmp.Diff([]Tally{{Whole: 200}, {Whole: 199, Lost: 1}, {Lost: 1}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestALogIsReadWithWhatWasRotated(t *testing.T) {
	dir := t.TempDir()
	var small bytes.Buffer
	w := gzip.NewWriter(&small)
	if _, err := w.Write([]byte(text("", 1, 2))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "api-out.log")
	for path, text := range map[string]string{
		log: text("", 6),
		filepath.Join(dir, "api-out__2026-01-02_03-04-05.log.gz"):     small.String(),
		filepath.Join(dir, "api-out__2026-01-02_03-04-05.12.log"):     text("", 3),
		filepath.Join(dir, "api-out__2026-01-02_03-04-06.log"):        text("", 4, 5),
		filepath.Join(dir, "api-out__2026-01-02_03-04-06.log.gz"):     "the copy of it, by one who died",
		filepath.Join(dir, "api-out__2026-01-02_03-04-06.log.gz.tmp"): "half a copy",
		filepath.Join(dir, "api-out-1.log"):                           "another's",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var c Check
	if err := c.ReadLog(log); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Tally{Whole: 6}, c.Tally(1, 6)); diff != "" {
		t.Errorf("(-want +got):\n%s%q", diff, c.Seen)
	}
}

func TestWhatIsCompressedAfterItWasListedIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api-out__2026-01-02_03-04-05.log")
	f, err := os.Create(path + packed)
	if err != nil {
		t.Fatal(err)
	}
	w := gzip.NewWriter(f)
	_, err = w.Write([]byte(text("", 1)))
	if err := errors.Join(err, w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); string(got) != text("", 1) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestWriter(t *testing.T) {
	for name, tt := range map[string]struct {
		writer   Writer
		instance string
		stop     bool
		stream   int
		made     uint64 // 0: some
	}{
		"writes as many as it is told":        {Writer{Stream: 3, Lines: 1000, Length: Usual, Chunk: 64 << 10}, "", false, 3, 1000},
		"writes each line at once":            {Writer{Stream: 3, Lines: 1000}, "", false, 3, 1000},
		"has a stream for each instance":      {Writer{Stream: 3, Lines: 100}, "2", false, 5, 100},
		"keeps to a rate":                     {Writer{Stream: 1, Lines: 300, Rate: 3000}, "", false, 1, 300},
		"ends with a whole line when stopped": {Writer{Stream: 1, Chunk: 64 << 10}, "", true, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tt.writer.Gate, tt.writer.Reports = filepath.Join(dir, "gate"), dir
			gate, err := NewGate(tt.writer.Gate)
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(dir, "out.log")
			f, err := os.Create(out)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			cmd := exec.Command(os.Args[0], tt.writer.Args()...)
			cmd.Env = append(os.Environ(), "NODE_APP_INSTANCE="+tt.instance)
			cmd.Stdout, cmd.Stderr = f, os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { cmd.Process.Kill(); cmd.Wait() }()

			wait := func(what string, fact func(Report) bool) (r Report) {
				testkit.WaitFor(t, 20*time.Second, "it is "+what, func() (ok bool) {
					var err error
					if r, err = ReadReport(dir, tt.stream); err != nil {
						t.Fatal(err)
					}
					return fact(r)
				})
				return r
			}
			wait("ready", func(r Report) bool { return r.Ready })
			if fi, err := f.Stat(); err != nil || fi.Size() > 0 {
				t.Fatalf("it did not wait at the gate: %d bytes, error %v", fi.Size(), err)
			}
			if err := gate.Open(); err != nil {
				t.Fatal(err)
			}
			if tt.stop {
				wait("writing", func(r Report) bool { return !r.Began.IsZero() })
				if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
					t.Fatal(err)
				}
			}
			r := wait("done", func(r Report) bool { return !r.Ended.IsZero() })
			if tt.made != 0 && r.Wrote != tt.made || !r.Ended.After(r.Began) {
				t.Errorf("report %+v, want %d lines", r, tt.made)
			}
			if rate := tt.writer.Rate; rate > 0 {
				if took, least := r.Ended.Sub(r.Began), time.Second*time.Duration(tt.made-1)/time.Duration(rate); took < least || r.Slowest == 0 {
					t.Errorf("report %+v: %v, want at least %v and the slowest write", r, took, least)
				}
			}
			var c Check
			if err := c.ReadLog(out); err != nil {
				t.Fatal(err)
			}
			if got := c.Tally(tt.stream, r.Wrote); got != (Tally{Whole: int(r.Wrote)}) || c.Scraps > 0 {
				t.Errorf("of %d lines: %+v, %d scraps, %q", r.Wrote, got, c.Scraps, c.Seen)
			}
		})
	}
}

func TestAWriterThatWasStartedTwiceIsFoundOut(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(reportPath(dir, 1), []byte("ready\nbegan 7\nready\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := ReadReport(dir, 1); err == nil {
		t.Errorf("report %+v and no error", r)
	}
}
