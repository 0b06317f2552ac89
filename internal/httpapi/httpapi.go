// Package httpapi is the daemon's front door: HTTP/1.1 and JSON over the unix
// socket of the home, with streams as NDJSON. It translates and decides
// nothing; the types are those of package api.
package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/fanout"
	"tend/internal/settings"
	"tend/internal/supervisor"
)

// Options are what the handlers call.
type Options struct {
	Supervisor *supervisor.Supervisor
	Settings   *settings.Store
	Notices    *fanout.Ring
	Log        *slog.Logger
	Ping       func() api.Pong
	// Fresh waits, within bounds, until every process was measured once.
	Fresh func(ctx context.Context)
	// Host is what the machine has and uses, as far as that is known at once.
	Host func(ctx context.Context) api.Host
	// Update goes over to other binaries; when it returns nil the daemon ends
	// as soon as the answer is out.
	Update func(ctx context.Context, req api.UpdateRequest) error
	// Restored is called when the saved list was restored, also when some of it
	// could not be; Stopping before every app ends for good.
	Restored, Stopping func()
	// Leave ends the daemon, and with quit the keeper.
	Leave       func(quit bool)
	ReopenLogs  func() error
	TruncateLog func(paths []string) error
}

// Server serves the routes.
type Server struct {
	opts Options
	http *http.Server

	writeWait time.Duration // the constant; tests wait longer, to see that nobody else does
}

// access says who may call a route.
type access int

const (
	// owner is the user of the daemon, and root.
	owner access = 1
)

// The limits of a request. A start of thousands of apps from one file is a
// few megabytes, and so many positions of logs are some hundred kilobytes.
const (
	maxBody      = 64 << 20
	maxHeader    = 512 << 10
	headerWait   = 10 * time.Second
	writeWait    = 10 * time.Second // for a client that does not read
	endpointRoot = "/" + api.Version
)

// New makes a server; nothing is served before Run.
func New(opts Options) *Server {
	s := &Server{opts: opts, writeWait: writeWait}
	mux := http.NewServeMux()
	for _, r := range []struct {
		method, path string
		who          access
		handle       http.HandlerFunc
	}{
		{"GET", "/ping", owner, s.ping},
		{"GET", "/host", owner, s.host},
		{"GET", "/instances", owner, s.list},
		{"POST", "/instances", owner, s.act},
		{"GET", "/events", owner, s.events},
		{"GET", "/logs", owner, s.logs},
		{"POST", "/apps", owner, s.start},
		{"POST", "/scale", owner, s.scale},
		{"POST", "/message", owner, s.message},
		{"POST", "/trigger", owner, s.trigger},
		{"POST", "/input", owner, s.input},
		{"GET", "/settings", owner, s.settings},
		{"POST", "/settings", owner, s.changeSettings},
		{"POST", "/save", owner, s.save},
		{"POST", "/resurrect", owner, s.resurrect},
		{"POST", "/kill", owner, s.kill},
		{"POST", "/update", owner, s.update},
		{"GET", "/profile", owner, s.profile},
		{"POST", "/logs/reload", owner, s.reloadLogs},
		{"POST", "/logs/flush", owner, s.flushLogs},
	} {
		mux.Handle(r.method+" "+endpointRoot+r.path, guard(r.who, r.handle))
	}
	s.http = &http.Server{
		Handler: mux, ReadHeaderTimeout: headerWait, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(opts.Log.Handler(), slog.LevelWarn),
		ConnContext: connContext,
	}
	return s
}

// Run serves l until ctx ends. Requests that are under way are cut off; what
// they had begun goes on.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	stop := context.AfterFunc(ctx, func() { _ = s.http.Close() })
	defer stop()
	err := s.http.Serve(l)
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		return ctx.Err()
	}
	return fmt.Errorf("serve the daemon's socket: %w", err)
}

// peer is who is at the other end of a connection.
type peer struct {
	uid, pid int
	known    bool
	// life ends with the daemon, and not with the connection: what a client
	// asked for is done also when it does not wait for it.
	life context.Context //nolint:containedctx // it is what a connection carries to its requests
}

