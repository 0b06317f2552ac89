package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// examples are what one does on most days. % is the program's name.
const examples = `
Start and keep alive
  % start app.js                          a script; .py, .rb, .sh and others too
  % start ./server -n api -- --port 80       a program, with arguments of its own
  % start app.js -i max                   one worker a core, which share the port
  % start "npm run dev" --name dev        a whole command
  % start ecosystem.config.js             the apps of a file; % init writes one
  % start ecosystem.config.js --only api --env production

Look
  % ls                                    the list; jlist for programs
  % describe api                          everything about one app
  % logs api --lines 100                  its last lines, and what comes
  % env 0                                 the environment of an instance

Change
  % restart api                           by name, id, namespace, /regex/ or all
  % reload api                            new workers first, no request lost
  % scale api +2                          two instances more
  % stop api   and   % delete api

Over a reboot
  % save                                  what runs now is what comes back
  % startup                               have it come back by itself
  % update                                go over to new binaries; apps run on
`

func newExamples(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "examples", Short: "show what one does on most days",
		RunE: func(*cobra.Command, []string) error {
			env.print("%s\n", strings.TrimPrefix(strings.ReplaceAll(examples, "%", env.Program), "\n"))
			return nil
		},
	}
}
