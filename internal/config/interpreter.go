package config

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tend/internal/app"
	"tend/internal/errs"
)

// none is the interpreter of a script that runs itself.
const none = "none"

// byExtension are the programs that run a file, in the order of preference.
var byExtension = map[string][]string{ //nolint:gochecknoglobals // a table, never written
	".sh": {"bash", "sh"}, ".py": {"python", "python3"}, ".rb": {"ruby"}, ".php": {"php"}, ".pl": {"perl"},
	".js": {"node"}, ".mjs": {"node"}, ".cjs": {"node"}, ".coffee": {"coffee"}, ".ls": {"lsc"}, ".tsx": {"bun"},
}

// resolveInterpreter finds the program that runs the script.
func (r *resolver) resolveInterpreter() {
	d, s := &r.draft, &r.draft.spec
	ext := strings.ToLower(filepath.Ext(s.Script))
	switch candidates := byExtension[ext]; {
	case d.interpreter == none:
		r.runItself()
	case d.interpreter != "":
		s.Interpreter = r.explicit(d.interpreter)
	case s.Script == "": // not found, which was told
	case ext == ".ts":
		r.resolveTypeScript()
	case candidates != nil:
		s.Interpreter = r.first(candidates)
	default:
		r.resolveByContent()
	}
	if s.Script != "" && s.Interpreter != "" {
		if err := syscall.Access(s.Script, readable); err != nil {
			r.fault(kindOfFile(err), "", "script: read %s: %w", s.Script, err)
		}
	}
	if s.Interpreter == "" && len(s.InterpreterArgs) > 0 && len(r.faults) == 0 {
		r.warn("node_args are left out: the script runs itself")
		s.InterpreterArgs = nil
	}
	if _, ok := s.Env[unbuffered]; !ok && strings.Contains(filepath.Base(s.Interpreter), "python") {
		s.Env[unbuffered] = "1"
	}
}

// unbuffered makes Python write each line when it is there, not when 4 KiB are.
const unbuffered = "PYTHONUNBUFFERED"

// first is the first of programs that is in PATH.
func (r *resolver) first(programs []string) string {
	for _, p := range programs {
		if path, err := lookPath(r.c, p); err == nil {
			return path
		}
	}
	r.fault(errs.NotFound, `install it, or set "interpreter"; "none" runs the script itself`,
		"interpreter %s is not in PATH", strings.Join(programs, " or "))
	return ""
}

// explicit is the program that the user named.
func (r *resolver) explicit(written string) string {
	if version, ok := strings.CutPrefix(written, "node@"); ok {
		return r.nodeOfNVM(version)
	}
	if !strings.Contains(written, "/") && written != "~" {
		return r.first([]string{written})
	}
	path := r.c.path(written, r.draft.spec.Cwd)
	switch err := runnable(path); {
	case errors.Is(err, fs.ErrPermission):
		r.fault(errs.Denied, "chmod +x "+path, "interpreter %s is not executable", path)
	case err != nil:
		r.fault(errs.NotFound, "", "interpreter %s: %w", path, err)
	default:
		return path
	}
	return ""
}

// runItself checks that the script can be executed.
func (r *resolver) runItself() {
	script := r.draft.spec.Script
	if script == "" {
		return
	}
	switch err := runnable(script); {
	case errors.Is(err, fs.ErrPermission):
		r.fault(errs.Denied, "chmod +x "+script, "script %s is not executable", script)
	case err != nil:
		r.fault(errs.Invalid, "", "script %s: %w", script, err)
	}
}

// resolveByContent is for scripts whose name tells nothing.
func (r *resolver) resolveByContent() {
	s := &r.draft.spec
	mayRun := runnable(s.Script) == nil
	c, err := sniff(s.Script)
	switch {
	case err != nil && mayRun: // a program that may be run and not read
	case err != nil:
		r.fault(kindOfFile(err), "", "script: read %s: %w", s.Script, err)
	case c.binary:
		r.runItself()
	case c.shebang == "" || app.IsNode(c.shebang[strings.LastIndexAny(c.shebang, space)+1:]):
		// A script of node runs under node by name, not through its first line:
		// only so can it have node_args and share a port.
		s.Interpreter = r.first([]string{"node"})
	case !mayRun:
		r.fault(errs.Denied, "chmod +x "+s.Script+`, or set "interpreter"`, "script %s is not executable", s.Script)
	}
}

// nodeOfNVM is the newest installed node of a version like 20, v20.1 or 20.1.0.
func (r *resolver) nodeOfNVM(version string) string {
	version = strings.TrimPrefix(version, "v")
	dir := r.c.Env["NVM_DIR"]
	if dir == "" {
		dir = filepath.Join(r.c.Home, ".nvm")
	}
	dir = filepath.Join(dir, "versions", "node")
	entries, _ := os.ReadDir(dir) // none there is none found
	best := ""
	for _, e := range entries {
		have := strings.TrimPrefix(e.Name(), "v")
		if (have == version || strings.HasPrefix(have, version+".")) &&
			runnable(nodeIn(dir, have)) == nil && (best == "" || older(best, have)) {
			best = have
		}
	}
	if best == "" || version == "" {
		r.fault(errs.NotFound, "nvm install "+version, "interpreter: no node %s is in %s", version, dir)
		return ""
	}
	return nodeIn(dir, best)
}

func nodeIn(dir, version string) string { return filepath.Join(dir, "v"+version, "bin", "node") }

// older tells whether version a comes before b.
func older(a, b string) bool {
	x, y := numbers(a), numbers(b)
	for i := range x {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return false
}

// numbers are the three parts of a version.
func numbers(version string) (n [3]int) {
	for i, part := range strings.SplitN(strings.TrimPrefix(version, "v"), ".", len(n)) {
		n[i], _ = strconv.Atoi(part) // what is no number is as old as can be
	}
	return n
}

// resolveTypeScript finds what runs a .ts file: bun, else a node that strips
// types.
func (r *resolver) resolveTypeScript() {
	s := &r.draft.spec
	if bun, err := lookPath(r.c, "bun"); err == nil {
		s.Interpreter = bun
		return
	}
	node := r.first([]string{"node"})
	if node == "" {
		return
	}
	version, err := versionOf(r.c, node)
	if err != nil {
		r.fault(errs.Internal, "", "interpreter: ask %s for its version: %w", node, err)
		return
	}
	s.Interpreter = node
	switch v := numbers(version); {
	case v[0] == 22 && v[1] >= 18, v[0] == 23 && v[1] >= 6, v[0] > 23:
	case v[0] == 22 && v[1] >= 6, v[0] == 23:
		s.InterpreterArgs = append([]string{"--experimental-strip-types"}, s.InterpreterArgs...)
	default:
		r.fault(errs.NotFound, `install bun or node 22.18, or set "interpreter"`,
			"script: node %s does not run TypeScript", version)
	}
}

// versionOf is what the node at path says its version is.
func versionOf(c Context, path string) (string, error) {
	const limit = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = c.environ()
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