type peerKey struct{}

func connContext(ctx context.Context, c net.Conn) context.Context {
	var p peer
	p.uid, p.pid, p.known = credentials(c)
	p.life = supervisor.AskedBy(ctx, p.String())
	return context.WithValue(p.life, peerKey{}, p)
}

// String is who asks, as the daemon's log has it.
func (p peer) String() string { return fmt.Sprintf("user %d, pid %d", p.uid, p.pid) }

func peerOf(r *http.Request) peer {
	p, _ := r.Context().Value(peerKey{}).(peer)
	return p
}

// guard lets through whom the route allows. The socket's mode keeps others
// away already; this holds also where that was changed.
func guard(who access, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := peerOf(r)
		if who != owner || !p.known || p.uid != os.Geteuid() && p.uid != 0 {
			refuse(w, &errs.Error{
				Op: "call", On: r.URL.Path, Kind: errs.Denied, Err: fmt.Errorf("user %d may not", p.uid),
				Hint: "run tend as the user of the daemon",
			})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next(w, r)
	})
}

func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(errs.KindOf(err).Status())
	_ = json.NewEncoder(w).Encode(errs.Wire(err)) // a client that left needs no answer
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // as above
}

// decode reads the body of a request into v. Fields that are not known are an
// error: a newer client must not believe that they were heeded.
func decode(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return &errs.Error{
			Op: "read", On: r.URL.Path, Kind: errs.Invalid, Err: err,
			Hint: "client and daemon may be of different versions: `tend update` brings the daemon up to date",
		}
	}
	return nil
}

// stream answers a request with events. work tells of each as it happens, and
// goes on when nobody listens any more.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, work func(ctx context.Context, tell func(api.Event)) error) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	gone := false
	tell := func(ev api.Event) {
		if gone {
			return
		}
		gone = out.SetWriteDeadline(time.Now().Add(s.writeWait)) != nil || enc.Encode(ev) != nil || out.Flush() != nil
	}
	err := work(peerOf(r).life, tell)
	tell(api.Event{Kind: api.EventDone, OK: err == nil, Error: errs.Wire(err)})
}

func (s *Server) ping(w http.ResponseWriter, _ *http.Request) { answer(w, s.opts.Ping(), nil) }

