package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"tend/internal/errs"
)

const (
	readable   = 4 // R_OK, access(2)
	executable = 1 // X_OK
)

// resolveScript finds the script, of which given is the field, and tells whether it is a command line for
// a shell.
func (r *resolver) resolveScript(given any) (shell bool) {
	d, s := &r.draft, &r.draft.spec
	written := d.script
	if written == "" {
		if given == nil || given == "" { // else it is no text, which was told
			r.fault(errs.Invalid, `name the file to run: "script": "app.js"`, "script is missing")
		}
		return false
	}
	s.Script = r.c.path(written, s.Cwd)
	fi, err := os.Stat(s.Script)
	bare := !strings.Contains(written, "/") && written != "~"
	switch {
	case err == nil && !fi.IsDir():
		return false
	case bare: // a command like npm, also where a directory has its name
		if found, pathErr := lookPath(r.c, written); pathErr == nil {
			s.Script = found
			return false
		}
	}
	switch {
	case err == nil:
		r.fault(errs.Invalid, "name the file in it that is to run", "script: %s is a directory", s.Script)
	case strings.ContainsAny(written, space) && d.interpreterNone():
		return r.resolveShell(written)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		hint := "a path is seen from " + s.Cwd
		if bare {
			hint = "it is neither in " + s.Cwd + " nor a command in PATH"
		}
		r.fault(errs.NotFound, hint, "script not found: %s", s.Script)
	default:
		r.fault(kindOfFile(err), "", "script: look at %s: %w", s.Script, cause(err))
	}
	s.Script = ""
	return false
}

// interpreterNone tells that no interpreter was asked for.
func (d *draft) interpreterNone() bool { return d.interpreter == "" || d.interpreter == none }

// resolveShell has a shell run line.
func (r *resolver) resolveShell(line string) bool {
	s := &r.draft.spec
	s.Script = line
	for _, name := range []string{"bash", "sh"} {
		path, err := lookPath(r.c, name)
		if err != nil {
			continue
		}
		s.Interpreter, s.InterpreterArgs = path, []string{"-c"}
		if len(s.Args) > 0 {
			r.warn("args are left out: write them into the command line %q", line)
			s.Args = nil
		}
		return true
	}
	r.fault(errs.NotFound, "put a shell into PATH, or give the program and its args apart", "script: no bash and no sh for %q", line)
	return true
}

// lookPath finds a program as the client's shell would. Entries of PATH that
// are relative count from the client's directory.
func lookPath(c Context, name string) (string, error) {
	var denied error
	for _, dir := range filepath.SplitList(c.Env["PATH"]) {
		path := absolute(filepath.Join(dir, name), c.Cwd)
		switch err := runnable(path); {
		case err == nil:
			return path, nil
		case errors.Is(err, fs.ErrPermission):
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", fs.ErrNotExist
}

// runnable says why the file at path cannot be executed, nil when it can.
func runnable(path string) error {
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return cause(err)
	case fi.IsDir():
		return errors.New("it is a directory")
	}
	return syscall.Access(path, executable)
}

// content is what a script looks like from its beginning.
type content struct {
	binary  bool
	shebang string // the first line, without "#!"
}

// sniff looks at the beginning of the file at path.
func sniff(path string) (content, error) {
	const enough = 512
	fi, err := os.Stat(path)
	if err != nil {
		return content{}, cause(err)
	}
	if !fi.Mode().IsRegular() {
		return content{}, errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return content{}, cause(err)
	}
	defer f.Close()
	b := make([]byte, enough)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return content{}, fmt.Errorf("read it: %w", cause(err))
	}
	b = b[:n]
	if rest, ok := bytes.CutPrefix(b, []byte("#!")); ok {
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		return content{shebang: strings.TrimSpace(string(line))}, nil
	}
	return content{binary: bytes.ContainsFunc(b, isControl)}, nil
}

// isControl matches the characters that no text holds; ELF, Mach-O and
// archives have some of them in their first bytes.
func isControl(r rune) bool {
	return r < ' ' && !strings.ContainsRune("\t\n\v\f\r\b\x1b", r)
}
