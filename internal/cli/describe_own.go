package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tend/api"
)

// ownRows are what PM2 has no rows for, as far as it is set.
func ownRows(s *api.Spec) (rows []row) {
	add := func(set bool, name, value string) {
		if set {
			rows = append(rows, row{name, value, ""})
		}
	}
	if w := s.Watch; w != nil {
		add(true, "watched paths", strings.Join(w.Paths, ", "))
		add(len(w.Ignore) > 0, "not watched", strings.Join(w.Ignore, ", "))
	}
	add(s.File != "", "config file", strings.TrimSpace(s.File+" "+optionOf("--env", s.FileEnv)))
	add(len(s.Secrets) > 0, "secrets", references(s.Secrets))
	add(s.Account != "", "runs as", s.Account)
	if s.Priority != nil {
		add(true, "priority", strconv.Itoa(*s.Priority))
	}
	if s.Umask != nil {
		add(true, "umask", fmt.Sprintf("%04o", *s.Umask))
	}
	add(len(s.Limits) > 0, "limits", limits(s.Limits))
	add(s.StartTime > 0, "start time", milliseconds(s.StartTime))
	if s.StartRetries != nil {
		add(true, "start retries", strconv.Itoa(*s.StartRetries))
	}
	add(len(s.StopCodes) > 0, "stop exit codes", joined(s.StopCodes))
	add(s.Unexpected, "expected exit codes", joined(s.ExpectedCodes))
	add(s.StopSignal != "" && s.StopSignal != "SIGINT", "stop signal", s.StopSignal)
	add(s.Backoff > 0, "exp backoff restart delay", milliseconds(s.Backoff))
	add(s.RestartDelay > 0, "restart delay", milliseconds(s.RestartDelay))
	add(!s.Autorestart, "autorestart", "off")
	return rows
}

func optionOf(name, value string) string {
	if value == "" {
		return ""
	}
	return name + " " + value
}

// references are where secrets are found.
func references(secrets map[string]api.Secret) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		all = append(all, name+" from "+secrets[name].String())
	}
	return strings.Join(all, ", ")
}

func limits(set map[string]api.Limit) string {
	bound := func(n int64) string {
		if n < 0 {
			return "unlimited"
		}
		return strconv.FormatInt(n, 10)
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(set)) {
		text := name + " " + bound(set[name].Soft)
		if set[name].Hard != set[name].Soft {
			text += ", at most " + bound(set[name].Hard)
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

func joined(list []int) string {
	all := make([]string, 0, len(list))
	for _, n := range list {
		all = append(all, strconv.Itoa(n))
	}
	return strings.Join(all, ", ")
}
