package sidebyside

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// left are the keys of pm2_env, and of env, that PM2 has and tend leaves out.
var left = map[string]string{
	"km_link":                   "the paid service, which there is none of",
	"_tree_pids":                "whom the last stop signalled",
	"_pm2_version":              "of PM2's daemon, for workers of its cluster",
	"PM2_USAGE":                 "PM2's command line tells itself something, and so every app",
	"PM2_JSON_PROCESSING":       "the same",
	"PM2_INTERACTOR_PROCESSING": "the same",
	"updateEnv":                 "the same",
	"unique_id":                 "there is none before the first launch",
	"append_env_to_name":        "what a file said, word by word: what came of it stands in other keys",
	"env_production":            "the same",
	"force":                     "the same, of the command line",
	"out_file":                  "the same",
	"pid_file":                  "the same",
	"port":                      "the same",
	"script":                    "the same",
	"time":                      "the same",
}

// other are the keys whose values differ on purpose.
var other = map[string]string{
	"exec_interpreter":  "the program that runs it, by its path",
	"stop_exit_codes":   "always a list",
	"unstable_restarts": "an exit that ends in a stop on purpose is no unstable one",
}

// chance are those that a story meets or not, as the moments of PM2 fall.
var chance = []string{"km_link", "_tree_pids", "unstable_restarts"}

// moving are the keys of pm2_env whose values are of the moment, or of the
// process: only their types have to agree.
var moving = []string{
	"pm_uptime", "created_at", "unique_id", "exit_code", "prev_restart_delay", "node_version", "version", "versioning",
	"axm_monitor", "axm_options", "axm_dynamic", "axm_actions",
}

// reasons are those of left and other that were of use.
type reasons struct {
	mu   sync.Mutex
	used map[string]bool
}

func (r *reasons) use(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used == nil {
		r.used = map[string]bool{}
	}
	r.used[key] = true
}

// stale fails for what is left out for no reason any more.
func (r *reasons) stale(t *testing.T) {
	t.Helper()
	for _, list := range []map[string]string{left, other} {
		for key := range list {
			if !r.used[key] && !slices.Contains(chance, key) {
				t.Errorf("%s is listed as a difference, and no story found it", key)
			}
		}
	}
}

// compare is how two states differ, "" where they do not.
func (p *pair) compare(theirs, ours state) string {
	var b strings.Builder
	if len(theirs.apps) != len(ours.apps) {
		fmt.Fprintf(&b, "PM2 has %s\ntend has %s\n", names(theirs.apps), names(ours.apps))
	} else {
		for i := range theirs.apps {
			p.compareApps(&b, theirs.apps[i], ours.apps[i])
		}
	}
	b.WriteString(cmp.Diff(theirs.files, ours.files))
	b.WriteString(cmp.Diff(theirs.said, ours.said))
	return b.String()
}

func names(list []app) string {
	var out []string
	for _, a := range list {
		out = append(out, fmt.Sprintf("%s(%d)", a.Name, a.ID))
	}
	return strings.Join(out, " ")
}

func (p *pair) compareApps(b *strings.Builder, theirs, ours app) {
	at := fmt.Sprintf("%s(%d)", theirs.Name, theirs.ID)
	if theirs.ID != ours.ID || theirs.Name != ours.Name {
		fmt.Fprintf(b, "%s is %s(%d)\n", at, ours.Name, ours.ID)
		return
	}
	if running(theirs.Pid) != running(ours.Pid) {
		fmt.Fprintf(b, "%s: pid %v is %v\n", at, theirs.Pid, ours.Pid)
	}
	for _, key := range slices.Sorted(maps.Keys(theirs.Monit)) {
		if typeOf(theirs.Monit[key]) != typeOf(ours.Monit[key]) {
			fmt.Fprintf(b, "%s: monit.%s: %v is %v\n", at, key, theirs.Monit[key], ours.Monit[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(theirs.Env)) {
		their := theirs.Env[key]
		our, has := ours.Env[key]
		_, leftOut := left[key]
		switch {
		case !has && leftOut:
			p.reasons.use(key)
		case their == nil, key == theirs.Name: // null is absent; the other is what was set for a module of that name
		case !has:
			fmt.Fprintf(b, "%s: tend has no %s: %v\n", at, key, their)
		case key == "env":
			p.compareEnv(b, at, theirs.Name, their, our)
		case isNumberOf(their, our) && isVariable(theirs.Env, key): // variables are texts
		case typeOf(their) != typeOf(our) && other[key] == "":
			fmt.Fprintf(b, "%s: %s: %T %v is %T %v\n", at, key, their, their, our, our)
		case !slices.Contains(moving, key):
			_, differs := other[key]
			switch diff := cmp.Diff(their, our); {
			case diff != "" && differs:
				p.reasons.use(key)
			case diff != "":
				fmt.Fprintf(b, "%s: %s: %s is %s\n", at, key, plain(their), plain(our))
			}
		}
	}
}

// compareEnv compares what was given to an app, but for what is left out. The
// variable with the name of the app holds what was set for a module of that name.
func (p *pair) compareEnv(b *strings.Builder, at, name string, theirs, ours any) {
	their, _ := theirs.(map[string]any)
	our, _ := ours.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(their)) {
		if _, leftOut := left[key]; leftOut || key == "unique_id" || key == name {
			continue
		}
		if diff := cmp.Diff(their[key], our[key]); diff != "" && !isNumberOf(their[key], our[key]) {
			fmt.Fprintf(b, "%s: env.%s: %s is %s\n", at, key, plain(their[key]), plain(our[key]))
		}
	}
}

// isNumberOf tells that a text is the number.
func isNumberOf(number, text any) bool {
	_, isNumber := number.(float64)
	return isNumber && plain(number) == text
}

func isVariable(env map[string]any, key string) bool {
	variables, _ := env["env"].(map[string]any)
	_, is := variables[key]
	return is
}

func running(pid any) bool {
	n, _ := pid.(float64)
	return n > 0
}

func typeOf(v any) string { return fmt.Sprintf("%T", v) }
