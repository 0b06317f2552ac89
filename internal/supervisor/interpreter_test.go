package supervisor

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOtherVersion(t *testing.T) {
	tests := map[string]struct {
		was  string
		have []string
		want string
	}{
		"the newest of its major":          {"v20.1.0/bin/node", []string{"v18.9.0/bin/node", "v20.3.1/bin/node", "v20.20.0/bin/node", "v22.0.0/bin/node"}, "v20.20.0/bin/node"},
		"else the newest of all":           {"v20.1.0/bin/node", []string{"v18.9.0/bin/node", "v22.0.0/bin/node", "v9.9.9/bin/node"}, "v22.0.0/bin/node"},
		"deeper below, as fnm has it":      {"v20.1.0/installation/bin/node", []string{"v22.0.0/installation/bin/node"}, "v22.0.0/installation/bin/node"},
		"without a v, as pyenv has it":     {"3.11.2/bin/python3", []string{"3.11.9/bin/python3", "3.12.0/bin/python3"}, "3.11.9/bin/python3"},
		"not a program of another name":    {"v20.1.0/bin/node", []string{"v22.0.0/bin/npm"}, ""},
		"not what only looks like a place": {"v20.1.0/bin/node", []string{"alias/bin/node", "v22-beta/bin/node"}, ""},
		"a path without a version":         {"opt/bin/node", []string{"other/bin/node"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, path := range tt.have {
				program(t, filepath.Join(dir, path))
			}
			want := tt.want
			if want != "" {
				want = filepath.Join(dir, want)
			}
			if got := otherVersion(filepath.Join(dir, tt.was)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func program(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}
