// Command mandoc writes the man pages of tend into a directory: one for tend and
// one for each command. It is a program of its own so that tend links nothing of
// what it takes.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"tend/internal/cli"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mandoc:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: mandoc DIRECTORY")
	}
	if err := os.MkdirAll(args[0], 0o755); err != nil {
		return err
	}
	root := cli.Grammar("tend")
	root.Long = `tend starts programs in any language and keeps them running: it has the
commands, files and output of PM2, as static binaries. The manager itself may die
or be upgraded at any moment, and no app restarts or loses a line of output.

What it knows and writes is below $TEND_HOME, or ~/.tend. Every option may stand
before or behind any command; what stands behind "--" is for the app.`
	describe(root)
	// A page that depends on the day of the build would differ each time.
	day := time.Unix(0, 0).UTC()
	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "tend", Manual: "tend", Date: &day}, args[0])
}

// describe gives the commands what a page says first: the sentence of the help.
// The pages are made by way of Markdown, which takes "<target>" for a tag.
func describe(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	for _, c := range cmd.Commands() {
		c.Use = strings.NewReplacer("<", `\<`, ">", `\>`).Replace(c.Use)
		if c.Long == "" {
			c.Long = c.Short
		}
		if len(c.Aliases) > 0 {
			c.Long += "\n\nAlso called " + strings.Join(c.Aliases, ", ") + "."
		}
		describe(c)
	}
}
