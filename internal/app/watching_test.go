package app

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tend/api"
)

// chokidarSays are rules of ignore_watch in /app, and which of chokidarPaths
// chokidar 3.6 ignores by each.
var chokidarPaths = []string{
	"/app/logs", "/app/logs/x.log", "/app/logs/d/x.log", "/app/x.log", "/app/src/x.log", "/app/src/logs", "/app/src/logs/y", "/app/tmp",
	"/app/src/tmp/q", "/abs/x", "/abs/x/z", "/abs/y", "/abs/q/y", "/abs/q/r/y", "/app/a.js", "/app/b.js",
	"/app/c.js", "/app/ab.js", "/app/.js", "/app/run.pid", "/app/data/a.json", "/app/data/d/a.json", "/app/data", "/app/.git",
	"/app/.git/HEAD", "/app/src/.hid", "/app/src/k/gen", "/app/src/k/gen/f", "/app/src/gen", "/app/[id]", "/app/[id]/p.js", "/app/i",
	"/other", "/other/f", "/app/node_modules", "/app/node_modules/m/i.js", "/app/src/node_modules", "/app/src/a.js", "/app/src/k/a.js", "/app",
	"/app/a/b", "/app/a/q/b", "/app/a/q/r/b", "/app/a", "/app/x.swp", "/app/aa.js",
}

var chokidarSays = map[string][]string{
	"logs":           {"/app/logs", "/app/logs/x.log", "/app/logs/d/x.log"},
	"./logs":         {"/app/logs", "/app/logs/x.log", "/app/logs/d/x.log"},
	"*.log":          {"/app/x.log"},
	"**/*.log":       {"/app/logs/x.log", "/app/logs/d/x.log", "/app/x.log", "/app/src/x.log"},
	"logs/**":        {"/app/logs", "/app/logs/x.log", "/app/logs/d/x.log"},
	"logs/*":         {"/app/logs/x.log"},
	"**/logs":        {"/app/logs", "/app/src/logs"},
	"**/logs/**":     {"/app/logs", "/app/logs/x.log", "/app/logs/d/x.log", "/app/src/logs", "/app/src/logs/y"},
	"**/tmp":         {"/app/tmp"},
	"/abs/x":         {"/abs/x", "/abs/x/z"},
	"/abs/**/y":      {"/abs/y", "/abs/q/y", "/abs/q/r/y"},
	"{a,b}.js":       {"/app/a.js", "/app/b.js"},
	"*.{log,pid}":    {"/app/x.log", "/app/run.pid"},
	"[ab].js":        {"/app/a.js", "/app/b.js"},
	"a?.js":          {"/app/ab.js", "/app/aa.js"},
	"data/**/*.json": {"/app/data/a.json", "/app/data/d/a.json"},
	"*":              {"/app/logs", "/app/x.log", "/app/tmp", "/app/a.js", "/app/b.js", "/app/c.js", "/app/ab.js", "/app/.js", "/app/run.pid", "/app/data", "/app/.git", "/app/[id]", "/app/i", "/app/node_modules", "/app/a", "/app/x.swp", "/app/aa.js"},
	".git":           {"/app/.git", "/app/.git/HEAD"},
	"**/.*":          {"/app/.js", "/app/.git", "/app/src/.hid"},
	"src/*/gen":      {"/app/src/k/gen"},
	"@(a|b).js":      {"/app/a.js", "/app/b.js"},
	"?(a).js":        {"/app/a.js", "/app/.js"},
	"../other":       {"/other", "/other/f"},
	"**.js":          {"/app/a.js", "/app/b.js", "/app/c.js", "/app/ab.js", "/app/.js", "/app/aa.js"},
	"src/**.js":      {"/app/src/a.js"},
	"a/**/b":         {"/app/a/b", "/app/a/q/b", "/app/a/q/r/b"},
}

