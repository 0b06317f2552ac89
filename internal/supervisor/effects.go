package supervisor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"tend/api"
	"tend/internal/app"
	"tend/internal/keeper/remote"
	"tend/internal/keeper/wire"
	"tend/internal/lifecycle"
	"tend/internal/logs/collect"
	"tend/internal/nodeipc"
	"tend/internal/secret"
	"tend/internal/store"
)

// prepare does what must be written down before effects are carried out: a
// launch gets its key.
func (s *Supervisor) prepare(in *instance, effects []lifecycle.Effect) {
	for _, e := range effects {
		sp, ok := e.(lifecycle.Spawn)
		if !ok || in.rec.KeyLaunch == sp.Launch && in.rec.Key != "" {
			continue
		}
		delete(s.keys, in.rec.Key)
		s.remember(&in.rec, in.rec.Key)
		in.rec.Key, in.rec.KeyLaunch = newKey(), sp.Launch
		in.rec.Proc.PID, in.rec.Proc.Start = 0, 0
		in.rec.Worker, in.rec.Actions = 0, nil
		if in.rec.Spec.Mode == api.Cluster {
			in.rec.Worker = s.opts.Store.Serial()
		}
		in.rec.Version = version(in.spec)
		in.signaled = nil
		s.keys[in.rec.Key] = in
	}
}

// mostEarlier is how many launches that are over an instance may have whose
// output is not in its files yet, because a disk is full or they left processes
// behind.
const mostEarlier = 32

// remember keeps launches of an instance that are over. The oldest that are too
// many have waited in vain: their output is let go.
func (s *Supervisor) remember(r *store.Record, keys ...string) {
	r.Earlier = s.unread(slices.Concat(r.Earlier, keys))
	beyond := max(0, len(r.Earlier)-mostEarlier)
	for _, key := range r.Earlier[:beyond] {
		s.opts.Logs.Discard(wire.PipeName(key, 1))
		s.opts.Logs.Discard(wire.PipeName(key, 2))
	}
	r.Earlier = r.Earlier[beyond:]
}

// unread are those of some launches whose output may not be in its files yet.
func (s *Supervisor) unread(keys []string) []string {
	return slices.DeleteFunc(keys, func(key string) bool {
		return !s.holds(wire.PipeName(key, 1)) && !s.holds(wire.PipeName(key, 2))
	})
}

// newKey is a random UUID (RFC 9562, version 4). It is also the unique_id in
// the environment of the process, as PM2 has it.
func newKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func (s *Supervisor) carryOut(in *instance, e lifecycle.Effect) {
	switch e := e.(type) {
	case lifecycle.Spawn:
		s.spawn(in, e.Launch)
	case lifecycle.Signal:
		s.signal(in)
	case lifecycle.Sweep:
		s.sweep(in)
	case lifecycle.Kill:
		s.kill(in)
	case lifecycle.Arm:
		serial := in.rec.Serial
		// No timer is ever stopped: a late one carries an old generation.
		time.AfterFunc(e.After, func() { s.mail.post(happened{serial, lifecycle.Elapsed{Gen: e.Gen}}) })
	case lifecycle.Leave:
		s.remove(in)
	}
}

// tag is what the keeper keeps with a process, for a daemon whose journal was
// lost.
type tag struct {
	ID    int       `json:"id"`
	Index int       `json:"index"`
	Spec  *api.Spec `json:"spec"` // without its environment: that is in /proc/PID/environ
}

// spawn asks the keeper for a process, aside: its secrets are found and its files
// opened first.
func (s *Supervisor) spawn(in *instance, launch uint64) {
	r, spec, files := in.rec, in.spec, in.files
	var fifos collect.Fifos
	answer := func(c wire.Child, err error) { s.mail.post(spawned{r.Serial, launch, c, err, fifos}) }
	s.withSecrets(&r, func(secrets map[string]string, err error) {
		if err != nil {
			answer(wire.Child{}, err)
			return
		}
		s.spawns.do(s.aside, func(context.Context) {
			var err error
			if fifos, err = checkLogs(r.Spec, files); err != nil {
				answer(wire.Child{}, err)
				return
			}
			m, err := s.launch(&r, spec, files, secrets)
			if err != nil {
				answer(wire.Child{}, err)
				return
			}
			s.opts.Keeper.Spawn(m, answer)
		})
	})
}

