package plan

import (
	"regexp"
	"strings"
)

// Hidden stands in place of what looks like a secret.
const Hidden = "[hidden]"

// secretName matches names of variables and options that hold secrets, and
// secretValue texts that hold one: --token=x, or the password of a URL.
var (
	secretName  = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|secret|token|credential|private|auth|api_?key|signature|cookie|dsn|key)s?([^a-z]|$)`)
	secretValue = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|secret|token|api[-_]?key)["']?[ =:,]|://[^/\s:@]*:[^/\s@]+@`)
)

// Secret tells whether a field looks as if its value should not be shown.
func Secret(field, value string) bool {
	_, variable, nested := strings.Cut(field, ".")
	return nested && secretName.MatchString(variable) || secretValue.MatchString(value)
}

func hidden(value string) string {
	if value == "" {
		return ""
	}
	return Hidden
}
