package cli

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
	"tend/internal/config"
	"tend/internal/settings"
	"tend/internal/startup"
)

// completeLimit bounds how long a shell waits for what the daemon knows.
const completeLimit = 300 * time.Millisecond

// completer are the words that may stand next to args.
type completer = func(cmd *cobra.Command, args []string, typing string) ([]string, cobra.ShellCompDirective)

// listed are words of a list, in its order.
func listed(words ...string) completer {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// nothingMore is where no word can be guessed, and files are not meant.
func nothingMore(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// files is where a file is meant.
func files(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func directories(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// inTurn has a completer for the first argument, one for the second, and so
// on; none for those beyond.
func inTurn(turns ...completer) completer {
	return func(cmd *cobra.Command, args []string, typing string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(turns) {
			return nothingMore(cmd, args, typing)
		}
		return turns[len(args)](cmd, args, typing)
	}
}

// fitting are those of c's words that begin as what is typed.
func fitting(c completer) completer {
	return func(cmd *cobra.Command, args []string, typing string) ([]string, cobra.ShellCompDirective) {
		words, directive := c(cmd, args, typing)
		return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return !strings.HasPrefix(w, typing) }), directive
	}
}

// defineCompletions says for each command and option what may stand there.
func (e *Env) defineCompletions(root *cobra.Command) {
	names, ids := e.targets(byNames), e.targets(byIDs)
	several, orFiles := e.targets(byNames|byIDs|byNamespaces|orAll), e.targets(byNames|byNamespaces|orAll|orPath)
	ofCommands := map[string]completer{
		"start": orFiles, "stop": orFiles, "restart": orFiles, "reload": orFiles, "delete": orFiles,
		"startOrRestart": files, "startOrReload": files, "startOrGracefulReload": files, "apply": files, "run": files, "dev": files,
		"reset": several, "monitor": several, "unmonitor": several, "logs": several, "trigger": several, "flush": several, "inspect": names,
		"describe": inTurn(several), "scale": inTurn(names), "id": inTurn(names), "pid": inTurn(names),
		"send": inTurn(several), "env": inTurn(ids), "attach": inTurn(several),
		"sendSignal": inTurn(listed(signals...), several),
		"get":        inTurn(e.settingKeys), "set": inTurn(e.settingKeys), "unset": inTurn(e.settingKeys), "conf": inTurn(e.settingKeys),
		"startup": inTurn(listed(startup.Platforms()...)), "unstartup": inTurn(listed(startup.Platforms()...)),
		"init":       inTurn(listed("simple")),
		"create":     inTurn(listed("http", "worker", "python"), directories),
		"completion": inTurn(listed(slices.Concat([]string{"install", "uninstall"}, shells)...)),
	}
	root.ValidArgsFunction = nothingMore // commands are cobra's to tell
	for _, cmd := range root.Commands() {
		cmd.ValidArgsFunction = nothingMore
		if c, ok := ofCommands[cmd.Name()]; ok {
			cmd.ValidArgsFunction = fitting(c)
		}
	}
	ofOptions := map[string]completer{
		"sort": listed(sortFields...), "env": e.environments, "namespace": e.targets(byNamespaces), "only": names,
		"log-type": listed("raw", "json"), "balance": listed("round-robin", "shared", "reuseport"), "instances": listed("max"),
		"cwd": directories, "hp": directories, "watch": files, "output": files, "error": files, "log": files, "pid": files,
		"interpreter": files, "format": listed(formatNames()...),
	}
	define := func(cmd *cobra.Command) {
		for name, c := range ofOptions {
			if cmd.Flags().Lookup(name) != nil || cmd.PersistentFlags().Lookup(name) != nil {
				_ = cmd.RegisterFlagCompletionFunc(name, fitting(c)) // it fails for an option that is not there only
			}
		}
	}
	define(root)
	for _, cmd := range root.Commands() {
		define(cmd)
	}
}

// sortFields are the values of --sort.
var sortFields = []string{ //nolint:gochecknoglobals // a table, never written
	"name", "namespace", "pid", "id", "cpu", "memory", "uptime", "status", "cpu:desc", "memory:desc", "uptime:desc",
}

// signals are those that people send to apps.
var signals = []string{ //nolint:gochecknoglobals // a table, never written
	"SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGKILL", "SIGSTOP", "SIGCONT", "SIGWINCH",
}

// what of the list completes a word.
type what int

const (
	byNames what = 1 << iota
	byIDs
	byNamespaces
	orAll
	orPath
)

// targets are words that stand for something in the list. A daemon that does
// not run is not started for it.
func (e *Env) targets(w what) completer {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeLimit)
		defer cancel()
		c := client.New(e.Home.Socket())
		defer c.Close()
		list, _ := c.Instances(ctx, client.Query{}) // without an answer there is nothing to guess
		directive := cobra.ShellCompDirectiveNoFileComp
		if w&orPath != 0 {
			directive = cobra.ShellCompDirectiveDefault
		}
		return slices.DeleteFunc(words(list, w), func(word string) bool { return slices.Contains(args, word) }), directive
	}
}

// words are each name, namespace and id in list once.
func words(list []api.Instance, w what) []string {
	var out []string
	add := func(when what, word string) {
		if w&when != 0 && !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	for i := range list {
		add(byNames, list[i].Name)
	}
	for i := range list {
		if list[i].Namespace != "default" {
			add(byNamespaces, list[i].Namespace)
		}
	}
	for i := range list {
		add(byIDs, strconv.Itoa(list[i].ID)+"\t"+list[i].Name)
	}
	if len(list) > 0 {
		add(orAll, "all")
	}
	return out
}

// settingKeys are the keys that are set.
func (e *Env) settingKeys(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	set, _ := settings.Read(e.Home) // as above
	var out []string
	for _, key := range slices.Sorted(maps.Keys(set)) {
		section, ok := set[key].(map[string]any)
		if !ok {
			out = append(out, key)
		}
		for _, name := range slices.Sorted(maps.Keys(section)) {
			out = append(out, key+":"+name)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// envName finds the environments that a file of any format has. To run the file
// would take longer than a shell may wait.
var envName = regexp.MustCompile(`\benv_([A-Za-z0-9_-]+)`)

// environments are the values of --env: those of the file that was typed, or
// else of the one in the current directory.
func (e *Env) environments(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	file := e.defaultFile()
	if i := slices.IndexFunc(args, config.IsFile); i >= 0 {
		file = args[i]
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(e.Cwd, file)
	}
	text, _ := os.ReadFile(file) // as above
	var out []string
	for _, m := range envName.FindAllSubmatch(text, -1) {
		if name := string(m[1]); name != "file" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
