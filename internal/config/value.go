package config

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"tend/api"
	"tend/internal/app"
	"tend/internal/cron"
	"tend/internal/units"
)

// The functions of this file read the value of a field, which is one of nil,
// bool, string, int64, float64, []any and map[string]any. They are as lenient
// as PM2 where nothing can be misunderstood.

func wants(what string, v any) error { return fmt.Errorf("want %s, got %s", what, show(v)) }

func asText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int64, float64: // YAML and TOML make numbers of names like 5
		return show(v), nil
	}
	return "", wants("a text", v)
}

func asFlag(v any) (bool, error) {
	switch v {
	case true, "true":
		return true, nil
	case false, "false":
		return false, nil
	}
	return false, wants("true or false", v)
}

func asSetFlag(v any) (*bool, error) {
	b, err := asFlag(v)
	return &b, err
}

// asNumber reads a number, also from text; what is behind the point is cut
// off, for numbers that a script computed.
func asNumber(what string, v any) (int64, error) {
	if s, ok := v.(string); ok {
		if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
			v = plain(f)
		}
	}
	switch n := v.(type) {
	case int64:
		return n, nil
	case float64:
		if math.Abs(n) < math.MaxInt64 {
			return int64(n), nil
		}
	}
	return 0, wants(what, v)
}

func atLeast(least int64, as func(any) (int64, error)) func(any) (int64, error) {
	return func(v any) (int64, error) {
		n, err := as(v)
		if err == nil && n < least {
			err = fmt.Errorf("%s is less than %d, the least that is allowed", show(v), least)
		}
		return n, err
	}
}

func asCount(v any) (int, error) {
	const most = math.MaxInt32
	n, err := asNumber("a number", v)
	if err == nil && (n < 0 || n > most) {
		err = fmt.Errorf("%s is not between 0 and %d", show(v), most)
	}
	return int(n), err
}

// quantity reads what may be a bare number or a text with a unit.
func quantity(v any, what string, parse func(string) (int64, error)) (int64, error) {
	if s, ok := v.(string); ok {
		n, err := parse(s)
		if err == nil {
			return n, nil
		}
		// PM2 takes what JavaScript reads as a number: "1e3".
		if _, numberErr := asNumber(what, v); numberErr != nil {
			return 0, err
		}
	}
	return atLeast(0, func(v any) (int64, error) { return asNumber(what, v) })(v)
}

func asMillis(v any) (int64, error) {
	return quantity(v, `a duration (milliseconds, or a text like "3s")`, units.ParseDuration)
}

func asSize(v any) (int64, error) {
	return quantity(v, `a size (bytes, or a text like "200M")`, units.ParseSize)
}

func asWords(v any) ([]string, error) {
	if s, ok := v.(string); ok {
		return words(s), nil
	}
	return asTexts(v)
}

// asTexts reads a list of texts; one text is a list of one.
func asTexts(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	all := make([]string, 0, len(list))
	for _, e := range list {
		s, err := asText(e)
		if b, isFlag := e.(bool); isFlag && ok {
			s, err = strconv.FormatBool(b), nil // ["--verbose", true]
		}
		if err != nil {
			return nil, wants("a text or a list of texts", v)
		}
		all = append(all, s)
	}
	return all, nil
}

// asCommands reads a list of command lines; one text is a list of one.
func asCommands(v any) ([]string, error) {
	list, err := asTexts(v)
	if err != nil {
		return nil, wants("a list of command lines", v)
	}
	return list, nil
}

func asObject(v any) (map[string]any, error) {
	if object, ok := v.(map[string]any); ok {
		return object, nil
	}
	return nil, wants("an object", v)
}

