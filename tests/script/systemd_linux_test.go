package script

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tend/internal/testkit"
)

// TestSystemd has a real systemd start, watch and stop tend, where this machine
// lets us have one: in namespaces of its own, below a control group of its own.
func TestSystemd(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces take root")
	}
	for _, program := range []string{"unshare", "systemctl", "pgrep", "getent"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	tend, _ := testkit.Build(t)
	group := controlGroup(t)
	dir := testkit.Home(t)
	script, err := filepath.Abs("testdata/systemd.sh")
	if err != nil {
		t.Fatal(err)
	}
	const enter = `echo $$ >"$1/cgroup.procs" && shift && exec unshare --pid --mount --cgroup --ipc --fork --kill-child --mount-proc "$@"`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", enter, "sh", group, "sh", script, dir, filepath.Dir(tend))
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case !strings.Contains(string(out), "READY"):
		t.Skipf("no systemd can run here: %v\n%s", err, out)
	case err != nil, !strings.Contains(string(out), "PASS"):
		t.Errorf("%v\n%s", err, out)
	}
}

// controlGroup is a new one, empty at the end of the test and then removed.
func controlGroup(t *testing.T) string {
	t.Helper()
	mounts, err := os.Open("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	defer mounts.Close()
	for s := bufio.NewScanner(mounts); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 3 || f[2] != "cgroup2" {
			continue
		}
		group := filepath.Join(f[1], "tend-test-"+strconv.Itoa(os.Getpid()))
		if err := os.Mkdir(group, 0o755); err != nil {
			t.Skipf("no control group can be made: %v", err)
		}
		t.Cleanup(func() {
			testkit.WaitFor(t, limit, "the control group is empty", func() bool { return removeGroup(group) })
		})
		return group
	}
	t.Skip("there are no control groups of version 2")
	return ""
}

// removeGroup removes a control group and those below it, once nothing runs in
// them.
func removeGroup(group string) bool {
	var all []string
	_ = filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			all = append(all, path)
		}
		return nil
	})
	for _, dir := range slices.Backward(all) {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}
