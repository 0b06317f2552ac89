package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tend/internal/config"
)

type checkOptions struct {
	file   string
	config config.Options
	strict bool
	json   bool
}

func newConfigCheck(env *Env) *cobra.Command {
	cmd := &cobra.Command{Use: "check [file|-]", Short: "say what is wrong with a configuration file, and where", Args: oneFile}
	strict := cmd.Flags().Bool("strict", false, "a warning is an error too")
	var json bool
	asJSON(cmd, &json)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return runConfigCheck(cmd.Context(), env, checkOptions{
			file: cmp.Or(first(args), env.defaultFile()), config: fileOptions(cmd.Flags()), strict: *strict, json: json,
		})
	}
	return cmd
}

func runConfigCheck(ctx context.Context, env *Env, opts checkOptions) error {
	problems, err := env.check(ctx, opts.file, opts.config)
	if err != nil {
		return err
	}
	wrong := slices.ContainsFunc(problems, func(p config.Problem) bool { return opts.strict || !p.Warning })
	if opts.json {
		err = env.printJSON(append([]config.Problem{}, problems...))
	} else {
		env.problems(opts.file, problems)
	}
	if err == nil && wrong {
		err = errTold
	}
	return err
}

func (e *Env) check(ctx context.Context, file string, o config.Options) ([]config.Problem, error) {
	if file != "-" {
		return config.Check(ctx, e.context(), file, o)
	}
	text, err := e.readStdin()
	if err != nil {
		return nil, err
	}
	return config.CheckText(ctx, e.context(), file, text, o)
}

// problems prints a line for each, as compilers do, so that editors can jump to
// the place.
func (e *Env) problems(file string, problems []config.Problem) {
	for _, p := range problems {
		at := p.File
		if p.Line > 0 {
			at += fmt.Sprintf(":%d", p.Line)
		}
		if p.Column > 0 {
			at += fmt.Sprintf(":%d", p.Column)
		}
		kind := e.paint(styleRed, "error:")
		if p.Warning {
			kind = e.paint(styleYellow, "warning:")
		}
		text := p.Message
		if p.App != "" {
			text = "app " + p.App + ": " + text
		}
		e.print("%s: %s %s\n", at, kind, strings.ReplaceAll(harmless(text), "\n", "\n    "))
		if p.Hint != "" {
			e.print("    %s\n", p.Hint)
		}
	}
	if len(problems) == 0 {
		if file == "-" {
			file = "standard input"
		}
		e.info("%s: nothing is wrong with it", file)
	}
}