// checkLogs makes sure that a process can write its output.
func checkLogs(spec *api.Spec, files app.Files) (collect.Fifos, error) {
	if spec.Log.Disabled {
		return nil, nil
	}
	return collect.Check([]string{files.Out, files.Err, orNull(files.Combined)}, owner(spec))
}

// launch says how a process is started. spec is that of r, as the instance is
// told of it.
func (s *Supervisor) launch(r *store.Record, spec *api.Spec, files app.Files, secrets map[string]string) (wire.Spawn, error) {
	bare := *r.Spec
	bare.Env = nil
	t, err := json.Marshal(tag{ID: r.ID, Index: r.Index, Spec: &bare})
	if err != nil {
		return wire.Spawn{}, fmt.Errorf("describe the app for the keeper: %w", err)
	}
	l := s.launchOf(r)
	l.UniqueID, l.Restarts, l.Worker, l.Alt, l.Secrets = r.Key, r.Life.Restarts, r.Worker, r.Alt, secrets
	slots := []wire.Slot{wire.SlotInput, wire.SlotPipe, wire.SlotPipe}
	if app.Channelled(spec) {
		l.ChannelFD = nodeipc.ChannelSlot
		slots = append(slots, wire.SlotChannel)
	}
	if s.opts.Preload != nil && preloads(r) {
		l.Preload = s.opts.Preload()
	}
	path, argv := app.Argv(spec, l)
	if spec.Interpreter != "" {
		path = s.installed(r)
		argv[0] = path
	}
	m := wire.Spawn{
		Key: r.Key, Path: path, Argv: argv, Dir: spec.Cwd, Tag: t,
		Slots: slots,
		Env:   app.Environ(spec, r.Inherited.Vars, s.opts.Home, files, l),
	}
	setRights(&m, spec)
	return m, nil
}

// setRights says as whom a process runs, and what it may.
func setRights(m *wire.Spawn, spec *api.Spec) {
	if spec.UID != nil || spec.GID != nil {
		m.AsUser, m.UID, m.GID = true, uint32(os.Geteuid()), uint32(os.Getegid()) //nolint:gosec // never negative
	}
	if spec.UID != nil {
		m.UID, m.GID = uint32(*spec.UID), 0 //nolint:gosec // validated
	}
	if spec.GID != nil {
		m.GID = uint32(*spec.GID) //nolint:gosec // validated
	}
	for _, g := range spec.Groups {
		m.Groups = append(m.Groups, uint32(g)) //nolint:gosec // validated
	}
	if spec.Umask != nil {
		m.SetUmask, m.Umask = true, uint32(*spec.Umask) //nolint:gosec // validated
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Limits)) {
		l := spec.Limits[name]
		m.Limits = append(m.Limits, wire.Limit{Name: name, Soft: uint64(l.Soft), Hard: uint64(l.Hard)}) //nolint:gosec // -1 is wire.Unlimited
	}
}

// preloads tells whether a worker loads our script before the app: what is in
// our home nobody else may read.
func preloads(r *store.Record) bool {
	return r.Worker != 0 && r.Spec.DrainTimeout > 0 && (r.Spec.UID == nil || *r.Spec.UID == os.Geteuid())
}

// orNull is path, or the file that is never written where there is none.
func orNull(path string) string {
	if path == "" {
		return os.DevNull
	}
	return path
}

func owner(spec *api.Spec) *collect.Owner {
	if spec.UID == nil {
		return nil
	}
	o := &collect.Owner{UID: *spec.UID, GID: -1}
	if spec.GID != nil {
		o.GID = *spec.GID
	}
	return o
}

