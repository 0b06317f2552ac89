package settings

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"tend/api"
	"tend/internal/durable"
	"tend/internal/errs"
	"tend/internal/home"
)

// Read is what is set in a home. A file that is not there is no settings.
func Read(h home.Dir) (Tree, error) {
	text, err := os.ReadFile(h.Settings())
	if errors.Is(err, fs.ErrNotExist) {
		return Tree{}, nil
	}
	var t Tree
	if err == nil {
		t, err = decode(text)
	}
	if err != nil {
		return nil, &errs.Error{
			Op: "read settings", On: h.Settings(), Kind: errs.Invalid, Err: err, Hint: "mend the file, or move it away; it is left as it is",
		}
	}
	return t, nil
}

// Store is the one who changes the settings of a home.
type Store struct {
	home  home.Dir
	log   *slog.Logger
	apply func(api.Rotation)
	// turn has room for one: who put something into it works on the file.
	turn chan struct{}
}

// New makes the store of a home. It calls apply with how logs are rotated, at
// Load and after each change; apply must not wait.
func New(h home.Dir, log *slog.Logger, apply func(api.Rotation)) *Store {
	return &Store{home: h, log: log, apply: apply, turn: make(chan struct{}, 1)}
}

// Load applies what is set, and the defaults where that cannot be read: a
// damaged file keeps nobody from starting.
func (s *Store) Load() {
	t, err := Read(s.home)
	if err != nil {
		s.log.Error("the settings cannot be read, the defaults hold", "err", err)
	}
	s.heed(t)
}

// heed applies the rotation that follows from t.
func (s *Store) heed(t Tree) api.Rotation {
	r, err := t.Rotation()
	if err != nil {
		s.log.Warn("a setting makes no sense, its default holds", "err", err)
	}
	s.apply(r)
	return r
}

// Read is what is set now.
func (s *Store) Read() (api.Settings, error) {
	t, err := Read(s.home)
	if err != nil {
		return api.Settings{}, err
	}
	r, _ := t.Rotation() // whatever is wrong was told of when it was applied
	return api.Settings{Values: t, Rotation: r}, nil
}

// Change carries out a request, all of it or nothing, and applies what follows
// from it. A request for nothing applies a file that somebody else has written.
func (s *Store) Change(ctx context.Context, req api.SettingsRequest) (api.Settings, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return api.Settings{}, context.Cause(ctx)
	}
	defer func() { <-s.turn }()
	t, err := Read(s.home) // anew: PM2's users edit it by hand
	if err != nil {
		return api.Settings{}, err
	}
	next, notes, err := changed(t, req)
	if err != nil {
		return api.Settings{}, err
	}
	if len(req.Set)+len(req.Unset) > 0 {
		if err := s.write(next); err != nil {
			return api.Settings{}, err
		}
	}
	return api.Settings{Values: next, Rotation: s.heed(next), Notes: notes}, nil
}

// changed is t after a request, and what a person should know of it.
func changed(t Tree, req api.SettingsRequest) (next Tree, notes []string, err error) {
	for _, key := range req.Unset {
		if t, err = t.unset(key); err != nil {
			return nil, nil, err
		}
	}
	for _, one := range req.Set {
		note, err := check(one.Key, one.Value)
		if err == nil {
			t, err = t.set(one.Key, one.Value)
		}
		if err != nil {
			return nil, nil, err
		}
		if note != "" {
			notes = append(notes, note)
		}
	}
	return t, notes, nil
}

// mode closes the file to others: modules keep passwords in it.
const mode = 0o600

func (s *Store) write(t Tree) error {
	text, err := t.encode()
	if err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	if err := durable.WriteFile(s.home.Settings(), text, mode); err != nil {
		return &errs.Error{Op: "save settings", Kind: errs.Full, Err: err, Hint: "what was set before still holds"}
	}
	return nil
}
