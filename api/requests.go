package api

import (
	"encoding/json"
	"strings"
)

// Pong answers GET /v1/ping.
type Pong struct {
	Version   string `json:"version"` // of the daemon's build
	PID       int    `json:"pid"`     // of the daemon
	Keeper    int    `json:"keeper"`  // pid of the keeper; 0 while one is being replaced
	Started   int64  `json:"started_at_ms"`
	Home      string `json:"home"`
	Adopted   int    `json:"adopted"` // processes taken over at its start
	DaemonExe string `json:"daemon_exe"`
	KeeperExe string `json:"keeper_exe"`
	// Owned: somebody runs the daemon in the foreground, and it ends with them.
	Owned bool `json:"owned,omitempty"`
}

// The kinds of GET /v1/profile?kind=K&ms=N, which answers with a profile of the
// daemon as pprof reads it: of N milliseconds, or of the memory after so many.
const (
	ProfileCPU    = "cpu"
	ProfileMemory = "mem"
	// MaxProfile bounds N.
	MaxProfile = 600_000
)

// List answers GET /v1/instances; ?detail=1 fills Instance.Detail.
// ?target=T (repeatable) and ?cwd=DIR choose; see Target.
type List struct {
	Instances []Instance `json:"instances"`
}

// StartRequest is the body of POST /v1/apps. An app whose name is in the
// table already is started anew with the new Spec (as PM2 does for a file), and
// has as many instances as the Spec says where that number is another than it
// was; others are added. Answered by a stream of Events: an EventStep for each
// app before anything is done, then how that went.
type StartRequest struct {
	// Inherited is the environment of the client, shared by all apps.
	Inherited map[string]string `json:"inherited"`
	Apps      []Spec            `json:"apps"`
	// Force adds instances even where the same script runs under the same name;
	// with Reload it is that of an ActRequest.
	Force bool `json:"force,omitempty"`
	// Reload goes over to the new Spec as ActReload does, in place of a restart.
	Reload bool `json:"reload,omitempty"`
	// Changed leaves alone what runs and is as its Spec wants it. What does not
	// run is started, unless the Spec says that it is not (Autostart).
	Changed bool `json:"changed,omitempty"`
	// UpdateEnv, with Changed, counts what an app inherited: it is changed where
	// that is not what it would inherit now.
	UpdateEnv bool `json:"update_env,omitempty"`
	// Exact has each app run as often as its Spec says, also where it was scaled
	// by hand since it came from the same Spec.
	Exact bool `json:"exact,omitempty"`
	// Prune removes the apps that came from the file at this absolute path
	// (Spec.File) and are not among Apps.
	Prune string `json:"prune,omitempty"`
	// DryRun has nothing done: the steps are told, and that is all.
	DryRun bool `json:"dry_run,omitempty"`
	// Parallel is how many instances of one app are worked on at once; 0
	// stands for the daemon's default.
	Parallel int `json:"parallel,omitempty"`
}

// What a Step does about an app.
const (
	StepAdd     = "add"
	StepStart   = "start" // it is as wanted, but not all of it runs
	StepRestart = "restart"
	StepReload  = "reload" // see ActReload
	StepScale   = "scale"  // nothing but the number of instances differs
	// StepUpdate gives the app its new Spec and touches no process: none runs,
	// and none is to be started.
	StepUpdate    = "update"
	StepRemove    = "remove"
	StepUnchanged = "unchanged"
)

// Step is what a StartRequest does about one app.
type Step struct {
	Do   string `json:"do"`
	Name string `json:"name"`
	// IDs are the instances that get, lose or change their process; of an app
	// that is to be added there are none yet.
	IDs []int `json:"ids,omitempty"`
	// Changes are why: what differs between the app in the table and its Spec.
	Changes []Change `json:"changes,omitempty"`
	// Before and After are how many instances the app has.
	Before int `json:"instances_before"`
	After  int `json:"instances_after"`
}

