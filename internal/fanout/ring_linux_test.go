package fanout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"tend/api"
	"tend/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(writerVar) != "" {
		fmt.Fprintln(os.Stderr, write())
		os.Exit(1)
	}
	testkit.Main(m, func() error { return goleak.Find() })
}

// tester is a test, or a run of rapid.
type tester interface {
	Helper()
	Fatal(args ...any)
	Cleanup(f func())
}

// memory is what a ring lives in, closed at the end of the test.
func memory(t tester, size int) int {
	t.Helper()
	fd, err := Create(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// open opens what is expected to be sound.
func open(t tester, fd int) *Ring {
	t.Helper()
	var warned bytes.Buffer
	r, err := Open(fd, slog.New(slog.NewTextHandler(&warned, nil)))
	if err != nil || warned.Len() > 0 {
		t.Fatal("open: ", err, warned.String())
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// rest is everything that rd has at once.
func rest(t tester, rd *Reader) (all []api.Notice) {
	t.Helper()
	for rd.Behind() {
		n, err := rd.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

func seqs(all []api.Notice) (seqs []uint64) {
	for _, n := range all {
		seqs = append(seqs, n.Seq)
	}
	return seqs
}

func notice(data string) api.Notice {
	return api.Notice{
		At: 1700, Topic: "process:msg", ID: 7, Name: "web", Namespace: "front", UniqueID: "u-1",
		Data: json.RawMessage(data),
	}
}

// lost is how many notices n stands for; 0 when it is none of that kind.
func lost(n api.Notice) uint64 {
	var data struct {
		Lost uint64 `json:"lost"`
	}
	if n.Topic != api.TopicLost || json.Unmarshal(n.Data, &data) != nil {
		return 0
	}
	return data.Lost
}

func TestNoticesComeBackAsTheyWere(t *testing.T) {
	fd := memory(t, 1<<20)
	r := open(t, fd)
	rd := r.Reader(nil)
	want := []api.Notice{
		notice(`{"a":1}`),
		{At: -5, Topic: "t", ID: -1},
		{At: 1, Name: strings.Repeat("n", 300), Namespace: "ü", UniqueID: "\x00", Data: json.RawMessage(strings.Repeat(" ", 5000) + "1")},
	}
	for i := range want {
		r.Publish(want[i])
		want[i].Seq = r.base + uint64(i) + 1
	}
	if diff := cmp.Diff(want, rest(t, rd)); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	next := open(t, fd)
	if diff := cmp.Diff(want, rest(t, next.Reader(new(r.base)))); diff != "" {
		t.Errorf("read by the next one (-want +got):\n%s", diff)
	}
}

func TestNumbersAndTimesOfAFreshRing(t *testing.T) {
	began := time.Now()
	r := open(t, memory(t, minSize))
	rd := r.Reader(nil)
	r.Publish(api.Notice{Seq: 3})
	n := rest(t, rd)[0]
	if at := time.UnixMicro(int64(n.Seq)); at.Before(began.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("the first number is %d, %v as a time", n.Seq, at)
	}
	if n.Seq >= 1<<53 {
		t.Errorf("%d is no number of JavaScript", n.Seq)
	}
	if at := time.UnixMilli(n.At); at.Before(began.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("it happened at %v", at)
	}
}

func TestReadersBeginWhereTheyAsk(t *testing.T) {
	r := open(t, memory(t, minSize))
	for range 3 {
		r.Publish(notice("1"))
	}
	base := r.base
	for name, test := range map[string]struct {
		after *uint64
		want  []uint64 // behind base
		lost  uint64   // of the first
	}{
		"without a number, with what comes next": {nil, nil, 0},
		"behind the last":                        {new(base + 3), nil, 0},
		"in the middle":                          {new(base + 1), []uint64{2, 3}, 0},
		"with the first":                         {new(base), []uint64{1, 2, 3}, 0},
		"of another ring, older":                 {new(base - 9), []uint64{0, 1, 2, 3}, 1},
		"of the beginning of time":               {new(uint64(0)), []uint64{0, 1, 2, 3}, 1},
		"in the future":                          {new(base + 4), nil, 0},
		"in the far future":                      {new(uint64(1<<64 - 1)), nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			all := rest(t, r.Reader(test.after))
			var got []uint64
			for _, seq := range seqs(all) {
				got = append(got, seq-base)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Fatalf("numbers (-want +got):\n%s", diff)
			}
			if test.lost > 0 && lost(all[0]) != test.lost {
				t.Errorf("first comes %+v, want %d lost", all[0], test.lost)
			}
		})
	}
}

func TestAReaderThatIsOvertakenIsToldHowMany(t *testing.T) {
	r := open(t, memory(t, minSize))
	rd := r.Reader(nil)
	const n = 1000
	for i := range n {
		r.Publish(notice(fmt.Sprint(i)))
	}
	all := rest(t, rd)
	first := all[0]
	if first.Topic != api.TopicLost || first.ID != -1 || first.Seq != r.base+lost(first) || lost(first)+uint64(len(all)-1) != n {
		t.Errorf("first comes %+v, and %d more, of %d", first, len(all)-1, n)
	}
	for i, m := range all[1:] {
		if m.Seq != first.Seq+uint64(i)+1 || string(m.Data) != fmt.Sprint(m.Seq-r.base-1) {
			t.Fatalf("%+v comes %d behind %d", m, i, first.Seq)
		}
	}
	// Who resumes behind the one that tells of the loss misses nothing more.
	if diff := cmp.Diff(seqs(all[1:]), seqs(rest(t, r.Reader(&first.Seq)))); diff != "" {
		t.Errorf("resumed (-want +got):\n%s", diff)
	}
	if again := rest(t, r.Reader(new(r.base+1))); lost(again[0]) != lost(first)-1 {
		t.Errorf("who comes late is told %+v, want %d lost", again[0], lost(first)-1)
	}
}

func TestLargeNoticesAreShortened(t *testing.T) {
	fd := memory(t, minSize)
	r := open(t, fd)
	rd := r.Reader(nil)
	huge := strings.Repeat("ü", 1<<20)
	r.PublishMarked(notice(`"`+huge+`"`), Mark{"k", 1})
	r.PublishMarked(api.Notice{Topic: huge, Name: huge, Namespace: huge, UniqueID: huge, Data: json.RawMessage("1")}, Mark{huge, 9})
	all := rest(t, rd)
	want := notice(`{"omitted":2097154}`)
	want.Seq = r.base + 1
	if diff := cmp.Diff(want, all[0]); diff != "" {
		t.Errorf("large data (-want +got):\n%s", diff)
	}
	if n := all[1]; n.Topic != strings.Repeat("ü", 31) || n.UniqueID != n.Topic || string(n.Data) != `{"omitted":1}` {
		t.Errorf("large words became %+v", n)
	}
	if line, ok := open(t, fd).Marked("k"); !ok || line != 1 {
		t.Errorf("the mark is %d, %v", line, ok)
	}
	if tail := r.tail; tail > uint64(len(r.data))/2 {
		t.Errorf("they take %d bytes", tail)
	}
}

func TestMarksAreTheHighestOfEachKey(t *testing.T) {
	fd := memory(t, minSize)
	r := open(t, fd)
	for _, m := range []Mark{{"a", 4}, {"b", 0}, {"a", 9}, {"a", 7}, {}} {
		r.PublishMarked(notice("1"), m)
	}
	if _, ok := r.Marked("a"); ok {
		t.Error("a mark of this writer is told to it")
	}
	next := open(t, fd)
	for key, want := range map[string]uint64{"a": 9, "b": 0} {
		if line, ok := next.Marked(key); !ok || line != want {
			t.Errorf("%s is marked %d, %v; want %d", key, line, ok, want)
		}
	}
	for _, key := range []string{"", "c"} {
		if line, ok := next.Marked(key); ok {
			t.Errorf("%q is marked %d", key, line)
		}
	}
}

func TestNextWaits(t *testing.T) {
	r := open(t, memory(t, minSize))
	synctest.Test(t, func(t *testing.T) {
		var readers sync.WaitGroup
		for range 3 {
			rd := r.Reader(nil)
			readers.Go(func() {
				for _, want := range []string{"1", "2"} {
					if n, err := rd.Next(t.Context()); err != nil || string(n.Data) != want {
						t.Errorf("got %+v, %v; want %s", n, err, want)
					}
				}
			})
		}
		for _, data := range []string{"1", "2"} {
			synctest.Wait() // all wait
			r.Publish(notice(data))
		}
		readers.Wait()

		ctx, cancel := context.WithCancelCause(t.Context())
		rd := r.Reader(nil)
		readers.Go(func() {
			if _, err := rd.Next(ctx); !errors.Is(err, errEnough) {
				t.Errorf("ended with %v, want the cause", err)
			}
		})
		synctest.Wait()
		cancel(errEnough)
		readers.Wait()
		r.Publish(notice("3"))
		if _, err := rd.Next(ctx); !errors.Is(err, errEnough) {
			t.Errorf("goes on with %v", err)
		}
		if n, err := rd.Next(t.Context()); err != nil || string(n.Data) != "3" {
			t.Errorf("it missed what came meanwhile: %+v, %v", n, err)
		}
	})
}

var errEnough = errors.New("enough")

func TestCloseEndsAll(t *testing.T) {
	r := open(t, memory(t, minSize))
	synctest.Test(t, func(t *testing.T) {
		rd := r.Reader(nil)
		var reader sync.WaitGroup
		reader.Go(func() {
			if _, err := rd.Next(t.Context()); !errors.Is(err, os.ErrClosed) {
				t.Errorf("ended with %v", err)
			}
		})
		synctest.Wait()
		if err := errors.Join(r.Close(), r.Close()); err != nil {
			t.Error(err)
		}
		reader.Wait()
	})
	r.Publish(notice("1"))
	for _, after := range []*uint64{nil, new(uint64(0))} {
		if _, err := r.Reader(after).Next(t.Context()); !errors.Is(err, os.ErrClosed) {
			t.Errorf("a reader gets %v", err)
		}
	}
}

// TestAgainstAList compares a ring, that is opened again at any point, with a
// list of everything that was published.
func TestAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(minSize, 4*minSize).Draw(t, "size")
		fd := memory(t, size)
		r := open(t, fd)
		base := r.base
		var published []api.Notice
		marks := map[string]uint64{} // of everything
		type place struct {
			*Reader

			seq uint64 // of what it saw last
		}
		places := []*place{{r.Reader(nil), base}}
		word := rapid.StringOfN(rapid.Rune(), 0, 20, -1)
		// kept is where the newest begin that have to be there: three quarters
		// of the ring hold them, however their ends fall.
		kept := func() uint64 {
			room := len(r.data) * 3 / 4
			for i := len(published); i > 0; i-- {
				if room -= entryBound(&published[i-1], &Mark{Key: "12"}); room < 0 {
					return base + uint64(i)
				}
			}
			return base
		}
		check := func(p *place, got []api.Notice) {
			for _, n := range got {
				if missed := lost(n); missed > 0 {
					if n.Seq != p.seq+missed || n.Seq > kept() {
						t.Fatalf("lost %d up to %d behind %d; %d and later are kept", missed, n.Seq, p.seq, kept())
					}
					p.seq = n.Seq
					continue
				}
				p.seq++
				if diff := cmp.Diff(published[p.seq-base-1], n); diff != "" {
					t.Fatalf("at %d (-published +read):\n%s", p.seq, diff)
				}
			}
		}
		last := func() uint64 { return base + uint64(len(published)) }
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				n := api.Notice{
					At: rapid.Int64Range(1, 1<<50).Draw(t, "at"), Topic: word.Draw(t, "topic"), ID: rapid.Int().Draw(t, "id"),
					Name: word.Draw(t, "name"), Namespace: word.Draw(t, "namespace"), UniqueID: word.Draw(t, "unique id"),
				}
				if length := rapid.IntRange(0, size/share+100).Draw(t, "length"); length > 0 {
					n.Data = bytes.Repeat([]byte{'1'}, length)
				}
				m := Mark{rapid.StringMatching("[ab]?").Draw(t, "key"), rapid.Uint64().Draw(t, "line")}
				r.PublishMarked(n, m)
				if entryBound(&n, &m) > len(r.data)/share {
					shorten(&n, &m, size) // the words are short
				}
				n.Seq = last() + 1
				published = append(published, n)
				if m.Key != "" {
					marks[m.Key] = max(marks[m.Key], m.Line)
				}
			},
			"come": func(t *rapid.T) {
				after := rapid.Uint64Range(base, last()).Draw(t, "after")
				places = append(places, &place{r.Reader(&after), after})
			},
			"read": func(t *rapid.T) {
				p := rapid.SampledFrom(places).Draw(t, "who")
				for range rapid.IntRange(1, 5).Draw(t, "times") {
					if !p.Behind() {
						break
					}
					n, err := p.Next(context.Background())
					if err != nil {
						t.Fatal(err)
					}
					check(p, []api.Notice{n})
				}
			},
			"read all": func(t *rapid.T) {
				p := rapid.SampledFrom(places).Draw(t, "who")
				check(p, rest(t, p.Reader))
				if p.seq != last() {
					t.Fatalf("it ends at %d, want %d", p.seq, last())
				}
			},
			"open again": func(t *rapid.T) {
				_ = r.Close()
				r = open(t, fd)
				for _, p := range places {
					p.Reader = r.Reader(&p.seq)
				}
				for key, highest := range marks {
					// That of a notice that is gone may be gone.
					if line, ok := r.Marked(key); ok && line > highest {
						t.Fatalf("%s is marked %d, and %d is the highest", key, line, highest)
					}
				}
			},
		})
	})
}

