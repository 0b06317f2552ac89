package config

import (
	"errors"
	"os/user"
	"strconv"

	"tend/internal/errs"
)

// resolveAccount finds the user and the group to run as.
func (r *resolver) resolveAccount() {
	d := &r.draft
	for _, flag := range []struct {
		value any
		to    *string
		name  string
	}{{r.o.UID, &d.uid, "uid"}, {r.o.GID, &d.gid, "gid"}} {
		if flag.value == nil {
			continue
		}
		text, err := asAccount(plain(flag.value))
		if err != nil {
			r.fault(errs.Invalid, "", "%s: %w", flag.name, err)
		}
		*flag.to = text
	}
	if d.uid == "" && d.gid == "" && len(d.groups) == 0 {
		return
	}
	if r.c.UID != 0 {
		r.fault(errs.Denied, "run tend as root, or leave uid, user, gid and groups out", "uid, gid: only root may choose them")
		return
	}
	if d.uid != "" {
		r.resolveUser()
	}
	if d.gid != "" {
		if id, err := groupID(d.gid); err != nil {
			r.fault(errs.NotFound, "", "gid: %w", err)
		} else {
			d.spec.GID = &id
		}
	}
	if len(d.groups) > 0 {
		r.resolveGroups()
	}
}

func (r *resolver) resolveUser() {
	d, s := &r.draft, &r.draft.spec
	lookup := user.Lookup
	number, err := strconv.Atoi(d.uid)
	isNumber := err == nil
	if isNumber {
		lookup = user.LookupId
	}
	u, err := lookup(d.uid)
	if err != nil && isNumber && d.gid != "" {
		// A user without an entry is common in containers; its home and its
		// groups cannot be known.
		s.UID, s.Account = &number, d.uid
		return
	}
	if err != nil {
		hint := ""
		if isNumber {
			hint = "a user without an entry needs gid too"
		}
		r.fault(errs.NotFound, hint, "uid: %w", err)
		return
	}
	groups, err := u.GroupIds()
	ids := make([]int, 2+len(groups))
	for i, text := range append([]string{u.Uid, u.Gid}, groups...) {
		var idErr error
		ids[i], idErr = strconv.Atoi(text)
		err = errors.Join(err, idErr)
	}
	if err != nil {
		r.fault(errs.Internal, "", "uid: read the entry of %s: %w", u.Username, err)
		return
	}
	s.UID, s.GID, s.Groups, s.Account = &ids[0], &ids[1], ids[2:], u.Username
	for name, value := range map[string]string{"HOME": u.HomeDir, "USER": u.Username} {
		if _, ok := s.Env[name]; !ok {
			s.Env[name] = value
		}
	}
}

// resolveGroups finds the supplementary groups that were asked for in place of
// the user's.
func (r *resolver) resolveGroups() {
	s := &r.draft.spec
	if s.UID == nil && s.GID == nil {
		r.fault(errs.Invalid, "say as whom it runs: uid", "groups: they go with uid or gid")
		return
	}
	s.Groups = nil
	for _, name := range r.draft.groups {
		id, err := groupID(name)
		if err != nil {
			r.fault(errs.NotFound, "", "groups: %w", err)
			continue
		}
		s.Groups = append(s.Groups, id)
	}
}

// groupID is the number of the group that text names.
func groupID(text string) (int, error) {
	id, err := strconv.Atoi(text)
	if err == nil {
		return id, nil
	}
	g, err := user.LookupGroup(text)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}
