package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/api"
)

// modes are the counts of world.start that make fork mode and cluster mode.
var modes = map[string]int{"fork": 0, "cluster": 2}

func TestMessagesToTheApp(t *testing.T) {
	for mode, count := range modes {
		t.Run(mode, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, w *world) {
				w.start("messages.js", count, nil)
				workers := max(count, 1)
				w.hear("up", workers)
				sent := []any{"text", 7.0, true, nil, []any{1.0, nil}, map[string]any{"a": "ä€😀"}, map[string]any{"cmd": "start"}, "line\nbreak", ""}
				for _, m := range sent {
					w.send(m)
				}
				got := map[int][]any{} // by pid
				for _, l := range w.hear("message", workers*len(sent)) {
					got[l.PID] = append(got[l.PID], into[struct{ Message any }](t, l).Message)
				}
				if len(got) != workers {
					t.Errorf("%d processes were sent messages, want %d", len(got), workers)
				}
				for pid, messages := range got {
					if diff := cmp.Diff(messages, sent); diff != "" {
						t.Errorf("process %d got (-), was sent (+):\n%s", pid, diff)
					}
				}
			})
		})
	}
}

// The largest message, in characters of three bytes.
func TestALargeMessageToTheApp(t *testing.T) {
	eachVersion(t, func(t *testing.T, w *world) {
		w.start("messages.js", 2, nil)
		w.hear("up", 2)
		const characters = (api.MaxMessage - 100) / len("€")
		w.send(strings.Repeat("€", characters))
		for _, l := range w.hear("message", 2) {
			type large struct {
				Length int
				Same   bool
			}
			if got := into[large](t, l); got != (large{characters, true}) {
				t.Errorf("process %d got %+v of %d characters", l.PID, got, characters)
			}
		}
	})
}

// sentByApp is what messages.js sends, in JSON, as it is heard. Of the last but
// one, of 3 MB, a notice says the size only: see fanout.Ring.Publish.
func sentByApp() []string {
	large := `"` + strings.Repeat("€", 1<<20) + `"`
	if !reference() {
		large = fmt.Sprintf(`{"omitted":%d}`, len(large))
	}
	return []string{
		`"text"`, `7`, `0`, `true`, `null`, `[1,[2]]`, `{"a":{"b":"c"}}`, `{"cmd":"start"}`, `{"cmd":"NODE_"}`, `{"cmd":5}`,
		`"line\nbreak"`, `"ä€😀"`, `""`, `"` + strings.Repeat("€", 32<<10) + `"`, large, `"last"`,
	}
}

func TestMessagesOfTheApp(t *testing.T) {
	for mode, count := range modes {
		t.Run(mode, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, w *world) {
				w.start("messages.js", min(count, 1), nil)
				w.hear("up", 1)
				w.follow()
				w.send("send")
				w.hear("sent", 1)
				w.compare(sentByApp())
			})
		})
	}
}

// compare waits for the messages of the app, and holds them against what it
// sent.
func (w *world) compare(want []string) {
	w.t.Helper()
	for i, got := range w.messages(len(want)) {
		var compact bytes.Buffer
		if err := json.Compact(&compact, got); err != nil {
			w.t.Fatal(err)
		}
		if i >= len(want) || compact.String() != want[i] {
			w.t.Errorf("message %d is %.100s (%d bytes)", i, compact.Bytes(), compact.Len())
		}
	}
}

// A handle that nobody wants is taken and let go of, and the messages behind it
// come through.
func TestHandlesOfTheApp(t *testing.T) {
	for mode, count := range modes {
		t.Run(mode, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, w *world) {
				w.start("handles.js", min(count, 1), flags{"--no-autorestart"})
				w.hear("up", 1)
				w.follow()
				w.send("go")
				w.hear("sent", 1)
				w.compare([]string{`"before"`, `"socket"`, `"between"`, `"server"`, `"after"`})
				if !reference() { // primary.js keeps it
					w.hear("socket closed", 1)
				}
			})
		})
	}
}
