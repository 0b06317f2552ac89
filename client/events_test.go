package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/client"
)

func TestSubscribe(t *testing.T) {
	const line = `{"seq":%d,"topic":"axm:reply","id":3,"name":"api","namespace":"default","data":{"n":%d}}` + "\n"
	tests := map[string]struct {
		answer string
		seqs   []uint64
		err    error  // of the end, or
		text   string // what it says
	}{
		"notices, then nobody": {fmt.Sprintf(line+"\n"+line, 7, 1, 8, 2), []uint64{7, 8}, client.ErrBroken, ""},
		"a torn last line":     {fmt.Sprintf(line, 7, 1) + `{"seq":8,"top`, []uint64{7}, client.ErrBroken, ""},
		"no notice":            {"nonsense\n" + fmt.Sprintf(line, 7, 1), nil, nil, "read an event: invalid character"},
		"one without an end":   {strings.Repeat("x", 5<<20), nil, nil, "longer than"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var asked string
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked = r.Method + " " + r.URL.RequestURI()
				_, _ = w.Write([]byte(tt.answer))
			})
			after := uint64(6)
			var seqs []uint64
			s, err := c.Subscribe(t.Context(), &after, api.TopicReply, api.TopicLost)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for err == nil {
				var n api.Notice
				if n, err = s.Next(); err == nil {
					seqs = append(seqs, n.Seq)
				}
			}
			if diff := cmp.Diff(seqs, tt.seqs); diff != "" {
				t.Errorf("notices (-got +want):\n%s", diff)
			}
			if err == nil || tt.err != nil && !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v %s", err, tt.err, tt.text)
			}
			if want := "GET /v1/events?after=6&topic=axm%3Areply&topic=tend%3Alost"; asked != want {
				t.Errorf("asked for %s, want %s", asked, want)
			}
		})
	}
}

// TestSubscriptionEndsWithItsContext, with the cause of that.
func TestSubscriptionEndsWithItsContext(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	over := errors.New("over")
	ctx, cancel := context.WithCancelCause(t.Context())
	s, err := c.Subscribe(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cancel(over)
	if n, err := s.Next(); !errors.Is(err, over) {
		t.Errorf("got %+v, %v; want %v", n, err, over)
	}
}
