package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tend/internal/fdpass"
	"tend/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pair(t *testing.T) (a, b *Conn) {
	t.Helper()
	x, y, err := fdpass.Pair()
	if err != nil {
		t.Fatal(err)
	}
	conns := [2]*Conn{}
	for i, fd := range []int{x, y} {
		if conns[i], err = NewConn(fd); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conns[i].Close() }) // some tests close one themselves
	}
	return conns[0], conns[1]
}

// body is n bytes that differ with their place.
func body(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

func TestFramesOfAnySize(t *testing.T) {
	for name, size := range map[string]int{
		"nothing": 0, "a byte": 1, "the most in a packet": inlineBody, "one more": inlineBody + 1, "a large environment": 3 << 20,
	} {
		for _, fds := range []int{0, 1, 4} {
			t.Run(name, func(t *testing.T) {
				before := testkit.Descriptors(t)
				a, b := pair(t)
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				defer w.Close()
				sent := Frame{Kind: KindSpawn, ID: 1 << 60, Body: body(size)}
				for range fds {
					sent.FDs = append(sent.FDs, int(w.Fd()))
				}
				if err := a.Write(sent); err != nil {
					t.Fatal(err)
				}
				if err := a.Write(Frame{Kind: KindAck}); err != nil {
					t.Fatal(err)
				}
				got, err := b.Read()
				if err != nil {
					t.Fatal(err)
				}
				if got.Kind != sent.Kind || got.ID != sent.ID || !bytes.Equal(got.Body, sent.Body) || len(got.FDs) != fds {
					t.Errorf("kind %d, id %d, %d bytes, %d descriptors; want %d, %d, %d, %d",
						got.Kind, got.ID, len(got.Body), len(got.FDs), sent.Kind, sent.ID, len(sent.Body), fds)
				}
				for _, fd := range got.FDs {
					var st, want unix.Stat_t
					if unix.Fstat(fd, &st) != nil || unix.Fstat(int(w.Fd()), &want) != nil || st.Ino != want.Ino {
						t.Errorf("descriptor %d is not the pipe", fd)
					}
				}
				fdpass.CloseAll(got.FDs)
				next, err := b.Read()
				if err != nil || next.Kind != KindAck || len(next.Body) > 0 || len(next.FDs) > 0 {
					t.Errorf("the frame after it: %+v, %v", next, err)
				}
				r.Close()
				w.Close()
				a.Close()
				b.Close()
				if now := testkit.Descriptors(t); now != before {
					t.Errorf("%d descriptors are open, %d before", now, before)
				}
			})
		}
	}
}

func TestABodyIsTheReaders(t *testing.T) {
	a, b := pair(t)
	for _, text := range []string{"first", "other"} {
		if err := a.Write(Frame{Kind: KindHello, Body: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := b.Read()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(); err != nil {
		t.Fatal(err)
	}
	if string(first.Body) != "first" {
		t.Errorf("the next frame overwrote it: %q", first.Body)
	}
}

func TestATooLargeBodyIsNotSent(t *testing.T) {
	a, _ := pair(t)
	if err := a.Write(Frame{Kind: KindSpawn, Body: make([]byte, maxBody+1)}); !errors.Is(err, errLength) {
		t.Errorf("%v, want %v", err, errLength)
	}
}

// TestABrokenPeer gets packets that no version sends: each is one error, and
// no descriptor stays behind.
func TestABrokenPeer(t *testing.T) {
	header := func(version, flags byte, size uint32) []byte {
		b := []byte{version, byte(KindHello), flags, 0}
		b = binary.LittleEndian.AppendUint32(b, size)
		return binary.LittleEndian.AppendUint64(b, 1)
	}
	file, err := MemFile([]byte("four"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(file)
	for name, test := range map[string]struct {
		packet []byte
		fds    []int
		want   error
	}{
		"a cut header":                  {header(1, 0, 0)[:8], []int{file}, errShort},
		"another version":               {header(2, 0, 0), []int{file, file}, errVersion},
		"more than it says":             {append(header(1, 0, 1), "ab"...), []int{file}, errLength},
		"less than it says":             {append(header(1, 0, 9), "ab"...), []int{file}, errLength},
		"a huge length":                 {header(1, flagBodyInFile, maxBody+1), []int{file}, errLength},
		"a body in no file":             {header(1, flagBodyInFile, 40<<10), nil, errShort},
		"a file shorter than it says":   {header(1, flagBodyInFile, 5), []int{file, file}, io.ErrUnexpectedEOF},
		"a body in what cannot be read": {header(1, flagBodyInFile, 5), []int{file, 0}, unix.ESPIPE},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			if len(test.fds) > 1 && test.fds[1] == 0 {
				test.fds[1] = a.FD()
			}
			before := testkit.Descriptors(t)
			if err := a.Send(test.packet, test.fds...); err != nil {
				t.Fatal(err)
			}
			f, err := b.Read()
			if !errors.Is(err, test.want) || f.FDs != nil {
				t.Errorf("%+v, %v; want %v", f, err, test.want)
			}
			if now := testkit.Descriptors(t); now != before {
				t.Errorf("%d descriptors are open, %d before", now, before)
			}
		})
	}
}

func TestAPeerThatDies(t *testing.T) {
	a, b := pair(t)
	large := Frame{Kind: KindSpawn, Body: body(1 << 20)}
	if err := a.Write(large); err != nil {
		t.Fatal(err)
	}
	a.Close()
	f, err := b.Read()
	if err != nil || !bytes.Equal(f.Body, large.Body) {
		t.Errorf("its last words: %d bytes, %v", len(f.Body), err)
	}
	if _, err := b.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("then %v, want io.EOF", err)
	}
	before := testkit.Descriptors(t)
	if err := b.Write(large); !errors.Is(err, unix.EPIPE) {
		t.Errorf("write: %v, want EPIPE", err)
	}
	if now := testkit.Descriptors(t); now != before {
		t.Errorf("%d descriptors are open, %d before", now, before)
	}
}

func TestManyWriters(t *testing.T) {
	a, b := pair(t)
	const writers, each = 6, 30
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				size := 100
				if i%10 == 0 {
					size = inlineBody + 1
				}
				if err := a.Write(Frame{Kind: KindHold, ID: uint64(w), Body: body(size + w)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range writers * each {
			f, err := b.Read()
			if err != nil {
				t.Error(err)
				return
			}
			if !bytes.Equal(f.Body, body(len(f.Body))) || len(f.Body)%100 != int(f.ID) && len(f.Body) != inlineBody+1+int(f.ID) {
				t.Errorf("a frame of %d with %d bytes", f.ID, len(f.Body))
			}
		}
	}()
	wg.Wait()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("frames are missing")
	}
}
