package wire

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// check writes m with all its fields drawn, reads it back, also from among
// fields that this version does not know, and reads every beginning of it.
func check[M interface{ Append([]byte) []byte }](t *testing.T, name string, draw func(*rapid.T) M, parse func([]byte) (M, error)) {
	t.Helper()
	t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
		m := draw(t)
		prefix := []byte("before")
		whole := m.Append(prefix)
		if !bytes.HasPrefix(whole, prefix) {
			t.Fatal("what stood before was overwritten")
		}
		body := whole[len(prefix):]
		read := func(b []byte) {
			got, err := parse(b)
			if err != nil {
				t.Fatalf("%x: %v", b, err)
			}
			if diff := cmp.Diff(m, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("(-written +read):\n%s", diff)
			}
		}
		read(body)
		unknown := appendString(appendUint(nil, 250, 7), 251, "of a newer version")
		read(append(bytes.Clone(unknown), body...))
		read(append(bytes.Clone(body), unknown...))

		cut := rapid.IntRange(0, len(body)).Draw(t, "cut")
		if _, err := parse(body[:cut]); err != nil && !errors.Is(err, errField) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}))
}

func ints() *rapid.Generator[int] { return rapid.IntRange(math.MinInt, math.MaxInt) }

func texts() *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) })
}

func lists() *rapid.Generator[[]string] { return rapid.SliceOfN(texts(), 0, 5) }

func TestMessages(t *testing.T) {
	check(t, "Hello", func(t *rapid.T) Hello {
		return Hello{
			PID: ints().Draw(t, "pid"), Daemon: texts().Draw(t, "daemon"),
			Keeper: texts().Draw(t, "keeper"), Seq: rapid.Uint64().Draw(t, "seq"),
			Level: Level(rapid.Uint64().Draw(t, "level")),
		}
	}, ParseHello)
	limits := rapid.Custom(func(t *rapid.T) Limit {
		return Limit{Name: texts().Draw(t, "name"), Soft: rapid.Uint64().Draw(t, "soft"), Hard: rapid.Uint64().Draw(t, "hard")}
	})
	check(t, "Spawn", func(t *rapid.T) Spawn {
		umask := rapid.Uint32().Draw(t, "umask")
		masked := rapid.Bool().Draw(t, "masked")
		if !masked {
			umask = 0
		}
		return Spawn{
			Key: texts().Draw(t, "key"), Path: texts().Draw(t, "path"), Argv: lists().Draw(t, "argv"),
			Env: lists().Draw(t, "env"), Dir: texts().Draw(t, "dir"),
			Slots:  rapid.SliceOfN(rapid.Map(rapid.Byte(), func(b byte) Slot { return Slot(b) }), 0, 5).Draw(t, "slots"),
			AsUser: rapid.Bool().Draw(t, "as user"), UID: rapid.Uint32().Draw(t, "uid"), GID: rapid.Uint32().Draw(t, "gid"),
			Groups: rapid.SliceOfN(rapid.Uint32(), 0, 4).Draw(t, "groups"), Tag: rapid.SliceOf(rapid.Byte()).Draw(t, "tag"),
			SetUmask: masked, Umask: umask, Limits: rapid.SliceOfN(limits, 0, 3).Draw(t, "limits"),
		}
	}, ParseSpawn)
	check(t, "Child", func(t *rapid.T) Child {
		return Child{
			Key: texts().Draw(t, "key"), PID: ints().Draw(t, "pid"), Start: rapid.Uint64().Draw(t, "start"),
			Tag: rapid.SliceOf(rapid.Byte()).Draw(t, "tag"), FD: ints().Draw(t, "fd"),
		}
	}, ParseChild)
	check(t, "Exit", func(t *rapid.T) Exit {
		return Exit{
			Seq: rapid.Uint64().Draw(t, "seq"), Key: texts().Draw(t, "key"), PID: ints().Draw(t, "pid"),
			Known: rapid.Bool().Draw(t, "known"), Status: rapid.Uint32().Draw(t, "status"), At: rapid.Uint64().Draw(t, "at"),
		}
	}, ParseExit)
	check(t, "Failed", func(t *rapid.T) Failed {
		return Failed{Errno: ints().Draw(t, "errno"), Text: texts().Draw(t, "text")}
	}, ParseFailed)
	check(t, "Held", func(t *rapid.T) Held {
		return Held{Name: texts().Draw(t, "name"), FD: ints().Draw(t, "fd")}
	}, ParseHeld)
	check(t, "Seq", func(t *rapid.T) Seq { return Seq{Seq: rapid.Uint64().Draw(t, "seq")} }, ParseSeq)
	check(t, "Upgrade", func(t *rapid.T) Upgrade {
		return Upgrade{Keeper: texts().Draw(t, "keeper"), Daemon: texts().Draw(t, "daemon")}
	}, ParseUpgrade)
	check(t, "Self", func(t *rapid.T) Self {
		return Self{
			Request: rapid.Uint64().Draw(t, "request"), Seq: rapid.Uint64().Draw(t, "seq"), Conn: ints().Draw(t, "conn"),
			Daemon: ints().Draw(t, "daemon"), PidFD: ints().Draw(t, "pidfd"), Path: texts().Draw(t, "path"),
			Quit: rapid.Bool().Draw(t, "quit"),
		}
	}, ParseSelf)
}

