// Package script tells whole stories: each .txtar file is what a person types
// at tend's real binaries, and what comes of it.
package script

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"tend/internal/home"
	"tend/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestStories(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the keeper is Linux's so far")
	}
	tend, _ := testkit.Build(t)
	testscript.Run(t, testscript.Params{
		Dir:                 ".",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               func(env *testscript.Env) error { return setup(env, tend) },
		Cmds:                commands,
		Condition:           condition,
	})
}

// setup gives a script a home of its own with a path short enough for a
// socket, and the programs: tend, and act, which does what TESTKIT_SCRIPT says
// (see testkit.ScriptVar). When the script is over all its apps are ended.
func setup(env *testscript.Env, tend string) error {
	t := env.T().(testing.TB)
	dir := home.Dir(testkit.Home(t))
	act := filepath.Join(env.WorkDir, ".bin", "act")
	if err := os.Mkdir(filepath.Dir(act), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(testkit.Self(t), act); err != nil {
		return err
	}
	path := []string{filepath.Dir(act), filepath.Dir(tend), env.Getenv("PATH")}
	env.Setenv("PATH", strings.Join(path, string(filepath.ListSeparator)))
	env.Setenv("BIN", filepath.Dir(tend))
	env.Setenv("TEND_HOME", string(dir))
	env.Setenv("NO_COLOR", "1")
	env.Setenv("HOME", os.Getenv("HOME")) // where python3 is a shim, it looks for itself there
	env.Values[worldKey{}] = &world{t: t, tend: tend, home: dir}
	env.Defer(func() { end(t, tend, dir) })
	return nil
}

// end stops what a script left running, and where the script failed shows what
// the daemon wrote.
func end(t testing.TB, tend string, dir home.Dir) {
	if t.Failed() {
		log, _ := os.ReadFile(dir.Log())
		lines := strings.Split(string(log), "\n")
		t.Logf("the end of the daemon's log:\n%s", strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
	if _, err := os.Stat(dir.Socket()); err != nil {
		return // nothing runs
	}
	cmd := exec.CommandContext(t.Context(), tend, "kill")
	cmd.Env = append(os.Environ(), "TEND_HOME="+string(dir))
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("tend kill: %v\n%s", err, out)
	}
}

// condition: [root] holds for root, [tmpfs] where a tmpfs may be mounted.
func condition(cond string) (bool, error) {
	switch cond {
	case "root":
		return os.Geteuid() == 0, nil
	case "tmpfs":
		return mayMount(), nil
	}
	return false, os.ErrInvalid
}
