package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tend/api"
)

func newSet(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "set <key> <value>", Short: "set something for the whole home",
		Example: "  " + env.Program + " set pm2-logrotate:max_size 10M   rotate logs at ten megabytes\n" +
			"  " + env.Program + " set pm2-logrotate:retain 30      and keep thirty of each",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return invalid("run", "set", usageHint(cmd), errors.New("no editor is opened, name what to set; or edit "+env.Home.Settings()))
			}
			return env.set(cmd, args)
		},
	}
}

func (e *Env) set(cmd *cobra.Command, args []string) error {
	args, err := e.exactly(cmd, args, "key", "value")
	if err != nil {
		return err
	}
	return e.changeSettings(cmd.Context(), api.SettingsRequest{Set: []api.Setting{{Key: args[0], Value: args[1]}}})
}

func newMultiset(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: `multiset "<key> <value> <key> <value>"`, Short: "set several things at once, or none",
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := parsePairs(slices.Concat(args, env.rest))
			if err != nil {
				return err
			}
			return env.changeSettings(cmd.Context(), api.SettingsRequest{Set: set})
		},
	}
}

// parsePairs reads keys and values in turn, from one text as PM2 has it or from
// words.
func parsePairs(args []string) ([]api.Setting, error) {
	words := args
	if len(args) == 1 {
		words = strings.Fields(args[0])
	}
	if len(words) == 0 || len(words)%2 != 0 {
		return nil, invalid("set", strings.Join(args, " "), `as in: multiset "pm2-logrotate:max_size 10M pm2-logrotate:retain 5"`,
			errors.New("want a value for each key"))
	}
	var set []api.Setting
	for i := 0; i < len(words); i += 2 {
		set = append(set, api.Setting{Key: words[i], Value: words[i+1]})
	}
	return set, nil
}
