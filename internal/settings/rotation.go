package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/rotation"
)

// logrotate is the section that says how logs are rotated, by the name of the
// module that does it for PM2.
const logrotate = "pm2-logrotate"

// rotationKeys are the keys of the section and the fields of a rotation that
// they set: those of the module under its own names, and what it does not have.
var rotationKeys = map[string]string{ //nolint:gochecknoglobals // a table, never written
	"max_size": "max_size", "retain": "retain", "compress": "compress",
	"dateFormat": "date_format", "rotateInterval": "interval",
	"max_age": "max_age", "total_cap": "total_cap", "off": "off",
}

// inert are the keys of the module that change nothing here: why, and what is
// wrong with a value.
var inert = map[string]struct { //nolint:gochecknoglobals // a table, never written
	why   string
	check func(text string) error
}{
	"workerInterval": {"sizes are looked at with every write", func(text string) error {
		if n, err := strconv.Atoi(text); err != nil || n < 1 {
			return fmt.Errorf("%q is no number of seconds above 0", text)
		}
		return nil
	}},
	"rotateModule": {"there are no logs of modules", func(text string) error {
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		return nil
	}},
	"TZ": {"dates are in the daemon's time zone", func(text string) error {
		_, err := time.LoadLocation(text)
		return err
	}},
}

// Rotation is how logs are rotated where an app does not say. A value that
// makes no sense leaves its part at the default, and is told of.
func (t Tree) Rotation() (api.Rotation, error) {
	r := rotation.Default()
	section, _ := t[logrotate].(map[string]any)
	var bad []error
	for _, key := range slices.Sorted(maps.Keys(section)) {
		field, known := rotationKeys[key]
		if !known {
			continue // of the module, or of a newer tend
		}
		next := r
		if err := setField(&next, field, plainText(section[key])); err != nil {
			bad = append(bad, fmt.Errorf("%s:%s: %w", logrotate, key, err))
			continue
		}
		r = next
	}
	return r, errors.Join(bad...)
}

func setField(r *api.Rotation, field, text string) error {
	if err := rotation.Set(r, field, text); err != nil {
		return err
	}
	return rotation.Check(r)
}

// plainText is a value of the file as a person would type it.
func plainText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool, json.Number:
		return fmt.Sprint(v)
	}
	text, _ := json.Marshal(v) // it was read from JSON
	return string(text)
}

// check says what is wrong with a value that is to be set, and what a person
// should know of one that is right.
func check(key, value string) (note string, err error) {
	names, err := split(key)
	if err == nil && strings.Join(names, ":") == sysmonit {
		return "", checkSysmonit(value)
	}
	if err != nil || names[0] != logrotate {
		return "", err
	}
	hint := "the keys of " + logrotate + " are " + strings.Join(known(), ", ")
	if len(names) != 2 {
		return "", &errs.Error{Op: "set", On: key, Kind: errs.Invalid, Err: errors.New("it is not a setting of " + logrotate), Hint: hint}
	}
	if k, ok := inert[names[1]]; ok {
		note, err = key+" is stored and changes nothing: "+k.why, k.check(value)
	} else if field, ok := rotationKeys[names[1]]; ok {
		r := rotation.Default()
		err = setField(&r, field, value)
	} else {
		return "", &errs.Error{Op: "set", On: key, Kind: errs.Invalid, Err: errors.New("there is no such setting"), Hint: hint}
	}
	if err != nil {
		return "", &errs.Error{Op: "set", On: key, Kind: errs.Invalid, Err: err, Hint: "nothing was changed"}
	}
	return note, nil
}

// known are the keys that the section may have, sorted.
func known() []string {
	return slices.Sorted(maps.Keys(rotationKeys))
}
