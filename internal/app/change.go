package app

import (
	"bytes"
	"encoding/json"
	"reflect"

	"tend/api"
	"tend/internal/errs"
)

// Patch is what makes to of from, as a JSON merge patch (RFC 7396); nil when they
// are the same.
func Patch(from, to *api.Spec) json.RawMessage {
	patch := differences(object(from), object(to))
	if len(patch) == 0 {
		return nil
	}
	text, _ := json.Marshal(patch) // it came out of JSON
	return text
}

// Change is s after a JSON merge patch, with the same words for its fields as in
// JSON. The error is one of kind Invalid, also where what comes of it breaks the
// rules of a Spec.
func Change(s *api.Spec, patch json.RawMessage) (*api.Spec, error) {
	invalid := func(err error) error {
		return &errs.Error{Op: "change", On: s.Name, Kind: errs.Invalid, Err: err, Hint: "the change is a JSON merge patch of a Spec"}
	}
	var change map[string]any
	if err := decode(patch, &change); err != nil {
		return nil, invalid(err)
	}
	text, err := json.Marshal(merged(object(s), change))
	if err != nil {
		return nil, invalid(err)
	}
	var out api.Spec
	if err := decode(text, &out); err != nil {
		return nil, invalid(err)
	}
	return &out, Validate(&out)
}

// decode reads text, and refuses fields that nobody knows. In an object numbers
// are as they stand there; in a Spec what may be anything is as the journal has it.
func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if _, isSpec := into.(*api.Spec); !isSpec {
		d.UseNumber()
	}
	return d.Decode(into)
}

func object(s *api.Spec) map[string]any {
	var o map[string]any
	text, err := json.Marshal(s)
	if err == nil {
		err = decode(text, &o)
	}
	if err != nil { // only Extra can hold what JSON cannot say
		bare := *s
		bare.Extra = nil
		return object(&bare)
	}
	return o
}

// differences is the merge patch that makes to of from.
func differences(from, to map[string]any) map[string]any {
	patch := map[string]any{}
	for name := range from {
		if _, stays := to[name]; !stays {
			patch[name] = nil
		}
	}
	for name, v := range to {
		was, there := from[name]
		a, isObject := was.(map[string]any)
		b, staysObject := v.(map[string]any)
		switch {
		case there && reflect.DeepEqual(was, v):
		case isObject && staysObject:
			patch[name] = differences(a, b)
		default:
			patch[name] = v
		}
	}
	return patch
}

// merged is to after patch.
func merged(to, patch map[string]any) map[string]any {
	if to == nil {
		to = map[string]any{}
	}
	for name, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(to, name)
		case map[string]any:
			inner, _ := to[name].(map[string]any)
			to[name] = merged(inner, v)
		default:
			to[name] = v
		}
	}
	return to
}