// collect has the output of a launch copied into the files of its instance.
func (s *Supervisor) collect(in *instance, key string) {
	for n, path := range map[int]string{1: in.files.Out, 2: in.files.Err} {
		name := wire.PipeName(key, n)
		fd, ok := s.opts.Keeper.Held(name)
		if !ok {
			continue // adopted without its pipes, or read to the end before
		}
		stream := collect.Stream{
			Key: name, FD: fd, Owner: owner(in.rec.Spec), Shape: shape(&in.rec, n), Shared: s.sharesLogs(in),
			Rotation: in.rec.Spec.Log.Rotation,
		}
		if !in.rec.Spec.Log.Disabled {
			stream.Paths = append(stream.Paths, path)
			if in.files.Combined != "" {
				stream.Paths = append(stream.Paths, in.files.Combined)
			}
		}
		err := s.opts.Logs.Add(stream)
		if err == nil {
			continue
		}
		// The files could be opened a moment ago. The app must not block on a
		// full pipe for that.
		s.opts.Log.Error("collect output", "app", in.rec.Spec.Name, "instance", in.rec.ID, "err", err)
		stream.Paths = nil
		if err := s.opts.Logs.Add(stream); err != nil {
			s.opts.Log.Error("discard output", "app", in.rec.Spec.Name, "instance", in.rec.ID, "err", err)
		}
	}
}

// sharesLogs tells whether a file of an instance gets the lines of other streams
// too: those of its other output, or of other instances of the app.
func (s *Supervisor) sharesLogs(in *instance) bool {
	f := &in.files
	switch {
	case f.Combined != "" && f.Combined != os.DevNull, f.Out == f.Err && f.Out != os.DevNull:
		return true
	case !in.rec.Spec.Log.Merge:
		return false
	}
	return slices.ContainsFunc(s.list, func(o *instance) bool { return o != in && o.rec.Spec.Name == in.rec.Spec.Name })
}

// shape is what becomes of the lines of one output of an instance.
func shape(r *store.Record, n int) collect.Shape {
	log := &r.Spec.Log
	s := collect.Shape{Date: log.Date, JSON: log.Type == "json", Rate: log.RateLimit, Type: "out", ID: r.ID, App: r.Spec.Name}
	if n == 2 {
		s.Type = "err"
	}
	return s
}

// whyNot says why a process could not be started, and whether the reason will
// last.
func whyNot(spec *api.Spec, err error) (reason string, lasting bool) {
	if e, ok := errors.AsType[*secret.Error](err); ok {
		return e.Error(), !e.Passing
	}
	path, _ := app.Argv(spec, app.Launch{})
	passing := []error{syscall.EAGAIN, syscall.ENOMEM, syscall.ETXTBSY, syscall.EMFILE, syscall.ENFILE, syscall.EINTR}
	if slices.ContainsFunc(passing, func(e error) bool { return errors.Is(err, e) }) {
		return fmt.Sprintf("start %s: %v", path, err), false
	}
	if errors.Is(err, remote.ErrOld) {
		return err.Error() + "; `tend update` replaces it", true
	}
	if _, refused := errors.AsType[*remote.RefusedError](err); !refused {
		return err.Error(), true
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// execve(2) and chdir(2) share the errno; and a missing interpreter
		// in a script's first line is ENOENT as well.
		if _, statErr := os.Stat(spec.Cwd); statErr != nil {
			return fmt.Sprintf("its directory %s is gone", spec.Cwd), true
		}
		if _, statErr := os.Stat(path); statErr != nil {
			return fmt.Sprintf("%s is gone", path), true
		}
		return fmt.Sprintf("the interpreter that %s names in its first line, or its loader, is missing", path), true
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("%s may not be executed, or %s not be entered: %v", path, spec.Cwd, err), true
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Sprintf("%s is no program for this machine and has no first line #!", path), true
	case errors.Is(err, syscall.E2BIG):
		return "its arguments and environment are larger than the kernel allows (execve(2): E2BIG)", true
	}
	return fmt.Sprintf("start %s: %v", path, err), true
}