// Change is one field that differs, as texts for people. What is not there is
// empty; what looks like a secret is told as different and not shown.
type Change struct {
	Field string `json:"field"` // "kill_timeout", "env.PORT"
	Old   string `json:"old"`
	New   string `json:"new"`
}

// The verbs of an ActRequest.
const (
	ActStart   = "start"
	ActStop    = "stop"
	ActRestart = "restart"
	// ActReload replaces each worker of a cluster app by a new one, which has
	// to be ready before the old one is touched; one that is not ready in time,
	// or ends, is removed, and the old one stays. Apps in fork mode are
	// restarted, one instance after the other.
	ActReload = "reload"
	ActDelete = "delete"
	ActReset  = "reset"
	ActSignal = "signal"
	// ActMonitor and ActUnmonitor set Instance.Monitored.
	ActMonitor   = "monitor"
	ActUnmonitor = "unmonitor"
)

// ActRequest is the body of POST /v1/instances: do Act to every instance
// that a target names. Answered by a stream of Events.
type ActRequest struct {
	Act     string   `json:"act"`
	Targets []string `json:"targets"` // see Target
	// Cwd is the client's directory, against which a target that is a script
	// path is resolved.
	Cwd      string `json:"cwd,omitempty"`
	Parallel int    `json:"parallel,omitempty"`
	Signal   string `json:"signal,omitempty"` // for ActSignal: "SIGUSR2", "USR2" or "12"
	// Force, for ActReload, gives up a reload of the instance that is under
	// way, and begins anew. Without it a second reload is refused.
	Force bool `json:"force,omitempty"`
	// Watch, for ActStart and ActRestart, is whether changes of files restart the
	// instances from now on: WatchOn or WatchToggle, or "" for as before. ActStop
	// always switches that off.
	Watch string `json:"watch,omitempty"`
	// Inherited, when not nil, is merged over the environment that the
	// instances inherited (restart or reload --update-env). Variables of a Spec
	// take its values too, until the next start from the file.
	Inherited map[string]string `json:"inherited,omitempty"`
	// Change, for ActStart, ActRestart and ActReload, is what is to be another in
	// the Spec of each instance: a JSON merge patch (RFC 7396), like
	// {"kill_timeout_ms": 3000, "cron_restart": null}. What it makes has to be
	// a valid Spec for all of them, or nothing is done.
	Change json.RawMessage `json:"change,omitempty"`
}

// The values of ActRequest.Watch.
const (
	WatchOn     = "on"
	WatchToggle = "toggle"
)

// ScaleRequest is the body of POST /v1/scale. Answered by a stream of Events.
type ScaleRequest struct {
	Name string `json:"name"` // name or script path of an app
	Cwd  string `json:"cwd,omitempty"`
	// Count is the wanted number, or the change when Relative is set.
	Count    int  `json:"count"`
	Relative bool `json:"relative,omitempty"`
}

// MessageRequest is the body of POST /v1/message: send Message over the IPC
// channel of every instance that a target names, as child_process's
// subprocess.send does. What PM2 calls sendDataToProcessId is a Message of the
// shape {"id", "type", "topic", "data"}. Answered by a stream of Events, one
// EventInstance for each receiver.
type MessageRequest struct {
	Targets []string `json:"targets"`
	Cwd     string   `json:"cwd,omitempty"`
	// Message is any JSON value of at most MaxMessage bytes, but no object whose
	// "cmd" begins with "NODE_": those are Node's own.
	Message json.RawMessage `json:"message"`
}

// MaxMessage is the largest message to an app, in bytes: what the kernel takes
// whole or not at all, so that no death of the daemon can cut one.
const MaxMessage = 32 << 10

// TriggerRequest is the body of POST /v1/trigger: have every instance that a
// target names, and that registered the action (axm:action), carry it out.
// Answered as a MessageRequest; the instances' own answers are Notices of
// TopicReply.
type TriggerRequest struct {
	Targets []string `json:"targets"`
	Cwd     string   `json:"cwd,omitempty"`
	Action  string   `json:"action"`
	Params  string   `json:"params,omitempty"`
}

