package nodeipc

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tend/api"
)

func TestSocketName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := socketName{
			group: rapid.String().Draw(t, "group"),
			key:   rapid.String().Draw(t, "key"),
			slot:  rapid.IntRange(-1, 1000).Draw(t, "slot"),
			path:  rapid.String().Draw(t, "path"),
		}
		text := want.String()
		if strings.ContainsAny(text, "\n\x00") {
			t.Fatalf("the name %q has a byte that no shelf wants", text)
		}
		if got, ok := parseSocketName(text); !ok || got != want {
			t.Fatalf("got %+v, %v, want %+v", got, ok, want)
		}
	})
}

func TestSocketNameTellsSocketsApart(t *testing.T) {
	seen := map[string]socketName{}
	for _, n := range []socketName{
		{"a", "b", -1, ""},
		{"ab", "", -1, ""},
		{"", "ab", -1, ""},
		{"a", "b", 0, ""},
		{"a", "b", 1, ""},
		{"a", "b", -1, "/b"},
		{`a","b`, "", -1, ""},
	} {
		if other, ok := seen[n.String()]; ok {
			t.Errorf("%+v and %+v are both %s", n, other, n)
		}
		seen[n.String()] = n
	}
}

func TestWhatIsNoSocketName(t *testing.T) {
	for _, text := range []string{
		"", "listen", "listen ", "w1/3", "w1/inbox", `listen ["a","b","0"]`, `listen ["a","b","x",""]`, `listen ["a","b",0,""]`,
		`listen ["a","b","0","",""]`, `listen null`, `["a","b","0",""]`,
	} {
		if n, ok := parseSocketName(text); ok {
			t.Errorf("%q was taken for %+v", text, n)
		}
	}
}

// TestOptionsAsAppsGiveThem: a backlog often comes from the environment. Node
// itself takes it, so the worker must get its answer.
func TestOptionsAsAppsGiveThem(t *testing.T) {
	w := newWorld(t)
	a := w.spawn(worker(0, api.RoundRobin), `require('net').createServer().listen({ port: 0, backlog: '64' })`)
	w.waitNews(a.Key, Listening)
}
