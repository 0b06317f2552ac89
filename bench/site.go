package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"tend/bench/load"
	"tend/internal/sysinfo"
)

// programs are the apps of Node, and the primary for its own cluster.
//
//go:embed node/*.js
var programs embed.FS

// writeProgram writes one of them to path.
func writeProgram(name, path string) error {
	text, err := programs.ReadFile("node/" + name)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// siteName is the name of the web app.
const siteName = "web"

// site is a web app that runs as a cluster.
type site struct {
	port    int
	script  string
	workers []sysinfo.Identity
}

// How the app of a site is.
type siteOptions struct {
	delay         time.Duration // until it answers
	listenTimeout time.Duration // 0 for the manager's default
}

// startSite starts a site of as many workers as the turn has, and returns when
// all of them listen.
func (t *turn) startSite(ctx context.Context, o siteOptions) (*site, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &site{port: port, script: filepath.Join(t.dir, "app.js")}
	if err := s.install("web.js"); err != nil {
		return nil, err
	}
	a := app{
		name: siteName, script: s.script, workers: t.apps, listenTimeout: o.listenTimeout,
		env: map[string]string{"PORT": strconv.Itoa(port), "DELAY": strconv.FormatInt(o.delay.Milliseconds(), 10)},
	}
	if _, err := t.start(ctx, []app{a}); err != nil {
		return nil, err
	}
	err = until(ctx, 20*time.Second, 50*time.Millisecond, "the site answers", func() bool {
		s.workers, err = t.workers(ctx)
		return err == nil && len(s.workers) == t.apps && s.answers(ctx)
	})
	return s, err
}

// install makes a program the version that the next workers run.
func (s *site) install(name string) error { return writeProgram(name, s.script) }

func (s *site) answers(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", s.port), nil)
	if err != nil {
		return false
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}

// freePort is a port that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// workers are the processes of the site that its manager lists.
func (t *turn) workers(ctx context.Context) ([]sysinfo.Identity, error) {
	listed, err := t.instances(ctx, t.home)
	if err != nil {
		return nil, err
	}
	var all []sysinfo.Identity
	for _, in := range listed {
		if in.name != siteName {
			continue
		}
		id, err := sysinfo.Identify(in.pid)
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			return nil, err
		}
		if err == nil {
			all = append(all, id)
		}
	}
	return all, nil
}

// The clients. Those that no rate is asked of make the next request when they
// have the answer.
const (
	crowdSize = 64 // for throughput
	fewSize   = 16 // of each kind, for what happens meanwhile
	patience  = 10 * time.Second
)

// visitors are clients of both kinds.
func visitors() []load.Group {
	return []load.Group{
		{Kind: load.Fresh, Clients: fewSize, Patience: patience},
		{Kind: load.Kept, Clients: fewSize, Patience: patience},
	}
}

// meanwhile has groups make requests to the site until act has ended.
func (s *site) meanwhile(ctx context.Context, groups []load.Group, act func(context.Context) error) (r load.Result, err error) {
	work, ctx := errgroup.WithContext(ctx)
	asking, stop := context.WithCancel(ctx)
	work.Go(func() (err error) {
		r, err = load.Run(asking, s.port, groups)
		return err
	})
	work.Go(func() error {
		defer stop()
		return act(ctx)
	})
	err = work.Wait()
	return r, err
}

// recordVisits keeps what became of the requests of visitors.
func (t *turn) recordVisits(at situation, r load.Result) {
	for i, of := range []struct{ made, failed quantity }{{freshMade, freshFailed}, {keptMade, keptFailed}} {
		tally := &r.Tallies[i]
		t.record(of.made.in(at), float64(tally.Made()))
		t.record(of.failed.in(at), float64(tally.Failures()))
		if tally.Failures() > 0 {
			t.remark("%s: %d of %d requests failed (%s)", of.failed.in(at), tally.Failures(), tally.Made(), tally)
		}
	}
	t.remarkBusy(at, r)
}

// remarkBusy tells where the client may have measured itself.
func (t *turn) remarkBusy(at situation, r load.Result) {
	if r.Busy >= load.Saturated {
		t.remark("%s: the client used %.0f %% of a core, and may have been the limit", at, 100*r.Busy)
	}
}