// InputRequest is the body of POST /v1/input: write Line and a line break to
// the standard input of every instance that a target names. Answered as a
// MessageRequest.
type InputRequest struct {
	Targets []string `json:"targets"`
	Cwd     string   `json:"cwd,omitempty"`
	Line    string   `json:"line"` // at most MaxLine bytes, with its Separator
	// Separator ends the line in place of a line break.
	Separator string `json:"separator,omitempty"`
}

// MaxLine is the longest line to an app's standard input, in bytes: with its
// line break what pipe(7) takes whole or not at all.
const MaxLine = 4095

// Settings answers GET and POST /v1/settings: what is set for the whole home.
type Settings struct {
	// Values are sections and values by name, as module_conf.json holds them.
	Values map[string]any `json:"values"`
	// Rotation is what they mean for apps that have none of their own.
	Rotation Rotation `json:"rotation"`
	// Notes are what a person should know of what was just set.
	Notes []string `json:"notes,omitempty"`
}

// SettingsRequest is the body of POST /v1/settings: what to take away, and then
// what to set, all of it or nothing. With neither, the daemon reads the file
// anew.
type SettingsRequest struct {
	Unset []string  `json:"unset,omitempty"` // keys; "all": everything
	Set   []Setting `json:"set,omitempty"`
}

// Setting is one value. A key is a name, or names with colons or dots between
// them: "pm2-logrotate:max_size".
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// SaveRequest is the body of POST /v1/save.
type SaveRequest struct {
	Force bool `json:"force,omitempty"` // write an empty list too
	Clear bool `json:"clear,omitempty"` // write an empty list, whatever runs
}

// SaveResponse answers it.
type SaveResponse struct {
	Path  string `json:"path"`
	Saved int    `json:"saved"` // 0: the list was empty and nothing was written
}

// UpdateRequest is the body of POST /v1/update: go over to the binaries that
// stand at these absolute paths now. Answered, before the daemon leaves, by
// the Pong of the daemon that leaves.
type UpdateRequest struct {
	Daemon string `json:"daemon"`
	Keeper string `json:"keeper"`
}

// The kinds of Event. Event streams are NDJSON; the last line is EventDone.
const (
	// EventTarget opens the work on one target: Target and IDs.
	EventTarget = "target"
	// EventInstance tells that the work on one instance ended: OK, or Error.
	EventInstance = "instance"
	// EventApp tells that a new app with IDs was added to the table.
	EventApp = "app"
	// EventStep tells what is done, or would be, about one app: Step.
	EventStep = "step"
	// EventNote is something that a person may want to read: Message.
	EventNote = "note"
	// EventWarning is something that a person should read: Message.
	EventWarning = "warning"
	// EventDone ends the stream. Error is set when the request as a whole
	// failed, also when one of its parts did.
	EventDone = "done"
)

// Event is one line of a stream that answers a request.
type Event struct {
	Kind    string `json:"kind"`
	Target  string `json:"target,omitempty"`
	Name    string `json:"name,omitempty"`
	Act     string `json:"act,omitempty"`
	ID      int    `json:"id"`
	IDs     []int  `json:"ids,omitempty"`
	OK      bool   `json:"ok,omitempty"`
	Message string `json:"message,omitempty"`
	Step    *Step  `json:"step,omitempty"`
	Error   *Error `json:"error,omitempty"`
}

// The topics of Notices, as PM2's bus names them. A message of an app that is
// an object with "type" and "data" has its type as topic, and data alone as
// Data.
const (
	// TopicProcess is a change in the life of an instance. Data is
	// {"event": "online" | "exit" | "restart" | "stop" | "delete" | "reload" |
	// "restart overlimit"}, and of a restart or reload that nobody ordered "reason":
	// "file changed: PATH", "cron PATTERN", "memory 210.0mb over 200.0mb".
	TopicProcess = "process:event"
	// TopicMessage is any other message of an app; Data is the message.
	TopicMessage = "process:msg"
	// TopicReply is an app's answer to a trigger; Data is {"action_name",
	// "return"}.
	TopicReply = "axm:reply"
	// TopicOut and TopicErr are lines that apps write from now on; Data is the
	// text as a string, without its end. They come only to who chooses them, and
	// have no Seq: to go on behind a line there is GET /v1/logs.
	TopicOut = "log:out"
	TopicErr = "log:err"
	// TopicLost stands for notices that a slow reader missed; Data is
	// {"lost": how many}, Seq that of the last of them, and ID -1.
	TopicLost = "tend:lost"
)

