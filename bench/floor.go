package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// floorRuns is how often a floor is measured.
const floorRuns = 20

// floors say what no manager can go below on this machine, for scale.
func floors(ctx context.Context) ([]string, error) {
	dir, err := os.MkdirTemp("", "tb")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // small files below the temporary directory
	command, err := floorOfCommand(ctx)
	if err != nil {
		return nil, err
	}
	start, err := floorOfStart(ctx, dir)
	if err != nil {
		return nil, err
	}
	return []string{
		fmt.Sprintf("A command that does nothing (`/bin/true`), timed in the same way, takes %s.", seconds(command)),
		fmt.Sprintf("The app whose exit and next start are timed needs %s from a fork until it can look at the clock.", seconds(start)),
	}, nil
}

// floorOfCommand is how many seconds a program takes that does nothing.
func floorOfCommand(ctx context.Context) (float64, error) {
	all := make([]float64, floorRuns)
	for i := range all {
		began := time.Now()
		if _, err := exec.CommandContext(ctx, "/bin/true").Output(); err != nil {
			return 0, err
		}
		all[i] = time.Since(began).Seconds()
	}
	return median(all), nil
}

// floorOfStart is how many seconds pass from a fork until the mortal app runs.
func floorOfStart(ctx context.Context, dir string) (float64, error) {
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	all := make([]float64, floorRuns)
	for i := range all {
		file := filepath.Join(dir, fmt.Sprint(i))
		a := mortal(exe, file, 0)
		// As if a life had ended at the moment of the fork.
		if err := os.WriteFile(file, fmt.Appendf(nil, "exit %d\n", time.Now().UnixNano()), 0o600); err != nil {
			return 0, err
		}
		if _, err := exec.CommandContext(ctx, a.script, a.args...).Output(); err != nil {
			return 0, err
		}
		found, err := gaps(file)
		if err != nil {
			return 0, err
		}
		if len(found) != 1 {
			return 0, fmt.Errorf("read the start of the app: found %d", len(found))
		}
		all[i] = found[0]
	}
	return median(all), nil
}
