//go:build !linux

package script

import "github.com/rogpeppe/go-internal/testscript"

func mayMount() bool { return false }

func tmpfs(ts *testscript.TestScript, _ []string) { ts.Fatalf("tmpfs is Linux's") }
