// Package store is the daemon's memory over its own death: a journal of what
// every instance is and does, and the lists that people save.
//
// It knows no rule of a life; it keeps what it is given.
package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"tend/api"
	"tend/internal/durable"
	"tend/internal/errs"
	"tend/internal/lifecycle"
	"tend/internal/sysinfo"
)

// Environment is a set of variables that many apps inherited. It is shared
// and never changed.
type Environment struct {
	Vars map[string]string

	id uint64
}

// Record is all that is kept of one instance.
type Record struct {
	Serial uint64 `json:"serial"` // never given twice in a home
	ID     int    `json:"id"`     // PM2's pm_id
	Index  int    `json:"index"`

	Spec      *api.Spec    `json:"-"` // shared, never changed
	Inherited *Environment `json:"-"`

	Life lifecycle.Instance `json:"life"`
	// Key names launch KeyLaunch, at the keeper and in the process's own
	// environment. Proc is its process, as far as it is known.
	Key       string           `json:"key,omitempty"`
	KeyLaunch uint64           `json:"key_launch,omitempty"`
	Proc      sysinfo.Identity `json:"proc,omitzero"`
	Version   string           `json:"version,omitempty"`
	// Earlier are the keys of launches that are over, whose output may not be in
	// the files yet.
	Earlier []string `json:"earlier,omitempty"`
	// Node is the version of the node that runs the process, Versioning what was
	// checked out when it was launched; both as far as they are known.
	Node       string          `json:"node,omitempty"`
	Versioning *api.Versioning `json:"versioning,omitempty"`

	Role Role `json:"role,omitempty"`
	// Worker is what Node's cluster module knows the process as; 0: it is no
	// worker of a cluster. A Serial, so that it is never given twice.
	Worker uint64 `json:"worker,omitempty"`
	// Alt differs between a process and the one that takes its place, for what
	// the two cannot share.
	Alt bool `json:"alt,omitempty"`
	// Actions are what the process registered to be triggered.
	Actions Actions `json:"actions,omitempty"`
	Note    string  `json:"note,omitempty"` // what a person should know, while it runs
	// Monitored is a mark that people set.
	Monitored bool `json:"monitored,omitempty"`
	// Watched is since when its files have been watched; zero: they were not.
	Watched time.Time `json:"watched,omitzero"`
}

// Actions are what a process can be triggered to do.
type Actions []api.Action

// UnmarshalJSON also takes names alone, as older journals have them.
func (a *Actions) UnmarshalJSON(text []byte) error {
	var names []string
	if json.Unmarshal(text, &names) != nil {
		return json.Unmarshal(text, (*[]api.Action)(a))
	}
	for _, name := range names {
		*a = append(*a, api.Action{Name: name})
	}
	return nil
}

// Role is what an instance is to the place in the list that its ID names.
// Numbers are on disk: append only.
type Role int

// The roles.
const (
	Current   Role = 0 // it has the place
	Successor Role = 1 // it will take the place when it is ready
	Retired   Role = 2 // it has lost the place, or nobody is to follow, and it finishes
)

// entry is one line of the journal: exactly one of its parts.
type entry struct {
	Env  *envEntry  `json:"env,omitempty"`
	Spec *specEntry `json:"spec,omitempty"`
	Put  *putEntry  `json:"put,omitempty"`
	Del  uint64     `json:"del,omitempty"`  // a serial
	Next uint64     `json:"next,omitempty"` // the serial to be given next
}

type envEntry struct {
	ID   uint64            `json:"id"`
	Vars map[string]string `json:"vars"`
}

type specEntry struct {
	ID   uint64    `json:"id"`
	Spec *api.Spec `json:"spec"`
}

type putEntry struct {
	Record

	SpecID uint64 `json:"spec_id"`
	EnvID  uint64 `json:"env_id"`
}

// Store is an open journal. Its methods may be called by many goroutines.
type Store struct {
	log *slog.Logger

	mu      sync.Mutex
	journal *durable.Journal
	live    map[uint64]Record
	specs   map[*api.Spec]uint64
	envs    []*Environment
	nextRef uint64 // ids of specs and environments in the journal
	next    uint64 // serial
	frozen  bool
	behind  bool // what is in memory could not be written
	base    int64
	dirty   chan struct{} // something is to be synced
}

