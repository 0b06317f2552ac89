package nodeipc

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// channelOf is an inbox, the channel that it reads from, and what has to come
// out of it.
type channelOf struct {
	fd   int
	in   *inbox
	wire []byte // sent, and not read
	sent []sentLine
	next int // of sent, that has to come
	told []byte
}

// sentLine is a line of n bytes. It is made again where it is needed: some are
// large.
type sentLine struct{ number, n int }

func (s sentLine) text() []byte {
	word := fmt.Appendf(nil, "%d.", s.number)
	return bytes.Repeat(word, s.n/len(word)+1)[:s.n]
}

// mayBeDropped: whether a line that is longer than the bound comes whole
// depends on how it is cut.
func (s sentLine) mayBeDropped() bool { return s.n > maxLine-leastRoom }

type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func newInbox(t failer) *channelOf {
	t.Helper()
	fd, err := createInbox()
	if err != nil {
		t.Fatal(err)
	}
	c := &channelOf{fd: fd}
	c.open(t)
	return c
}

func (c *channelOf) open(t failer) {
	t.Helper()
	var err error
	if c.in, err = openInbox(c.fd); err != nil {
		t.Fatal(err)
	}
}

func (c *channelOf) close() {
	_ = c.in.close()
	_ = unix.Close(c.fd)
}

// kill is kill -9 of the daemon, and the next one: of the first only the
// memory stays.
func (c *channelOf) kill(t failer) {
	t.Helper()
	if err := c.in.close(); err != nil {
		t.Fatal(err)
	}
	c.open(t)
	c.check(t)
}

func (c *channelOf) send(n int) {
	s := sentLine{len(c.sent), n}
	c.sent = append(c.sent, s)
	c.wire = append(append(c.wire, s.text()...), '\n')
}

// receive reads at most n bytes, and tells how many came. The inbox is not
// told. As the hub, it does not let whole lines pile up.
func (c *channelOf) receive(t failer, n int) int {
	t.Helper()
	if len(c.in.data()) > 4*firstData {
		c.hear(t, len(c.sent))
	}
	space, _, err := c.in.room()
	if err != nil {
		t.Fatal(err)
	}
	if len(space) < leastRoom {
		t.Fatalf("there is room for %d bytes", len(space))
	}
	n = copy(space[:min(n, len(space))], c.wire)
	c.wire = c.wire[n:]
	return n
}

// hear takes n lines out at most.
func (c *channelOf) hear(t failer, n int) {
	t.Helper()
	for range n {
		line, ok := c.in.line()
		if !ok {
			return
		}
		for c.next < len(c.sent) && c.sent[c.next].mayBeDropped() && !bytes.Equal(line, c.sent[c.next].text()) {
			c.next++
		}
		if c.next == len(c.sent) {
			t.Fatalf("a line of %d bytes that nobody sent: %.50q", len(line), line)
		}
		if want := c.sent[c.next].text(); !bytes.Equal(line, want) {
			t.Fatalf("line %d is %.50q, %d bytes, want %.50q, %d bytes", c.next, line, len(line), want, len(want))
		}
		if int(c.in.lines()) != c.next {
			t.Fatalf("line %d has the number %d", c.next, c.in.lines())
		}
		c.in.done(len(line))
		c.next++
	}
}

// check looks that the memory holds to its rule: zero behind what came.
func (c *channelOf) check(t failer) {
	t.Helper()
	if rest := c.in.data()[c.in.tail:]; len(bytes.TrimLeft(rest, "\x00")) > 0 {
		t.Fatalf("behind the %d bytes that came something is left", c.in.tail)
	}
	if !bytes.Equal(c.in.notes(), c.told) {
		t.Fatalf("the notes are %.50q, want %.50q", c.in.notes(), c.told)
	}
}

func TestInboxLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newInbox(t)
		defer c.close()
		size := rapid.OneOf(rapid.IntRange(0, 9), rapid.IntRange(0, 9000), rapid.IntRange(0, 200_000))
		amount := rapid.OneOf(rapid.IntRange(1, 9), rapid.IntRange(1, 9000), rapid.Just(mostData))
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				for range rapid.IntRange(1, 9).Draw(t, "lines") {
					c.send(size.Draw(t, "size"))
				}
			},
			"send too much": func(t *rapid.T) {
				if rapid.IntRange(0, 29).Draw(t, "seldom") == 29 {
					c.send(rapid.IntRange(maxLine-9000, mostData+9000).Draw(t, "size"))
				}
			},
			"read":               func(t *rapid.T) { c.in.came(c.receive(t, amount.Draw(t, "bytes"))) },
			"be killed and read": func(t *rapid.T) { c.receive(t, amount.Draw(t, "bytes")); c.kill(t) },
			"hear":               func(t *rapid.T) { c.hear(t, rapid.IntRange(1, 9).Draw(t, "lines")) },
			"hear all":           func(t *rapid.T) { c.hear(t, len(c.sent)) },
			"be killed":          func(t *rapid.T) { c.kill(t) },
			"be killed and make room": func(t *rapid.T) {
				c.receive(t, 0)
				c.kill(t)
			},
			"tell": func(t *rapid.T) {
				told := bytes.Repeat([]byte{'n'}, rapid.IntRange(0, notesSize).Draw(t, "size"))
				if !c.in.setNotes(told) {
					t.Fatalf("notes of %d bytes were refused", len(told))
				}
				c.told = told
			},
			"": func(t *rapid.T) { c.check(t) },
		})
		for len(c.wire) > 0 {
			c.in.came(c.receive(t, 1<<20))
			c.hear(t, len(c.sent))
		}
		c.hear(t, len(c.sent))
		for c.next < len(c.sent) && c.sent[c.next].mayBeDropped() {
			c.next++
		}
		if c.next != len(c.sent) || int(c.in.lines()) != len(c.sent) {
			t.Fatalf("of %d lines %d came, and %d were counted", len(c.sent), c.next, c.in.lines())
		}
		if c.receive(t, 0); len(c.in.data()) != firstData {
			t.Fatalf("empty, it holds %d bytes", len(c.in.data()))
		}
	})
}

// TestInboxDropsALineAcrossDeaths is of a daemon that dies while it drops one.
func TestInboxDropsALineAcrossDeaths(t *testing.T) {
	for name, kill := range map[string]func(c *channelOf, n int){
		"between two reads": func(c *channelOf, n int) { c.in.came(n); c.kill(t) },
		"in a read":         func(c *channelOf, _ int) { c.kill(t) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newInbox(t)
			defer c.close()
			c.send(maxLine + firstData)
			c.send(5)
			dropped := false
			for len(c.wire) > 0 {
				_, ok, _ := c.in.room()
				dropped = dropped || !ok
				kill(c, c.receive(t, 400_000))
				if n := len(c.in.data()); n > mostData {
					t.Fatalf("it holds %d bytes", n)
				}
			}
			if !dropped {
				t.Error("nobody was told that the line is too long")
			}
			c.hear(t, 2)
			if c.next != 2 || c.in.lines() != 2 {
				t.Errorf("%d lines came, and %d were counted", c.next, c.in.lines())
			}
		})
	}
}

// TestInboxNeverOutgrowsTheNextDaemon sends a line that is just short enough,
// and then as much of another. Half of the largest memory is before it.
func TestInboxNeverOutgrowsTheNextDaemon(t *testing.T) {
	c := newInbox(t)
	defer c.close()
	c.send(maxLine - leastRoom/2 - 1)
	c.send(maxLine + leastRoom)
	c.send(5)
	const almost = leastRoom * 3 / 4 // what is left when the memory has to grow
	for len(c.wire) > 0 {
		n := 200_000
		for _, stop := range []int{maxLine - almost, mostData - almost} {
			if c.in.tail < stop {
				n = min(n, stop-c.in.tail)
			}
		}
		c.in.came(c.receive(t, n))
		if n := len(c.in.data()); n > mostData {
			t.Fatalf("it holds %d bytes, which the next daemon will not take", n)
		}
	}
	c.kill(t)
	if c.hear(t, 3); c.next != 3 {
		t.Errorf("%d lines of 3 came", c.next)
	}
}

func TestInboxHoldsALineAsLongAsMayBe(t *testing.T) {
	c := newInbox(t)
	defer c.close()
	c.send(maxLine - leastRoom)
	for len(c.wire) > 0 {
		c.in.came(c.receive(t, 200_000))
		c.kill(t)
	}
	if c.hear(t, 1); c.next != 1 {
		t.Error("the line did not come")
	}
	if c.receive(t, 0); len(c.in.data()) != firstData {
		t.Errorf("empty, it holds %d bytes", len(c.in.data()))
	}
	var st unix.Stat_t
	if err := unix.Fstat(c.fd, &st); err != nil || st.Size != dataStart+firstData {
		t.Errorf("empty, it takes %d bytes, %v", st.Size, err)
	}
}

