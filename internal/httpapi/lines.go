package httpapi

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"tend/api"
	"tend/internal/logs/read"
)

// topicOf is the topic of the lines of a stream.
func topicOf(stream string) string {
	if stream == api.StreamErr {
		return api.TopicErr
	}
	return api.TopicOut
}

// lineNotices are the lines that apps write, as notices. They are read from the
// files and not from the ring: they would drive everything else out of it, and
// the files remember them better.
type lineNotices struct {
	server   *Server
	req      logRequest
	follower *read.Follower
}

// linesOf are those of the topics that are lines; nil: none is.
func (s *Server) linesOf(topics []string) (*lineNotices, error) {
	l := &lineNotices{server: s, req: logRequest{follow: true}}
	out, err := slices.Contains(topics, api.TopicOut), slices.Contains(topics, api.TopicErr)
	switch {
	case out && err:
	case out:
		l.req.stream = api.StreamOut
	case err:
		l.req.stream = api.StreamErr
	default:
		return nil, nil //nolint:nilnil // none is one of the answers
	}
	files, ferr := s.logFiles(&l.req)
	if ferr != nil {
		return nil, ferr
	}
	l.follower, ferr = read.NewFollower(files)
	return l, ferr
}

// run tells the lines that come, until ctx ends or the client has gone.
func (l *lineNotices) run(ctx context.Context, out *noticeStream) {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { l.server.addLogs(ctx, &l.req, l.follower) })
	_ = l.follower.Run(ctx, lineTeller{out}) // the client hears its end
	cancel()
	beside.Wait()
}

// lineTeller makes a notice of each line.
type lineTeller struct{ *noticeStream }

func (t lineTeller) Line(l read.Line) error {
	of := l.Label.(api.LogLine)
	data, err := json.Marshal(string(l.Text))
	if err != nil {
		return err
	}
	at := l.At
	if at.IsZero() {
		at = time.Now()
	}
	return t.tell(api.Notice{At: at.UnixMilli(), Topic: topicOf(of.Stream), ID: of.ID, Name: of.Name, Namespace: of.Namespace, Data: data})
}
