package cli

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// arity is how many values an option takes.
type arity int

const (
	unknownOption arity = iota
	noValue
	oneValue
	numbers        // the next word, and numbers that follow it
	anyValue       // the next word, unless it looks like an option
	optionalNumber // the next word, if it is a number
	optionalTime   // the next word, if it is how to write a time
)

// normalise makes of args what pflag reads as PM2 reads args, and what came
// after "--" apart. Options may stand before and after the command; one that
// takes a value, or may take one, gets it behind a "="; the words that are left
// are the command, and the others behind a "--" of their own, so that "-2" can
// be one. arityOf says what the option of a command takes, "" being none yet.
func normalise(args []string, arityOf func(command, option string) arity) (words, rest []string) {
	var command string
	var options, others []string
	eaten := -1       // of options, the last that took a word it could do without
	var bare []string // the option that lacks its value
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = args[i+1:]
			break
		}
		if !isOption(arg) || command == "scale" && isNumber(arg) {
			if command == "" {
				command = arg
			} else {
				others = append(others, arg)
			}
			continue
		}
		name, takes := splitOption(arg, func(name string) arity { return arityOf(command, name) })
		next, more := "", i+1 < len(args) && args[i+1] != "--"
		if more {
			next = args[i+1]
		}
		switch needy := takes == oneValue || takes == numbers; {
		case needy && !more:
			bare = []string{arg}
			continue
		case needy && next == "": // pflag would take the "=" of "-n=" for a value
			options = append(options, arg, next)
			i++
			continue
		case needy,
			takes == anyValue && next != "" && !isOption(next),
			takes == optionalNumber && isNumber(next),
			takes == optionalTime && isTimeFormat(next):
			if takes == anyValue {
				eaten = len(options)
			}
			arg = name + "=" + next
			i++
		}
		options = append(options, arg)
		for ; takes == numbers && i+1 < len(args) && isNumber(args[i+1]) && !isOption(args[i+1]); i++ {
			eaten = len(options)
			options = append(options, name+"="+args[i+1])
		}
	}
	// `start --watch app.js` has something to start.
	if command != "" && len(others) == 0 && eaten >= 0 {
		name, word, _ := strings.Cut(options[eaten], "=")
		others = append(others, word)
		if arityOf(command, strings.TrimLeft(name, "-")) == numbers { // it has its own already
			options = slices.Delete(options, eaten, eaten+1)
		} else {
			options[eaten] = name
		}
	}
	if command == "" {
		return append(options, bare...), rest
	}
	if bare != nil { // whatever stood behind it would be taken for its value
		return slices.Concat([]string{command}, options, others, bare), rest
	}
	words = append([]string{command}, options...)
	if len(others) > 0 {
		words = append(append(words, "--"), others...)
	}
	return words, rest
}

// nest puts the second word of a command that has commands of its own, as
// "config check", where cobra looks for it.
func nest(root *cobra.Command, words []string) []string {
	at := slices.Index(words, "--")
	if at < 1 || at+1 == len(words) {
		return words
	}
	cmd, _, err := root.Find(words[:1])
	if err != nil || cmd == root || !slices.ContainsFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == words[at+1] }) {
		return words
	}
	return slices.Concat(words[:1], words[at+1:at+2], words[1:at+1], words[at+2:])
}

// splitOption is the option in arg that may take the next word, and what it
// takes: noValue when its value stands in arg. Of "-fi" that is "-fi" and what
// -i takes.
func splitOption(arg string, arityOf func(string) arity) (string, arity) {
	if strings.Contains(arg, "=") {
		return arg, noValue
	}
	if strings.HasPrefix(arg, "--") {
		return arg, arityOf(arg[2:])
	}
	for i := 1; i < len(arg); i++ {
		if a := arityOf(arg[i : i+1]); a >= oneValue {
			if i+1 < len(arg) {
				return arg, noValue
			}
			return arg, a
		}
	}
	return arg, noValue
}

// isOption tells options from words; a lone "-" is a word.
func isOption(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

func isNumber(arg string) bool {
	_, err := strconv.Atoi(arg)
	return err == nil
}

// isTimeFormat tells the day.js format of a time from the name of an app.
func isTimeFormat(arg string) bool {
	return arg == "X" || arg == "x" || slices.ContainsFunc([]string{"YY", "MM", "DD", "HH", "h:mm", "mm:ss"}, func(token string) bool {
		return strings.Contains(arg, token)
	})
}

// arities reads what options take from the grammar itself. Options of one
// letter are looked up as such.
func arities(root *cobra.Command) func(command, option string) arity {
	return func(command, option string) arity {
		sets := []*pflag.FlagSet{root.PersistentFlags()}
		if cmd, _, err := root.Find([]string{command}); err == nil && command != "" {
			sets = append(sets, cmd.Flags())
		}
		for _, set := range sets {
			f := set.Lookup(option)
			if len(option) == 1 {
				f = set.ShorthandLookup(option)
			}
			switch {
			case f == nil:
			case f.Value.Type() == "bool":
				return noValue
			case f.Name == "stop-exit-codes":
				return numbers
			case f.NoOptDefVal == "":
				return oneValue
			case f.Name == "max-restarts":
				return optionalNumber
			case f.Name == "timestamp":
				return optionalTime
			default:
				return anyValue
			}
		}
		return unknownOption
	}
}
