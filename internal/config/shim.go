package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/dop251/goja"
)

// shims are the parts of node that configuration files use, for the embedded
// engine. They are few on purpose: what a file needs beyond them, it needs
// node for, and is told so.
type shims struct {
	vm  *goja.Runtime
	c   Context
	dir string // of the file
}

func newShims(vm *goja.Runtime, c Context, path string) *shims {
	return &shims{vm: vm, c: c, dir: filepath.Dir(path)}
}

// object is a set of properties of a JavaScript object.
type object = map[string]any

// globals sets what a script finds without require.
func (s *shims) globals() error {
	quiet := func() {}
	for name, v := range map[string]any{
		"console": object{"log": quiet, "info": quiet, "warn": quiet, "error": quiet, "debug": quiet},
		"process": s.process(),
	} {
		if err := s.vm.GlobalObject().Set(name, s.vm.ToValue(v)); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

func (s *shims) process() object {
	env := s.vm.NewObject()
	for k, v := range s.c.Env {
		_ = env.Set(k, v) // a new object refuses nothing
	}
	return object{
		"env": env, "platform": runtime.GOOS, "arch": arch(),
		"argv": s.vm.NewArray("node", s.dir),
		"cwd":  func() string { return s.c.Cwd },
	}
}

// arch is the machine in node's words.
func arch() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x64"
	case "386":
		return "ia32"
	}
	return runtime.GOARCH
}

// require gives the modules of node; all others are in the bundle.
func (s *shims) require(name string) goja.Value {
	switch strings.TrimPrefix(name, "node:") {
	case "path":
		return s.vm.ToValue(s.path())
	case "os":
		return s.vm.ToValue(s.os())
	case "fs":
		return s.vm.ToValue(s.fs())
	case "process":
		return s.vm.Get("process")
	}
	// Packages require what they then do not use: the error is in the use.
	return s.vm.ToValue(s.vm.NewProxy(s.vm.NewObject(), &goja.ProxyTrapConfig{
		Get: func(_ *goja.Object, property string, _ goja.Value) goja.Value {
			if property == "__esModule" || property == "default" {
				return goja.Undefined()
			}
			// The engine makes an exception of the panic.
			panic(s.vm.NewTypeError("the embedded engine has no %s.%s; %s", name, property, hintNode))
		},
	}))
}

func (s *shims) path() object {
	join := func(parts ...string) string {
		joined := filepath.Join(parts...)
		if joined == "" {
			return "."
		}
		// Node keeps the slash at the end, which Go takes away.
		if last := parts[len(parts)-1]; strings.HasSuffix(last, "/") && !strings.HasSuffix(joined, "/") {
			joined += "/"
		}
		return joined
	}
	return object{
		"sep": "/", "delimiter": ":",
		"join":       join,
		"normalize":  func(p string) string { return join(p) },
		"isAbsolute": filepath.IsAbs,
		"resolve": func(parts ...string) string {
			path := s.c.Cwd
			for _, p := range parts {
				path = absolute(p, path)
			}
			return path
		},
		"relative": func(from, to string) string {
			return relative(absolute(from, s.c.Cwd), absolute(to, s.c.Cwd))
		},
		"dirname": filepath.Dir,
		"extname": func(p string) string {
			base := filepath.Base(p)
			return base[len(stem(base)):]
		},
		"basename": func(p, suffix string) string {
			base := filepath.Base(p)
			if base == suffix {
				return base
			}
			return strings.TrimSuffix(base, suffix)
		},
	}
}

// relative is the way from one absolute path to another.
func relative(from, to string) string {
	rel, err := filepath.Rel(from, to)
	switch {
	case err != nil:
		return to
	case rel == ".":
		return ""
	}
	return rel
}

func (s *shims) os() object {
	return object{
		"EOL":      "\n",
		"platform": func() string { return runtime.GOOS },
		"arch":     arch,
		"homedir":  func() string { return s.c.Home },
		"tmpdir": func() string {
			if dir := s.c.Env["TMPDIR"]; dir != "" {
				return dir
			}
			return "/tmp"
		},
		"hostname":             os.Hostname,
		"availableParallelism": func() int { return s.c.CPUs },
		"cpus": func() []object {
			all := make([]object, s.c.CPUs)
			for i := range all {
				all[i] = object{"model": "unknown", "speed": 0}
			}
			return all
		},
		"userInfo": func() object {
			return object{"username": s.c.Username, "uid": s.c.UID, "homedir": s.c.Home}
		},
	}
}

func (s *shims) fs() object {
	at := func(path string) string { return absolute(path, s.c.Cwd) }
	return object{
		"existsSync": func(path string) bool {
			_, err := os.Stat(at(path))
			return err == nil
		},
		"readFileSync": func(path string) (string, error) {
			text, err := readText(at(path))
			if err != nil {
				return "", fmt.Errorf("open %s: %w", path, err)
			}
			return string(text), nil
		},
		"readdirSync": func(path string) ([]string, error) {
			entries, err := os.ReadDir(at(path))
			if err != nil {
				return nil, fmt.Errorf("list %s: %w", path, errors.Unwrap(err))
			}
			names := make([]string, len(entries))
			for i, e := range entries {
				names[i] = e.Name()
			}
			return names, nil
		},
	}
}
