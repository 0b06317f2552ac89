package supervisor

import (
	"context"
	"slices"
	"sync"
	"time"

	"tend/api"
	"tend/internal/nodeipc"
)

// fakeChannels plays the hub, and what processes say to it. What they say
// while no daemon listens waits for the next, as in a socket.
type fakeChannels struct {
	k *fakeKeeper

	// boot is what a process says, and how long after it is there; nil: it
	// comes up and listens at once.
	boot func(key string) []word
	// drain answers Drain; nil: it has finished at once.
	drain func(key string, limit time.Duration)
	// send answers Send; nil: the kernel takes it.
	send func(ctx context.Context, key string, text []byte) error

	mu        sync.Mutex
	s         *Supervisor
	open      map[string]nodeipc.Channel // of this daemon
	status    map[string]nodeipc.Status  // of processes that are there
	unheard   map[string][]nodeipc.News
	booted    map[string]bool
	did       []string // Retire, Drain, Release, with what
	sent      []string // key and text
	forgotten map[string]bool
}

// word is one thing that a process says, after a time.
type word struct {
	after time.Duration
	news  nodeipc.News
}

func newChannels(k *fakeKeeper) *fakeChannels {
	return &fakeChannels{
		k: k, status: map[string]nodeipc.Status{}, unheard: map[string][]nodeipc.News{}, booted: map[string]bool{},
		forgotten: map[string]bool{},
	}
}

func (c *fakeChannels) attach(s *Supervisor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s, c.open = s, map[string]nodeipc.Channel{}
}

// start is the beginning of a process with a channel.
func (c *fakeChannels) start(key string) {
	c.mu.Lock()
	c.status[key] = nodeipc.Status{Open: true}
	words := []word{{0, nodeipc.Online}, {0, nodeipc.Listening}}
	c.mu.Unlock()
	if c.boot != nil {
		words = c.boot(key)
	}
	for _, w := range words {
		time.AfterFunc(w.after, func() { c.say(key, w.news) })
	}
}

// end is the end of a process.
func (c *fakeChannels) end(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.status, key)
}

// say has a process say something.
func (c *fakeChannels) say(key string, n nodeipc.News) {
	dead := c.k.isDead()
	c.mu.Lock()
	st, there := c.status[key]
	if !there {
		c.mu.Unlock()
		return
	}
	st.Ready = st.Ready || n == nodeipc.Ready
	st.Listening = st.Listening || n == nodeipc.Listening
	c.status[key] = st
	_, heard := c.open[key]
	if !heard || dead {
		c.unheard[key] = append(c.unheard[key], n)
		c.mu.Unlock()
		return
	}
	s := c.s
	c.mu.Unlock()
	s.Heard(key, n)
}

func (c *fakeChannels) Open(ch nodeipc.Channel) error {
	if !c.k.effect() {
		return nil
	}
	c.mu.Lock()
	if _, twice := c.open[ch.Key]; twice {
		c.k.t.Errorf("channel %s is opened twice", ch.Key)
	}
	c.open[ch.Key] = ch
	news := c.unheard[ch.Key]
	delete(c.unheard, ch.Key)
	s := c.s
	c.mu.Unlock()
	for _, n := range news {
		s.Heard(ch.Key, n)
	}
	return nil
}

func (c *fakeChannels) Status(key string) nodeipc.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.open[key]; !ok {
		return nodeipc.Status{}
	}
	return c.status[key]
}

func (c *fakeChannels) Send(ctx context.Context, key string, text []byte) error {
	if !c.k.effect() {
		return nil
	}
	c.mu.Lock()
	c.sent = append(c.sent, key+" "+string(text))
	c.mu.Unlock()
	if c.send != nil {
		return c.send(ctx, key, text)
	}
	return nil
}

func (c *fakeChannels) note(what, of string) bool {
	if !c.k.effect() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.did = append(c.did, what+" "+of)
	return true
}

func (c *fakeChannels) Retire(key string) { c.note("retire", key) }

func (c *fakeChannels) Drain(key string, limit time.Duration) {
	if !c.note("drain", key) {
		return
	}
	if c.drain != nil {
		c.drain(key, limit)
		return
	}
	c.finished(key)
}

// finished is the news that follows Drain, to the daemon that asked.
func (c *fakeChannels) finished(key string) {
	c.mu.Lock()
	_, heard := c.open[key]
	s := c.s
	c.mu.Unlock()
	if heard && !c.k.isDead() {
		s.Heard(key, nodeipc.Drained)
	}
}

func (c *fakeChannels) Forget(key string) {
	if !c.k.effect() {
		return
	}
	c.mu.Lock()
	delete(c.open, key)
	delete(c.unheard, key)
	c.forgotten[key] = true
	c.mu.Unlock()
	c.k.take(key, nodeipc.ChannelSlot)
}

func (c *fakeChannels) Release(group string) { c.note("release", group) }

// done is what was done so far, and forgets it.
func (c *fakeChannels) done() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	did := c.did
	c.did = nil
	return did
}

func (c *fakeChannels) said() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sent)
}

// fakeNotices keeps what is published.
type fakeNotices struct {
	mu  sync.Mutex
	all []api.Notice
}

func (n *fakeNotices) Publish(notice api.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, notice)
}

// take is what was published so far, as "id data", and forgets it.
func (n *fakeNotices) take() (list []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, notice := range n.all {
		list = append(list, string(rune('0'+notice.ID))+" "+string(notice.Data))
	}
	n.all = nil
	return list
}
