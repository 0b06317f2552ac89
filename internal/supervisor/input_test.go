package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/errs"
)

func TestMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", cluster, instances(2)), spec("shell"), spec("off", cluster))
		w.act(api.ActStop, "off")
		var got told
		err := w.Message(t.Context(), api.MessageRequest{Targets: []string{"a"}, Message: json.RawMessage(" {\"cmd\" :\n \"start\"}\n")}, got.tell)
		if diff := cmp.Diff([]api.Event{
			{Kind: api.EventTarget, Act: "message", Target: "a", IDs: []int{0, 1}},
			{Kind: api.EventInstance, Act: "message", Name: "a", ID: 0, OK: true},
			{Kind: api.EventInstance, Act: "message", Name: "a", ID: 1, OK: true},
		}, got.events); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		said := w.k.channels.said()
		if len(said) != 2 || !strings.HasSuffix(said[0], ` {"cmd":"start"}`) || said[0][:36] == said[1][:36] {
			t.Errorf("said %q", said)
		}
		hello := json.RawMessage(`"hello"`)
		wantKind(t, w.Message(t.Context(), api.MessageRequest{Targets: []string{"shell"}, Message: hello}, nobody), errs.Invalid, "shell (2): it has no IPC channel")
		wantKind(t, w.Message(t.Context(), api.MessageRequest{Targets: []string{"off"}, Message: hello}, nobody), errs.Invalid, "it is not running")
		wantKind(t, w.Message(t.Context(), api.MessageRequest{Targets: []string{"none"}, Message: hello}, nobody), errs.NotFound, "")
		// One that does not read keeps no other waiting, nor us for ever.
		stuck := w.row(0).Key
		w.k.channels.send = func(ctx context.Context, key string, _ []byte) error {
			if key != stuck {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		got.events = nil
		began := time.Now()
		err = w.Message(t.Context(), api.MessageRequest{Targets: []string{"a"}, Message: hello}, got.tell)
		wantKind(t, err, errs.Timeout, "it does not read its messages")
		if took := time.Since(began); took != sendLimit || !got.events[2].OK {
			t.Errorf("after %v: %+v", took, got.events)
		}
	})
}

func TestMessagesThatMayNotBe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", cluster))
		for text, want := range map[string]string{
			"":                                   "no JSON",
			"{":                                  "no JSON",
			`"a" "b"`:                            "no JSON",
			`{"cmd":"NODE_CLUSTER"}`:             "Node's own",
			`{"cmd":"NODE_X","CMD":"x","Cmd":1}`: "Node's own",
			`{"cmd":"x","cmd":"\u004eODE_x"}`:    "Node's own",
			`"` + strings.Repeat("x", api.MaxMessage) + `"`: "32770 bytes",
		} {
			wantKind(t, w.Message(t.Context(), api.MessageRequest{Targets: []string{"a"}, Message: json.RawMessage(text)}, nobody), errs.Invalid, want)
		}
		wantKind(t, w.Message(t.Context(), api.MessageRequest{Message: json.RawMessage("1")}, nobody), errs.Invalid, "no target")
		if said := w.k.channels.said(); len(said) != 0 {
			t.Errorf("said %q", said)
		}
		for _, text := range []string{"null", "1", `"NODE_"`, `["NODE_"]`, `{"cmd":1}`, `{"cmd":"node"}`, `{"CMD":"NODE_"}`, `"` + strings.Repeat("x", api.MaxMessage-2) + `"`} {
			if err := w.Message(t.Context(), api.MessageRequest{Targets: []string{"a"}, Message: json.RawMessage(text)}, nobody); err != nil {
				t.Errorf("%.20s: %v", text, err)
			}
		}
	})
}

