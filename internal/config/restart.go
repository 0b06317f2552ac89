package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"tend/internal/units"
)

// restarts is when an app is started again after its end.
type restarts string

// The restarts. What an app does not say is as PM2 has it: always.
const (
	unsaid     restarts = ""
	always     restarts = "true"
	never      restarts = "false"
	unexpected restarts = "unexpected"
)

func asRestarts(v any) (restarts, error) {
	if v == "unexpected" {
		return unexpected, nil
	}
	on, err := asFlag(v)
	if err != nil {
		return unsaid, wants(`true, false or "unexpected"`, v)
	}
	return restarts(strconv.FormatBool(on)), nil
}

// asSeconds reads a duration as milliseconds; a bare number is seconds, as
// Supervisor has it.
func asSeconds(v any) (int64, error) {
	const what, second, most = `a number of seconds, or a text like "1500ms"`, 1000, math.MaxInt32
	if s, ok := v.(string); ok {
		if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
			v = f
		} else {
			return units.ParseDuration(s)
		}
	}
	var n float64
	switch v := v.(type) {
	case int64:
		n = float64(v)
	case float64:
		n = v
	default:
		return 0, wants(what, v)
	}
	if n < 0 || n > most || math.IsNaN(n) {
		return 0, fmt.Errorf("%s is not between 0 and %d seconds", show(v), most)
	}
	return int64(n * second), nil
}

func asSetCount(v any) (*int, error) {
	n, err := asCount(v)
	if err != nil {
		return nil, err
	}
	return &n, nil
}

// setTreeKill reads who is signalled beside the first process: "tree", or true,
// all that it started; "group" what has stayed in its process group; false nobody.
func setTreeKill(d *draft, _ string, v any) error {
	s := &d.spec
	switch v {
	case "tree":
		s.TreeKill, s.GroupKill = true, false
		return nil
	case "group":
		s.TreeKill, s.GroupKill = true, true
		return nil
	}
	on, err := asFlag(v)
	if err != nil {
		return wants(`true, false, "tree" or "group"`, v)
	}
	s.TreeKill, s.GroupKill = on, false
	return nil
}

// resolveRestarts works out which ends are answered by a restart. Codes that are
// expected say that the others are not, as Supervisor has it.
func (r *resolver) resolveRestarts() {
	d, s := &r.draft, &r.draft.spec
	switch d.restarts {
	case unsaid:
		s.Unexpected = s.Unexpected || s.Autorestart && d.expected != nil
	case always, never:
		s.Autorestart, s.Unexpected = d.restarts == always, false
		if d.expected != nil {
			r.warn(`expected_exit_codes mean nothing with autorestart: %s; "unexpected" heeds them`, d.restarts)
		}
	case unexpected:
		s.Autorestart, s.Unexpected = true, true
	}
	if d.expected != nil {
		s.ExpectedCodes = d.expected
	}
	if s.Unexpected && s.ExpectedCodes == nil {
		s.ExpectedCodes = []int{0}
	}
}
