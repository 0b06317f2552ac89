package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// pm2Version is the release that the targets were set beside.
const pm2Version = "7.0.4"

// The most apps for PM2, by default and where it was asked for.
const (
	pm2Limit         = 100
	pm2ThousandLimit = 1000
)

// newPM2 is the PM2 in dir, installed by npm where it is not there yet. An
// empty dir stands for one below the user's cache directory.
func newPM2(ctx context.Context, dir string, thousand bool, progress io.Writer) (*pm2Like, error) {
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(cache, "tend-bench", "pm2-"+pm2Version)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	program := filepath.Join(dir, "node_modules", ".bin", "pm2")
	if _, err := os.Stat(program); err != nil {
		_, _ = fmt.Fprintf(progress, "installing PM2 %s in %s\n", pm2Version, dir)
		if err := installPM2(ctx, dir); err != nil {
			return nil, err
		}
	}
	release, err := pm2Release(dir)
	if err != nil {
		return nil, err
	}
	limit := pm2Limit
	if thousand {
		limit = pm2ThousandLimit
	}
	return &pm2Like{
		title: pm2Title, release: release, program: program, homeVar: "PM2_HOME", pidName: "pm2.pid", limit: limit,
		// PM2 would ask its makers for a newer version now and then; that is
		// not what is compared.
		environ: []string{"PM2_DISABLE_VERSION_CHECK=true"},
	}, nil
}

// installPM2 has npm install PM2 beside dir and puts it there when it is whole.
func installPM2(ctx context.Context, dir string) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "pm2-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh) //nolint:errcheck // gone after the rename
	cmd := exec.CommandContext(ctx, npm, "install", "--prefix", fresh, "--no-audit", "--no-fund", "pm2@"+pm2Version)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("install it by npm: %w: %s", err, tail(out))
	}
	if err := os.Rename(fresh, dir); err != nil {
		return fmt.Errorf("put PM2 in its place: %w", err)
	}
	return nil
}

// pm2Release is the version of the PM2 in dir. It is read, not asked for: the
// command would start a daemon.
func pm2Release(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "node_modules", "pm2", "package.json"))
	if err != nil {
		return "", err
	}
	var about struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(text, &about); err != nil {
		return "", fmt.Errorf("read the version of PM2: %w", err)
	}
	return about.Version, nil
}
