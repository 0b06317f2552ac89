package pm2env

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"

	"tend/api"
)

// Saved is an instance as dump.pm2 keeps it. Its id is not kept: restored
// instances get new ones.
type Saved struct {
	Spec api.Spec
	// Env is the whole environment of the process, inherited and own.
	Env map[string]string
	// Index is the instance's number among those of its app, -1 when unknown.
	Index     int
	Stopped   bool
	Restarts  int
	Unstable  int
	CreatedAt int64 // ms since the epoch
	StartedAt int64
	ExitCode  int
	Version   string
	// The files of the instance, as they were open; empty where unknown.
	OutFile, ErrFile, LogFile, PidFile string
	// Foreign tells that PM2 wrote it: there, braces are text like other text.
	Foreign bool
}

// extension is what tend needs of an instance beyond PM2's names; it stands
// under the one key "tend".
type extension struct {
	Instances int `json:"instances"`
	Index     int `json:"index"`
	// OwnEnv names the variables of Spec.Env; null says that the value is the
	// one in env.
	OwnEnv map[string]*string `json:"own_env,omitempty"`
	// Secrets says where values are found; the values are in no list.
	Secrets map[string]api.Secret `json:"secrets,omitempty"`
	File    string                `json:"file,omitempty"`
	FileEnv string                `json:"file_env,omitempty"`
	// CommandLine is the position in args of the text that pm_exec_path, as an
	// interpreter, is given.
	CommandLine *int           `json:"command_line,omitempty"`
	FilterEnv   *api.EnvFilter `json:"filter_env,omitempty"` // where PM2 has no form for it
	Account     string         `json:"account,omitempty"`
	Groups      []int          `json:"groups,omitempty"`
	StopSignal  string         `json:"stop_signal"`
	Balance     api.Balance    `json:"balance,omitempty"`
	// DrainTimeout is nil in lists of a tend that knew no such field.
	DrainTimeout *int64         `json:"drain_timeout_ms,omitempty"`
	Log          files          `json:"log,omitzero"`
	CronSpares   bool           `json:"cron_spares_stopped,omitempty"`
	LogRateLimit int64          `json:"log_rate_limit,omitempty"`
	LogRotation  *api.Rotation  `json:"log_rotation,omitempty"`
	Extra        map[string]any `json:"extra,omitempty"` // of names that PM2 does not know
	Life         life           `json:"life,omitzero"`
}

// life is what a Spec says of starts and ends in words that PM2 does not know.
type life struct {
	InstanceStart int                  `json:"instance_start,omitempty"`
	Umask         *int                 `json:"umask,omitempty"`
	Limits        map[string]api.Limit `json:"limits,omitempty"`
	Priority      *int                 `json:"priority,omitempty"`
	Unexpected    bool                 `json:"unexpected,omitempty"`
	ExpectedCodes []int                `json:"expected_exit_codes,omitempty"`
	StartTime     int64                `json:"start_time_ms,omitempty"`
	StartRetries  *int                 `json:"start_retries,omitempty"`
	GroupKill     bool                 `json:"groupkill,omitempty"`
}

func lifeOf(s *api.Spec) life {
	return life{
		s.InstanceStart, s.Umask, s.Limits, s.Priority, s.Unexpected, s.ExpectedCodes, s.StartTime, s.StartRetries, s.GroupKill,
	}
}

func (l life) put(s *api.Spec) {
	s.InstanceStart, s.Umask, s.Limits, s.Priority = l.InstanceStart, l.Umask, l.Limits, l.Priority
	s.Unexpected, s.ExpectedCodes, s.StartTime, s.StartRetries = l.Unexpected, l.ExpectedCodes, l.StartTime, l.StartRetries
	s.GroupKill = l.GroupKill
}

// files are the paths of a Log as they were asked for; PM2's fields hold those
// that came of them.
type files struct {
	Out      string `json:"out_file,omitempty"`
	Err      string `json:"error_file,omitempty"`
	Combined string `json:"log_file,omitempty"`
	Pid      string `json:"pid_file,omitempty"`
}

// EncodeDump is list as the text of dump.pm2: PM2 can restore it, and
// DecodeDump gives list again.
func EncodeDump(list []Saved) []byte {
	objects := make([]Object, len(list))
	for i, s := range list {
		objects[i] = s.object()
	}
	var out bytes.Buffer
	if err := json.Indent(&out, AppendJSON(nil, objects), "", "  "); err != nil {
		panic("pm2env: AppendJSON wrote what is no JSON: " + err.Error())
	}
	return out.Bytes()
}

