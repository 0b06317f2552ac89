package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/logs/read"
	"tend/internal/supervisor"
)

const (
	logBuffer = 32 << 10
	// logPatience is how long a client may take for a buffer of lines.
	logPatience = 5 * time.Second
	// logLines is how many lines of each log are given where none says.
	logLines = 15
)

var errSlow = errors.New("the reader is too slow")

// logRequest is what a client wants to see.
type logRequest struct {
	targets []string
	cwd     string
	stream  string // "" is both
	follow  bool
	query   read.Query
	after   []read.Position
}

// logs streams lines of logs. It reads them from their files as fast as the
// client takes them, and holds none.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	req, err := readLogRequest(r.URL.Query())
	if err == nil && r.Header.Get("Last-Event-ID") != "" { // a browser that comes back
		err = req.goOnAfter(r.Header.Get("Last-Event-ID"))
	}
	var files []read.File
	if err == nil {
		files, err = s.logFiles(&req)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	f, err := read.NewFollower(files)
	if err != nil {
		refuse(w, err)
		return
	}
	out := newLogStream(w, r, s.writeWait, req.query.Keep)
	if err = s.tellLogs(r.Context(), &req, f, files, out); !errors.Is(err, errGone) {
		out.end(err)
	}
}

// tellLogs tells the lines that are there, and then those that come. What cannot
// be read of the former is the error of an end that comes after all the others.
func (s *Server) tellLogs(ctx context.Context, req *logRequest, f *read.Follower, files []read.File, out *logStream) error {
	defer f.Close()
	var damaged error
	for i := range files {
		if files[i].After != nil || !files[i].Since.IsZero() {
			continue // they go on
		}
		past := f.History
		if !req.follow { // the last line may lack its end
			past = func(ctx context.Context, i int, q read.Query, each func(read.Line) error) error {
				return read.History(ctx, files[i], q, each)
			}
		}
		err := past(ctx, i, req.query, out.Line)
		if _, ok := errors.AsType[*read.Unread](err); ok {
			damaged = errors.Join(damaged, err)
		} else if err != nil {
			return err
		}
	}
	if !req.follow {
		return damaged
	}
	if damaged != nil {
		s.opts.Log.Warn("not all of the logs can be read", "err", damaged)
	}
	for i := range files {
		if err := out.mark(files[i].Label.(api.LogLine), f.Position(i)); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.addLogs(ctx, req, f) })
	err := f.Run(ctx, out)
	cancel()
	wg.Wait()
	return err
}

// addLogs follows the logs of instances that come, until ctx ends.
func (s *Server) addLogs(ctx context.Context, req *logRequest, f *read.Follower) {
	began := time.Now()
	for notices := s.opts.Notices.Reader(nil); ctx.Err() == nil; {
		files, err := s.logFiles(req)
		if err != nil {
			s.opts.Log.Warn("logs of new instances are not followed", "err", err)
		}
		for _, file := range files {
			file.After, file.Since = nil, began // those that are known stay as they are
			f.Add(file)
		}
		for {
			n, err := notices.Next(ctx)
			if err != nil {
				return
			}
			if n.Topic == api.TopicProcess || n.Topic == api.TopicLost {
				break
			}
		}
	}
}

// logFiles are the logs that are asked for, each once. Who follows may name
// what is not there yet.
func (s *Server) logFiles(req *logRequest) ([]read.File, error) {
	rows := s.opts.Supervisor.View().Rows
	wanted := map[int]bool{}
	for _, t := range req.targets {
		ids, err := s.opts.Supervisor.Select(t, req.cwd)
		if err != nil && (!req.follow || errs.KindOf(err) != errs.NotFound) {
			return nil, err
		}
		for _, id := range ids {
			wanted[id] = true
		}
	}
	var files []read.File
	for _, row := range rows {
		if len(req.targets) == 0 || wanted[row.ID] {
			files = req.appendFiles(files, row)
		}
	}
	return files, nil
}

func (req *logRequest) appendFiles(files []read.File, row *supervisor.Row) []read.File {
	for _, l := range []struct{ stream, path string }{{api.StreamOut, row.OutFile}, {api.StreamErr, row.ErrFile}} {
		known := slices.ContainsFunc(files, func(f read.File) bool { return f.Path == l.path })
		if known || l.path == "" || l.path == os.DevNull || req.stream != "" && req.stream != l.stream {
			continue
		}
		file := read.File{Path: l.path, Label: api.LogLine{ID: row.ID, Name: row.Name, Namespace: row.Namespace, Stream: l.stream}}
		for i, p := range req.after {
			if p.Of(l.path) {
				file.After = &req.after[i]
			} else if p.Time().After(file.Since) {
				file.Since = p.Time()
			}
		}
		files = append(files, file)
	}
	return files
}

