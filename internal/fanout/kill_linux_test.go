package fanout

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/testkit"
)

// writerVar makes this binary open the ring at descriptor 3, and publish until
// it is killed.
const writerVar = "TEND_TEST_WRITER"

// told is how many notices the writer publishes before it says so.
const told = 32

// write goes on where the last writer was killed: the number of a notice is
// behind the base, and all of it follows from that.
func write() error {
	r, err := Open(3, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	for {
		n := r.last + 1 - r.base
		r.PublishMarked(numbered(n), Mark{"line", n})
		if n%told == 0 {
			if _, err := fmt.Println(n); err != nil {
				return err
			}
		}
	}
}

// numbered is of many lengths, so that ends and pads fall everywhere.
func numbered(n uint64) api.Notice {
	text := strings.Repeat(strconv.FormatUint(n, 10)+" ", int(n*7919%97))
	return api.Notice{At: int64(n), Topic: "t", ID: int(n), Name: "web", Data: json.RawMessage(strconv.Quote(text))}
}

func TestAWriterIsKilledAtAnyInstruction(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	fd := memory(t, 16<<10)
	base := open(t, fd).base
	var high uint64
	for round := range rounds {
		said := killed(t, fd, time.Duration(rand.Int64N(int64(5*time.Millisecond))))
		r := open(t, fd) // it is sound
		if r.base != base || r.last-base < max(said, high) {
			t.Fatalf("round %d: the ring ends at %d, and %d was published", round, r.last-base, max(said, high))
		}
		high = r.last - base
		if line, ok := r.Marked("line"); high > 0 && (!ok || line != high) {
			t.Fatalf("round %d: marked up to %d, published up to %d", round, line, high)
		}
		checkNumbered(t, r, round)
		_ = r.Close()
	}
	if high < 10_000 {
		t.Errorf("only %d were published in all", high)
	}
}

// killed runs a writer, kills it some time after it has begun, and gives the
// last number that it said.
func killed(t *testing.T, fd int, after time.Duration) (said uint64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testkit.Self(t))
	cmd.Env = append(os.Environ(), writerVar+"=1")
	cmd.Stderr = os.Stderr
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	inherited := os.NewFile(uintptr(own), "ring")
	defer inherited.Close()
	cmd.ExtraFiles = []*os.File{inherited}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if said == 0 {
			kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
			defer kill.Stop()
		}
		if said, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
			break // it was cut
		}
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	return said
}

func checkNumbered(t *testing.T, r *Ring, round int) {
	t.Helper()
	all := rest(t, r.Reader(new(r.first-1)))
	if len(all) < 5 {
		t.Fatalf("round %d: %d are left", round, len(all))
	}
	for i, n := range all {
		if n.Seq != r.first+uint64(i) {
			t.Fatalf("round %d: %d stands where %d should", round, n.Seq, r.first+uint64(i))
		}
		want := numbered(n.Seq - r.base)
		if string(n.Data) != string(want.Data) || n.ID != want.ID || n.At != want.At {
			t.Fatalf("round %d: %d is torn: %.60q", round, n.Seq, n.Data)
		}
	}
}
