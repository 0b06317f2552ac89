package cli

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tend/internal/errs"
)

//go:embed templates
var templates embed.FS

// initFormats are what init writes, and the file that it is written to.
var initFormats = []struct{ name, file, template string }{ //nolint:gochecknoglobals // a table, never written
	{"js", "ecosystem.config.js", "cjs"},
	{"cjs", "ecosystem.config.cjs", "cjs"},
	{"mjs", "ecosystem.config.mjs", "mjs"},
	{"ts", "ecosystem.config.ts", "ts"},
	{"json", "ecosystem.json", "json"},
	{"yaml", "ecosystem.yaml", "yaml"},
	{"toml", "ecosystem.toml", "toml"},
}

func newInit(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "init [simple]", Aliases: []string{"ecosystem"}, Short: "write a configuration file to begin with",
		RunE: func(cmd *cobra.Command, args []string) error {
			set := cmd.Flags()
			return runInit(env, args, str(set, "format"), on(set, "force"))
		},
	}
	cmd.Flags().String("format", "", "its language: "+strings.Join(formatNames(), ", "))
	return cmd
}

func formatNames() []string {
	var out []string
	for _, f := range initFormats {
		out = append(out, f.name)
	}
	return out
}

func runInit(env *Env, args []string, format string, force bool) error {
	kind := "full"
	switch {
	case len(args) > 1, len(args) == 1 && args[0] != "simple":
		return invalid("write", args[len(args)-1], "`init simple` writes one app, `init` a longer example", errors.New("there is no such template"))
	case len(args) == 1:
		kind = "simple"
	}
	if format == "" {
		format = env.usualFormat()
	}
	i := slices.Index(formatNames(), format)
	if i < 0 {
		return invalid("read option", "--format", "one of "+strings.Join(formatNames(), ", "), fmt.Errorf("%q is not a format", format))
	}
	text, err := templates.ReadFile("templates/" + kind + "." + initFormats[i].template)
	if err != nil {
		return err
	}
	path := filepath.Join(env.Cwd, initFormats[i].file)
	if err := writeNew(path, text, force); err != nil {
		return err
	}
	env.print("File %s generated\n", path)
	return nil
}

// usualFormat is JavaScript as the project in the current directory takes it:
// where package.json makes modules of its files, one in the older form needs
// another name.
func (e *Env) usualFormat() string {
	text, _ := os.ReadFile(filepath.Join(e.Cwd, "package.json")) // none there is one without a type
	var p struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(text, &p) == nil && p.Type == "module" {
		return "cjs"
	}
	return "js"
}

// writeNew writes a file of the user's, and by force over one that is there.
func writeNew(path string, text []byte, force bool) error {
	how := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if !force {
		how |= os.O_EXCL
	}
	f, err := os.OpenFile(path, how, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &errs.Error{Op: "write", On: path, Kind: errs.Exists, Err: errors.New("it is there already"), Hint: "--force writes over it"}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