func (s Saved) object() Object {
	var b builder
	b.definition(s.Spec, s.Env)
	b.paths(s.OutFile, s.ErrFile, s.LogFile, s.PidFile)
	b.put("status", string(s.state()))
	b.put("pm_uptime", s.StartedAt)
	b.put("created_at", s.CreatedAt)
	b.put("restart_time", s.Restarts)
	b.put("unstable_restarts", s.Unstable)
	b.put("exit_code", s.ExitCode)
	b.some("version", s.Version)
	b.number(s.Spec.InstanceVar, s.Spec.InstanceStart+s.Index)
	for _, name := range slices.Sorted(maps.Keys(s.Spec.Extra)) {
		if !isField(name) {
			b.put(name, s.Spec.Extra[name])
		}
	}
	b.put("tend", s.extension())
	return b.object
}

func (s Saved) state() api.State {
	if s.Stopped {
		return api.Stopped
	}
	return api.Online
}

func (s Saved) extension() json.RawMessage {
	x := extension{
		Instances:    s.Spec.Instances,
		Index:        s.Index,
		Account:      s.Spec.Account,
		Groups:       s.Spec.Groups,
		StopSignal:   s.Spec.StopSignal,
		Balance:      s.Spec.Balance,
		DrainTimeout: &s.Spec.DrainTimeout,
		Log:          files{s.Spec.Log.Out, s.Spec.Log.Err, s.Spec.Log.Combined, s.Spec.Log.Pid},
		CronSpares:   s.Spec.CronSparesStopped,
		LogRateLimit: s.Spec.Log.RateLimit,
		LogRotation:  s.Spec.Log.Rotation,
		Life:         lifeOf(&s.Spec),
		Secrets:      s.Spec.Secrets,
		File:         s.Spec.File,
		FileEnv:      s.Spec.FileEnv,
	}
	for name, value := range s.Spec.Env {
		if x.OwnEnv == nil {
			x.OwnEnv = make(map[string]*string)
		}
		x.OwnEnv[name] = nil
		if s.Env[name] != value {
			x.OwnEnv[name] = &value
		}
	}
	if isCommandLine(s.Spec) {
		n := len(s.Spec.InterpreterArgs)
		x.CommandLine = &n
	}
	if f := s.Spec.FilterEnv; f != nil && !plain(*f) {
		x.FilterEnv = f
	}
	places := known(s.Spec.Watch)
	for name, value := range s.Spec.Extra {
		if slices.Contains(places, name) {
			continue
		}
		if x.Extra == nil {
			x.Extra = make(map[string]any)
		}
		x.Extra[name] = value
	}
	text, err := json.Marshal(x)
	if err != nil {
		// Only Extra can hold what JSON cannot say, and tend does not act on it.
		x.Extra = nil
		text, _ = json.Marshal(x)
	}
	return text
}

// plain tells that PM2's form of f says all of it.
func plain(f api.EnvFilter) bool {
	switch {
	case f.All:
		return len(f.Exact) == 0 && len(f.Contains) == 0
	case len(f.Exact) == 0:
		return len(f.Contains) > 0
	}
	return len(f.Exact) == 1 && len(f.Contains) == 0
}

// Dump is what a dump.pm2 holds.
type Dump struct {
	List []Saved
	// Modules are the names of PM2's modules in it, which are left out of List:
	// they are programs for PM2 alone.
	Modules []string
}

// DecodeDump reads a dump.pm2, of tend or of PM2. Of PM2's own entries the
// interpreter may be a bare name, which the caller looks up. Times and numbers
// that are missing are 0.
func DecodeDump(text []byte) (Dump, error) {
	var entries []map[string]json.RawMessage
	if err := json.Unmarshal(text, &entries); err != nil {
		return Dump{}, fmt.Errorf("decode dump: %w", err)
	}
	if entries == nil { // null
		return Dump{}, errors.New("decode dump: it is no list")
	}
	var d Dump
	var foreign []int // positions in the list of what PM2 itself wrote
	copies := make(map[string]int)
	for i, members := range entries {
		r := reader{members: members}
		if r.flag("pmx_module", false) {
			d.Modules = append(d.Modules, r.text("name"))
			continue
		}
		s, own := decode(&r)
		if r.err == nil && (s.Spec.Name == "" || s.Spec.Script == "") {
			r.err = fmt.Errorf("it has no name or no pm_exec_path")
		}
		if r.err != nil {
			return Dump{}, fmt.Errorf("decode dump: entry %d (%s): %w", i, s.Spec.Name, r.err)
		}
		copies[s.Spec.Name]++
		if !own {
			foreign = append(foreign, len(d.List))
		}
		d.List = append(d.List, s)
	}
	// PM2 does not say how many instances an app had; it saved each of them.
	for _, i := range foreign {
		d.List[i].Spec.Instances = copies[d.List[i].Spec.Name]
	}
	return d, nil
}

