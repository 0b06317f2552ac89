// Package api holds the wire types of the daemon's socket: JSON over HTTP/1.1
// on $TEND_HOME/tend.sock. It needs the standard library only, so that any Go
// program may use it. Fields are only ever added; durations are milliseconds,
// sizes are bytes and times are milliseconds since the Unix epoch, each said
// by the field's JSON name.
package api

import "strings"

// Version is the version of this API; it is part of every path.
const Version = "v1"

// Mode is how the instances of an app share what they listen on.
type Mode string

// The modes. PM2 writes them as fork_mode and cluster_mode.
const (
	Fork    Mode = "fork"
	Cluster Mode = "cluster"
)

// Balance is how the connections to one address come to the workers of a
// cluster app.
type Balance string

// The balances. What a worker asks for that cannot be had so (a UDP socket, a
// unix socket under Reuseport) is shared.
const (
	// RoundRobin: the daemon accepts and hands each connection to the worker
	// with the fewest under way. Even, and aware of load; it costs a few
	// microseconds of the daemon for each connection.
	RoundRobin Balance = "round-robin"
	// Shared: the workers accept from one socket. The kernel picks, unevenly,
	// and the daemon takes no part.
	Shared Balance = "shared"
	// Reuseport: each worker has a socket of its own (SO_REUSEPORT, socket(7)),
	// and the kernel spreads connections over them, also to a busy one.
	Reuseport Balance = "reuseport"
)

// State is where an instance stands, in PM2's words.
type State string

// The states.
const (
	Launching State = "launching"
	Online    State = "online"
	Stopping  State = "stopping"
	Stopped   State = "stopped"
	Waiting   State = "waiting restart"
	Errored   State = "errored"
)