// TestInboxMovesWhatIsNotWhole lets a daemon die after each store of a move.
func TestInboxMovesWhatIsNotWhole(t *testing.T) {
	const before, part = 3000, 1000 // bytes of lines that were heard, and of one that is not whole
	fill := func(t *testing.T) *channelOf {
		c := newInbox(t)
		c.send(before - 1)
		c.send(part + 10)
		c.in.came(c.receive(t, before+part))
		c.hear(t, 1)
		return c
	}
	for step := 0; step < 2*part+2*before; step += 7 {
		c := fill(t)
		d, head := c.in.data(), before
		// As moveToFront, as far as it came.
		copy(d[:min(step, part)], d[head:])
		if step > part {
			clear(d[part:min(step, head)])
		}
		if step > head {
			c.in.mark(0, c.in.lines())
			clear(d[head:min(head+step-head-1, head+part)])
		}
		c.kill(t)
		c.in.came(c.receive(t, 100))
		if c.hear(t, 2); c.next != 2 {
			t.Fatalf("killed after %d steps: %d lines of 2 came", step, c.next)
		}
		c.close()
	}
	c := fill(t) // what moveToFront leaves when it ends
	defer c.close()
	c.in.moveToFront(before)
	c.check(t)
	if c.in.head() != 0 || c.in.tail != part || c.in.lines() != 1 {
		t.Errorf("it went from %d to %d, line %d", c.in.head(), c.in.tail, c.in.lines())
	}
	c.in.came(c.receive(t, 100))
	if c.hear(t, 2); c.next != 2 {
		t.Errorf("%d lines of 2 came", c.next)
	}
}

func TestInboxBearsZeros(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newInbox(t)
		defer c.close()
		for range rapid.IntRange(1, 20).Draw(t, "reads") {
			space, _, err := c.in.room()
			if err != nil {
				t.Fatal(err)
			}
			c.in.came(copy(space, rapid.SliceOfN(rapid.SampledFrom([]byte("\x00\x00a\n")), 1, 100).Draw(t, "bytes")))
			if rapid.Bool().Draw(t, "killed") {
				c.kill(t)
			}
			for line, ok := c.in.line(); ok; line, ok = c.in.line() {
				c.in.done(len(line))
			}
		}
		c.in.came(c.receive(t, 0)) // and then the process comes to its senses
		space, _, _ := c.in.room()
		c.in.came(copy(space, "\nwhole\n"))
		var last []byte
		for line, ok := c.in.line(); ok; line, ok = c.in.line() {
			last = bytes.Clone(line)
			c.in.done(len(line))
		}
		if string(last) != "whole" {
			t.Fatalf("after zeros %q came", last)
		}
	})
}

func TestInboxNotes(t *testing.T) {
	c := newInbox(t)
	defer c.close()
	c.check(t) // none at first
	for _, text := range []string{"one", "", "two, and longer", strings.Repeat("x", notesSize), "s"} {
		if !c.in.setNotes([]byte(text)) {
			t.Errorf("notes of %d bytes were refused", len(text))
		}
		c.told = []byte(text)
		c.check(t)
		if c.in.setNotes(make([]byte, notesSize+1)) {
			t.Error("notes that are too large were taken")
		}
		c.kill(t)
		// A daemon that dies while it writes has not touched what counts.
		word := *c.in.word(8)
		c.in.setNotes([]byte("half of"))
		*c.in.word(8) = word
		c.kill(t)
	}
}

func TestOpenInboxRefuses(t *testing.T) {
	for name, spoil := range map[string]func(fd int) error{
		"one that is too small": func(fd int) error { return unix.Ftruncate(fd, dataStart) },
		"one that is too large": func(fd int) error { return unix.Ftruncate(fd, dataStart+mostData+1) },
		"a head beyond the end": func(fd int) error {
			_, err := unix.Pwrite(fd, []byte{1, 0, 1, 0}, 0)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			fd, err := createInbox()
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			if err := spoil(fd); err != nil {
				t.Fatal(err)
			}
			if in, err := openInbox(fd); err == nil {
				t.Errorf("it was opened: %+v", in.head())
			}
		})
	}
	if _, err := openInbox(-1); err == nil {
		t.Error("no descriptor was opened")
	}
}