// decode reads one entry, and tells whether tend wrote it.
func decode(r *reader) (Saved, bool) {
	s := Saved{
		Spec:      r.definition(),
		Env:       r.environment("env"),
		Stopped:   r.text("status") == string(api.Stopped),
		Restarts:  int(r.number("restart_time", 0)),
		Unstable:  int(r.number("unstable_restarts", 0)),
		CreatedAt: r.number("created_at", 0),
		StartedAt: r.number("pm_uptime", 0),
		ExitCode:  int(r.number("exit_code", 0)),
		Version:   r.text("version"),
		OutFile:   r.text("pm_out_log_path"),
		ErrFile:   r.text("pm_err_log_path"),
		LogFile:   r.text("pm_log_path"),
		PidFile:   r.text("pm_pid_path"),
	}
	var x *extension
	r.decode("tend", &x)
	if x == nil {
		s.adopt(r)
		return s, false
	}
	s.Index = x.Index
	s.Spec.Instances = x.Instances
	s.Spec.Account, s.Spec.Groups, s.Spec.StopSignal = x.Account, x.Groups, x.StopSignal
	s.Spec.Balance, s.Spec.CronSparesStopped = x.Balance, x.CronSpares
	x.Life.put(&s.Spec)
	s.Spec.Secrets, s.Spec.File, s.Spec.FileEnv = x.Secrets, x.File, x.FileEnv
	if x.DrainTimeout != nil {
		s.Spec.DrainTimeout = *x.DrainTimeout
	}
	s.Spec.Log.Out, s.Spec.Log.Err, s.Spec.Log.Combined, s.Spec.Log.Pid = x.Log.Out, x.Log.Err, x.Log.Combined, x.Log.Pid
	s.Spec.Log.RateLimit, s.Spec.Log.Rotation = x.LogRateLimit, x.LogRotation
	if x.FilterEnv != nil {
		s.Spec.FilterEnv = x.FilterEnv
	}
	for name, value := range x.OwnEnv {
		if s.Spec.Env == nil {
			s.Spec.Env = make(map[string]string)
		}
		s.Spec.Env[name] = s.Env[name]
		if value != nil {
			s.Spec.Env[name] = *value
		}
	}
	if n := x.CommandLine; n != nil && *n >= 0 && *n < len(s.Spec.Args) {
		args := s.Spec.Args
		s.Spec.Interpreter, s.Spec.Script = s.Spec.Script, args[*n]
		s.Spec.InterpreterArgs, s.Spec.Args = args[:*n:*n], args[*n+1:]
	}
	if len(x.Extra) > 0 {
		if s.Spec.Extra == nil {
			s.Spec.Extra = make(map[string]any)
		}
		maps.Copy(s.Spec.Extra, x.Extra)
	}
	return s, true
}

// numbered is the id that PM2 puts into the names of an instance's files.
var numbered = regexp.MustCompile(`-\d+(\.log|\.pid)$`)

// adopt makes up for what PM2 does not write: its paths have the id of an
// instance in them, and its environment has what PM2 itself put there.
func (s *Saved) adopt(r *reader) {
	s.Foreign = true
	s.keep(r)
	if s.Env["PWD"] != "" { // PM2 gives one app's to those of a file that come after it
		s.Env["PWD"] = s.Spec.Cwd
	}
	s.Index = int(r.number(s.Spec.InstanceVar, -1))
	base := func(path string) string { return numbered.ReplaceAllString(path, "$1") }
	log := &s.Spec.Log
	log.Out, log.Err, log.Combined, log.Pid = s.OutFile, s.ErrFile, s.LogFile, base(s.PidFile)
	if !log.Merge {
		log.Out, log.Err, log.Combined = base(log.Out), base(log.Err), base(log.Combined)
	}
	for _, name := range []string{
		"PM2_USAGE", "PM2_JSON_PROCESSING", "PM2_INTERACTOR_PROCESSING", "PM2_DISCRETE_MODE", "PM2_PROGRAMMATIC",
		"NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", "NODE_UNIQUE_ID", "unique_id", s.Spec.InstanceVar,
	} {
		delete(s.Env, name)
	}
	if s.Env[s.Spec.Name] == "{}" { // the configuration of a module of that name
		delete(s.Env, s.Spec.Name)
	}
	if w := s.Spec.Watch; w != nil {
		for i, p := range w.Paths {
			if !filepath.IsAbs(p) {
				w.Paths[i] = filepath.Join(s.Spec.Cwd, p)
			}
		}
	}
}

// keep puts by what PM2 wrote of an app and tend has no word for, as env_NAME: a
// PM2 that reads the list one day finds it again.
func (s *Saved) keep(r *reader) {
	for name := range r.members {
		_, variable := s.Env[name] // each has a place beside the fields too
		if variable || isField(name) || fate[name] || name == s.Spec.InstanceVar {
			continue
		}
		if s.Spec.Extra == nil {
			s.Spec.Extra = make(map[string]any)
		}
		s.Spec.Extra[name] = r.value(name)
	}
}
