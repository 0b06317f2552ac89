package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// filed is how many apps the files hold that starts are measured with.
const filed = 50

// takeFiles starts apps from a file of each kind, and again when all is as the
// file says; and node alone, which a file of JavaScript needs.
func takeFiles(ctx context.Context, t *turn) error {
	tend, ok := t.manager.(*pm2Like)
	if !ok {
		return fmt.Errorf("start from files: %s has no such files", t.name())
	}
	if err := t.declare(ctx, t.home, sleepers(t.apps)); err != nil {
		return err
	}
	text, err := os.ReadFile(tend.appsFile(t.dir))
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, text   string
		first, again quantity
	}{
		{"apps.yaml", string(text), yamlTime, yamlAgain}, // what is JSON is YAML
		{"apps.config.js", "module.exports = " + string(text), scriptTime, scriptAgain},
	} {
		path := filepath.Join(t.dir, f.name)
		if err := os.WriteFile(path, []byte(f.text), 0o600); err != nil {
			return err
		}
		if err := t.startTwice(ctx, tend.program, path, f.first, f.again); err != nil {
			return err
		}
		if _, err := t.time(ctx, remove); err != nil {
			return err
		}
	}
	began := time.Now()
	if _, err := t.output(ctx, "node", "-e", "0"); err != nil {
		return err
	}
	t.record(nodeTime, time.Since(began).Seconds())
	return nil
}

// startTwice records how long two starts of a file take, the second of which
// must change nothing.
func (t *turn) startTwice(ctx context.Context, program, path string, first, again quantity) error {
	for i, q := range []quantity{first, again} {
		before := t.sleepers()
		began := time.Now()
		if _, err := t.output(ctx, program, "start", path); err != nil {
			return err
		}
		t.record(q, time.Since(began).Seconds())
		running, stayed := len(t.sleepers()), living(before)
		if running != t.apps || i > 0 && stayed != t.apps {
			return fmt.Errorf("check start %d of %s: %d apps run, and %d as before", i+1, path, running, stayed)
		}
	}
	return nil
}
