package app

import (
	"net/url"
	"slices"
	"strings"
)

// Hidden stands where a secret would.
const Hidden = "[hidden]"

// telling are parts of names that what is called so is secret by.
var telling = []string{ //nolint:gochecknoglobals // a table, never written
	"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "APIKEY", "API_KEY", "ACCESS_KEY", "PRIVATE_KEY", "CREDENTIAL",
}

// Redacted is the value of a variable as everybody may see it: hidden where its
// name says that it is secret, and without the password of a URL.
func Redacted(name, value string) string {
	upper := strings.ToUpper(name)
	if value != "" && slices.ContainsFunc(telling, func(part string) bool { return strings.Contains(upper, part) }) {
		return Hidden
	}
	return withoutPassword(value)
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
