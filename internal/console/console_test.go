package console

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestEachLineOnce: whatever is written how often from the beginning again, a
// reader sees each line once, whole, in the order of its source.
func TestEachLineOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sources := []Source{{Stream: 1, App: "a"}, {Stream: 2, App: strings.Repeat("long", 100), Err: true}, {Stream: 3, ID: 7}}
		wrote := map[uint64]*strings.Builder{}
		seq := map[uint64]uint64{}
		var fifo bytes.Buffer
		send := func(frame []byte) error { fifo.Write(frame); return nil }
		for range rapid.IntRange(1, 20).Draw(t, "texts") {
			s := rapid.SampledFrom(sources).Draw(t, "source")
			text := lines(t)
			if wrote[s.Stream] == nil {
				wrote[s.Stream] = &strings.Builder{}
			}
			wrote[s.Stream].WriteString(text)
			errDied := errors.New("the daemon died")
			for range rapid.IntRange(0, 2).Draw(t, "deaths") {
				left := rapid.IntRange(0, 3).Draw(t, "frames")
				_, _ = s.Send([]byte(text), 0, seq[s.Stream], nil, func(frame []byte) error {
					if left--; left < 0 {
						return errDied
					}
					return send(frame)
				})
			}
			if done, err := s.Send([]byte(text), 0, seq[s.Stream], nil, send); done != len(text) || err != nil {
				t.Fatalf("sent %d of %d: %v", done, len(text), err)
			}
			seq[s.Stream] += Frames(len(text))
		}
		got := map[uint64]*strings.Builder{}
		r := NewReader(&fifo)
		for {
			l, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasSuffix(l.Text, []byte("\n")) {
				t.Fatalf("%q is no whole line", l.Text)
			}
			if got[l.Stream] == nil {
				got[l.Stream] = &strings.Builder{}
			}
			got[l.Stream].Write(l.Text)
			want := sources[l.Stream-1]
			if want.App = want.App[:min(len(want.App), mostName)]; l.Source != want {
				t.Fatalf("from %+v, want %+v", l.Source, want)
			}
		}
		for stream, want := range wrote {
			if got[stream] == nil || got[stream].String() != want.String() {
				t.Fatalf("stream %d: got %q, want %q", stream, got[stream], want)
			}
		}
	})
}

// lines is a text of whole lines, some of which take several frames.
func lines(t *rapid.T) string {
	var b strings.Builder
	for range rapid.IntRange(1, 5).Draw(t, "lines") {
		length := rapid.SampledFrom([]int{0, 1, 10, payload - 1, payload, payload + 1, 3 * payload}).Draw(t, "length")
		b.WriteString(strings.Repeat(rapid.StringMatching("[a-z]").Draw(t, "letter"), length) + "\n")
	}
	return b.String()
}

// TestSendGoesOn where it was when there was no room.
func TestSendGoesOn(t *testing.T) {
	text := []byte(strings.Repeat("x", 3*payload+5) + "\n")
	s := Source{Stream: 1}
	var fifo bytes.Buffer
	room := 1
	errFull := errors.New("full")
	write := func(frame []byte) error {
		if room--; room < 0 {
			return errFull
		}
		fifo.Write(frame)
		return nil
	}
	done, tries := 0, 0
	for err := errFull; err != nil; tries++ {
		room = 1
		done, err = s.Send(text, done, 0, nil, write)
	}
	if tries != 4 || Frames(len(text)) != 4 {
		t.Errorf("%d tries, %d frames; want 4", tries, Frames(len(text)))
	}
	if l, err := NewReader(&fifo).Next(); err != nil || !bytes.Equal(l.Text, text) {
		t.Errorf("%v, %d bytes", err, len(l.Text))
	}
}

// TestALineWithoutAnEnd does not fill the memory.
func TestALineWithoutAnEnd(t *testing.T) {
	text := bytes.Repeat([]byte("x"), mostLine+payload)
	var fifo bytes.Buffer
	s := Source{Stream: 1}
	_, _ = s.Send(append(text, '\n'), 0, 0, nil, func(frame []byte) error { fifo.Write(frame); return nil })
	r := NewReader(&fifo)
	for n := 0; ; {
		l, err := r.Next()
		if errors.Is(err, io.EOF) {
			if n != len(text) {
				t.Errorf("got %d bytes, want %d", n, len(text))
			}
			return
		}
		if len(l.Text) > mostLine+2*payload {
			t.Fatalf("a piece of %d bytes", len(l.Text))
		}
		n += bytes.Count(l.Text, []byte("x"))
	}
}

// TestFifo is read through deadlines, and tells its writer when it is closed.
func TestFifo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console")
	f, err := Make(path)
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(f)
	if err := f.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("an empty fifo: %v", err)
	}
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	send := func(frame []byte) error { _, err := w.Write(frame); return err }
	s := Source{Stream: 1, App: "a"}
	if _, err := s.Send([]byte("line\n"), 0, 0, nil, send); err != nil {
		t.Fatal(err)
	}
	if err := f.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if l, err := r.Next(); err != nil || string(l.Text) != "line\n" || r.Waiting() {
		t.Errorf("%v, %q", err, l.Text)
	}
	f.Close()
	if _, err := s.Send([]byte("line\n"), 0, 1, nil, send); err == nil {
		t.Error("a writer is not told that nobody reads")
	}
}

func FuzzReader(f *testing.F) {
	var seed []byte
	for _, s := range []Source{{Stream: 1, App: "a"}, {Stream: 2, ID: 5, App: "b", Err: true}} {
		seed = s.append(seed, 0, []byte("part"))
		seed = s.append(seed, 1, []byte(" of a line\nand another\n"))
	}
	f.Add(seed)
	f.Add(seed[:len(seed)-3])
	f.Fuzz(func(_ *testing.T, b []byte) {
		for r := NewReader(bytes.NewReader(b)); ; {
			if _, err := r.Next(); err != nil {
				return
			}
		}
	})
}