// Spec is what a user wants of one app: complete, with absolute paths and
// resolved interpreter. The same Spec is shared by all instances of the app
// and is never changed after it was accepted.
type Spec struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`

	// Script is the absolute path of the script or program. A shell command
	// line has the shell as Interpreter and "-c" in InterpreterArgs, and
	// Script is then the command line itself.
	Script string   `json:"script"`
	Args   []string `json:"args,omitempty"`
	// Interpreter runs the script; empty means the script runs itself.
	Interpreter     string   `json:"interpreter,omitempty"`
	InterpreterArgs []string `json:"interpreter_args,omitempty"`
	Cwd             string   `json:"cwd"`

	// Templates in Args, InterpreterArgs, Cwd, the values of Env, the paths of Log
	// and the command line of a shell stand for what differs from one instance to
	// the next: {{instance}}, {{id}}, {{env.PORT}}, and Supervisor's
	// %(process_num)02d. They are filled in for each launch.

	// Env is what the app was given by its file or by flags. It wins over the
	// environment inherited from the client (StartRequest.Inherited), of which
	// FilterEnv leaves variables out.
	Env       map[string]string `json:"env,omitempty"`
	FilterEnv *EnvFilter        `json:"filter_env,omitempty"`
	// Secrets are variables whose values are found each time a process is
	// started, and kept nowhere. They win over Env.
	Secrets map[string]Secret `json:"secrets,omitempty"`

	// File is the absolute path of the file that the app came from, and FileEnv
	// the environment of it that was chosen (--env); empty: no file.
	File    string `json:"file,omitempty"`
	FileEnv string `json:"file_env,omitempty"`

	Instances int  `json:"instances"` // wanted number, at least 1
	Mode      Mode `json:"mode"`
	// InstanceVar is the variable that holds the instance's number.
	InstanceVar string `json:"instance_var"`
	// InstanceStart is the number that the first instance is told as its own.
	InstanceStart int `json:"instance_start,omitempty"`
	// Balance is for cluster mode. Empty: RoundRobin, or Shared where the app's
	// environment has NODE_CLUSTER_SCHED_POLICY=none, as Node's own cluster.
	Balance Balance `json:"balance,omitempty"`
	// IncrementVar is a variable that grows by one per instance, from its
	// value in Env, or 0.
	IncrementVar string `json:"increment_var,omitempty"`

	Username string `json:"username"`          // who asked, for display
	Account  string `json:"account,omitempty"` // name of UID, when UID is set
	UID      *int   `json:"uid,omitempty"`     // run as; only root may
	GID      *int   `json:"gid,omitempty"`
	Groups   []int  `json:"groups,omitempty"` // supplementary, with UID or GID
	// Umask is that of the process; nil: of whoever started the keeper.
	Umask *int `json:"umask,omitempty"`
	// Limits are resource limits, by the names that ulimit gives them: "nofile".
	Limits map[string]Limit `json:"limits,omitempty"`

	// Priority orders the apps of one command: the lowest starts first and stops
	// last; nil is 999, as with Supervisor.
	Priority    *int  `json:"priority,omitempty"`
	Autostart   bool  `json:"autostart"`
	Autorestart bool  `json:"autorestart"`
	StopCodes   []int `json:"stop_exit_codes,omitempty"`
	// Unexpected makes an exit code of ExpectedCodes the end: with Autorestart
	// only others are answered by a restart.
	Unexpected    bool  `json:"unexpected,omitempty"`
	ExpectedCodes []int `json:"expected_exit_codes,omitempty"`
	MaxRestarts   int   `json:"max_restarts"`
	MinUptime     int64 `json:"min_uptime_ms"`
	// StartTime is how long a process stays launching before it is online; one
	// that ends before is an unstable start. WaitReady has a rule of its own.
	StartTime int64 `json:"start_time_ms,omitempty"`
	// StartRetries is how often a start is tried again that failed before it was
	// online; nil: until MaxRestarts.
	StartRetries *int `json:"start_retries,omitempty"`
	// RestartDelay is waited before an automatic restart. Backoff, when not
	// 0, is the first of growing delays and wins over RestartDelay.
	RestartDelay int64 `json:"restart_delay_ms"`
	Backoff      int64 `json:"exp_backoff_restart_delay_ms,omitempty"`
	// MaxMemory is how much of the memory an instance's first process may hold
	// before it is restarted, or in cluster mode reloaded; 0: as much as it likes.
	MaxMemory int64 `json:"max_memory_restart_bytes,omitempty"`
	// Cron is when the app is restarted: a pattern, in the daemon's time zone. It
	// also starts an app that was stopped, but for CronSparesStopped.
	Cron              string `json:"cron_restart,omitempty"`
	CronSparesStopped bool   `json:"cron_spares_stopped,omitempty"`

	StopSignal  string `json:"stop_signal"` // "SIGINT"
	KillTimeout int64  `json:"kill_timeout_ms"`
	TreeKill    bool   `json:"treekill"`
	// GroupKill keeps TreeKill to the process group of the first process.
	GroupKill bool `json:"groupkill,omitempty"`
	// ShutdownMessage asks the app to end by the message "shutdown" on its
	// IPC channel in place of StopSignal.
	ShutdownMessage bool  `json:"shutdown_with_message,omitempty"`
	WaitReady       bool  `json:"wait_ready,omitempty"`
	ListenTimeout   int64 `json:"listen_timeout_ms"`
	// DrainTimeout is how long a reload lets an old worker finish the requests
	// that it has before it is asked to end. 0 switches draining off, and
	// nothing of tend is loaded into the app.
	DrainTimeout int64 `json:"drain_timeout_ms,omitempty"`

	Watch *Watch `json:"watch,omitempty"`
	Log   Log    `json:"log"`

	// Extra keeps fields that PM2 knows and that tend stores but does not act
	// on (pmx, vizion, automation, ...), as PM2 names them; and
	// source_map_support, which is false, and disable_source_map_support, which is
	// true, where an app of node does not get --enable-source-maps.
	Extra map[string]any `json:"extra,omitempty"`
}

// Limit is a resource limit of a process (getrlimit(2)); -1 is none.
type Limit struct {
	Soft int64 `json:"soft"`
	Hard int64 `json:"hard"`
}

// Secret is where the value of a variable is found: exactly one of its fields is
// set. A line break at the end of what is found is no part of it.
type Secret struct {
	File string   `json:"file,omitempty"` // the content of the file at this absolute path
	Env  string   `json:"env,omitempty"`  // a variable of the daemon's own environment
	Cmd  []string `json:"cmd,omitempty"`  // what this program, by absolute path, writes to standard output
}

// String is the reference as a person writes it: "file:/run/secrets/db".
func (s Secret) String() string {
	switch {
	case s.File != "":
		return "file:" + s.File
	case s.Env != "":
		return "env:" + s.Env
	}
	return "cmd:" + strings.Join(s.Cmd, " ")
}

// EnvFilter leaves inherited variables out.
type EnvFilter struct {
	All      bool     `json:"all,omitempty"`      // inherit nothing
	Exact    []string `json:"exact,omitempty"`    // variables of these names
	Contains []string `json:"contains,omitempty"` // variables whose name contains one
}

// Watch says which files restart an app.
type Watch struct {
	Paths   []string       `json:"paths"` // absolute
	Ignore  []string       `json:"ignore,omitempty"`
	Delay   int64          `json:"delay_ms,omitempty"`
	Options map[string]any `json:"options,omitempty"`
}

// Log says where the output of an app goes. A path is absolute, or empty for
// the default below the home, or "/dev/null".
type Log struct {
	Out      string `json:"out_file,omitempty"`
	Err      string `json:"error_file,omitempty"`
	Combined string `json:"log_file,omitempty"` // "true": the default path
	Pid      string `json:"pid_file,omitempty"`
	Merge    bool   `json:"merge_logs,omitempty"`  // no instance id in the file names
	Date     string `json:"date_format,omitempty"` // day.js tokens
	Type     string `json:"type,omitempty"`        // "", "raw" or "json"
	Disabled bool   `json:"disable_logs,omitempty"`
	// RateLimit is how many lines a second a stream may write before lines are
	// dropped, and counted in their place; 0: as many as it likes.
	RateLimit int64 `json:"rate_limit,omitempty"`
	// Rotation is nil for that of the home.
	Rotation *Rotation `json:"rotation,omitempty"`
}

// Rotation says when a log file is put aside under another name, and how long
// such files are kept. It is complete: what is 0 or empty is no limit.
type Rotation struct {
	Off      bool   `json:"off,omitempty"`
	MaxSize  int64  `json:"max_size_bytes,omitempty"`
	Interval string `json:"interval,omitempty"` // a cron pattern, in the daemon's time zone
	// Retain is how many rotated files are kept of each log (-1: all), MaxAge for
	// how long after their last line, TotalCap how much those of all logs of an
	// app may hold.
	Retain   int   `json:"retain,omitempty"`
	MaxAge   int64 `json:"max_age_ms,omitempty"`
	TotalCap int64 `json:"total_cap_bytes,omitempty"`
	// Compress is "gzip", "zstd" or "" for none.
	Compress string `json:"compress,omitempty"`
	// DateFormat (day.js tokens, of numbers only) is the date in the name of a
	// rotated file, as pm2-logrotate writes it: YYYY-MM-DD_HH-mm-ss.
	DateFormat string `json:"date_format,omitempty"`
}

// Instance is one running copy of an app, or the place of one.
type Instance struct {
	ID        int    `json:"id"` // PM2's pm_id
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Index     int    `json:"index"` // number among the app's instances, from 0
	Mode      Mode   `json:"mode"`
	Version   string `json:"version"` // of the nearest package.json, or "N/A"

	State State `json:"state"`
	PID   int   `json:"pid"` // 0 when no process is there
	// Reason says in a few words why State is what it is, when that is not
	// plain: a failed spawn, too many restarts.
	Reason string `json:"reason,omitempty"`

	CreatedAt int64 `json:"created_at_ms"`
	StartedAt int64 `json:"started_at_ms"` // of the last launch; 0 when never
	Restarts  int   `json:"restarts"`
	Unstable  int   `json:"unstable_restarts"`
	PrevDelay int64 `json:"prev_restart_delay_ms,omitempty"`

	// Exited tells that the last process ended, and how: by ExitCode, or by
	// ExitSignal ("SIGKILL"). ExitUnknown: nobody could learn the status.
	Exited      bool   `json:"exited,omitempty"`
	ExitCode    int    `json:"exit_code"`
	ExitSignal  string `json:"exit_signal,omitempty"`
	ExitUnknown bool   `json:"exit_unknown,omitempty"`

	CPU    float64 `json:"cpu_percent"`  // of one core, over the process tree
	Memory int64   `json:"memory_bytes"` // resident, over the process tree

	User     string `json:"user"`
	Watching bool   `json:"watching"`
	// Monitored is a mark that people set, and nothing follows from.
	Monitored bool   `json:"monitored,omitempty"`
	OutFile   string `json:"out_file"`
	ErrFile   string `json:"error_file"`
	LogFile   string `json:"log_file,omitempty"` // combined
	PidFile   string `json:"pid_file"`
	Script    string `json:"script"`

	// Detail is there only where it was asked for: it is large.
	Detail *Detail `json:"detail,omitempty"`
}

// Detail is what a list of instances leaves out.
type Detail struct {
	Spec *Spec `json:"spec"`
	// Env is the whole environment that the process got or will get,
	// inherited and own, without the variables that tend adds, and without
	// Spec.Secrets, whose values nobody is told.
	Env map[string]string `json:"env"`
	// UniqueID names the launch: a UUID, new for each.
	UniqueID string `json:"unique_id,omitempty"`
	// NodeVersion is that of the node which runs the process ("22.1.0"), once it
	// is known.
	NodeVersion string `json:"node_version,omitempty"`
	// Actions are what the process said that it can be triggered to do, and
	// Metrics the figures that it tells of itself, by name.
	Actions []Action          `json:"actions,omitempty"`
	Metrics map[string]Metric `json:"metrics,omitempty"`
	// Versioning is the git repository that the app stood in when it was
	// launched, nil where it stood in none.
	Versioning *Versioning `json:"versioning,omitempty"`
}

// Action is something that an app can be triggered to do (axm:action).
type Action struct {
	Name  string `json:"action_name"`
	Type  string `json:"action_type,omitempty"`
	Arity int    `json:"arity,omitempty"`
}

// Metric is a figure that an app tells of itself (axm:monitor).
type Metric struct {
	Value    any    `json:"value"` // a number, a text or a truth
	Unit     string `json:"unit,omitempty"`
	Type     string `json:"type,omitempty"`
	Historic bool   `json:"historic,omitempty"`
}

// Versioning is a checked out revision, as PM2 names its parts.
type Versioning struct {
	Type     string `json:"type"` // "git"
	URL      string `json:"url,omitempty"`
	Revision string `json:"revision"`
	Comment  string `json:"comment,omitempty"`
	// UpdateTime is when the revision was committed, as ISO 8601 has it.
	UpdateTime string `json:"update_time,omitempty"`
	Branch     string `json:"branch,omitempty"` // "": no branch is checked out
	Remote     string `json:"remote,omitempty"` // "origin"
	RepoPath   string `json:"repo_path"`
}