func rules(t testing.TB, ignore ...string) *Watching {
	t.Helper()
	w, err := WatchingOf(&api.Watch{Paths: []string{"/app"}, Ignore: ignore}, "/app")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestRulesAreChokidars(t *testing.T) {
	for rule, want := range chokidarSays {
		w := rules(t, rule)
		var got []string
		for _, p := range chokidarPaths {
			if w.Ignores("/app", p) {
				got = append(got, p)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s ignores (-chokidar +tend):\n%s", rule, diff)
		}
	}
}

// TestRulesThatChokidarGetsWrong: what people mean by them is plain.
func TestRulesThatChokidarGetsWrong(t *testing.T) {
	for _, test := range []struct {
		rule, path string
		want       bool
	}{
		{"logs/", "/app/logs/x", true}, // chokidar: never
		{"[!a].js", "/app/b.js", true}, // chokidar: "!" or "a"
		{"[!a].js", "/app/a.js", false},
		{"[id]", "/app/[id]/page.js", true}, // a directory of that name
		{"regexp:[/]\\.", "/app/.x", true},
		{"regexp:(?i)LOGS", "/app/my-logs", true},
		{"regexp:^logs", "/app/logs", false}, // it is about the whole path, as chokidar's
	} {
		if got := rules(t, test.rule).Ignores("/app", test.path); got != test.want {
			t.Errorf("%s ignores %s: %v, want %v", test.rule, test.path, got, test.want)
		}
	}
}

func TestUsualRules(t *testing.T) {
	w, err := WatchingOf(&api.Watch{Paths: []string{"/home/ann/.apps/api"}}, "/home/ann/.apps/api")
	if err != nil {
		t.Fatal(err)
	}
	root := w.Roots[0].Path
	for path, want := range map[string]bool{
		"/app.js": false, "/src/a.js": false, "/.env": true, "/.git/HEAD": true, "/src/.x/y": true,
		"/node_modules/m/i.js": true, "/old_node_modules_2/x": true, "/lib/__pycache__/m.pyc": true,
		"/app.js~": true, "/.app.js.swp": true, "/a.b": false,
	} {
		if got := w.Ignores(root, root+path); got != want {
			t.Errorf("%s is ignored: %v, want %v", path, got, want)
		}
	}
}

func TestRoots(t *testing.T) {
	for path, want := range map[string]Root{
		"/app/src":                {Path: "/app/src"},
		"/app/src/":               {Path: "/app/src"},
		"/app/src/**/*.js":        {Path: "/app/src", Pattern: "/app/src/**/*.js"},
		"/app/*.js":               {Path: "/app", Pattern: "/app/*.js"},
		"/app/@(a|b)/f":           {Path: "/app", Pattern: "/app/{a,b}/f"},
		"/app/{src,lib}/**/*.mjs": {Path: "/app", Pattern: "/app/{src,lib}/**/*.mjs"},
	} {
		got, err := newRoot(path)
		if err != nil || got != want {
			t.Errorf("%s is %+v, %v, want %+v", path, got, err, want)
		}
	}
}

func TestWatchingThatMakesNoSense(t *testing.T) {
	for name, test := range map[string]struct {
		watch api.Watch
		want  string
	}{
		"an extended pattern":     {api.Watch{Ignore: []string{"!(a).js"}}, `ignore_watch: "!(a).js": !(a) is not understood`},
		"another":                 {api.Watch{Ignore: []string{"+(a).js"}}, "not understood"},
		"a pattern cut short":     {api.Watch{Ignore: []string{"{a,b"}}, `ignore_watch: "{a,b": the pattern does not end`},
		"a path cut short":        {api.Watch{Paths: []string{"/a/{b"}}, `watch: "/a/{b": the pattern`},
		"an expression":           {api.Watch{Ignore: []string{"regexp:(?=x)"}}, "no look-ahead"},
		"a depth below 0":         {api.Watch{Options: map[string]any{"depth": -1.0}}, "watch_options: depth: -1"},
		"half a level":            {api.Watch{Options: map[string]any{"depth": 1.5}}, "depth"},
		"a text for a flag":       {api.Watch{Options: map[string]any{"usePolling": "yes"}}, "usePolling: yes makes no sense"},
		"a number to be ignored":  {api.Watch{Options: map[string]any{"ignored": 5.0}}, "ignored"},
		"an interval of no time":  {api.Watch{Options: map[string]any{"interval": "soon"}}, "interval"},
		"links that are no links": {api.Watch{Options: map[string]any{"followSymlinks": 1.0}}, "followSymlinks"},
	} {
		if _, err := WatchingOf(&test.watch, "/app"); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func TestWatchOptions(t *testing.T) {
	w, err := WatchingOf(&api.Watch{Delay: 1500, Options: map[string]any{
		"usePolling": true, "interval": 250.0, "depth": int64(3), "followSymlinks": false, "awaitWriteFinish": true, "persistent": true,
	}}, "/app")
	if err != nil {
		t.Fatal(err)
	}
	if w.Every != 250*time.Millisecond || w.Depth != 3 || w.Follow || w.Delay != 1500*time.Millisecond {
		t.Errorf("got %+v", w)
	}
	if w, err := WatchingOf(&api.Watch{}, "/app"); err != nil || w.Every != 0 || w.Depth != -1 || !w.Follow {
		t.Errorf("without options: %+v, %v", w, err)
	}
	if got := InertWatchOptions(map[string]any{"awaitWriteFinish": true, "atomic": 1, "depth": 1}); !slices.Equal(got, []string{"atomic", "awaitWriteFinish"}) {
		t.Errorf("inert are %q", got)
	}
}

func TestAPlainRuleIsItselfAndWhatIsBelow(t *testing.T) {
	segment := rapid.StringMatching(`[a-zA-Z0-9_\-. ]{1,6}`).Filter(func(s string) bool { return strings.Trim(s, ". ") != "" && !passing.MatchString(s) })
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(segment, 1, 4).Draw(t, "rule")
		more := rapid.SliceOfN(segment, 0, 3).Draw(t, "below")
		rule := strings.Join(parts, "/")
		w, err := WatchingOf(&api.Watch{Ignore: []string{rule}}, "/app")
		if err != nil {
			t.Fatal(err)
		}
		path := "/app/" + strings.Join(append(slices.Clone(parts), more...), "/")
		if !w.Ignores("/app", path) {
			t.Fatalf("%s does not ignore %s", rule, path)
		}
		if beside := "/app/" + rule + "x"; w.Ignores("/app", beside) {
			t.Fatalf("%s ignores %s", rule, beside)
		}
	})
}

func TestUnwatchedAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(rapid.StringMatching(`/[a-z]{1,4}`), 1, 3)
		s := Default()
		s.Cwd = "/app"
		s.Watch = &api.Watch{Paths: texts.Draw(t, "paths"), Delay: int64(rapid.IntRange(0, 5).Draw(t, "delay"))}
		if rapid.Bool().Draw(t, "rules") {
			s.Watch.Ignore = texts.Draw(t, "ignore")
		}
		if rapid.Bool().Draw(t, "options") {
			s.Watch.Options = map[string]any{"usePolling": true}
		}
		if rapid.Bool().Draw(t, "extra") {
			s.Extra = map[string]any{"vizion": false}
		}
		off := Unwatched(&s)
		if off.Watch != nil || s.Watch == nil {
			t.Fatalf("%+v of %+v", off.Watch, s.Watch)
		}
		if diff := cmp.Diff(&s, WatchedAgain(off)); diff != "" {
			t.Fatalf("another Watch came back:\n%s", diff)
		}
		if Unwatched(off) != off || WatchedAgain(&s) != &s {
			t.Fatal("what is so already is copied")
		}
	})
}

func TestWatchedWhereNothingWas(t *testing.T) {
	s := Default()
	s.Cwd = "/app"
	if w := WatchedAgain(&s).Watch; !slices.Equal(w.Paths, []string{"/app"}) || w.Ignore != nil {
		t.Errorf("got %+v", w)
	}
}
