package pm2env

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Member is one named value of an Object.
type Member struct {
	Key   string
	Value any
}

// Object is a JavaScript object: named values in an order that is always the
// same for the same instance.
type Object []Member

// Get is the value of key, and whether there is one.
func (o Object) Get(key string) (any, bool) {
	for _, m := range o {
		if m.Key == key {
			return m.Value, true
		}
	}
	return nil, false
}

// MarshalJSON writes the members in their order.
func (o Object) MarshalJSON() ([]byte, error) { return AppendJSON(nil, o), nil }

// AppendJSON appends v to dst as JavaScript's JSON.stringify writes it: without
// spaces, and with <, > and & as they are. v is made of Objects, slices, maps
// with names as keys, strings, numbers, booleans and nil.
func AppendJSON(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case string:
		return appendString(dst, v)
	case bool:
		return strconv.AppendBool(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case float64:
		return appendNumber(dst, v)
	case json.RawMessage:
		return append(dst, v...)
	}
	if o, ok := members(v); ok {
		dst = append(dst, '{')
		for i, m := range o {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, m.Key), ':')
			dst = AppendJSON(dst, m.Value)
		}
		return append(dst, '}')
	}
	dst = append(dst, '[')
	for i, e := range elements(v) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendJSON(dst, e)
	}
	return append(dst, ']')
}

// members is v as an Object, where it is one; the keys of a map are sorted.
func members(v any) (Object, bool) {
	switch v := v.(type) {
	case Object:
		return v, true
	case map[string]any:
		return sorted(v), true
	case map[string]string:
		return sorted(v), true
	}
	return nil, false
}

func sorted[V any](m map[string]V) Object {
	o := make(Object, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		o = append(o, Member{key, m[key]})
	}
	return o
}

// elements is the slice v, empty for any other type.
func elements(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case []Object:
		return each(v)
	case []string:
		return each(v)
	case []int:
		return each(v)
	}
	return nil
}

func each[E any](s []E) []any {
	out := make([]any, len(s))
	for i, e := range s {
		out[i] = e
	}
	return out
}

// appendNumber writes integers without an exponent and, as JSON.stringify
// does, null for what JSON has no number for.
func appendNumber(dst []byte, f float64) []byte {
	const exact = 1 << 53
	switch {
	case math.IsNaN(f), math.IsInf(f, 0):
		return append(dst, "null"...)
	case f == math.Trunc(f) && math.Abs(f) <= exact:
		return strconv.AppendInt(dst, int64(f), 10)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}

func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			// A byte that is no UTF-8 decodes to U+FFFD, as it does in Node.
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		i++
	}
	return append(dst, '"')
}
