package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tend/api"
	"tend/internal/rotation"
)

// rotating is what an app says of the rotation of its logs: in log_rotate, and
// in fields of their own.
type rotating struct {
	// texts are the fields of log_rotate by name, as rotation.Set reads them.
	texts map[string]string
	given bool
}

// setRotating reads log_rotate: false switches rotation off, true takes that of
// the home also where the home has it off, and an object says more.
func setRotating(d *draft, _ string, v any) error {
	if on, err := asFlag(v); err == nil {
		return d.rotating.put("off", strconv.FormatBool(!on))
	}
	object, err := asObject(v)
	if err != nil {
		return wants("true, false or an object", v)
	}
	d.rotating.given = true
	var bad []error
	for _, key := range slices.Sorted(maps.Keys(object)) {
		field, known := rotationField(key)
		switch {
		case !known:
			bad = append(bad, unknownRotation(key))
		case object[key] != nil: // else as if absent
			if err := d.rotating.read(field, object[key]); err != nil {
				bad = append(bad, fmt.Errorf("%s: %w", key, err))
			}
		}
	}
	return errors.Join(bad...)
}

// rotationField is the field of log_rotate that key stands for: also in
// camelCase, and as pm2-logrotate calls it.
func rotationField(key string) (field string, known bool) {
	if key == "rotateInterval" {
		return "interval", true
	}
	for _, field := range rotation.Fields() {
		if key == field || key == camel(field) {
			return field, true
		}
	}
	return "", false
}

func unknownRotation(key string) error {
	if guess := similar(strings.ToLower(key), rotation.Fields()); guess != "" {
		return fmt.Errorf("unknown field %q; did you mean %q?", key, guess)
	}
	return fmt.Errorf("unknown field %q, it may hold %s", key, strings.Join(rotation.Fields(), ", "))
}

// rotates is the setter of what stands beside log_rotate for one of its fields.
func rotates(field string) slot {
	return by(func(d *draft, _ string, v any) error { return d.rotating.read(field, v) })
}

// read takes the value of a field of log_rotate.
func (r *rotating) read(field string, v any) error {
	text, err := asText(v)
	if on, isFlag := v.(bool); isFlag {
		text, err = strconv.FormatBool(on), nil
	}
	if err == nil {
		var scratch api.Rotation
		err = rotation.Set(&scratch, field, text)
	}
	if err != nil {
		return err
	}
	return r.put(field, text)
}

func (r *rotating) put(field, text string) error {
	if _, twice := r.texts[field]; twice {
		return fmt.Errorf("%s is said twice", field)
	}
	if r.texts == nil {
		r.texts = map[string]string{}
	}
	r.texts[field], r.given = text, true
	return nil
}

// rotation is what the app says over what the home has, nil where it says
// nothing.
func (r *rotating) rotation(home api.Rotation) *api.Rotation {
	if !r.given {
		return nil
	}
	out := home
	out.Off = false
	for field, text := range r.texts {
		_ = rotation.Set(&out, field, text) // it went well before
	}
	if out.Off {
		return &api.Rotation{Off: true}
	}
	return &out
}

// asRate reads a number of lines a second.
func asRate(v any) (int64, error) {
	n, err := asCount(v)
	return int64(n), err
}
