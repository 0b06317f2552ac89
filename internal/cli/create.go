package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"tend/internal/errs"
)

// samples are the apps that create writes.
var samples = []struct{ name, about string }{ //nolint:gochecknoglobals // a table, never written
	{"http", "a server in Node, two workers that share a port"},
	{"worker", "a loop in Node"},
	{"python", "a loop in Python"},
}

func newCreate(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "create [http|worker|python] [directory]", Short: "write a small app to try things with",
		RunE: func(_ *cobra.Command, args []string) error { return runCreate(env, args) },
	}
}

func runCreate(env *Env, args []string) error {
	if len(args) > 2 {
		return invalid("create", args[2], "`create KIND DIRECTORY` is all it takes", errors.New("unknown argument"))
	}
	sample, err := env.chooseSample(first(args))
	if err != nil {
		return err
	}
	dir := filepath.Join(env.Cwd, sample+"-app")
	if len(args) == 2 {
		dir = args[1]
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(env.Cwd, dir)
		}
	}
	if err := os.Mkdir(dir, 0o755); errors.Is(err, fs.ErrExist) {
		return &errs.Error{Op: "create", On: dir, Kind: errs.Exists, Err: errors.New("it is there already"), Hint: "name another directory behind the kind"}
	} else if err != nil {
		return err
	}
	from := path.Join("templates/create", sample)
	files, err := templates.ReadDir(from)
	if err != nil {
		return err
	}
	config := ""
	for _, f := range files {
		text, err := templates.ReadFile(path.Join(from, f.Name()))
		if err != nil {
			return err
		}
		to := filepath.Join(dir, f.Name())
		if err := writeNew(to, text, false); err != nil {
			return err
		}
		if strings.HasPrefix(f.Name(), "ecosystem.") {
			config = to
		}
		env.info("%s", to)
	}
	env.print("\ncd %s && %s start %s\n", dir, env.Program, filepath.Base(config))
	return nil
}

// chooseSample is the sample that was named, by a word or on standard input.
func (e *Env) chooseSample(word string) (string, error) {
	if word == "" {
		for i, s := range samples {
			e.print("%d  %-8s %s\n", i+1, s.name, s.about)
		}
		e.print("Which one? ")
		if err := e.out.Flush(); err != nil {
			return "", err
		}
		line, _ := bufio.NewReader(e.Stdin).ReadString('\n') // what there is, is the answer
		word = strings.TrimSpace(line)
	}
	var names []string
	for i, s := range samples {
		if word == s.name || word == strconv.Itoa(i+1) {
			return s.name, nil
		}
		names = append(names, s.name)
	}
	return "", invalid("create", word, "one of "+strings.Join(names, ", "), fmt.Errorf("there is no such sample"))
}
