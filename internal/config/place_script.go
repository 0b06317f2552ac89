package config

import "strings"

// A token is a part of JavaScript, or of JSON: a bracket, a comma, a colon, an
// equals sign, a word or a text. Comments are none.
type token struct {
	text   string // of a word or a text its content, else the sign
	offset int
	name   bool // it can be a key
	depth  int  // of brackets around it
}

// placeInScript finds apps that are written out. It is no parser: what it does
// not understand has no place.
func placeInScript(text []byte, app int, key string) place {
	tokens := scan(string(text))
	object := objectOf(tokens, app)
	if object == nil {
		return place{}
	}
	at := object[0]
	for i, t := range object[:len(object)-1] {
		if t.name && t.text == key && t.depth == object[0].depth+1 && strings.ContainsAny(object[i+1].text, ":,}(") && !object[i+1].name {
			at = t
			break
		}
	}
	return position(text, at.offset)
}

// objectOf are the tokens of an app, from its opening bracket on.
func objectOf(tokens []token, app int) []token {
	start := startOf(tokens)
	if start < 0 {
		return nil
	}
	open := tokens[start]
	if open.text == "{" {
		return within(tokens[start:])
	}
	first := true // of an element
	for i := start + 1; i < len(tokens) && tokens[i].depth > open.depth; i++ {
		t := tokens[i]
		if t.depth != open.depth+1 {
			continue
		}
		switch {
		case t.text == "," && !t.name:
			app--
			first = true
		case first && app == 0 && t.text == "{":
			return within(tokens[i:])
		case first && t.text == "." && !t.name: // ...spread: nobody knows how many
			return nil
		default:
			first = false
		}
	}
	return nil
}

// startOf is where the value of "apps" begins, or of the whole; -1: nowhere.
func startOf(tokens []token) int {
	whole := -1
	for i, t := range tokens {
		if i+1 == len(tokens) {
			break
		}
		next := tokens[i+1]
		opens := func(i int) bool {
			return i < len(tokens) && !tokens[i].name && (tokens[i].text == "[" || tokens[i].text == "{")
		}
		switch {
		case t.name && isApps(t.text) && (next.text == ":" || next.text == "=") && opens(i+2):
			return i + 2
		case whole < 0 && i == 0 && opens(0):
			whole = 0
		case whole < 0 && t.depth == 0 && (t.text == "=" && i > 0 && tokens[i-1].text == "exports" || t.name && t.text == "default") && opens(i+1):
			whole = i + 1
		}
	}
	return whole
}

// within are the tokens of the bracket that tokens begin with.
func within(tokens []token) []token {
	for i, t := range tokens[1:] {
		if t.depth == tokens[0].depth {
			return tokens[:i+2]
		}
	}
	return tokens
}

// scan takes text apart. Expressions of regular expressions it takes for
// signs, and templates for texts.
func scan(text string) []token {
	var all []token
	depth := 0
	for i := 0; i < len(text); {
		c, rest := text[i], text[i:]
		n := 1
		switch {
		case strings.HasPrefix(rest, "//"):
			n = length(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			n = length(rest, "*/")
		case c == '"' || c == '\'' || c == '`':
			n = quoted(rest)
			all = append(all, token{strings.Trim(rest[:n], string(c)), i, true, depth})
		case isWordByte(c):
			for n < len(rest) && isWordByte(rest[n]) {
				n++
			}
			all = append(all, token{rest[:n], i, true, depth})
		case strings.IndexByte("{[(", c) >= 0:
			all = append(all, token{rest[:1], i, false, depth})
			depth++
		case strings.IndexByte("}])", c) >= 0:
			depth--
			all = append(all, token{rest[:1], i, false, depth})
		case strings.IndexByte(":,=.", c) >= 0:
			all = append(all, token{rest[:1], i, false, depth})
		}
		i += n
	}
	return all
}

// length is how long text is up to, and with, its end.
func length(text, end string) int {
	if n := strings.Index(text[1:], end); n >= 0 {
		return 1 + n + len(end)
	}
	return len(text)
}

// quoted is the length of the text in quotes that text begins with.
func quoted(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			return i + 1
		}
	}
	return len(text)
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
