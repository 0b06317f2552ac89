package collect

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"tend/internal/testkit"
)

// A read of several pages that is killed may have taken some of them.
func TestADeathInTheMiddleOfARead(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 1024)
	for _, taken := range []int{0, 4096, len(want)} {
		shelf := testkit.NewShelf(t)
		s, err := openSlate(shelf)
		if err != nil {
			t.Fatal(err)
		}
		r, w := pipe(t)
		if _, err := w.Write(want); err != nil {
			t.Fatal(err)
		}
		s.setKey("x")
		if n, err := unix.Splice(r, nil, s.wr, nil, blockSize, 0); err != nil || int(n) != len(want) {
			t.Fatalf("%d bytes, %v", n, err)
		}
		s.setSize(len(want))
		s.enter(phaseReading)
		if n, err := unix.Read(s.rd, s.block()[:taken]); err != nil || n != taken {
			t.Fatalf("%d bytes, %v", n, err)
		}
		s.close()

		next, err := openSlate(shelf)
		if err != nil {
			t.Fatal(err)
		}
		defer next.close()
		if there, err := next.resume(); !there || err != nil || !bytes.Equal(next.block(), want) {
			t.Errorf("after %d bytes: %v, %v, and not what was written", taken, there, err)
		}
	}
}
