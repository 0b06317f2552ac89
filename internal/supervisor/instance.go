package supervisor

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
	"tend/internal/lifecycle"
	"tend/internal/store"
	"tend/internal/sysinfo"
)

// instance is one row of the table.
type instance struct {
	rec    store.Record
	policy lifecycle.Policy
	spec   *api.Spec // as it is told to the instance, its templates filled in
	files  app.Files

	use      sysinfo.Usage
	signaled map[int]uint64 // processes that were asked to stop with the first one
	waiters  []waiter
	row      *Row // as last published; nil: to be made anew
	left     bool // it is out of the table
	restarts int  // how many were told of

	// hidden are the instances that are to take the place of this one, or had
	// it before; of is the one that such an instance is hidden behind.
	hidden   []*instance
	of       *instance
	draining bool // it was told to finish

	// asked is what was ordered last, and by whom, for the log. why is set where
	// nobody ordered it, and note is what its process is to have to say for
	// itself.
	asked, why, note string
	heard            int // how much people have asked of it

	watchKey string
	schedule *schedule
}

func (s *Supervisor) newInstance(rec store.Record) *instance {
	in := &instance{rec: rec, restarts: rec.Life.Restarts}
	s.derive(in)
	return in
}

func (s *Supervisor) setSpec(in *instance, spec *api.Spec) {
	if spec != in.rec.Spec && watchKey(spec) != in.watchKey {
		in.rec.Watched = time.Time{}
	}
	in.rec.Spec = spec
	was := in.files.Pid
	s.derive(in)
	if was != in.files.Pid && was != os.DevNull && s.table[in.rec.ID] == in {
		_ = os.Remove(was) // nobody would any more
	}
}

// derive works out what follows from the Spec of an instance, its number, and
// what it inherited.
func (s *Supervisor) derive(in *instance) {
	spec, inherited, l := in.rec.Spec, in.rec.Inherited.Vars, s.launchOf(&in.rec)
	in.watchKey = watchKey(spec)
	in.reschedule(time.Now())
	in.policy = policyOf(&in.rec)
	in.spec = app.Filled(spec, inherited, l)
	in.files = app.FilesOf(spec, inherited, s.opts.Home, l)
	in.rec.Version = version(in.spec)
}

// launchOf is what an instance is told of itself at each launch.
func (s *Supervisor) launchOf(r *store.Record) app.Launch {
	return app.Launch{ID: r.ID, Index: r.Index, Instances: r.Spec.Instances, Host: s.host}
}

func (s *Supervisor) insert(in *instance) {
	s.table[in.rec.ID] = in
	at, _ := slices.BinarySearchFunc(s.list, in.rec.ID, byID)
	s.list = slices.Insert(s.list, at, in)
	s.serial[in.rec.Serial] = in
	if in.rec.Key != "" {
		s.keys[in.rec.Key] = in
	}
	s.nextID = max(s.nextID, in.rec.ID+1)
	s.stale = true
}

func byID(in *instance, id int) int { return in.rec.ID - id }

// remove takes an instance that has no process away, unless others hidden
// behind it have one: the last of them brings it back here.
func (s *Supervisor) remove(in *instance) {
	if in.waits() {
		return
	}
	in.left = true
	if in.of != nil {
		s.unhide(in)
	} else {
		s.vacate(in)
	}
	delete(s.serial, in.rec.Serial)
	delete(s.keys, in.rec.Key)
	_ = s.opts.Store.Delete(in.rec.Serial) // the store reports and mends
}

// vacate frees the place of an instance.
func (s *Supervisor) vacate(in *instance) {
	delete(s.table, in.rec.ID)
	delete(s.weights, in.rec.ID)
	if at, ok := slices.BinarySearchFunc(s.list, in.rec.ID, byID); ok {
		s.list = slices.Delete(s.list, at, at+1)
	}
	if len(s.table) == 0 {
		s.nextID = 0 // as PM2: ids begin anew in an empty list
	}
	s.stale = true
	s.notify(in, in.rec.Key, "delete")
	s.opts.Log.Info("deleted", "app", in.rec.Spec.Name, "instance", in.rec.ID)
}

