package config

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tend/internal/errs"
	"tend/internal/rotation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a directory of its own with a PATH of its own, in which each of
// these programs is an executable that nobody runs.
func world(t *testing.T, files map[string]string) Context {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := Context{
		Cwd: dir, Home: filepath.Join(dir, "home"), Username: "ann", UID: 1000, CPUs: 4,
		Env:      map[string]string{"PATH": filepath.Join(dir, "bin")},
		Rotation: rotation.Default(),
		limit:    20 * time.Second, // enough for node on a busy machine
	}
	for _, p := range []string{"bash", "sh", "node", "python3", "ruby"} {
		write(t, filepath.Join(dir, "bin", p), "#!/bin/sh\n", 0o755)
	}
	for name, text := range files {
		write(t, filepath.Join(dir, name), text, 0o644)
	}
	return c
}

// withNode gives c the real node.
func withNode(t *testing.T, c Context) Context {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("node is not in PATH")
		}
		t.Skip("node is not in PATH")
	}
	c.Env = maps.Clone(c.Env)
	c.Env["PATH"] = filepath.Dir(node) + ":" + c.Env["PATH"]
	return c
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// wantError checks the kind of err and that its text and hint, taken together,
// hold all of parts.
func wantError(t *testing.T, err error, kind errs.Kind, parts ...string) {
	t.Helper()
	e, ok := errors.AsType[*errs.Error](err)
	if !ok {
		t.Fatalf("got error %v, want an *errs.Error", err)
	}
	if e.Kind != kind {
		t.Errorf("got kind %s of %q, want %s", e.Kind, e, kind)
	}
	for _, p := range parts {
		if text := e.Error() + "\n" + e.Hint; !strings.Contains(text, p) {
			t.Errorf("error %q does not say %q", text, p)
		}
	}
}