func TestTriggers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", cluster, instances(3)), spec("off", cluster))
		w.act(api.ActStop, "off")
		trigger := func(target, params string) ([]api.Event, error) {
			var got told
			err := w.Trigger(t.Context(), api.TriggerRequest{Targets: []string{target}, Action: "clear", Params: params}, got.tell)
			return got.events, err
		}
		_, err := trigger("a", "")
		wantKind(t, err, errs.NotFound, "trigger a: the app has no action clear")
		_, err = trigger("off", "")
		wantKind(t, err, errs.NotFound, "not running")
		for _, id := range []int{0, 2} {
			w.Action(w.row(id).Key, api.Action{Name: "clear"})
			w.Action(w.row(id).Key, api.Action{Name: "clear"})
		}
		w.Action(w.row(1).Key, api.Action{Name: "other"})
		events, err := trigger("a", "")
		if diff := cmp.Diff([]api.Event{
			{Kind: api.EventTarget, Act: "trigger", Target: "a", IDs: []int{0, 1, 2}},
			{Kind: api.EventInstance, Act: "trigger", Name: "a", ID: 0, OK: true},
			{Kind: api.EventInstance, Act: "trigger", Name: "a", ID: 2, OK: true},
		}, events); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if _, err := trigger("0", `a "b"`); err != nil {
			t.Error(err)
		}
		said := w.k.channels.said()
		for i, want := range []string{`"clear"`, `"clear"`, `{"msg":"clear","opts":"a \"b\""}`} {
			if _, text, _ := strings.Cut(said[i], " "); text != want {
				t.Errorf("said %s, want %s", text, want)
			}
		}
		// Another daemon knows it too, and another process does not.
		w.close()
		w = openWorld(t, w.home, w.k, w.k.inventory())
		if _, err := trigger("2", ""); err != nil {
			t.Error(err)
		}
		w.act(api.ActRestart, "2")
		_, err = trigger("2", "")
		wantKind(t, err, errs.NotFound, "no action")
		// What is kept has a bound.
		for i := range 2 * maxActions {
			w.Action(w.row(1).Key, api.Action{Name: fmt.Sprint("action ", i)})
		}
		w.Action(w.row(0).Key, api.Action{Name: strings.Repeat("x", maxActionName+1)})
		synctest.Wait()
		if n := len(w.table[1].rec.Actions); n != maxActions || len(w.table[0].rec.Actions) != 1 {
			t.Errorf("%d actions are kept, and %v", n, w.table[0].rec.Actions)
		}
	})
}

func TestInput(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", instances(2)), spec("off"))
		w.act(api.ActStop, "off")
		var ends [2]*os.File
		for i := range ends {
			r, wr, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close(); wr.Close() })
			ends[i] = r
			fd := int(wr.Fd()) //nolint:gosec // a descriptor
			if err := syscall.SetNonblock(fd, true); err != nil {
				t.Fatal(err)
			}
			w.k.held[w.row(i).Key+"/0"] = fd
		}
		input := func(target, line string) error {
			return w.Input(t.Context(), api.InputRequest{Targets: []string{target}, Line: line}, nobody)
		}
		long := strings.Repeat("x", api.MaxLine)
		if err := errors.Join(input("a", "hello"), input("0", long)); err != nil {
			t.Error(err)
		}
		for i, want := range []string{"hello\n" + long + "\n", "hello\n"} {
			got := make([]byte, len(want))
			if _, err := io.ReadFull(ends[i], got); err != nil || string(got) != want {
				t.Errorf("instance %d reads %.20q, %v", i, got, err)
			}
		}
		wantKind(t, input("a", long+"x"), errs.Invalid, "4096 bytes")
		wantKind(t, input("off", "x"), errs.Invalid, "off (2): it is not running")
		// One that does not read: until the pipe is full (pipe(7)), and never a
		// part of a line.
		lines := 0
		var err error
		for ; err == nil && lines < 1000; lines++ {
			err = input("0", long)
		}
		wantKind(t, err, errs.Timeout, "does not read its standard input")
		for range lines - 1 {
			got := make([]byte, len(long)+1)
			if _, err := io.ReadFull(ends[0], got); err != nil || got[len(long)] != '\n' {
				t.Fatalf("a line ends with %q, %v", got[len(long)], err)
			}
		}
		ends[1].Close()
		wantKind(t, input("1", "x"), errs.Invalid, "it has closed its standard input")
	})
}
