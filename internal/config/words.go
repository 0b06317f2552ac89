package config

import "strings"

// words splits text as PM2 splits args, node_args and ignore_watch: at white
// space outside quotes. A word that is quoted as a whole loses its quotes;
// quotes inside a word stay. There are no escapes and no variables; who needs
// them writes a list.
func words(text string) []string {
	var all []string
	for {
		text = strings.TrimLeft(text, space)
		if text == "" {
			return all
		}
		end := wordEnd(text)
		all = append(all, unquote(text[:end]))
		text = text[end:]
	}
}

const space = " \t\n\v\f\r"

// wordEnd is where the word at the beginning of text ends. A quote that is
// never closed is an ordinary character.
func wordEnd(text string) int {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case strings.IndexByte(space, c) >= 0:
			return i
		case c == '"' || c == '\'':
			if n := strings.IndexByte(text[i+1:], c); n >= 0 {
				i += n + 1
			}
		}
	}
	return len(text)
}

// unquote takes away the quotes around word where they belong together.
func unquote(word string) string {
	last := len(word) - 1
	if last < 1 || word[0] != '"' && word[0] != '\'' || strings.IndexByte(word[1:], word[0]) != last-1 {
		return word
	}
	return word[1:last]
}
