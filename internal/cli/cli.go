// Package cli is tend's command line: PM2's commands, options and output, one
// file a command.
//
// It resolves what a person typed into complete requests, asks the daemon
// through package client, and prints. It decides nothing about apps, and it
// never exits: Main returns the code.
package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tend/internal/errs"
	"tend/internal/home"
	"tend/internal/startup"
)

// Env is what a command has of the world.
type Env struct {
	Program string // the name it was called by: "tend", or "pm2"
	Version string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Cwd     string
	Width   int      // columns of the terminal on Stdout; 0 when it is none
	Color   bool     // see Colored
	Environ []string // as os.Environ gives it
	Home    home.Dir

	// Launch makes sure that a daemon runs, and tells whether it started one.
	Launch func(ctx context.Context) (spawned bool, err error)
	// Own starts a daemon that ends with us; see launch.Own.
	Own func(ctx context.Context, dir home.Dir) error
	// Binaries are the absolute paths of tend-daemon and tend-keeper on disk.
	Binaries func() (daemon, keeper string, err error)
	// Machine is what is set up to start tend at boot.
	Machine startup.Machine

	// What belongs to one call of Main.
	out   *bufio.Writer // Stdout
	raw   io.Writer     // Stdout, also when --silent mutes the rest
	rest  []string      // what came after "--"
	stays bool          // --no-daemon: a daemon that is started for us is ours
	owner *owner        // of that daemon
	meter *meter        // of a long action that is under way
	told  string        // the last error of an instance: it is not told again as the end of everything
}

// Getenv is the value of a variable of Environ, "" where there is none.
func (e *Env) Getenv(name string) string {
	// The last one wins, as in a shell.
	for _, kv := range slices.Backward(e.Environ) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// The exit codes.
const (
	codeOK          = 0
	codeFailed      = 1
	codeDiffers     = 2   // of a dry run: something would be done
	codeInterrupted = 130 // as a shell says of a program that SIGINT ended
)

// Ends of a command that need no more words.
var (
	errUsage = errors.New("usage was printed because something was wrong")
	errTold  = errors.New("each of several failures was told of")
	errDone  = errors.New("nothing is left to do")
	// errDiffers ends a dry run that would have done something.
	errDiffers = errors.New("something would be done")
)

// Main runs the command that args (without the program's name) ask for and
// returns the exit code.
func Main(ctx context.Context, args []string, world *Env) int {
	env := *world
	env.raw = env.Stdout
	env.out = bufio.NewWriterSize(env.Stdout, 64<<10)
	code := env.run(ctx, args)
	env.endMeter()
	if err := env.out.Flush(); err != nil && code == codeOK && !errors.Is(err, syscall.EPIPE) {
		env.report(err)
		code = codeFailed
	}
	return code
}

func (e *Env) run(ctx context.Context, args []string) int {
	root := newRoot(e)
	if completes(args) {
		return e.code(e.runComplete(ctx, root, args))
	}
	args, err := e.asCommand(root, args)
	if err != nil {
		return e.code(err)
	}
	words, rest := normalise(args, arities(root))
	e.rest = rest
	root.SetArgs(append([]string{}, nest(root, words)...)) // nil would be the process's own
	err = root.ExecuteContext(ctx)
	if e.owner != nil {
		err = e.owner.stay(ctx, err)
	}
	return e.code(err)
}

func (e *Env) code(err error) int {
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	switch {
	case err == nil, errors.Is(err, errDone), errors.Is(err, syscall.EPIPE): // whoever read our output has seen enough
		return codeOK
	case errors.Is(err, errUsage), errors.Is(err, errTold):
		return codeFailed
	case errors.Is(err, errDiffers):
		return codeDiffers
	case errors.Is(err, context.Canceled):
		return codeInterrupted
	}
	e.report(err)
	return codeFailed
}

// Grammar is every command and option, for the man pages: nothing can be run
// with it.
func Grammar(program string) *cobra.Command {
	return newRoot(&Env{Program: program, out: bufio.NewWriter(io.Discard), Stderr: io.Discard})
}

// newRoot is the whole grammar.
func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:           env.Program,
		Short:         "a process manager",
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				env.usage(env.Stderr, cmd)
				return errUsage
			}
			return env.unknownCommand(cmd, args[0])
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetOut(env.out)
	root.SetErr(env.Stderr)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { env.usage(env.out, cmd) })
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &errs.Error{Kind: errs.Invalid, Err: plainly(err), Hint: "`" + typedOf(cmd) + " --help` lists the options"}
	})
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return env.apply(cmd.Flags()) }
	defineOptions(root.PersistentFlags())
	root.AddCommand(
		newStart(env), newApply(env), newStop(env), newRestart(env), newReload(env),
		newStartOrRestart(env), newStartOrReload(env), newDelete(env), newReset(env), newScale(env), newSendSignal(env),
		newMonitor(env), newUnmonitor(env), newSend(env), newTrigger(env), newInspect(env), newAttach(env), newRun(env), newDev(env),
		newList(env), newJlist(env), newPrettylist(env), newDescribe(env), newEnv(env), newID(env), newPid(env), newPing(env), newSlist(env),
		newLogs(env), newFlush(env), newReloadLogs(env),
		newSave(env), newCleardump(env), newResurrect(env), newKill(env), newUpdate(env),
		newSet(env), newMultiset(env), newGet(env), newUnset(env), newConf(env),
		newStartup(env), newUnstartup(env), newLogrotate(env), newInit(env), newCreate(env), newExamples(env), newReport(env),
		newProfileCPU(env), newProfileMem(env), newDeepUpdate(env), newCompletion(env),
	)
	root.AddCommand(newAbsent()...)
	return root
}

// plainly is an error of the parser of options without the names of Go's
// functions.
func plainly(err error) error {
	bad, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	want := "a number"
	switch bad.GetFlag().Value.Type() {
	case "bool":
		want = "true or false"
	case "int":
		want = "a whole number"
	}
	return fmt.Errorf("--%s: %q is not %s", bad.GetFlag().Name, bad.GetValue(), want)
}

func (e *Env) unknownCommand(root *cobra.Command, word string) error {
	hint := "`" + e.Program + " --help` lists the commands"
	if near := root.SuggestionsFor(word); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return &errs.Error{Op: "find command", On: word, Kind: errs.NotFound, Err: errors.New("command not found"), Hint: hint}
}
