package sidebyside

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"tend/internal/testkit"
)

// side is one of the two, in a home and a directory of its own.
type side struct {
	t       *testing.T
	name    string
	isTend  bool
	home    string
	work    string
	bin     string
	program string
}

func newSide(t *testing.T, name, program string, files []txtar.File) *side {
	t.Helper()
	s := &side{t: t, name: name, isTend: name == "tend", home: testkit.Home(t), work: testkit.Home(t), bin: testkit.Home(t)}
	s.program = filepath.Join(s.bin, "pm2")
	if err := os.Symlink(program, s.program); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(s.work, os.DirFS("testdata/apps")); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		path := filepath.Join(s.work, f.Name)
		mode := fs.FileMode(0o644)
		if bytes.HasPrefix(f.Data, []byte("#!")) {
			mode = 0o755
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.Data, mode)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.end)
	return s
}

// end stops all, by the manager's own command, and the manager by its pid where
// it did not.
func (s *side) end() {
	pid := s.daemon()
	if r := s.run("pm2 kill"); r.failed {
		s.t.Errorf("kill %s: %s", s.name, r)
	}
	gone := func() bool { return pid == 0 || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
	for end := time.Now().Add(patience); !gone(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Errorf("%s runs on after a kill", s.name)
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return
		}
	}
}

// daemon is the pid of the manager, 0 where none runs.
func (s *side) daemon() int {
	for _, file := range []string{"pm2.pid", "tend.pid"} {
		text, err := os.ReadFile(filepath.Join(s.home, file))
		if pid, nan := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && nan == nil {
			return pid
		}
	}
	return 0
}

// environ is what a shell would have: the same for both, but for the places.
func (s *side) environ() []string {
	return []string{
		"PATH=" + s.bin + ":" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "PM2_HOME=" + s.home, "SHELL=/bin/sh",
		"PM2_DISCRETE_MODE=true", "NO_COLOR=1", "TERM=dumb", "LANG=C.UTF-8", "USER=" + os.Getenv("USER"),
		"PM2_CONCURRENT_ACTIONS=1", // else the ids of apps in a file are a matter of chance
		"KEEP_ME=kept", "DROP_ME=dropped", "DROP_TOO=dropped",
	}
}

// run has a shell run a line.
func (s *side) run(line string) result {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir, cmd.Env, cmd.WaitDelay = s.work, append(s.environ(), "PWD="+s.work), time.Second
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	failure := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](failure); failure != nil && !exited {
		s.t.Errorf("%s: %s: %v", s.name, line, failure)
	}
	return result{failed: failure != nil, raw: out.String(), out: s.neutral(out.String()), err: s.neutral(err.String())}
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// neutral is text without what is this side's own.
func (s *side) neutral(text string) string {
	return strings.NewReplacer(s.work, "$WORK", s.home, "$PM2_HOME", s.bin, "$BIN").Replace(escapes.ReplaceAllString(text, ""))
}

// result is what came of a line.
type result struct {
	failed        bool
	raw, out, err string
}

func (r result) String() string {
	return fmt.Sprintf("failed: %t\n--- stdout\n%s--- stderr\n%s---", r.failed, r.out, r.err)
}

// shapes are the messages that scripts look for. Others are sentences of each
// one's own.
var shapes = regexp.MustCompile(strings.Join([]string{
	`^\[PM2\] \[[^\]]+\]\(\w+\) ✓`, `^\[PM2\] Applying action \w+ on app .*\)$`, `^\[PM2\] App \[[^\]]+\] launched`,
	`^\[PM2\] Starting .* in (fork|cluster)_mode`, `^\[PM2\] Done\.`, `^\[PM2\] Process .* restored`, `^\[PM2\] Successfully saved in`,
	`^\[PM2\] Resetting meta for process id`, `^\[PM2\] Scaling up application`, `^\[PM2\] Logs flushed`, `^File .* generated`,
}, "|"))

