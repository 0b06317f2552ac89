package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/client"
)

func TestLogs(t *testing.T) {
	const (
		mark = `{"id":4,"stream":"err","position":"E0","mark":true}` + "\n"
		line = `{"at_ms":5,"id":3,"name":"web","stream":"out","line":"text","position":"%s"}` + "\n"
		done = `{"id":-1,"done":true}` + "\n"
		slow = `{"id":-1,"done":true,"error":{"kind":"timeout","message":"the reader is too slow"}}` + "\n"
	)
	lines := fmt.Sprintf(mark+line+line, "A1", "A2")
	for name, tt := range map[string]struct {
		answer string
		err    error
		text   string
	}{
		"to the end":             {lines + done, io.EOF, "EOF"},
		"of a daemon that dies":  {lines + `{"id":3,"li`, client.ErrBroken, "wait for the daemon: it went away before it answered"},
		"of one that is told so": {lines + slow, nil, "the reader is too slow"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked string
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked = r.URL.RequestURI()
				_, _ = io.WriteString(w, tt.answer)
			})
			ten := 10
			s, err := c.Logs(t.Context(), client.LogQuery{
				Targets: []string{"web"}, Stream: api.StreamOut, Lines: &ten, Since: time.UnixMilli(7), Grep: "x", Follow: true, After: []string{"A0"},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			n := 0
			for ; err == nil; n++ {
				var l api.LogLine
				if l, err = s.Next(); err == nil && (l.Line != "text" || l.Name != "web" || l.At != 5) {
					t.Errorf("got %+v", l)
				}
			}
			if n != 3 || err.Error() != tt.text || tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("%d lines, then %v; want 2 and %q", n-1, err, tt.text)
			}
			if diff := cmp.Diff([]string{"A2", "E0"}, s.Positions()); diff != "" {
				t.Errorf("positions (-want +got):\n%s", diff)
			}
			if want := "/v1/logs?after=A0&follow=1&grep=x&lines=10&since=7&stream=out&target=web"; asked != want {
				t.Errorf("asked for %s, want %s", asked, want)
			}
		})
	}
}
