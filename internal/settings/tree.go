// Package settings is what is set for a whole home by `tend set`: PM2's
// module_conf.json, in which each module has a section of its own. It reads and
// writes that file, and knows what the section of pm2-logrotate means here, how
// logs are rotated where an app does not say, and pm2:sysmonit. All else is kept
// for whoever reads it.
//
// A file that it does not understand it leaves as it is.
package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tend/internal/errs"
)

// all is the key that stands for every other.
const all = "all"

// Tree is the settings of a home: sections and values by name. Nobody changes
// one; set and unset make others.
type Tree map[string]any

// decode reads module_conf.json. Nothing in it is no settings.
func decode(text []byte) (Tree, error) {
	t := Tree{}
	if len(bytes.TrimSpace(text)) == 0 {
		return t, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // a number of somebody else's stays what it is
	if err := d.Decode(&t); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("there is something behind the end")
	}
	if t == nil {
		return nil, errors.New("it is null, and no object")
	}
	return t, nil
}

// encode is t as PM2 writes it.
func (t Tree) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	err := e.Encode(t)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// split takes a key apart at dots and colons. Those in double quotes belong to
// a name.
func split(key string) ([]string, error) {
	var names []string
	var name strings.Builder
	quoted := false
	for _, c := range key {
		switch {
		case c == '"':
			quoted = !quoted
		case (c == '.' || c == ':') && !quoted:
			names = append(names, name.String())
			name.Reset()
		default:
			name.WriteRune(c)
		}
	}
	names = append(names, name.String())
	if quoted || slices.Contains(names, "") {
		return nil, &errs.Error{
			Op: "read key", On: key, Kind: errs.Invalid, Err: errors.New("it has an empty part, or a quote that does not end"),
			Hint: `a key is a name, or a section and a name: pm2-logrotate:max_size; "quotes" keep dots in a name`,
		}
	}
	return names, nil
}

// Section parts a key into the section that it is in, "" for none, and the name
// there.
func Section(key string) (section, name string) {
	names, err := split(key)
	if err != nil || len(names) == 1 {
		return "", key
	}
	return names[0], strings.Join(names[1:], ":")
}

// Quote is a name as it stands in a key.
func Quote(name string) string {
	if strings.ContainsAny(name, ".:") {
		return `"` + name + `"`
	}
	return name
}

// Get is the value or the section under key.
func (t Tree) Get(key string) (any, bool) {
	names, err := split(key)
	if err != nil {
		return nil, false
	}
	var at any = map[string]any(t)
	for _, name := range names {
		section, _ := at.(map[string]any)
		v, ok := section[name]
		if !ok {
			return nil, false
		}
		at = v
	}
	return at, true
}

// set is t with a value under key, whose sections are made where they are
// missing.
func (t Tree) set(key, value string) (Tree, error) {
	names, err := split(key)
	if err != nil {
		return nil, err
	}
	refuse := func(hint, format string, args ...any) error {
		return &errs.Error{Op: "set", On: key, Kind: errs.Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if key == all {
		return nil, refuse("choose another name", "%q stands for every key", key)
	}
	last := len(names) - 1
	whole := maps.Clone(t)
	section := map[string]any(whole)
	for _, name := range names[:last] {
		inner, isSection := section[name].(map[string]any)
		if _, taken := section[name]; taken && !isSection {
			return nil, refuse("unset "+name+" first, if it is of no use any more", "%s is a value and has nothing in it", name)
		}
		inner = maps.Clone(inner)
		if inner == nil {
			inner = map[string]any{}
		}
		section[name] = inner
		section = inner
	}
	if _, isSection := section[names[last]].(map[string]any); isSection {
		return nil, refuse("unset it first, if what is in it is of no use any more", "it is a section, and a value would replace all of it")
	}
	section[names[last]] = value
	return whole, nil
}

// unset is t without what is under key, and without sections that were emptied
// by that.
func (t Tree) unset(key string) (Tree, error) {
	if key == all {
		return Tree{}, nil
	}
	names, err := split(key)
	if err != nil {
		return nil, err
	}
	if _, there := t.Get(key); !there {
		return nil, &errs.Error{
			Op: "unset", On: key, Kind: errs.NotFound, Err: errors.New("nothing is set under this key"), Hint: "`tend conf` shows what is set",
		}
	}
	return without(t, names), nil
}

func without(section map[string]any, names []string) map[string]any {
	left := maps.Clone(section)
	if len(names) > 1 {
		inner, _ := section[names[0]].(map[string]any)
		if inner = without(inner, names[1:]); len(inner) > 0 {
			left[names[0]] = inner
			return left
		}
	}
	delete(left, names[0])
	return left
}