// The journal is rewritten when it has grown to several times what it held
// after the last rewriting.
const (
	growth    = 4
	smallSize = 1 << 20
)

// Open reads the journal at path and returns the records in it, by id
// and serial.
func Open(path string, log *slog.Logger) (*Store, []Record, error) {
	s, damage, err := openJournal(path, log)
	if errors.Is(err, durable.ErrForeign) {
		// What nobody can read must not keep the manager away, and must not
		// be lost: it is kept under another name.
		aside, asideErr := durable.SetAside(path)
		if asideErr == nil {
			log.Error("the journal cannot be read; it is kept aside and the list begins empty", "aside", aside, "err", err)
			s, damage, err = openJournal(path, log)
		}
	}
	if err != nil {
		return nil, nil, &errs.Error{
			Op: "read", On: path, Kind: errs.Invalid, Err: err,
			Hint: "the file is left as it is; move it away to begin with an empty list",
		}
	}
	if damage != (durable.Damage{}) {
		log.Warn("the journal was damaged", "path", path, "damage", damage.String())
	}
	if s.journal.Size() > smallSize { // else it is not worth the wait for the disk
		if err := s.rewrite(); err != nil {
			log.Error("rewrite the journal", "err", err) // the old one goes on
		}
	}
	records := slices.Collect(maps.Values(s.live))
	slices.SortFunc(records, func(a, b Record) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Serial, b.Serial)) })
	return s, records, nil
}

// openJournal reads a journal into a new store.
func openJournal(path string, log *slog.Logger) (*Store, durable.Damage, error) {
	s := &Store{
		log: log, live: map[uint64]Record{}, specs: map[*api.Spec]uint64{}, next: 1,
		dirty: make(chan struct{}, 1),
	}
	r := replay{s: s, specs: map[uint64]*api.Spec{}, envs: map[uint64]*Environment{}}
	var damage durable.Damage
	var err error
	s.journal, damage, err = durable.OpenJournal(path, r.line)
	return s, damage, err
}

// replay is the reading of a journal.
type replay struct {
	s     *Store
	specs map[uint64]*api.Spec
	envs  map[uint64]*Environment
}

func (r *replay) line(payload []byte) error {
	var e entry
	if err := json.Unmarshal(payload, &e); err != nil {
		return errors.Join(durable.ErrForeign, err) // whole, but not of our making
	}
	switch {
	case e.Env != nil:
		env := r.s.intern(e.Env.Vars)
		env.id = e.Env.ID
		r.envs[env.id] = env
		r.s.nextRef = max(r.s.nextRef, env.id)
	case e.Spec != nil:
		r.specs[e.Spec.ID] = e.Spec.Spec
		r.s.specs[e.Spec.Spec] = e.Spec.ID
		r.s.nextRef = max(r.s.nextRef, e.Spec.ID)
	case e.Put != nil:
		rec := e.Put.Record
		r.s.next = max(r.s.next, rec.Serial+1, rec.Worker+1)
		rec.Spec, rec.Inherited = r.specs[e.Put.SpecID], r.envs[e.Put.EnvID]
		if rec.Spec == nil || rec.Inherited == nil {
			// A damaged line took what it refers to. Its process, if it has
			// one, is adopted by what the keeper knows of it.
			r.s.log.Error("an instance in the journal lacks its app", "instance", rec.ID)
			return nil
		}
		r.s.live[rec.Serial] = rec
	case e.Del != 0:
		delete(r.s.live, e.Del)
	case e.Next != 0:
		r.s.next = max(r.s.next, e.Next)
	}
	return nil
}

// Serial is a number that was never given before.
func (s *Store) Serial() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.next
	s.next++
	return n
}

// Intern is the one Environment that holds vars.
func (s *Store) Intern(vars map[string]string) *Environment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.intern(vars)
}

func (s *Store) intern(vars map[string]string) *Environment {
	for _, e := range s.envs {
		if maps.Equal(e.Vars, vars) {
			return e
		}
	}
	e := &Environment{Vars: vars}
	s.envs = append(s.envs, e)
	return e
}

