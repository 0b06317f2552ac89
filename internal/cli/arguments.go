package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/internal/errs"
)

// nothing refuses arguments. PM2 ignores them with most commands; with those
// that write or stop everything, it does not.
func nothing(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return invalid("run", cmd.Name(), usageHint(cmd), fmt.Errorf("unknown argument %q", args[0]))
}

// oneFile refuses a second argument, which would be left out of what is done.
func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) < 2 {
		return nil
	}
	return invalid("run", cmd.Name(), "it takes one file; that may include others", fmt.Errorf("unknown argument %q", args[1]))
}

// needs wants the arguments that are named, and ignores others, as PM2 does.
func needs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= len(names) {
			return nil
		}
		return invalid("run", cmd.Name(), usageHint(cmd), fmt.Errorf("missing required argument %q", names[len(args)]))
	}
}

func usageHint(cmd *cobra.Command) string { return "usage: " + use(cmd) }

// use is a command as it is typed, with its arguments.
func use(cmd *cobra.Command) string { return typedOf(cmd) + strings.TrimPrefix(cmd.Use, cmd.Name()) }

func typedOf(cmd *cobra.Command) string {
	program := cmd.Root().Name()
	return typed(program, strings.TrimPrefix(cmd.CommandPath(), program+" "))
}

// exactly wants the arguments that are named and no other, of those that stand
// before and behind "--": what would be left out is a part of what is sent.
func (e *Env) exactly(cmd *cobra.Command, args []string, names ...string) ([]string, error) {
	args = slices.Concat(args, e.rest)
	if len(args) > len(names) {
		return nil, invalid("run", cmd.Name(), "several words are one argument in quotes", fmt.Errorf("unknown argument %q", args[len(names)]))
	}
	return args, needs(names...)(cmd, args)
}

// nameOrID is what PM2 calls a target like this.
func nameOrID(target string) string {
	if isNumber(target) {
		return "id"
	}
	return "name"
}

// named are the instances that have this name, or this id when none has the
// name.
func named(list []api.Instance, target string) []api.Instance {
	var byName, byID []api.Instance
	for _, in := range list {
		if in.Name == target {
			byName = append(byName, in)
		}
		if fmt.Sprint(in.ID) == target {
			byID = append(byID, in)
		}
	}
	if len(byName) > 0 {
		return byName
	}
	return byID
}

func notFound(op, target string) error {
	return &errs.Error{
		Op: op, On: target, Kind: errs.NotFound, Err: errors.New("no app has this name or id"),
		Hint: "`tend ls` shows what there is",
	}
}