// messages are those that scripts look for, how often each, in one form: PM2
// tells ids that were typed from others, and has one grammar for any number.
func (r result) messages() map[string]int {
	all := map[string]int{}
	for line := range strings.Lines(r.out) {
		if line = strings.TrimSpace(line); shapes.MatchString(line) {
			all[strings.NewReplacer("'", "", "(1 instances)", "(1 instance)").Replace(line)]++
		}
	}
	return all
}

// lacks are the messages of theirs that r does not have.
func (r result) lacks(theirs result) string {
	var b strings.Builder
	has := r.messages()
	for message, n := range theirs.messages() {
		if has[message] < n {
			fmt.Fprintf(&b, "%s\n", message)
		}
	}
	if r.failed && theirs.complains() && !r.complains() {
		fmt.Fprintf(&b, "an error or a warning\n")
	}
	return b.String()
}

func (r result) complains() bool {
	said := r.out + r.err
	return strings.Contains(said, "[PM2][ERROR]") || strings.Contains(said, "[PM2][WARN]")
}

// picked are the values of keys in the JSON on standard output, from each app's
// pm2_env or beside it.
func (r result) picked(t *testing.T, keys []string) []string {
	t.Helper()
	var list []map[string]any
	if err := json.Unmarshal([]byte(r.raw), &list); err != nil {
		t.Errorf("no JSON: %v\n%s", err, r.raw)
	}
	var out []string
	for _, e := range list {
		env, _ := e["pm2_env"].(map[string]any)
		for _, key := range keys {
			v, ok := env[key]
			if !ok {
				v = e[key]
			}
			out = append(out, key+"="+plain(v))
		}
	}
	return out
}

// plain is a value of JSON as a person writes it.
func plain(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, _ := json.Marshal(v)
	return string(text)
}

// app is an element of the list.
type app struct {
	ID    int            `json:"pm_id"`
	Name  string         `json:"name"`
	Pid   any            `json:"pid"`
	Env   map[string]any `json:"pm2_env"`
	Monit map[string]any `json:"monit"`
}

// list is what jlist prints, asked for without PM2's half second of start.
func (s *side) list() []app {
	var text []byte
	if s.isTend {
		cmd := exec.CommandContext(s.t.Context(), s.program, "jlist")
		cmd.Env = s.environ()
		out, err := cmd.Output()
		if err != nil {
			s.t.Fatalf("jlist of tend: %v", err)
		}
		text = out
	} else if s.daemon() != 0 {
		text = call(s.t, filepath.Join(s.home, "rpc.sock"), "getMonitorData")
	}
	var list []app
	if len(text) > 0 {
		if err := json.Unmarshal(text, &list); err != nil {
			s.t.Fatalf("list of %s: %v\n%.500s", s.name, err, text)
		}
	}
	return list
}

// state is all of a side that may be compared.
type state struct {
	apps  []app
	files []string // of the home, and of the working directory
	said  map[string]string
}

func (s *side) state() state {
	st := state{apps: s.list(), said: map[string]string{}}
	for i := range st.apps {
		s.neutralise(st.apps[i].Env)
	}
	for _, dir := range []string{"logs", "pids"} {
		found, _ := filepath.Glob(filepath.Join(s.home, dir, "*"))
		for _, path := range found {
			st.files = append(st.files, s.neutral(path))
		}
	}
	found, _ := filepath.Glob(filepath.Join(s.work, "*"))
	for _, path := range found {
		st.files = append(st.files, s.neutral(path))
	}
	found, _ = filepath.Glob(filepath.Join(s.work, "said", "*"))
	for _, path := range found {
		text, _ := os.ReadFile(path)
		st.said[filepath.Base(path)] = s.neutral(string(text))
	}
	return st
}

// neutralise takes what is this side's own out of all texts in m.
func (s *side) neutralise(m map[string]any) {
	for _, key := range slices.Collect(maps.Keys(m)) {
		m[key] = s.neutralValue(m[key])
	}
}

func (s *side) neutralValue(v any) any {
	switch v := v.(type) {
	case string:
		return s.neutral(v)
	case []any:
		for i := range v {
			v[i] = s.neutralValue(v[i])
		}
	case map[string]any:
		s.neutralise(v)
	}
	return v
}