func readLogRequest(v url.Values) (logRequest, error) {
	req := logRequest{targets: v["target"], cwd: v.Get("cwd"), stream: v.Get("stream"), follow: v.Get("follow") == "1"}
	if !slices.Contains([]string{"", api.StreamOut, api.StreamErr}, req.stream) {
		return req, badLogs("stream", `it is "out" or "err"`, fmt.Errorf("there is no stream %q", req.stream))
	}
	var err error
	number := func(name string, otherwise int64) int64 {
		text := v.Get(name)
		if text == "" {
			return otherwise
		}
		n, nerr := strconv.ParseInt(text, 10, 64)
		if nerr != nil {
			err = badLogs(name, "times are milliseconds since the epoch", fmt.Errorf("%q is no number", text))
		}
		return n
	}
	if ms := number("since", 0); ms != 0 {
		req.query.Since = time.UnixMilli(ms)
	}
	if ms := number("until", 0); ms != 0 {
		req.query.Until = time.UnixMilli(ms)
	}
	lines := int64(logLines)
	if !req.query.Since.IsZero() {
		lines = -1
	}
	req.query.Lines = int(number("lines", lines))
	var filter read.Filter
	for name, into := range map[string]**regexp.Regexp{"grep": &filter.Grep, "exclude": &filter.Exclude} {
		if text := v.Get(name); text != "" {
			re, rerr := regexp.Compile(text)
			if rerr != nil {
				err = badLogs(name, "regular expressions are Go's (RE2)", rerr)
			}
			*into = re
		}
	}
	req.query.Keep = filter.Keep()
	for _, text := range v["after"] {
		if perr := req.goOnAfter(text); perr != nil {
			err = perr
		}
	}
	if len(req.after) > 0 && !req.follow && err == nil {
		err = badLogs("after", "add follow=1", errors.New("only who follows goes on"))
	}
	return req, err
}

// goOnAfter goes on behind a position, or behind all that the id of an event has.
func (req *logRequest) goOnAfter(text string) error {
	for part := range strings.SplitSeq(text, betweenPositions) {
		p, err := read.ParsePosition(part)
		if err != nil {
			return err
		}
		req.after = append(req.after, p)
	}
	return nil
}

func badLogs(what, hint string, err error) error {
	return &errs.Error{Op: "read", On: what, Kind: errs.Invalid, Err: err, Hint: hint}
}

// errGone says that the client is.
var errGone = errors.New("the client left")

// betweenPositions stands between those in the id of an event: append only.
const betweenPositions = "."

// place is where one log goes on.
type place struct {
	id       int
	stream   string
	position string
}

// logStream writes lines to a client.
type logStream struct {
	out    timely
	buffer *bufio.Writer
	keep   func([]byte) bool
	events bool    // server-sent ones
	places []place // of all logs that were told of: who comes back has the id of one event only
	last   bool    // the end is being told: patience is over
	late   bool
	limit  time.Duration // of a write, before the client is too slow
}

func newLogStream(w http.ResponseWriter, r *http.Request, wait time.Duration, keep func([]byte) bool) *logStream {
	s := &logStream{
		out: newTimely(w, wait), keep: keep,
		events: strings.Contains(r.Header.Get("Accept"), "text/event-stream"),
		limit:  logPatience,
	}
	s.buffer = bufio.NewWriterSize(s, logBuffer)
	kind := "application/x-ndjson"
	if s.events {
		kind = "text/event-stream"
		w.Header().Set("Cache-Control", "no-cache")
	}
	w.Header().Set("Content-Type", kind)
	_ = s.out.flush() // that it is gone shows at the first line
	return s
}

// Write passes on what the buffer has, and notes when the client was slow.
func (s *logStream) Write(b []byte) (int, error) {
	began := time.Now()
	n, err := s.out.Write(b)
	if err == nil {
		err = s.out.flush()
	}
	s.late = s.late || time.Since(began) > s.limit
	return n, err
}

// Line tells a line.
func (s *logStream) Line(l read.Line) error {
	if s.keep != nil && !s.keep(l.Text) {
		return nil
	}
	line := l.Label.(api.LogLine)
	line.Line, line.Position = string(l.Text), l.Position().String()
	if !l.At.IsZero() {
		line.At = l.At.UnixMilli()
	}
	return s.tell(line)
}

// mark tells where a log is followed from.
func (s *logStream) mark(l api.LogLine, p read.Position) error {
	l.Mark, l.Position = true, p.String()
	return s.tell(l)
}

func (s *logStream) tell(l api.LogLine) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	switch {
	case !s.events:
		_, err = s.buffer.Write(append(text, '\n'))
	case l.Done: // without an id the browser keeps the last
		_, err = fmt.Fprintf(s.buffer, "event: done\ndata: %s\n\n", text)
	default:
		_, err = fmt.Fprintf(s.buffer, "id: %s\nevent: %s\ndata: %s\n\n", s.eventID(l), topicOf(l.Stream), text)
	}
	return s.fate(err)
}

// eventID is where every log goes on behind a line.
func (s *logStream) eventID(l api.LogLine) string {
	i := slices.IndexFunc(s.places, func(p place) bool { return p.id == l.ID && p.stream == l.Stream })
	if i < 0 {
		i = len(s.places)
		s.places = append(s.places, place{id: l.ID, stream: l.Stream})
	}
	s.places[i].position = l.Position
	var id strings.Builder
	for i, p := range s.places {
		if i > 0 {
			id.WriteString(betweenPositions)
		}
		id.WriteString(p.position)
	}
	return id.String()
}

// Flush sends what is there.
func (s *logStream) Flush() error {
	if s.buffer.Buffered() == 0 {
		return nil
	}
	return s.fate(s.buffer.Flush())
}

// fate is what becomes of a stream after a write.
func (s *logStream) fate(err error) error {
	switch {
	case err != nil:
		return errGone
	case s.late && !s.last:
		return errSlow
	}
	return nil
}

// end tells that no more comes, and why.
func (s *logStream) end(err error) {
	s.last = true
	l := api.LogLine{ID: -1, Done: true}
	switch {
	case errors.Is(err, errSlow):
		l.Error = errs.Wire(&errs.Error{
			Op: "stream", On: "logs", Kind: errs.Timeout, Err: err,
			Hint: "go on with `after` and the last position of each log",
		})
	case errors.Is(err, context.Canceled):
		return // the client or the daemon goes
	case err != nil:
		l.Error = errs.Wire(err)
	}
	if s.tell(l) == nil {
		_ = s.Flush() // a client that left needs no end
	}
}
