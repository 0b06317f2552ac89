package app

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tend/api"
	"tend/internal/home"
)

// Argv is what an instance of s is started as: the program's path and its
// arguments, argv[0] included.
func Argv(s *api.Spec, l Launch) (path string, argv []string) {
	if s.Interpreter == "" {
		return s.Script, append([]string{s.Script}, s.Args...)
	}
	argv = []string{s.Interpreter}
	if l.Preload != "" {
		argv = append(argv, "--require="+l.Preload)
	}
	if IsNode(s.Interpreter) {
		if mapsSources(s) {
			argv = append(argv, sourceMaps)
		}
		argv = append(argv, inspectorArgs(s.InterpreterArgs, l)...)
	} else {
		argv = append(argv, s.InterpreterArgs...)
	}
	argv = append(argv, s.Script)
	return s.Interpreter, append(argv, s.Args...)
}

// sourceMaps has node translate the places in stack traces to the sources that a
// program was built from, where it says which those are.
const sourceMaps = "--enable-source-maps"

// mapsSources tells whether an app of node gets sourceMaps: as with PM2, unless it
// is switched off, or the app says what it wants itself.
func mapsSources(s *api.Spec) bool {
	return s.Extra["source_map_support"] != false && s.Extra["disable_source_map_support"] != true &&
		!slices.Contains(s.InterpreterArgs, sourceMaps) && !slices.Contains(s.InterpreterArgs, "--no-enable-source-maps")
}

// Launch is what differs from one launch to the next in what a process is
// told of itself.
type Launch struct {
	ID        int    // PM2's pm_id
	Index     int    // number among the app's instances
	UniqueID  string // new for each launch
	Restarts  int
	Instances int    // how many the app has
	Host      string // name of this machine
	// ChannelFD is the descriptor that is the IPC channel of the process; 0:
	// it has none.
	ChannelFD int
	// Worker is what cluster.worker.id is in a worker of a cluster: never 0, and
	// never given twice.
	Worker uint64
	// Preload is the path of a script that node loads before the app; "": none.
	Preload string
	// Secrets are the values of Spec.Secrets.
	Secrets map[string]string
	// Alt differs between a process and the one that takes its place while it
	// still runs, for what the two cannot share: a port of --inspect.
	Alt bool
}

// Channelled tells whether the instances of s get an IPC channel: programs
// that are known to speak over it, and whoever wants to be heard over it.
func Channelled(s *api.Spec) bool {
	return s.Mode == api.Cluster || IsNode(s.Interpreter) || s.WaitReady || s.ShutdownMessage ||
		slices.Contains([]string{"bun", "deno"}, filepath.Base(s.Interpreter))
}

// IsNode tells whether a program is Node.js, whose cluster module cluster mode
// is for. nodejs is Debian's old name for it.
func IsNode(interpreter string) bool {
	base := filepath.Base(interpreter)
	return base == "node" || base == "nodejs" || strings.HasPrefix(base, "node-") || strings.HasPrefix(base, "node@")
}

// BalanceOf is how the connections of an app in cluster mode are spread.
func BalanceOf(s *api.Spec, inherited map[string]string) api.Balance {
	switch {
	case s.Balance != "":
		return s.Balance
	case Merged(s, inherited)["NODE_CLUSTER_SCHED_POLICY"] == "none":
		return api.Shared
	}
	return api.RoundRobin
}

// Files are the paths of one instance.
type Files struct {
	Out, Err string
	Combined string // "" when there is none
	Pid      string
}

// nameChars are the characters of a name that stay in the name of a file; PM2
// makes a dash of every other.
var nameChars = regexp.MustCompile(`[^A-Za-z0-9.\-]`)

// instanceTail is a "-12" before ".log", which another instance id replaces.
var instanceTail = regexp.MustCompile(`-\d+\.log$`)

// FilesOf is where an instance of s writes (pm2-surface 2.3): the paths that
// were asked for, or the defaults below the home; without merge_logs with the
// id before ".log", and always with it in the name of the pid file. A path that
// has the number of the instance in it already is taken as it is.
func FilesOf(s *api.Spec, inherited map[string]string, h home.Dir, l Launch) Files {
	log, plain := Filled(s, inherited, l).Log, nameChars.ReplaceAllString(s.Name, "-")
	base := filepath.Join(h.Logs(), plain)
	f := Files{
		Out: orElse(log.Out, base+"-out.log"),
		Err: orElse(log.Err, base+"-error.log"),
		Pid: orElse(log.Pid, filepath.Join(h.Pids(), plain+".pid")),
	}
	switch log.Combined {
	case "":
	case "true":
		f.Combined = base + ".log"
	default:
		f.Combined = log.Combined
	}
	for _, p := range []struct {
		path    *string
		written string
	}{{&f.Out, s.Log.Out}, {&f.Err, s.Log.Err}, {&f.Combined, s.Log.Combined}} {
		if !s.Log.Merge && !Varies(p.written) {
			*p.path = withID(*p.path, l.ID)
		}
	}
	if !Varies(s.Log.Pid) {
		ext := filepath.Ext(f.Pid)
		f.Pid = strings.TrimSuffix(f.Pid, ext) + "-" + strconv.Itoa(l.ID) + ext
	}
	return f
}

func orElse(path, other string) string {
	if path == "" {
		return other
	}
	return path
}

func withID(path string, id int) string {
	if !strings.HasSuffix(path, ".log") {
		return path
	}
	tail := "-" + strconv.Itoa(id) + ".log"
	if instanceTail.MatchString(path) {
		return instanceTail.ReplaceAllString(path, tail)
	}
	return strings.TrimSuffix(path, ".log") + tail
}
