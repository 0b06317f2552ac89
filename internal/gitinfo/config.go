package gitinfo

import (
	"bytes"
	"strings"
)

// config is what we need of git's configuration: values by section and name, and
// the remotes in their order.
type config struct {
	values  map[string]map[string]string
	remotes []string
}

// parseConfig reads the plain part of git-config(1): sections, and a value a
// line. Includes, and lines that go on in the next, are left out.
func parseConfig(text []byte) config {
	c := config{values: map[string]map[string]string{}}
	section := ""
	for raw := range bytes.Lines(text) {
		l := strings.TrimSpace(string(raw))
		if strings.HasPrefix(l, "[") {
			end := strings.LastIndexByte(l, ']')
			if end < 0 {
				continue
			}
			section = l[1:end]
			if name, ok := strings.CutPrefix(section, `remote "`); ok {
				c.remotes = append(c.remotes, strings.TrimSuffix(name, `"`))
			}
			continue
		}
		name, value, ok := strings.Cut(l, "=")
		if !ok || strings.HasPrefix(l, "#") || strings.HasPrefix(l, ";") {
			continue
		}
		if c.values[section] == nil {
			c.values[section] = map[string]string{}
		}
		name = strings.ToLower(strings.TrimSpace(name))
		c.values[section][name] = strings.Trim(strings.TrimSpace(value), `"`)
	}
	return c
}
