package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"tend/api"
	"tend/client"
	"tend/internal/logs/read"
)

// source is a log and whose it is.
type source struct {
	path string
	name string // "3|api", or the daemon's
	kind sourceKind
	id   int
	app  string
}

func (s *source) file() read.File { return read.File{Path: s.path, Label: s} }

type sourceKind int

const (
	outSource sourceKind = iota
	errSource
	daemonSource
)

func (k sourceKind) style() style {
	switch k {
	case errSource:
		return styleRed
	case daemonSource:
		return styleBlue
	case outSource:
	}
	return styleGreen
}

// join adds the logs of instances that are not there yet, and gives them.
func (v *logView) join(list []api.Instance) []*source {
	var added []*source
	for _, in := range list {
		v.ids[in.ID] = true
		for _, kind := range v.opts.streams() {
			path := in.OutFile
			if kind == errSource {
				path = in.ErrFile
			}
			if !v.seen[path] {
				v.seen[path] = true
				added = append(added, &source{path: path, name: fmt.Sprintf("%d|%s", in.ID, in.Name), kind: kind, id: in.ID, app: in.Name})
			}
		}
	}
	v.sources = append(v.sources, added...)
	return added
}

// sortSources puts the logs first that were not touched for longest.
func (v *logView) sortSources() {
	touched := make(map[*source]time.Time, len(v.sources))
	for _, s := range v.sources {
		if fi, err := os.Stat(s.path); err == nil {
			touched[s] = fi.ModTime()
		}
	}
	slices.SortStableFunc(v.sources, func(a, b *source) int { return touched[a].Compare(touched[b]) })
}

func (v *logView) addDaemon() {
	path := v.env.Home.Log()
	v.seen[path] = true
	v.sources = slices.Insert(v.sources, 0, &source{path: path, name: v.env.Program, kind: daemonSource, id: -1, app: v.env.Program})
}

// follow prints lines as they come, also those of instances that come, until
// ctx ends.
func (v *logView) follow(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { v.attend(ctx, c) })
	err := v.follower.Run(ctx, v.printer)
	cancel()
	wg.Wait()
	return err
}

// attendAgain is how long a daemon that is gone is left alone.
const attendAgain = 500 * time.Millisecond

// attend adds the logs of instances that come, through the deaths of daemons.
func (v *logView) attend(ctx context.Context, c *client.Client) {
	var last *uint64
	for ctx.Err() == nil {
		_ = v.attendOnce(ctx, c, &last) // with the next daemon it goes on
		select {
		case <-ctx.Done():
		case <-time.After(attendAgain):
		}
	}
}

func (v *logView) attendOnce(ctx context.Context, c *client.Client, last **uint64) error {
	notices, err := c.Subscribe(ctx, *last, api.TopicProcess)
	if err != nil {
		return err
	}
	defer notices.Close()
	for {
		if err := v.arrive(ctx, c); err != nil {
			return err
		}
		for arrived := false; !arrived; {
			n, err := notices.Next()
			if err != nil {
				return err
			}
			seq := n.Seq
			*last = &seq
			arrived = v.hear(n)
		}
	}
}

// hear takes a notice in, and tells whether an instance may have come.
func (v *logView) hear(n api.Notice) bool {
	var data struct {
		Event string `json:"event"`
	}
	if n.Topic == api.TopicLost || json.Unmarshal(n.Data, &data) != nil {
		return true
	}
	if v.opts.json && v.ids[n.ID] {
		v.printer.tell(n, data.Event)
		v.follower.Wake()
	}
	return data.Event == "online" || !v.ids[n.ID]
}

// arrive follows what is new in the table, from the launch on.
func (v *logView) arrive(ctx context.Context, c *client.Client) error {
	list, err := v.instances(ctx, c)
	if err != nil {
		return err
	}
	for _, in := range list {
		since := moment(in.CreatedAt)
		if v.ids[in.ID] {
			since = moment(in.StartedAt)
		}
		if since.Before(v.started) {
			since = v.started
		}
		for _, s := range v.join([]api.Instance{in}) {
			file := s.file()
			file.Since = since
			v.follower.Add(file)
		}
	}
	return nil
}