// TestManyAtOnce is for the race detector: writers and readers, all at once.
func TestManyAtOnce(t *testing.T) {
	const writers, readers, each = 4, 4, 5000
	r := open(t, memory(t, 64<<10))
	var all sync.WaitGroup
	for range readers {
		rd := r.Reader(nil)
		all.Go(func() {
			for seen := uint64(0); seen < writers*each; {
				n, err := rd.Next(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				seen += max(1, lost(n))
				if n.Seq != r.base+seen {
					t.Errorf("%d is number %d", n.Seq, seen)
					return
				}
			}
		})
	}
	for w := range writers {
		all.Go(func() {
			for range each {
				r.Publish(api.Notice{ID: w, Topic: "t"})
			}
		})
	}
	all.Wait()
}

// TestTheWriterKnowsNoReader checks that readers that are gone cost nothing.
func TestTheWriterKnowsNoReader(t *testing.T) {
	r := open(t, memory(t, 64<<10))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 10_000 {
		r.Reader(nil)
		r.Publish(notice("1"))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<10 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	n := notice(`{"a":1}`)
	if allocs := testing.AllocsPerRun(1000, func() { r.PublishMarked(n, Mark{"k", 1}) }); allocs > 0 {
		t.Errorf("Publish allocates %v times", allocs)
	}
	rd := r.Reader(nil)
	allocs := testing.AllocsPerRun(1000, func() {
		r.Publish(n)
		if _, err := rd.Next(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 2 { // the words, and Data
		t.Errorf("Next allocates %v times", allocs)
	}
}

func BenchmarkPublish(b *testing.B) {
	n := notice(`"` + strings.Repeat("x", 98) + `"`)
	n.At = 0
	for _, readers := range []int{0, 1, 3} {
		b.Run(fmt.Sprintf("%d readers", readers), func(b *testing.B) {
			r := open(b, memory(b, 1<<20))
			ctx, cancel := context.WithCancel(b.Context())
			var all sync.WaitGroup
			for range readers {
				rd := r.Reader(nil)
				all.Go(func() {
					for {
						if _, err := rd.Next(ctx); err != nil {
							return
						}
					}
				})
			}
			b.ReportAllocs()
			for b.Loop() {
				r.PublishMarked(n, Mark{"0a4f0a4f-0a4f-0a4f-0a4f-0a4f0a4f0a4f", 1})
			}
			b.StopTimer()
			cancel()
			all.Wait()
		})
	}
}

func BenchmarkNext(b *testing.B) {
	r := open(b, memory(b, 1<<20))
	r.Publish(notice(`"` + strings.Repeat("x", 98) + `"`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Reader(&r.base).Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
