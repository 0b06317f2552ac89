package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nodeCluster is Node's own cluster module with a plain primary, which knows no
// command but to start and to end.
type nodeCluster struct {
	title   string
	node    string // its path
	release string
	policy  string // as NODE_CLUSTER_SCHED_POLICY has it
}

// newNodeClusters are the two policies of the Node of this machine.
func newNodeClusters(ctx context.Context) ([]manager, error) {
	path, err := exec.LookPath("node")
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return nil, err
	}
	release := strings.TrimSpace(string(out))
	return []manager{
		&nodeCluster{nodeRoundRobin, path, release, "rr"},
		&nodeCluster{nodeNone, path, release, "none"},
	}, nil
}

func (c *nodeCluster) name() string              { return c.title }
func (c *nodeCluster) version() string           { return c.release }
func (c *nodeCluster) most() int                 { return many }
func (c *nodeCluster) env(string) []string       { return []string{"NODE_CLUSTER_SCHED_POLICY=" + c.policy} }
func (c *nodeCluster) pidFile(dir string) string { return filepath.Join(dir, "primary.pid") }

// boot does nothing: there is no primary without an app.
func (c *nodeCluster) boot(context.Context, *home) error { return nil }

func (c *nodeCluster) declare(_ context.Context, h *home, apps []app) error {
	if len(apps) != 1 {
		return errors.New("declare apps: a primary has one")
	}
	text, err := json.Marshal(map[string]any{"script": apps[0].script, "workers": apps[0].workers, "env": apps[0].env})
	if err != nil {
		return err
	}
	return errors.Join(
		writeProgram("launch.js", filepath.Join(h.dir, "launch.js")),
		writeProgram("primary.js", filepath.Join(h.dir, "primary.js")),
		os.WriteFile(filepath.Join(h.dir, "cluster.json"), text, 0o600))
}

// argv for what it cannot do is /bin/false.
func (c *nodeCluster) argv(dir string, v verb) []string {
	switch v {
	case start:
		return []string{c.node, "launch.js"}
	case kill:
		return []string{"/bin/sh", "-c", `kill $(cat "$0")`, c.pidFile(dir)}
	case restart, reload, remove, list, follow, lastMinute:
	}
	return []string{"/bin/false"}
}

func (c *nodeCluster) instances(_ context.Context, h *home) ([]instance, error) {
	text, err := os.ReadFile(filepath.Join(h.dir, "workers.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	if err := json.Unmarshal(text, &pids); err != nil {
		return nil, err
	}
	var all []instance
	for _, pid := range pids {
		all = append(all, instance{siteName, pid})
	}
	return all, nil
}