// stringified is v as JSON.stringify has it: < and & stay themselves.
func stringified(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func asMode(v any) (api.Mode, error) {
	s, _ := v.(string)
	switch api.Mode(strings.TrimSuffix(s, "_mode")) {
	case api.Fork:
		return api.Fork, nil
	case api.Cluster:
		return api.Cluster, nil
	}
	return "", wants(`"fork" or "cluster"`, v)
}

// asBalance reads how connections are spread, also in the words of Node's
// cluster.schedulingPolicy.
func asBalance(v any) (api.Balance, error) {
	switch v {
	case "round-robin", "round_robin", "rr":
		return api.RoundRobin, nil
	case "shared", "none":
		return api.Shared, nil
	case "reuseport":
		return api.Reuseport, nil
	}
	return "", wants(`"round-robin", "shared" or "reuseport"`, v)
}

// asInstances reads a whole number; 0 stands for "max". Half an instance is a
// slip, which must not become none or one.
func asInstances(v any) (*int64, error) {
	if v == "max" {
		return new(int64), nil
	}
	const what = `a whole number or "max"`
	n, err := asNumber(what, v)
	if err == nil && isFraction(v) {
		err = wants(what, v)
	}
	return &n, err
}

// isFraction tells of a number, also in text, whether it is no whole one.
func isFraction(v any) bool {
	if s, ok := v.(string); ok {
		v, _ = strconv.ParseFloat(strings.TrimSpace(s), 64) // 0, which is whole, for what is no number
	}
	f, ok := v.(float64)
	return ok && f != math.Trunc(f)
}

func asPort(v any) (string, error) {
	const most = 65535
	n, err := asNumber("a port", v)
	if err == nil && (n < 0 || n > most) {
		err = fmt.Errorf("%s is not between 0 and %d", show(v), most)
	}
	return strconv.FormatInt(n, 10), err
}

// asAccount reads the name or number of a user or group.
func asAccount(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int64:
		if v >= 0 && v <= math.MaxUint32 {
			return strconv.FormatInt(v, 10), nil
		}
	}
	return "", wants("a name or a number", v)
}

func asFilter(v any) (*api.EnvFilter, error) {
	switch v := v.(type) {
	case bool:
		if !v {
			return nil, nil
		}
		return &api.EnvFilter{All: true}, nil
	case string:
		return &api.EnvFilter{Exact: []string{v}}, nil
	}
	list, err := asTexts(v)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &api.EnvFilter{Contains: list}, nil
}

// asCodes reads exit codes: a list of them, one, or a text with blanks or, as
// Supervisor has it, commas between them.
func asCodes(v any) ([]int, error) {
	if s, ok := v.(string); ok {
		list := []any{}
		for _, word := range words(strings.ReplaceAll(s, ",", " ")) {
			list = append(list, word)
		}
		if v = list; len(list) == 0 {
			return nil, wants("an exit code", s)
		}
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	codes := make([]int, 0, len(list))
	for _, e := range list {
		const most = 255
		n, err := asNumber("an exit code", e)
		if err == nil && (n < 0 || n > most || isFraction(e)) {
			err = fmt.Errorf("%s is not between 0 and %d: want an exit code", show(e), most)
		}
		if err != nil {
			return nil, err
		}
		codes = append(codes, int(n))
	}
	return codes, nil
}

// asCron reads a pattern; 0 takes one away.
func asCron(v any) (string, error) {
	s, err := asText(v)
	if err != nil || s == "0" {
		return "", err
	}
	_, err = cron.Parse(s)
	return s, err
}

// asNot reads a flag that stands in a Spec the other way round.
func asNot(v any) (bool, error) {
	on, err := asFlag(v)
	return !on, err
}

func asSignal(v any) (string, error) {
	s, err := asText(v)
	if err != nil {
		return "", err
	}
	sig, err := app.Signal(s)
	if err != nil {
		return "", err
	}
	if name := app.SignalName(sig); name != s {
		if _, err := app.Signal(name); err == nil {
			return name, nil
		}
	}
	return s, nil // a real-time signal has a number only
}

// watching is whether an app is watched, and where.
type watching struct {
	on    bool
	paths []string // empty: the directory of the app
}

// asWatch reads a flag or paths. An empty text is no path, but what a script has
// for "not": WATCH || "".
func asWatch(v any) (watching, error) {
	if on, err := asFlag(v); err == nil || v == "" {
		return watching{on: on}, nil
	}
	paths, err := asTexts(v)
	_, isText := v.(string)
	_, isList := v.([]any)
	if err != nil || !isText && !isList {
		return watching{}, wants("true, false, a path or a list of paths", v)
	}
	return watching{on: len(paths) > 0, paths: paths}, nil
}

// asCombined reads a path, or true for the default one.
func asCombined(v any) (string, error) {
	switch on, err := asFlag(v); {
	case err != nil:
		return asText(v)
	case on:
		return "true", nil
	}
	return "", nil
}

func asLogType(v any) (string, error) {
	switch v {
	case "raw", "json", "":
		return v.(string), nil
	}
	return "", wants(`"raw" or "json"`, v)
}
