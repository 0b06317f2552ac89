package nodeipc

import "time"

// drain is how a worker that is replaced comes to its end.
type drain struct{ on, over bool }

// retire is Hub.Retire.
func (l *loop) retire(key string) {
	if c := l.channels[key]; c != nil && !c.retired {
		c.retired = true
		l.partAll(c)
	}
}

// drain is Hub.Drain. Only the worker itself can end a connection that is kept
// alive between two requests: its preload does, or else its cluster module
// closes what is idle.
func (l *loop) drain(key string, limit time.Duration) {
	c := l.channels[key]
	if c == nil || c.closed {
		l.opts.Heard(key, Drained)
		return
	}
	l.retire(key)
	c.drain.on = true
	line := []byte(drainLine)
	if !c.Preloaded {
		c.notes.Leaving = true
		l.note(c)
		line = disconnectLine(l.nextSeq())
	}
	l.put(c, &parcel{line: line, fd: -1})
	l.timers.after(limit, func() { l.drained(c) })
}

// preloadSays deals with a word of our script in the worker.
func (l *loop) preloadSays(c *channel, act string) {
	if act == "drained" {
		l.drained(c)
	}
}

// drained ends a drain, once.
func (l *loop) drained(c *channel) {
	if c.drain.on && !c.drain.over {
		c.drain.over = true
		l.opts.Heard(c.Key, Drained)
	}
}
