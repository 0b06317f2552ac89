package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tend/internal/durable"
	"tend/internal/errs"
)

// shells are those that completion knows.
var shells = []string{"bash", "zsh", "fish", "powershell"} //nolint:gochecknoglobals // a table, never written

func newCompletion(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "completion [install|uninstall|bash|zsh|fish|powershell]", Short: "complete commands, options and names of apps in a shell",
		Example: "  " + env.Program + " completion install           put it into the file that your shell reads\n" +
			"  source <(" + env.Program + " completion bash)  have it in this shell only",
		RunE: func(cmd *cobra.Command, args []string) error { return runCompletion(cmd.Root(), env, first(args)) },
	}
}

func runCompletion(root *cobra.Command, env *Env, word string) error {
	switch word {
	case "install":
		return env.installCompletion()
	case "uninstall":
		return env.uninstallCompletion()
	case "":
		shell, err := env.shell()
		if err != nil {
			shell = shells[0] // what PM2 prints is for bash too
		}
		word = shell
	}
	return env.completionScript(root, env.out, word)
}

// completionScript writes what a shell has to read.
func (e *Env) completionScript(root *cobra.Command, w io.Writer, shell string) error {
	switch shell {
	case "bash":
		if _, err := io.WriteString(w, bashWords); err != nil {
			return err
		}
		return root.GenBashCompletionV2(w, true)
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(w)
	}
	return invalid("complete", shell, "one of "+strings.Join(shells, ", "), errors.New("no such shell is known"))
}

// bashWords stands in for what the package bash-completion has, where it is not
// installed.
const bashWords = `if ! declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref() {
        cur=${COMP_WORDS[COMP_CWORD]}
        prev=${COMP_WORDS[COMP_CWORD-1]}
        words=("${COMP_WORDS[@]}")
        cword=$COMP_CWORD
    }
fi
`

// shell is the user's shell.
func (e *Env) shell() (string, error) {
	name := filepath.Base(e.Getenv("SHELL"))
	if !slices.Contains(shells, name) {
		return "", &errs.Error{
			Op: "find", On: "your shell", Kind: errs.NotFound, Err: fmt.Errorf("SHELL is %q", e.Getenv("SHELL")),
			Hint: "`" + e.Program + " completion bash` prints the script; also for " + strings.Join(shells[1:], ", "),
		}
	}
	return name, nil
}

// shellFile is the file that the user's shell reads when it starts, and what
// stands in it for completion.
func (e *Env) shellFile() (path, line string, err error) {
	shell, err := e.shell()
	if err != nil {
		return "", "", err
	}
	dir := e.Getenv("HOME")
	if dir == "" {
		return "", "", invalid("find", "your home directory", "set HOME", errors.New("HOME is not set"))
	}
	source := "source <(" + e.Program + " completion " + shell + ")"
	known := "if command -v " + e.Program + " >/dev/null; then "
	switch shell {
	case "bash":
		return filepath.Join(dir, ".bashrc"), known + source + "; fi", nil
	case "zsh":
		if z := e.Getenv("ZDOTDIR"); z != "" {
			dir = z
		}
		return filepath.Join(dir, ".zshrc"), known + "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }; " + source + "; fi", nil
	case "fish":
		return filepath.Join(dir, ".config/fish/config.fish"), "type -q " + e.Program + "; and " + e.Program + " completion fish | source", nil
	}
	return "", "", invalid("install completion for", shell, "add the output of `"+e.Program+" completion "+shell+"` to $PROFILE",
		errors.New("where it belongs is not known"))
}

func (e *Env) installCompletion() error {
	path, line, err := e.shellFile()
	if err != nil {
		return err
	}
	changed, err := edit(path, func(text string) string { return withBlock(text, e.Program, line) })
	if err != nil {
		return err
	}
	if changed {
		e.info("Completion is in %s; new shells have it", path)
	} else {
		e.info("Completion is in %s already", path)
	}
	return nil
}

func (e *Env) uninstallCompletion() error {
	path, _, err := e.shellFile()
	if err != nil {
		return err
	}
	changed, err := edit(path, func(text string) string { return withoutBlock(text, e.Program) })
	if err != nil {
		return err
	}
	if changed {
		e.info("Completion is out of %s", path)
	} else {
		e.info("No completion of %s is in %s", e.Program, path)
	}
	return nil
}

// edit changes a file of the user's as a whole, and only where there is
// something to change. A link stays one.
func edit(path string, change func(string) string) (changed bool, err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	text := change(string(old))
	if text == string(old) {
		return false, nil
	}
	perm := fs.FileMode(0o644)
	if fi, err := os.Stat(path); err == nil {
		perm = fi.Mode().Perm()
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, err
	}
	return true, durable.WriteFile(path, []byte(text), perm)
}

func marks(program string) (begin, end string) {
	return "###-begin-" + program + "-completion-###\n", "###-end-" + program + "-completion-###"
}

// withBlock is text with line between the program's marks, at its end. Where
// text does not end with a line's end the result does not either: so
// withoutBlock knows what there was.
func withBlock(text, program, line string) string {
	begin, end := marks(program)
	block := begin + line + "\n" + end
	bare := withoutBlock(text, program)
	if bare != "" && !strings.HasSuffix(bare, "\n") {
		return bare + "\n" + block
	}
	return bare + block + "\n"
}

// withoutBlock is text without what withBlock put in, wherever that is now.
func withoutBlock(text, program string) string {
	begin, end := marks(program)
	from := strings.Index(text, begin)
	if from < 0 || from > 0 && text[from-1] != '\n' {
		return text
	}
	n := strings.Index(text[from:], end)
	if n < 0 {
		return text
	}
	before, after := text[:from], text[from+n+len(end):]
	if after == "" {
		return strings.TrimSuffix(before, "\n")
	}
	return before + strings.TrimPrefix(after, "\n")
}

// complete makes the words of a request for completion what cobra reads them
// as: the command first, then options with their values, and the word that is
// being typed last. It tells false when that word is an argument of the app.
func complete(args []string, arityOf func(command, option string) arity) ([]string, bool) {
	if len(args) < 2 {
		return args, true
	}
	asked, done, typing := args[0], args[1:len(args)-1], args[len(args)-1]
	if slices.Contains(done, "--") {
		return nil, false
	}
	var pending []string // an option that waits for the word that is typed
	if n := len(done) - 1; n >= 0 && isOption(done[n]) {
		command := ""
		if words, _ := normalise(done[:n], arityOf); len(words) > 0 && !isOption(words[0]) {
			command = words[0]
		}
		if _, takes := splitOption(done[n], func(o string) arity { return arityOf(command, o) }); takes == oneValue {
			done, pending = done[:n], done[n:]
		}
	}
	words, _ := normalise(done, arityOf)
	out := []string{asked}
	if i := slices.Index(words, "--"); i >= 0 {
		out = append(out, words[:i]...)
		for _, w := range words[i+1:] { // "-2" is no option here, and cobra has no other way to be told
			out = append(out, strings.TrimLeft(w, "-"))
		}
	} else {
		out = append(out, words...)
	}
	return append(append(out, pending...), typing), true
}

// completes tells whether args ask for completion, as the scripts of the shells
// do.
func completes(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// runComplete answers a shell.
func (e *Env) runComplete(ctx context.Context, root *cobra.Command, args []string) error {
	words, ours := complete(args, arities(root))
	if !ours { // what an app takes, only files can be guessed
		e.print(":%d\n", cobra.ShellCompDirectiveDefault)
		return nil
	}
	e.defineCompletions(root)
	root.SetArgs(words)
	return root.ExecuteContext(ctx)
}