func policyOf(r *store.Record) lifecycle.Policy {
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	s := r.Spec
	p := lifecycle.Policy{
		Autorestart: s.Autorestart, StopCodes: s.StopCodes, MaxRestarts: s.MaxRestarts,
		MinUptime: ms(s.MinUptime), RestartDelay: ms(s.RestartDelay), Backoff: ms(s.Backoff),
		KillTimeout: ms(s.KillTimeout), StartTime: ms(s.StartTime),
		WaitReady: s.WaitReady, ListenTimeout: ms(s.ListenTimeout),
	}
	if s.Unexpected {
		p.ExpectedCodes = s.ExpectedCodes
	}
	if s.StartRetries != nil {
		p.StartTries = *s.StartRetries + 1
	}
	switch r.Role {
	case store.Current:
	case store.Successor:
		p.Autorestart, p.WaitReady, p.Strict = false, true, true
	case store.Retired:
		p.Autorestart = false
	}
	return p
}

// goal is what somebody waits for.
type goal int

const (
	goalNone     goal = iota
	goalRunning       // online
	goalStopped       // no process
	goalGone          // out of the table
	goalReplaced      // another has its place, and it is gone
)

// waiter waits for a goal. Its channel has room for the one answer.
type waiter struct {
	goal   goal
	answer chan<- result
}

// result is how an order ended for one instance.
type result struct {
	id     int
	name   string
	state  lifecycle.State
	reason string
	ok     bool
	row    *Row      // as it is then, whatever comes before the answer is sent
	kind   errs.Kind // of a failure that is none of the app's; "": the app's
	hint   string
	ended  *Row // the successor that did not take over
	spared int  // how many instances of the app were not tried any more
}

func (in *instance) result(ok bool) result {
	r := result{
		id: in.rec.ID, name: in.rec.Spec.Name, state: in.rec.Life.State, reason: in.rec.Life.Reason, ok: ok,
		row: in.shown().newRow(),
	}
	switch {
	case in.of == nil:
	case in.rec.Role == store.Retired:
		r.state = in.of.rec.Life.State
	default:
		r.reason, r.ended = in.failure(), in.newRow()
	}
	return r
}

// shown is the instance that has the place of in.
func (in *instance) shown() *instance {
	if in.of != nil {
		return in.of
	}
	return in
}

// answerWaiters answers everybody whose goal is reached, or cannot be.
func (s *Supervisor) answerWaiters(in *instance) {
	in.waiters = slices.DeleteFunc(in.waiters, func(w waiter) bool {
		done, ok := in.reached(w.goal)
		if done {
			r := in.result(ok)
			s.reply(func() { w.answer <- r })
		}
		return done
	})
}

func (in *instance) reached(g goal) (done, ok bool) {
	st := in.rec.Life.State
	switch {
	case g == goalNone:
		return true, true
	case g == goalReplaced:
		return in.left || st == lifecycle.Errored, in.left && in.rec.Role == store.Retired
	case in.left:
		return true, g != goalRunning
	case (st == lifecycle.Stopped || st == lifecycle.Errored) && g != goalRunning && in.waits():
		return false, false
	}
	switch st {
	case lifecycle.Online: // with goalStopped: another order overruled the stop
		return g != goalGone, g == goalRunning
	case lifecycle.Stopped:
		return g != goalGone, g == goalStopped
	case lifecycle.Errored:
		// A process that could not be killed stays; any other is gone.
		return true, g == goalStopped && in.rec.Life.Live == 0
	case lifecycle.Waiting:
		return g != goalGone, false
	case lifecycle.Launching, lifecycle.Stopping:
	}
	return false, false
}

// View is the table at one moment. Nobody may change what is in it.
type View struct {
	Rows   []*Row // by id
	limits int    // how many have a memory limit
}

// Row is one instance of a View.
type Row struct {
	api.Instance

	Key        string // of its last launch
	StartTicks uint64 // with PID its identity; see sysinfo.Identity
	MaxMemory  int64  // its limit; 0: none
	Cron       string // when it is started although it was stopped; "": never
	Priority   int    // see app.Priority
}

