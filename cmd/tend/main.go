// Command tend is the command line of the process manager.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"tend/internal/cli"
	"tend/internal/home"
	"tend/internal/keeper/launch"
	"tend/internal/startup"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The second signal ends us whatever we wait for: who reads our output may
	// have stopped to.
	defer context.AfterFunc(ctx, stop)()
	program := filepath.Base(os.Args[0])
	dir, err := home.Find(os.Getenv, program)
	if err != nil {
		fmt.Fprintln(os.Stderr, program+":", err)
		return 1
	}
	cwd, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, program+": find the current directory:", err)
		return 1
	}
	width, terminal := cli.Terminal(os.Stdout)
	return cli.Main(ctx, os.Args[1:], &cli.Env{
		Program: program,
		Version: version(),
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Cwd:     cwd,
		Width:   width,
		Color:   cli.Colored(terminal, os.Getenv),
		Environ: os.Environ(),
		Home:    dir,

		Launch: func(ctx context.Context) (bool, error) {
			b, err := launch.Find()
			if err != nil {
				return false, err
			}
			return launch.Ensure(ctx, dir, b)
		},
		Own: func(ctx context.Context, dir home.Dir) error {
			b, err := launch.Find()
			if err != nil {
				return err
			}
			return launch.Own(ctx, dir, b)
		},
		Binaries: func() (string, string, error) {
			b, err := launch.Find()
			return b.Daemon, b.Keeper, err
		},
		Machine: startup.ThisMachine(),
	})
}

// version is the version of the module, and of a build from a checkout its
// commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}