// Notice is one line of GET /v1/events: something that happened, whoever asked
// for it. ?after=SEQ begins behind a notice, also over the death of a daemon,
// as far as the daemon's memory of the last megabyte goes; without it the
// stream begins with what comes next. ?topic=T (repeatable) chooses.
type Notice struct {
	Seq       uint64          `json:"seq"` // grows by one with each, over all topics but those of lines
	At        int64           `json:"at_ms"`
	Topic     string          `json:"topic"`
	ID        int             `json:"id"` // of the instance
	Name      string          `json:"name"`
	Namespace string          `json:"namespace"`
	UniqueID  string          `json:"unique_id,omitempty"` // of the launch
	Data      json.RawMessage `json:"data"`
}

// The streams of a LogLine.
const (
	StreamOut = "out"
	StreamErr = "err"
)

// LogLine is one line of GET /v1/logs, which streams what apps write: first
// what is in their log files, log by log, also in those that were put aside, and
// with ?follow=1 then what comes, also of instances that come. It is NDJSON, or
// server-sent events for who accepts text/event-stream, named as TopicOut and
// TopicErr.
//
// ?target=T (repeatable) and ?cwd=DIR choose instances, see Target; ?stream=out
// or err one of their streams; ?since= and ?until=, milliseconds since the
// epoch, when a line was written; ?lines=N the last N of those of each log (-1
// all; 15, or all of ?since); ?grep= and ?exclude= by regular expressions.
//
// ?after=POSITION (repeatable, the last of each log; with ?follow=1) goes on
// behind what was seen, without a gap or a repeat, also over the death of a daemon
// and when the log was rotated since. A log without one, of an instance that came
// since, is given from where the others ended. The id of a server-sent event has
// the positions of all logs that were told of, so that a browser, which comes back
// with it as Last-Event-ID, goes on in the same way; ?after= takes it too.
type LogLine struct {
	At        int64  `json:"at_ms,omitempty"` // when it was written, to the second; 0: nobody knows
	ID        int    `json:"id"`              // of the instance; of several with one log, the first
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Stream    string `json:"stream"`
	// Line is the text without its end. A line longer than 1 MiB comes in pieces,
	// and bytes that are no UTF-8 come as U+FFFD.
	Line     string `json:"line"`
	Position string `json:"position,omitempty"` // behind the line
	// Mark is no line: Position is where the log is followed from.
	Mark bool `json:"mark,omitempty"`
	// Done is no line but the end of the stream; with Error why it ends early. A
	// reader that is too slow is told so; one that does not read at all is cut
	// off without.
	Done  bool   `json:"done,omitempty"`
	Error *Error `json:"error,omitempty"`
}

// Error is how a failure travels. Status codes of HTTP follow Kind.
type Error struct {
	Op      string   `json:"op,omitempty"` // what was being done
	On      string   `json:"on,omitempty"` // to what
	Kind    string   `json:"kind"`         // see internal/errs: "not_found", ...
	Message string   `json:"message"`
	Hint    string   `json:"hint,omitempty"`  // what a person can do
	Lines   []string `json:"lines,omitempty"` // the app's last lines, when it died
}

// Error reads as one line, from what was being done inward.
func (e *Error) Error() string {
	what := strings.TrimSpace(e.Op + " " + e.On)
	switch {
	case what == "":
		return e.Message
	case e.Message == "":
		return what
	}
	return what + ": " + e.Message
}