// publish makes a new view when something has changed.
func (s *Supervisor) publish() {
	if !s.stale && s.view.Load() != nil {
		return
	}
	s.stale = false
	v := &View{Rows: make([]*Row, 0, len(s.list))}
	for _, in := range s.list {
		if in.row == nil {
			in.row = in.newRow()
		}
		v.Rows = append(v.Rows, in.row)
		if in.row.MaxMemory > 0 {
			v.limits++
		}
	}
	if was := s.view.Swap(v); v.limits > 0 && (was == nil || was.limits == 0) {
		select {
		case s.limited <- struct{}{}:
		default:
		}
	}
}

func (in *instance) newRow() *Row {
	cron := in.rec.Spec.Cron
	if in.rec.Spec.CronSparesStopped {
		cron = ""
	}
	return &Row{
		Instance: in.describe(), Key: in.rec.Key, StartTicks: in.rec.Proc.Start,
		MaxMemory: in.rec.Spec.MaxMemory, Cron: cron, Priority: app.Priority(in.rec.Spec),
	}
}

func (in *instance) describe() api.Instance {
	r, spec, life := &in.rec, in.rec.Spec, &in.rec.Life
	out := api.Instance{
		ID: r.ID, Name: spec.Name, Namespace: spec.Namespace, Index: r.Index,
		Mode: spec.Mode, Version: r.Version,
		State: stateOf(life.State), Reason: life.Reason,
		CreatedAt: millis(life.Created), StartedAt: millis(life.Started),
		Restarts: life.Restarts, Unstable: life.Unstable, PrevDelay: life.PrevDelay.Milliseconds(),
		Exited: life.Exit.Happened, ExitCode: life.Exit.Code, ExitUnknown: life.Exit.Unknown,
		User: spec.Username, Watching: spec.Watch != nil, Monitored: r.Monitored,
		OutFile: in.files.Out, ErrFile: in.files.Err, LogFile: in.files.Combined, PidFile: in.files.Pid,
		Script: spec.Script,
	}
	if spec.Account != "" {
		out.User = spec.Account
	}
	if out.Reason == "" {
		out.Reason = r.Note
	}
	if r.Role == store.Retired && life.State == lifecycle.Online { // it finishes what it has
		out.State = api.Stopping
	}
	if life.Exit.Signal != 0 {
		out.ExitSignal = app.SignalName(syscall.Signal(life.Exit.Signal))
	}
	if life.Live != 0 && !life.Ended && r.KeyLaunch == life.Live {
		out.PID = r.Proc.PID
	}
	if life.State == lifecycle.Online {
		out.CPU, out.Memory = in.use.CPU, in.use.Memory
	}
	return out
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// version is what the nearest package.json says, "N/A" without one (as PM2).
func version(spec *api.Spec) string {
	const unknown = "N/A"
	start := filepath.Dir(spec.Script)
	if !filepath.IsAbs(spec.Script) { // a command line of a shell
		start = spec.Cwd
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if v, ok := packageVersion(filepath.Join(dir, "package.json")); ok {
			return v
		}
		if dir == "/" || dir == "." {
			return unknown
		}
	}
}

// maxPackage bounds what is read of a package.json.
const maxPackage = 1 << 20

func packageVersion(path string) (string, bool) {
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPackage))
	if err != nil {
		return "", false
	}
	var p struct {
		Version string `json:"version"`
	}
	if json.Unmarshal(b, &p) != nil || p.Version == "" {
		return "", false
	}
	return p.Version, true
}

// writePidFile writes the pid file that PM2's users know. Nothing here reads
// it, so one that cannot be written is worth a line in the log and no more.
func (s *Supervisor) writePidFile(in *instance) {
	if in.files.Pid == os.DevNull {
		return
	}
	pid := []byte(strconv.Itoa(in.rec.Proc.PID))
	err := os.WriteFile(in.files.Pid, pid, 0o600)
	if errors.Is(err, fs.ErrNotExist) { // its directory, as that of a log
		if err = os.MkdirAll(filepath.Dir(in.files.Pid), 0o750); err == nil {
			err = os.WriteFile(in.files.Pid, pid, 0o600)
		}
	}
	if err != nil {
		s.opts.Log.Warn("write pid file", "app", in.rec.Spec.Name, "err", err)
	}
}

func (s *Supervisor) removePidFile(in *instance) {
	if in.files.Pid != os.DevNull {
		_ = os.Remove(in.files.Pid) // somebody else may have
	}
}
