package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// pm2Version is the version of PM2 whose commands and output these are: what a
// script that asks `pm2 --version` wants to know.
const pm2Version = "7.0.4"

// asPM2 tells whether the program was called by a name of PM2's.
func (e *Env) asPM2() bool { return e.Program == "pm2" || strings.HasPrefix(e.Program, "pm2-") }

// shownVersion is what --version answers.
func (e *Env) shownVersion() string {
	if e.asPM2() {
		return pm2Version
	}
	return e.Version
}

// programs are those of PM2 that are one command each.
var programs = map[string]string{ //nolint:gochecknoglobals // a table, never written
	"pm2-runtime": "run", "pm2-docker": "run", "pm2-dev": "dev",
}

// typed is how a command is typed for a program of this name.
func typed(program, command string) string {
	if programs[program] == command {
		return program
	}
	return program + " " + command
}

// asCommand makes of the arguments of pm2-runtime, pm2-docker and pm2-dev those
// of the command that they are. Without any these print their help, and
// pm2-dev means no failure by it.
func (e *Env) asCommand(root *cobra.Command, args []string) ([]string, error) {
	command, ok := programs[e.Program]
	if !ok {
		return args, nil
	}
	if len(args) > 0 && args[0] == "start" {
		args = args[1:]
	}
	if len(args) > 0 {
		return slices.Concat([]string{command}, args), nil
	}
	cmd, _, err := root.Find([]string{command})
	switch {
	case err != nil:
		return nil, err
	case command == "dev":
		e.usage(e.out, cmd)
		return nil, errDone
	default:
		e.usage(e.Stderr, cmd)
		return nil, errUsage
	}
}
