// Package redact tells what looks like a secret, and what is shown in its place.
package redact

import (
	"net/url"
	"regexp"
	"strings"
)

// Hidden stands where a secret would.
const Hidden = "[hidden]"

var (
	// telling matches the names of variables that hold secrets.
	telling = regexp.MustCompile(`(?i)(pass(word|wd|phrase|code)?|secret|token|cred(ential)?|authorization|bearer|jwt|signature|cookie` +
		`|(api|access|private|secret|encryption|signing)_?key|(^|[_-])key|[_-]pwd)s?([^a-z]|$)|(^|[_-])auth$`)
	// spoken matches texts that hold one: --token=x, or the password of a URL.
	spoken = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|secret|token|api[-_]?key)["']?[ =:,]|bearer |://[^/\s:@]*:[^/\s@]+@`)
	// inside matches values that hold one beside other things: {"password": "x"}.
	inside = regexp.MustCompile(`(?i)(pass(word|wd|phrase)|pwd|secret|token|api[-_]?key)["']?\s*[=:]|-(pass(word|wd|phrase)?|secret|token|api[-_]?key)["',\s]|bearer `)
)

// Variable is the value of a variable as everybody may see it: hidden where its
// name says that it is secret, else as Value has it.
func Variable(name, value string) string {
	if value != "" && telling.MatchString(name) {
		return Hidden
	}
	return Value(value)
}

// Value is a value as everybody may see it, whatever it belongs to: hidden where
// it holds a secret by name, and without the password of a URL.
func Value(value string) string {
	if inside.MatchString(value) {
		return Hidden
	}
	return withoutPassword(value)
}

// Text is a text as everybody may see it: hidden where it holds an option or a
// URL with a secret.
func Text(text string) string {
	if spoken.MatchString(text) {
		return Hidden
	}
	return text
}

// withoutPassword hides what stands between the user's name and the host of a
// URL. What is no proper URL but looks like one is hidden up to its last "@", for
// passwords with odd characters in them are common.
func withoutPassword(value string) string {
	scheme, rest, ok := strings.Cut(value, "://")
	if !ok || strings.ContainsAny(scheme, " \t\n") {
		return value
	}
	end := len(rest)
	if _, err := url.Parse(value); err == nil {
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			end = i
		}
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 {
		return value
	}
	user, _, has := strings.Cut(rest[:at], ":")
	if !has {
		return value
	}
	return scheme + "://" + user + ":" + Hidden + rest[at:]
}