func TestFieldsThatAreCutShort(t *testing.T) {
	for name, body := range map[string][]byte{
		"only a number":            {1},
		"no length":                {1, 2, 0, 0},
		"a length without a value": {1, 8, 0, 0, 0},
		"less than the length":     {1, 8, 0, 0, 0, 1, 2, 3},
		"a length beyond it all":   {1, 255, 255, 255, 255, 1},
		"whole, and then a piece":  append(appendUint(nil, 1, 5), 2, 1),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseHello(body); !errors.Is(err, errField) {
				t.Errorf("%v, want %v", err, errField)
			}
		})
	}
}

// TestNumbersOfAnotherSize: no version sends them, and none may panic at them.
func TestNumbersOfAnotherSize(t *testing.T) {
	m, err := ParseHello(appendString(appendString(nil, 1, "123"), 2, "/tend"))
	if err != nil || m != (Hello{Daemon: "/tend"}) {
		t.Errorf("%+v, %v; want the number to count as 0", m, err)
	}
}

// TestBytesOnTheWire holds what a keeper of any age must understand.
func TestBytesOnTheWire(t *testing.T) {
	got := AppendFrame(nil, Frame{Kind: KindAck, ID: 0x0102, Body: Seq{Seq: 0x0304}.Append(nil)})
	want := []byte{
		1, 6, 0, 0, 13, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, // version, kind, flags, 0; length; id
		1, 8, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0, // field, length; value
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	kinds := []Kind{
		KindHello, KindSpawn, KindSpawned, KindFailed, KindExit, KindAck, KindList, KindChild, KindHold, KindDrop,
		KindEnd, KindOK, KindReady, KindUpgrade, KindQuit, KindSelf,
	}
	for i, k := range kinds {
		if int(k) != i+1 {
			t.Errorf("kind %d of the list has number %d: the list is append only", i+1, k)
		}
	}
	if SlotNull != 0 || SlotPipe != 1 || PipeName("key", 2) != "key/2" {
		t.Error("the slots, or the names of pipes, have changed")
	}
}

func TestCutFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []Frame
		var b []byte
		for range rapid.IntRange(0, 5).Draw(t, "frames") {
			f := Frame{
				Kind: Kind(rapid.Byte().Draw(t, "kind")), ID: rapid.Uint64().Draw(t, "id"),
				Body: rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "body"),
			}
			want, b = append(want, f), AppendFrame(b, f)
		}
		rest := b
		for i, f := range want {
			got, after, err := CutFrame(rest)
			if err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
			if diff := cmp.Diff(f, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("frame %d (-written +read):\n%s", i, diff)
			}
			rest = after
		}
		if len(rest) > 0 {
			t.Fatalf("%d bytes are left", len(rest))
		}
		if len(b) > 0 {
			cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
			for rest, err := b[:cut], error(nil); err == nil && len(rest) > 0; {
				_, rest, err = CutFrame(rest)
			}
		}
	})
}

func TestCutFrameRefuses(t *testing.T) {
	sound := AppendFrame(nil, Frame{Kind: KindHello, Body: []byte("body")})
	change := func(i int, v byte) []byte { b := bytes.Clone(sound); b[i] = v; return b }
	for name, b := range map[string][]byte{
		"nothing":         nil,
		"half a header":   sound[:headerSize-1],
		"half a body":     sound[:len(sound)-1],
		"another version": change(0, 2),
		"a huge length":   change(7, 255),
	} {
		t.Run(name, func(t *testing.T) {
			if f, _, err := CutFrame(b); err == nil {
				t.Errorf("it was taken: %+v", f)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Spawn{Key: "k", Argv: []string{"a"}, Slots: []Slot{1}, Groups: []uint32{3}, Tag: []byte{1}}.Append(nil))
	f.Add(Child{Key: "k", PID: -1}.Append(nil))
	f.Add([]byte{1, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		fixed(t, b, ParseHello)
		fixed(t, b, ParseSpawn)
		fixed(t, b, ParseChild)
		fixed(t, b, ParseExit)
		fixed(t, b, ParseFailed)
		fixed(t, b, ParseHeld)
		fixed(t, b, ParseSeq)
		fixed(t, b, ParseUpgrade)
		fixed(t, b, ParseSelf)
	})
}

// fixed sees that what was read is written so that it is read the same.
func fixed[M interface{ Append([]byte) []byte }](t *testing.T, b []byte, parse func([]byte) (M, error)) {
	m, err := parse(b)
	if err != nil {
		return
	}
	again, err := parse(m.Append(nil))
	if err != nil {
		t.Fatalf("%+v cannot be read back: %v", m, err)
	}
	if diff := cmp.Diff(m, again, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("(-first +second):\n%s", diff)
	}
}

func FuzzCutFrame(f *testing.F) {
	f.Add(AppendFrame(AppendFrame(nil, Frame{Kind: 1, Body: []byte("a")}), Frame{Kind: 2}))
	f.Add([]byte{1, 1, 0, 0, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			frame, after, err := CutFrame(rest)
			if err != nil {
				return
			}
			if len(after)+headerSize+len(frame.Body) != len(rest) {
				t.Fatalf("%d bytes gave a body of %d and left %d", len(rest), len(frame.Body), len(after))
			}
			rest = after
		}
	})
}
