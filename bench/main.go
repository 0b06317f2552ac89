// Command bench measures tend and, in the same run, the process managers that
// it is compared with: PM2, where npm can install it, and Supervisor, where it
// is installed. It prints tables in Markdown: the medians with the ratios and
// tend's targets, how tend's costs grow with the number of apps, what clusters
// of Node's workers do under load, what becomes of lines on their way into logs,
// and the spread of the figures.
//
// How it is made fair, and safe:
//
//   - Each figure is taken in rounds, and in each round every manager has its
//     turn, one round in another order than the round before.
//   - Each turn has a temporary home, a manager that was just started, and the
//     same small environment. All managers run the same apps with their own
//     defaults, but for what is said in pm2.go and supervisor.go.
//   - A command is timed as its user feels it: from before the fork to after
//     the exit, with its output read from a pipe.
//   - What a command is believed to have done is looked up in /proc, not asked
//     of the manager. A command that did something else is a failure in the
//     report and gives no figure.
//   - All that it starts carries a mark in its environment, by which it is
//     found and ended, also after Ctrl-C.
//
// For cluster mode, tend with each of its balances is compared with PM2 and
// with Node's own cluster. The client of package load makes the requests: in
// this process, so that it is one and the same for all.
//
// For logs, an app of package lines writes numbered lines to tend, PM2 and
// Supervisor, and by a shell's redirection into the file itself; each line is
// then looked for in the files.
//
// It says nothing about a machine that is busy with something else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tend/bench/lines"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] { // it is also the apps that managers run
		case mortalWord:
			os.Exit(mortalMain(os.Args[2:]))
		case lines.Word:
			os.Exit(lines.Main(os.Args[2:]))
		}
	}
	// Ctrl-C ends what was started before it ends this program, however often
	// it is pressed.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what the command line asks for.
type options struct {
	tend         string
	only         []string
	rounds       int
	sizes        []int
	noPM2        bool
	noSupervisor bool
	pm2          string
	pm2Thousand  bool
	out          string
	scale        scale
}

// scale is how large what is measured is, beside the number of apps.
type scale struct {
	lines   int           // that an app writes as fast as they are taken
	crowd   time.Duration // how long many apps write at a steady rate
	history int64         // bytes of logs that were rotated
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var only, sizes string
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&o.tend, "tend", "bin/tend", "the tend to measure, with its other programs beside it")
	set.StringVar(&only, "only", "", "measure only these, of: "+strings.Join(measurementNames(), ",")+"; cluster and logs stand for all that begin so")
	set.IntVar(&o.rounds, "rounds", 5, "how often each is measured")
	set.StringVar(&sizes, "sizes", "10,100,1000", "numbers of apps; of more than 100 for tend alone")
	set.BoolVar(&o.noPM2, "no-pm2", false, "leave PM2 out")
	set.BoolVar(&o.noSupervisor, "no-supervisor", false, "leave Supervisor out")
	set.StringVar(&o.pm2, "pm2", "", "where PM2 is, or is to be installed (default: below the user's cache directory)")
	set.BoolVar(&o.pm2Thousand, "pm2-1000", false, "let PM2 have up to 1000 apps: minutes a round")
	set.IntVar(&o.scale.lines, "lines", 2_000_000, "how many lines an app writes as fast as they are taken")
	set.DurationVar(&o.scale.crowd, "crowd", time.Minute, "how long many apps write at a steady rate")
	set.Int64Var(&o.scale.history, "history", 1<<30, "how many bytes of rotated logs are looked through")
	set.StringVar(&o.out, "out", "", "write the report to this file as well")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("read arguments: %q is none", set.Arg(0))
	}
	if o.rounds < 1 {
		return o, fmt.Errorf("read -rounds: %d is less than 1", o.rounds)
	}
	if o.scale.lines < 1 || o.scale.crowd < time.Second || o.scale.history < 1<<20 {
		return o, errors.New("read -lines, -crowd and -history: a line, a second and a megabyte are the least")
	}
	var err error
	if o.sizes, err = parseSizes(sizes); err != nil {
		return o, err
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for _, name := range o.only {
		if !slices.ContainsFunc(measurements(), func(m measurement) bool { return m.isOf(name) }) {
			return o, fmt.Errorf("read -only: no measurement is called %q", name)
		}
	}
	return o, nil
}

func parseSizes(list string) ([]int, error) {
	var sizes []int
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("read -sizes: %q is not a number of apps", word)
		}
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	return slices.Compact(sizes), nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if runtime.GOOS != "linux" {
		return errors.New("measure: it reads /proc, which only Linux has")
	}
	if o.out != "" {
		// Half an hour later is late to learn that it cannot be written.
		if err := os.WriteFile(o.out, nil, 0o644); err != nil {
			return err
		}
	}
	r, err := newRunner(ctx, o, stderr)
	if err != nil {
		return err
	}
	interrupted := r.run(ctx)
	report := r.report()
	if _, err := io.WriteString(stdout, report); err != nil {
		return err
	}
	if o.out != "" {
		if err := os.WriteFile(o.out, []byte(report), 0o644); err != nil {
			return err
		}
	}
	if interrupted != nil {
		return fmt.Errorf("measure: %w", interrupted)
	}
	if n := len(r.results.failures); n > 0 {
		return fmt.Errorf("measure: %d turns failed, see the report", n)
	}
	return nil
}
