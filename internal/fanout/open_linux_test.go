package fanout

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"tend/api"
)

func TestADamagedRingIsBegunAnew(t *testing.T) {
	for name, damage := range map[string]func(r *Ring){
		"another format":            func(r *Ring) { r.word(wordMagic).Add(1) },
		"a base of no time":         func(r *Ring) { r.word(wordBase).Store(1 << 60) },
		"a head behind the tail":    func(r *Ring) { r.word(wordHead).Store(r.tail + 8) },
		"a tail that is too far":    func(r *Ring) { r.word(wordTail).Store(r.head + 1<<20) },
		"a tail that is odd":        func(r *Ring) { r.word(wordTail).Add(1) },
		"positions beyond all":      func(r *Ring) { r.word(wordHead).Store(1<<64 - 8); r.word(wordTail).Store(1<<64 - 8) },
		"a tail in an entry":        func(r *Ring) { r.word(wordTail).Store(r.tail - align) },
		"an entry without a length": func(r *Ring) { putPad(r.from(r.head), 0) },
		"a pad in the middle":       func(r *Ring) { putPad(r.from(r.head), 64) },
		"a letter of an entry":      func(r *Ring) { r.from(r.head)[40] ^= 1 },
		"a number that is missing":  func(r *Ring) { r.last++; r.Publish(notice("1")) },
	} {
		t.Run(name, func(t *testing.T) {
			fd := memory(t, minSize)
			r := open(t, fd)
			for range 3 {
				r.PublishMarked(notice("1"), Mark{"k", 1})
			}
			damage(r)
			last := r.base + 3
			var warned bytes.Buffer
			next, err := Open(fd, slog.New(slog.NewTextHandler(&warned, nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer next.Close()
			if !strings.Contains(warned.String(), "level=WARN") {
				t.Errorf("nobody was told: %s", warned.String())
			}
			rd := next.Reader(&last)
			next.Publish(notice("2"))
			if got := rest(t, rd); len(got) != 2 || lost(got[0]) < 1 || got[1].Seq <= last {
				t.Errorf("behind %d come %+v", last, got)
			}
			if got := rest(t, open(t, fd).Reader(new(next.base))); len(got) != 1 || string(got[0].Data) != "2" {
				t.Errorf("the next one reads %+v", got)
			}
		})
	}
}

func TestNumbersGoOnFromTheHighestThatCouldBeRead(t *testing.T) {
	fd := memory(t, minSize)
	r := open(t, fd)
	r.last += 1 << 50 // of a clock that was 35 years ahead
	for range 3 {
		r.Publish(notice("1"))
	}
	last := r.last
	r.from(r.tail - align)[0] ^= 1
	next, err := Open(fd, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if next.last != last-1 {
		t.Errorf("it goes on from %d, want %d", next.last, last-1)
	}
}

func TestOpenRefusesWhatCannotBeARing(t *testing.T) {
	for name, size := range map[string]int{"nothing": 0, "too small": minSize - 1} {
		t.Run(name, func(t *testing.T) {
			if r, err := Open(memory(t, size), slog.New(slog.DiscardHandler)); err == nil {
				r.Close()
				t.Error("it was opened")
			}
		})
	}
	if _, err := Open(-1, slog.New(slog.DiscardHandler)); !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: %v", err)
	}
}

func TestMemoryCannotBeCutShort(t *testing.T) {
	fd := memory(t, minSize)
	if err := unix.Ftruncate(fd, 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("it can: %v", err)
	}
}

func BenchmarkOpen(b *testing.B) {
	fd := memory(b, 1<<20)
	r := open(b, fd)
	for range 20_000 {
		r.PublishMarked(notice(`"`+strings.Repeat("x", 98)+`"`), Mark{"k", 1})
	}
	b.ReportAllocs()
	for b.Loop() {
		open(b, fd).Close()
	}
}

// FuzzOpen gives Open arbitrary memory: it must not panic, and what it gives
// must be a ring.
func FuzzOpen(f *testing.F) {
	log := slog.New(slog.DiscardHandler)
	fd := memory(f, minSize)
	r := open(f, fd)
	f.Add([]byte{}, 0)
	f.Add(bytes.Clone(r.mem), 0)
	for i := range 40 {
		r.PublishMarked(notice(strings.Repeat("1", i*8)), Mark{"k", 1})
	}
	f.Add(bytes.Clone(r.mem), 0)
	f.Add(bytes.Clone(r.mem), dataStart+20)
	f.Fuzz(func(t *testing.T, text []byte, flip int) {
		fd := memory(t, minSize)
		if _, err := unix.Pwrite(fd, text[:min(len(text), minSize)], 0); err != nil {
			t.Fatal(err)
		}
		if flip > 0 && flip < minSize {
			_, _ = unix.Pwrite(fd, []byte{0xff}, int64(flip))
		}
		r, err := Open(fd, log)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		checkRing(t, r)
		for i := range 50 {
			r.PublishMarked(notice(strings.Repeat("1", i*8)), Mark{"k", 1})
		}
		checkRing(t, r)
		checkRing(t, open(t, fd))
	})
}

// checkRing reads everything, which has to have consecutive numbers.
func checkRing(t *testing.T, r *Ring) {
	t.Helper()
	want := r.first
	for _, n := range rest(t, r.Reader(new(r.first-1))) {
		if n.Seq != want {
			t.Fatalf("%d follows %d", n.Seq, want-1)
		}
		want++
	}
	if want != r.last+1 {
		t.Fatalf("the last is %d, want %d", want-1, r.last)
	}
}

// FuzzParseEntry gives the parser arbitrary bytes with a true checksum.
func FuzzParseEntry(f *testing.F) {
	for _, n := range []api.Notice{notice(`{"a":1}`), {}} {
		f.Add(appendEntry(nil, &n, &Mark{"k", 1}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= frameSize {
			sum := checksum(b[frameSize:])
			b[4], b[5], b[6], b[7] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
		}
		n, m, err := parseEntry(b)
		if err != nil {
			return
		}
		if size := entryBound(&n, &m); len(b) > size {
			t.Fatalf("%d bytes, and the bound is %d", len(b), size)
		}
		again, mark, err := parseEntry(appendEntry(nil, &n, &m))
		if diff := cmp.Diff(n, again); err != nil || mark != m || diff != "" {
			t.Fatalf("%v, %v and %v (-first +again):\n%s", err, m, mark, diff)
		}
	})
}