// Put keeps r in place of what was kept under its serial. An error means that
// it is kept in memory only; it will be written when that becomes possible.
func (s *Store) Put(r Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[r.Serial] = r
	if s.frozen {
		return nil
	}
	if s.behind {
		return s.catchUp()
	}
	return s.wrote(s.append(s.journal.Append, r))
}

// Delete forgets the record of that serial.
func (s *Store) Delete(serial uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return nil
	}
	delete(s.live, serial)
	if s.behind {
		return s.catchUp()
	}
	return s.wrote(appendEntry(s.journal.Append, entry{Del: serial}))
}

// Freeze ends all writing: what is in the journal now is what the next daemon
// finds, whatever happens until this one is gone.
func (s *Store) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = true
}

func (s *Store) wrote(err error) error {
	s.touch()
	if err != nil {
		s.behind = true
		s.log.Error("write the journal", "err", err)
		return journalError(err)
	}
	if s.journal.Size() > max(smallSize, growth*s.base) {
		if err := s.rewrite(); err != nil {
			s.log.Error("rewrite the journal", "err", err) // the old one goes on
			s.base = s.journal.Size()                      // do not try at every line
		}
	}
	return nil
}

// touch makes Run look.
func (s *Store) touch() {
	select {
	case s.dirty <- struct{}{}:
	default: // it will look already
	}
}

func journalError(err error) error {
	return &errs.Error{
		Op: "write", On: "the journal", Kind: errs.Full, Err: err,
		Hint: "free some space: until then the list lives in memory only",
	}
}

// catchUp writes everything anew after a time in which nothing could be
// written.
func (s *Store) catchUp() error {
	if err := s.rewrite(); err != nil {
		return journalError(err)
	}
	s.behind = false
	return nil
}

// append writes r, and before it what it refers to where that is new.
func (s *Store) append(write func([]byte) error, r Record) error {
	if r.Inherited.id == 0 {
		s.nextRef++
		if err := appendEntry(write, entry{Env: &envEntry{ID: s.nextRef, Vars: r.Inherited.Vars}}); err != nil {
			return err
		}
		r.Inherited.id = s.nextRef
	}
	id, ok := s.specs[r.Spec]
	if !ok {
		s.nextRef++
		id = s.nextRef
		if err := appendEntry(write, entry{Spec: &specEntry{ID: id, Spec: r.Spec}}); err != nil {
			return err
		}
		s.specs[r.Spec] = id
	}
	return appendEntry(write, entry{Put: &putEntry{Record: r, SpecID: id, EnvID: r.Inherited.id}})
}

func appendEntry(write func([]byte) error, e entry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return write(b)
}

// rewrite makes a journal of what is live and nothing else.
func (s *Store) rewrite() error {
	used := map[*Environment]bool{}
	for _, r := range s.live {
		used[r.Inherited] = true
	}
	s.undefine()
	s.envs = slices.Collect(maps.Keys(used)) // others are still held by those who asked for them
	s.undefine()
	err := s.journal.Rewrite(func(add func([]byte) error) error {
		if err := appendEntry(add, entry{Next: s.next}); err != nil {
			return err
		}
		for _, serial := range slices.Sorted(maps.Keys(s.live)) {
			if err := s.append(add, s.live[serial]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		// Nobody can tell which file goes on. Numbers only grow, so what is
		// defined anew is right in both.
		s.undefine()
		return err
	}
	s.base = s.journal.Size()
	return nil
}

// undefine makes the next use of every spec and environment write it anew.
func (s *Store) undefine() {
	s.specs = map[*api.Spec]uint64{}
	for _, e := range s.envs {
		e.id = 0
	}
}

// syncEvery bounds what a power failure can take. A killed daemon loses
// nothing: what was written is with the kernel.
const syncEvery = time.Second

// Run brings what was written to the disk itself, and tries again what could
// not be written, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.dirty:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(syncEvery):
		}
		s.mu.Lock()
		if s.behind && !s.frozen && s.catchUp() != nil {
			s.touch() // and try again in a while
		}
		s.mu.Unlock()
		if err := s.journal.Sync(); err != nil {
			s.log.Error("sync the journal", "err", err)
		}
	}
}

// Close closes the journal.
func (s *Store) Close() error { return s.journal.Close() }