func (s *Server) host(w http.ResponseWriter, r *http.Request) {
	answer(w, s.opts.Host(r.Context()), nil)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.opts.Fresh(r.Context())
	rows := s.opts.Supervisor.View().Rows
	ids := make([]int, 0, len(rows))
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	if targets := q["target"]; len(targets) > 0 {
		ids = nil
		for _, t := range targets {
			found, err := s.opts.Supervisor.Select(t, q.Get("cwd"))
			if err != nil {
				refuse(w, err)
				return
			}
			ids = append(ids, found...)
		}
	}
	if q.Get("detail") != "" {
		list, err := s.opts.Supervisor.Details(r.Context(), ids)
		answer(w, api.List{Instances: list}, err)
		return
	}
	wanted := make(map[int]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	list := api.List{Instances: make([]api.Instance, 0, len(ids))}
	for _, row := range rows {
		if wanted[row.ID] {
			list.Instances = append(list.Instances, row.Instance)
		}
	}
	answer(w, list, nil)
}

func (s *Server) act(w http.ResponseWriter, r *http.Request) {
	events(s, w, r, s.opts.Supervisor.Act)
}

func (s *Server) start(w http.ResponseWriter, r *http.Request) {
	events(s, w, r, s.opts.Supervisor.Start)
}

func (s *Server) scale(w http.ResponseWriter, r *http.Request) {
	events(s, w, r, s.opts.Supervisor.Scale)
}

func (s *Server) message(w http.ResponseWriter, r *http.Request) {
	events(s, w, r, s.opts.Supervisor.Message)
}

func (s *Server) trigger(w http.ResponseWriter, r *http.Request) {
	events(s, w, r, s.opts.Supervisor.Trigger)
}

func (s *Server) input(w http.ResponseWriter, r *http.Request) {
	events(s, w, r, s.opts.Supervisor.Input)
}

// events answers a request of type T with the events of work.
func events[T any](s *Server, w http.ResponseWriter, r *http.Request, work func(context.Context, T, func(api.Event)) error) {
	var req T
	if err := decode(r, &req); err != nil {
		refuse(w, err)
		return
	}
	s.stream(w, r, func(ctx context.Context, tell func(api.Event)) error { return work(ctx, req, tell) })
}

func (s *Server) settings(w http.ResponseWriter, _ *http.Request) {
	out, err := s.opts.Settings.Read()
	answer(w, out, err)
}

func (s *Server) changeSettings(w http.ResponseWriter, r *http.Request) {
	var req api.SettingsRequest
	if err := decode(r, &req); err != nil {
		refuse(w, err)
		return
	}
	out, err := s.opts.Settings.Change(r.Context(), req)
	if err == nil {
		s.log(r, "settings", "set", keys(req.Set), "unset", req.Unset)
	}
	answer(w, out, err)
}

// keys are what is set; the values may be secrets.
func keys(set []api.Setting) []string {
	out := make([]string, 0, len(set))
	for _, one := range set {
		out = append(out, one.Key)
	}
	return out
}

// log notes what somebody asked for that the supervisor does not hear of.
func (s *Server) log(r *http.Request, act string, args ...any) {
	s.opts.Log.Info("asked to", append([]any{"act", act, "by", peerOf(r).String()}, args...)...)
}

func (s *Server) save(w http.ResponseWriter, r *http.Request) {
	var req api.SaveRequest
	if err := decode(r, &req); err != nil {
		refuse(w, err)
		return
	}
	out, err := s.opts.Supervisor.Save(r.Context(), req)
	answer(w, out, err)
}

func (s *Server) resurrect(w http.ResponseWriter, r *http.Request) {
	s.stream(w, r, func(ctx context.Context, tell func(api.Event)) error {
		// Whoever asked may be what the init system watches: it ends when we
		// have answered.
		defer s.opts.Restored()
		return s.opts.Supervisor.Resurrect(ctx, tell)
	})
}

func (s *Server) kill(w http.ResponseWriter, r *http.Request) {
	s.opts.Stopping()
	s.stream(w, r, s.opts.Supervisor.Kill)
	s.opts.Leave(true)
}

func (s *Server) update(w http.ResponseWriter, r *http.Request) {
	var req api.UpdateRequest
	err := decode(r, &req)
	was := s.opts.Ping()
	if err == nil {
		s.log(r, "update", "daemon", req.Daemon, "keeper", req.Keeper)
		err = s.opts.Update(peerOf(r).life, req)
	}
	answer(w, was, err)
	if err == nil {
		_ = http.NewResponseController(w).Flush() // a client that left needs no answer
		s.opts.Leave(false)
	}
}

func (s *Server) reloadLogs(w http.ResponseWriter, r *http.Request) {
	s.log(r, "reload logs")
	answer(w, struct{}{}, s.opts.ReopenLogs())
}

func (s *Server) flushLogs(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Targets []string `json:"targets"`
	}
	if err := decode(r, &req); err != nil {
		refuse(w, err)
		return
	}
	wanted := map[int]bool{}
	for _, t := range req.Targets {
		ids, err := s.opts.Supervisor.Select(t, "")
		if err != nil {
			refuse(w, err)
			return
		}
		for _, id := range ids {
			wanted[id] = true
		}
	}
	var paths []string
	for _, row := range s.opts.Supervisor.View().Rows {
		if len(req.Targets) > 0 && !wanted[row.ID] {
			continue
		}
		for _, p := range []string{row.OutFile, row.ErrFile, row.LogFile} {
			if p != "" && p != os.DevNull {
				paths = append(paths, p)
			}
		}
	}
	s.log(r, "flush logs", "targets", req.Targets)
	answer(w, struct{}{}, s.opts.TruncateLog(paths))
}
