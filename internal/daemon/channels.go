package daemon

import (
	"tend/api"
	"tend/internal/fanout"
	"tend/internal/nodeipc"
)

// newChannels makes what speaks to processes. held are the names on the shelf.
func (d *daemon) newChannels(held []string) *nodeipc.Hub {
	return nodeipc.New(nodeipc.Options{
		Shelf: d.keeper, Held: held, Log: d.log,
		// The supervisor is there before anything is heard.
		Heard:  func(key string, n nodeipc.News) { d.supervisor.Heard(key, n) },
		Action: func(key string, a api.Action) { d.supervisor.Action(key, a) },
		Publish: func(n api.Notice, line uint64) {
			d.notices.PublishMarked(n, fanout.Mark{Key: n.UniqueID, Line: line})
		},
		Published: d.notices.Marked,
	})
}

// preload is the path of the script for workers of a cluster, "" where it
// cannot be had: they are drained without it, less well.
func (d *daemon) preload() string {
	path := d.opts.Home.Preload()
	if err := nodeipc.InstallPreload(path); err != nil {
		d.log.Warn("install the script that drains workers", "err", err)
		return ""
	}
	return path
}
