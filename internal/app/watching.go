package app

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"tend/api"
)

// Watching is what the Watch of a Spec means.
type Watching struct {
	Roots  []Root
	Follow bool          // symbolic links
	Depth  int           // of directories below a root; -1: no limit
	Every  time.Duration // to look this often; 0: to be told by the system
	Delay  time.Duration // from a change to what follows

	rules []rule // nil: those that hold where none were given
}

// Root is a file or directory that is watched, and all below it.
type Root struct {
	Path    string
	Pattern string // of the paths that matter; "": all
}

// Matches tells whether a path below the root matters.
func (r Root) Matches(path string) bool {
	return r.Pattern == "" || doublestar.MatchUnvalidated(r.Pattern, path)
}

// rule is one of ignore_watch: a path and what is below it, and a pattern, or
// an expression.
type rule struct {
	path       string
	pattern    string
	expression *regexp.Regexp
}

const (
	// expression begins a rule that is a regular expression, which only a
	// file of JavaScript can hold as such.
	expression = "regexp:"
	// pollEvery is chokidar's interval of usePolling.
	pollEvery = 100 * time.Millisecond
)

// WatchingOf is what the Watch of an app means whose directory is cwd.
func WatchingOf(watch *api.Watch, cwd string) (*Watching, error) {
	w := &Watching{Follow: true, Depth: -1, Delay: time.Duration(watch.Delay) * time.Millisecond}
	var wrong []error
	for _, p := range watch.Paths {
		root, err := newRoot(p)
		wrong = append(wrong, err)
		w.Roots = append(w.Roots, root)
	}
	ignore := watch.Ignore
	options, ignored, err := watchOptions(watch.Options, w)
	wrong = append(wrong, err)
	if options["ignored"] {
		ignore = ignored
	}
	for _, text := range ignore {
		r, err := newRule(text, cwd)
		if err != nil {
			err = fmt.Errorf("ignore_watch: %q: %w", text, err)
		}
		wrong = append(wrong, err)
		w.rules = append(w.rules, r)
	}
	return w, errors.Join(wrong...)
}

// newRoot cuts a pattern where its first segment that is none by itself
// begins: what is before it is what there is to watch.
func newRoot(path string) (Root, error) {
	if !magic(path) {
		return Root{Path: filepath.Clean(path)}, nil
	}
	pattern, err := newPattern(path)
	if err != nil {
		return Root{}, fmt.Errorf("watch: %q: %w", path, err)
	}
	base, _ := doublestar.SplitPattern(pattern)
	return Root{Path: filepath.Clean(base), Pattern: pattern}, nil
}

func newRule(text, cwd string) (rule, error) {
	if re, ok := strings.CutPrefix(text, expression); ok {
		compiled, err := regexp.Compile(re)
		if err != nil {
			err = fmt.Errorf("%w (expressions are Go's: no look-ahead and no back-references)", err)
		}
		return rule{expression: compiled}, err
	}
	if !filepath.IsAbs(text) {
		text = filepath.Join(cwd, text)
	}
	r := rule{path: filepath.Clean(text)}
	if !magic(text) {
		return r, nil
	}
	var err error
	r.pattern, err = newPattern(r.path)
	return r, err
}

// magic tells whether a path is a pattern.
func magic(path string) bool { return strings.ContainsAny(path, "*?[{") || extended.MatchString(path) }

// extended finds a shell's extended patterns.
var extended = regexp.MustCompile(`[@?!+*]\([^()/]*\)`)

// newPattern is a pattern as doublestar has it, which knows no extended ones.
func newPattern(text string) (string, error) {
	var err error
	pattern := extended.ReplaceAllStringFunc(text, func(part string) string {
		inside := strings.ReplaceAll(part[2:len(part)-1], "|", ",")
		switch part[0] {
		case '@':
			return "{" + inside + "}"
		case '?':
			return "{" + inside + ",}"
		}
		err = fmt.Errorf("%s is not understood here; name what is meant with {a,b}, or use an expression", part)
		return part
	})
	if err == nil && !doublestar.ValidatePattern(pattern) {
		err = errors.New("the pattern does not end what it begins")
	}
	return pattern, err
}

// Ignores tells that a change of path, below root, means nothing.
func (w *Watching) Ignores(root, path string) bool {
	if passing.MatchString(filepath.Base(path)) {
		return true
	}
	if w.rules == nil {
		return usuallyIgnored(root, path)
	}
	return slices.ContainsFunc(w.rules, func(r rule) bool { return r.matches(path) })
}

func (r rule) matches(path string) bool {
	switch {
	case r.expression != nil:
		return r.expression.MatchString(path)
	case r.path == path || strings.HasPrefix(path, strings.TrimSuffix(r.path, "/")+"/"):
		return true
	}
	return r.pattern != "" && doublestar.MatchUnvalidated(r.pattern, path)
}

// passing are files that editors make beside the one that is written, which
// chokidar ignores always.
var passing = regexp.MustCompile(`^\..*\.sw[px]$|~$|\.subl.*\.tmp`)

// usuallyIgnored is the rule where none was given: hidden things and
// node_modules, as PM2, and what Python writes when it reads a module, which
// would restart an app once more after each change. What stands above root
// does not matter.
func usuallyIgnored(root, path string) bool {
	rest, _ := strings.CutPrefix(path, root)
	for part := range strings.SplitSeq(rest, "/") {
		if strings.HasPrefix(part, ".") || strings.Contains(part, "node_modules") || part == "__pycache__" {
			return true
		}
	}
	return false
}

// watchOptions reads what chokidar would be given. Which are there is in the
// first result, and those that tell what to ignore are the second.
func watchOptions(options map[string]any, w *Watching) (there map[string]bool, ignored []string, err error) {
	there = map[string]bool{}
	var wrong []error
	poll, every := false, pollEvery
	for _, name := range slices.Sorted(maps.Keys(options)) {
		v := options[name]
		there[name] = true
		ok := true
		switch name {
		case "followSymlinks":
			w.Follow, ok = v.(bool)
		case "usePolling":
			poll, ok = v.(bool)
		case "depth":
			w.Depth, ok = wholeNumber(v)
		case "interval":
			var ms int
			ms, ok = wholeNumber(v)
			every = time.Duration(max(ms, 1)) * time.Millisecond
		case "ignored":
			ignored, ok = textList(v)
		}
		if !ok {
			wrong = append(wrong, fmt.Errorf("watch_options: %s: %v makes no sense", name, v))
		}
	}
	if poll {
		w.Every = every
	}
	return there, ignored, errors.Join(wrong...)
}

// InertWatchOptions are the names of options that change nothing here.
func InertWatchOptions(options map[string]any) []string {
	known := []string{"followSymlinks", "usePolling", "depth", "interval", "ignored", "persistent", "ignoreInitial", "cwd"}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(options)), func(name string) bool { return slices.Contains(known, name) })
}

// wholeNumber is a number as JSON has it, here or after a journey.
func wholeNumber(v any) (int, bool) {
	switch v := v.(type) {
	case int64:
		return int(v), v >= 0
	case float64:
		return int(v), v >= 0 && v == float64(int(v))
	}
	return 0, false
}

func textList(v any) ([]string, bool) {
	switch v := v.(type) {
	case string:
		return []string{v}, true
	case []string:
		return v, true
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			text, ok := e.(string)
			if !ok {
				return nil, false
			}
			out = append(out, text)
		}
		return out, true
	}
	return nil, false
}
