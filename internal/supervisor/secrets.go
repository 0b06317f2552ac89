package supervisor

import (
	"context"
	"os"

	"tend/api"
	"tend/internal/app"
	"tend/internal/command"
	"tend/internal/secret"
	"tend/internal/store"
)

// seekers is how many launches look for their secrets at the same time: each may
// run programs.
const seekers = 4

// withSecrets goes on with the values of an app's secrets once they are found,
// aside: a command may take its time, and no app without secrets waits for it.
func (s *Supervisor) withSecrets(r *store.Record, next func(map[string]string, error)) {
	spec := r.Spec
	if len(spec.Secrets) == 0 {
		next(nil, nil)
		return
	}
	reader := secret.Reader{Dir: spec.Cwd, Env: app.Listed(app.Merged(spec, r.Inherited.Vars)), User: otherUser(spec)}
	s.aside(func(ctx context.Context) {
		select {
		case s.seeking <- struct{}{}:
			defer func() { <-s.seeking }()
		case <-ctx.Done():
			return // the next daemon finds that nothing was launched
		}
		values, err := reader.Values(ctx, spec.Secrets)
		if ctx.Err() == nil {
			next(values, err)
		}
	})
}

// otherUser is who an app runs as, nil where that is ourselves.
func otherUser(spec *api.Spec) *command.User {
	if spec.UID == nil || *spec.UID == os.Geteuid() && spec.GID == nil {
		return nil
	}
	u := &command.User{UID: *spec.UID, GID: os.Getegid(), Groups: spec.Groups}
	if spec.GID != nil {
		u.GID = *spec.GID
	}
	return u
}