func FuzzOpenInbox(f *testing.F) {
	f.Add(uint64(0), uint64(0), uint32(0), []byte("a\nb\n\x00c"))
	f.Add(uint64(3|skipping), uint64(1<<32|9000), uint32(100_000), []byte("a\nb\nc"))
	f.Add(uint64(firstData), ^uint64(0), uint32(7), []byte("a"))
	f.Add(^uint64(0), uint64(1<<32), uint32(mostData), bytes.Repeat([]byte("x\n"), 40_000))
	f.Fuzz(func(t *testing.T, first, second uint64, more uint32, data []byte) {
		fd, err := createInbox()
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Ftruncate(fd, dataStart+firstData+int64(more%(1<<20))); err != nil {
			t.Fatal(err)
		}
		in, err := openInbox(fd)
		if err != nil {
			t.Fatal(err)
		}
		*in.word(0), *in.word(8) = first, second
		copy(in.data(), data)
		if err := in.close(); err != nil {
			t.Fatal(err)
		}
		if in, err = openInbox(fd); err != nil {
			return // it says so
		}
		c := &channelOf{fd: fd, in: in, told: in.notes()}
		defer func() { _ = c.in.close() }()
		c.check(t)
		for range 3 {
			for line, ok := c.in.line(); ok; line, ok = c.in.line() {
				c.in.done(len(line))
			}
			space, _, err := c.in.room()
			if err != nil {
				t.Fatal(err)
			}
			c.in.came(copy(space, data))
		}
		c.in.setNotes(data[:min(len(data), notesSize)])
		c.told = bytes.Clone(c.in.notes())
		c.in.notes()
	})
}

// TestInboxOfADaemonThatIsKilled kills one that reads, again and again. Each
// says what it hears before it is done with it, and so may say it twice, under
// one number.
func TestInboxOfADaemonThatIsKilled(t *testing.T) {
	const deaths, mean = 60, 30 // lines between two deaths
	memory, err := createInbox()
	if err != nil {
		t.Fatal(err)
	}
	inbox := os.NewFile(uintptr(memory), "inbox")
	defer inbox.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer theirs.Close()
	enough := make(chan struct{})
	total := make(chan int, 1)
	go func() {
		defer ours.Close()
		for n := 0; ; n++ {
			select {
			case <-enough:
				total <- n
				return
			default:
				line := sentLine{n, rand.IntN(40_000)}.text()
				if _, err := ours.Write(append(line, '\n')); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	next := 0
	for death := range deaths {
		if death == deaths-1 {
			close(enough)
		}
		next = oneLife(t, inbox, theirs, next, death < deaths-1, 1+rand.IntN(2*mean))
	}
	if n := <-total; next != n {
		t.Errorf("of %d lines %d came", n, next)
	}
}

// oneLife lets a daemon live until it has said so many lines, or to its end.
func oneLife(t *testing.T, inbox, channel *os.File, next int, killed bool, lines int) int {
	t.Helper()
	said, say, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestInboxDaemon$")
	cmd.Env = append(os.Environ(), "TEND_INBOX_DAEMON=1")
	cmd.ExtraFiles = []*os.File{inbox, channel, say}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = say.Close()
	first := true
	for n := 0; ; n++ {
		if killed && n == lines {
			_ = cmd.Process.Kill() // and what it said until then counts
		}
		var number, size int
		var sum uint32
		if _, err := fmt.Fscanf(said, "%d %d %d\n", &number, &size, &sum); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if first && number == next-1 {
			next-- // it was said, and not noted
		}
		first = false
		if number != next || sum != crc32.ChecksumIEEE(sentLine{next, size}.text()) {
			t.Fatalf("line %d of %d bytes came as number %d, sum %x", next, size, number, sum)
		}
		next++
	}
	if err := cmd.Wait(); err != nil && !killed {
		t.Errorf("the last daemon: %v", err)
	}
	return next
}

// TestInboxDaemon is the process that TestInboxOfADaemonThatIsKilled kills.
func TestInboxDaemon(t *testing.T) {
	if os.Getenv("TEND_INBOX_DAEMON") == "" {
		t.Skip("it is run by another test")
	}
	const memory, channel, say = 3, 4, 5
	in, err := openInbox(memory)
	if err != nil {
		t.Fatal(err)
	}
	for {
		for line, ok := in.line(); ok; line, ok = in.line() {
			said := fmt.Appendf(nil, "%d %d %d\n", in.lines(), len(line), crc32.ChecksumIEEE(line))
			if _, err := unix.Write(say, said); err != nil {
				t.Fatal(err)
			}
			in.done(len(line))
		}
		space, _, err := in.room()
		if err != nil {
			t.Fatal(err)
		}
		n, err := unix.Read(channel, space)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		in.came(n)
	}
}
