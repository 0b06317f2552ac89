package supervisor

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tend/internal/errs"
	"tend/internal/pm2env"
	"tend/internal/store"
)

// findInterpreter looks up the interpreter that PM2 saved by its name alone,
// where PM2 would: in the PATH of the app.
func findInterpreter(saved *pm2env.Saved) error {
	name := saved.Spec.Interpreter
	if name == "" || strings.Contains(name, "/") {
		return nil
	}
	if path := inPath(name, cmp.Or(saved.Env["PATH"], os.Getenv("PATH"))); path != "" {
		saved.Spec.Interpreter = path
		return nil
	}
	return &errs.Error{
		Op: "restore", On: saved.Spec.Name, Kind: errs.NotFound, Err: fmt.Errorf("its interpreter %s is not in its PATH", name),
		Hint: "install it, and resurrect again",
	}
}

// installed is the interpreter of an instance as it is installed now. Where the
// version that the app was started with is gone, the one that took its place
// runs the app: an upgrade of node must not be what keeps it down after a boot.
func (s *Supervisor) installed(r *store.Record) string {
	was := r.Spec.Interpreter
	if runnable(was) {
		return was
	}
	path := otherVersion(was)
	for _, dirs := range []string{r.Spec.Env["PATH"], r.Inherited.Vars["PATH"], os.Getenv("PATH")} {
		if path == "" {
			path = inPath(filepath.Base(was), dirs)
		}
	}
	if path == "" {
		return was // and the keeper says what is wrong with it
	}
	s.opts.Log.Warn("another version of the interpreter", "app", r.Spec.Name, "instance", r.ID, "gone", was, "instead", path)
	return path
}

// inPath is the program of this name in the first of dirs that has it.
func inPath(name, dirs string) string {
	for _, dir := range filepath.SplitList(dirs) {
		if path := filepath.Join(dir, name); filepath.IsAbs(path) && runnable(path) {
			return path
		}
	}
	return ""
}

func runnable(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && !fi.IsDir() && fi.Mode()&0o111 != 0
}

// versionDir is a directory that holds one version of something, as nvm, fnm, n,
// pyenv and rbenv have them: v22.1.0, 3.12.4, v20.
var versionDir = regexp.MustCompile(`^v?[0-9]+(\.[0-9]+)*$`)

// otherVersion is the program at path as another version of it has it, which
// stands beside its own: the closest, and of those the newest. It is "" where
// there is none.
func otherVersion(path string) string {
	best, bestVersion := "", release(nil)
	for dir := filepath.Dir(path); dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		if !versionDir.MatchString(filepath.Base(dir)) {
			continue
		}
		was := parseRelease(filepath.Base(dir))
		entries, err := os.ReadDir(filepath.Dir(dir))
		if err != nil {
			continue
		}
		for _, e := range entries {
			other := filepath.Join(filepath.Dir(dir), e.Name(), strings.TrimPrefix(path, dir))
			v := parseRelease(e.Name())
			if versionDir.MatchString(e.Name()) && runnable(other) && (best == "" || v.before(bestVersion, was)) {
				best, bestVersion = other, v
			}
		}
	}
	return best
}

// release are the numbers of a version, the major first.
type release []int

func parseRelease(name string) release {
	var v release
	for part := range strings.SplitSeq(strings.TrimPrefix(name, "v"), ".") {
		n, _ := strconv.Atoi(part) // what is no number is as old as can be
		v = append(v, n)
	}
	return v
}

// before tells whether v stands in better for was than other does: it has more
// of the first numbers in common with it, or as many and is newer.
func (v release) before(other, was release) bool {
	if a, b := v.shared(was), other.shared(was); a != b {
		return a > b
	}
	return slices.Compare(v, other) > 0
}

// shared is how many of the first numbers v and was have in common.
func (v release) shared(was release) int {
	n := 0
	for n < min(len(v), len(was)) && v[n] == was[n] {
		n++
	}
	return n
}
