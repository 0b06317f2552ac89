package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"tend/api"
	"tend/internal/app"
	"tend/internal/units"
)

// asAccounts reads the names or numbers of groups.
func asAccounts(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	all := make([]string, 0, len(list))
	for _, e := range list {
		s, err := asAccount(e)
		if err != nil || s == "" {
			return nil, wants("a list of names or numbers of groups", v)
		}
		all = append(all, s)
	}
	return all, nil
}

// asUmask reads the bits of a umask: octal as text, as the shell has them, and as
// a number by its value, as in 0o022.
func asUmask(v any) (*int, error) {
	const most, what = 0o777, `octal digits in a text, like "022"`
	var n int64
	var err error
	switch v := v.(type) {
	case string:
		n, err = strconv.ParseInt(strings.TrimPrefix(v, "0o"), 8, 64)
	case int64:
		n = v
	default:
		err = errors.New("no mask")
	}
	if err != nil || n < 0 || n > most {
		return nil, wants(what, v)
	}
	mask := int(n)
	return &mask, nil
}

// setLimit reads the limit of the resource that the field is called for.
func setLimit(d *draft, name string, v any) error {
	l, err := asLimit(v)
	if err != nil {
		return err
	}
	return d.limit(name, l)
}

// setLimits reads several: {"nofile": 65536, "core": "unlimited"}.
func setLimits(d *draft, _ string, v any) error {
	object, err := asObject(v)
	if err != nil {
		return wants(`an object of limits, like {"nofile": 65536}`, v)
	}
	var bad []error
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if object[name] == nil { // as if absent
			continue
		}
		l, err := asLimit(object[name])
		if known := app.LimitNames(); !slices.Contains(known, name) {
			err = unknownLimit(name, known)
		}
		if err == nil {
			err = d.limit(name, l)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(bad...)
}

func unknownLimit(name string, known []string) error {
	if guess := similar(strings.ToLower(name), known); guess != "" {
		return fmt.Errorf("no such resource; did you mean %q?", guess)
	}
	return fmt.Errorf("no such resource; there are %s", strings.Join(known, ", "))
}

func (d *draft) limit(name string, l api.Limit) error {
	if _, twice := d.limits[name]; twice {
		return errors.New("it is said twice, here and in limits")
	}
	if d.limits == nil {
		d.limits = map[string]api.Limit{}
	}
	d.limits[name] = l
	return nil
}

// asLimit reads a limit: one number for both, "soft:hard", or an object of the
// two.
func asLimit(v any) (api.Limit, error) {
	const what = `a number, "unlimited", or "soft:hard"`
	soft, hard := v, v
	switch v := v.(type) {
	case string:
		if a, b, two := strings.Cut(v, ":"); two {
			soft, hard = a, b
		}
	case map[string]any:
		if len(v) != 2 || v["soft"] == nil || v["hard"] == nil {
			return api.Limit{}, wants(what, v)
		}
		soft, hard = v["soft"], v["hard"]
	}
	var l api.Limit
	var err error
	for _, side := range []struct {
		to *int64
		v  any
	}{{&l.Soft, soft}, {&l.Hard, hard}} {
		if *side.to, err = asAmount(side.v); err != nil {
			return l, wants(what, v)
		}
	}
	if l.Hard >= 0 && (l.Soft > l.Hard || l.Soft < 0) {
		return l, fmt.Errorf("%s: the soft limit is above the hard one", show(v))
	}
	return l, nil
}

// asAmount reads one side of a limit; a size may have a unit.
func asAmount(v any) (int64, error) {
	switch v := v.(type) {
	case string:
		if v = strings.TrimSpace(v); v == "unlimited" || v == "infinity" || v == "-1" {
			return -1, nil
		}
		return units.ParseSize(v)
	case int64:
		if v >= -1 {
			return v, nil
		}
	case float64:
		if v >= 0 && v == math.Trunc(v) && v < math.MaxInt64 {
			return int64(v), nil
		}
	}
	return 0, errors.New("no amount")
}

// asPriority reads a whole number.
func asPriority(v any) (*int, error) {
	const what, most = "a whole number", math.MaxInt32
	n, err := asNumber(what, v)
	if err != nil || isFraction(v) || n < -most || n > most {
		return nil, wants(what, v)
	}
	p := int(n)
	return &p, nil
}
