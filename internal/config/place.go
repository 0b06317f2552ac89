package config

import (
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
	"go.yaml.in/yaml/v4"
)

// place is where something stands in a text, from 1; the zero place is unknown.
type place struct{ line, column int }

// position is the place of the byte at offset.
func position(text []byte, offset int) place {
	before := string(text[:offset])
	return place{1 + strings.Count(before, "\n"), len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1}
}

// place is where the document has the field of an app, or, when it is written
// nowhere, the app. What a script computes has no place.
func (e entry) place(field string) place {
	if e.doc == nil {
		return place{}
	}
	switch e.doc.format {
	case yamlFormat:
		return placeInYAML(e.doc.text, e.at, e.key(field))
	case tomlFormat:
		return placeInTOML(e.doc.text, e.at, e.key(field))
	case jsonFormat, scriptFormat:
		return placeInScript(e.doc.text, e.at, e.key(field))
	case unknownFormat:
	}
	return place{}
}

// key is the spelling that the app uses for a field; empty: none.
func (e entry) key(field string) string {
	if _, ok := e.fields[field]; ok {
		return field
	}
	known := spellings[field]
	for key := range e.fields {
		if known != nil && spellings[key] == known {
			return key
		}
	}
	return ""
}

func placeInYAML(text []byte, app int, key string) place {
	var root yaml.Node
	if yaml.Load(text, &root) != nil || len(root.Content) == 0 {
		return place{}
	}
	apps := root.Content[0]
	for _, name := range []string{"apps", "pm2"} {
		if _, found := valueOf(apps, name); found != nil {
			apps = found
			break
		}
	}
	if apps.Kind == yaml.SequenceNode {
		if app >= len(apps.Content) {
			return place{}
		}
		apps = dereferenced(apps.Content[app])
	}
	at := apps
	if name, found := valueOf(apps, key); found != nil {
		at = name
	}
	return place{at.Line, at.Column}
}

// valueOf is the key and the value in a mapping, nil where it has none.
func valueOf(n *yaml.Node, key string) (name, value *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], dereferenced(n.Content[i+1])
		}
	}
	return nil, nil
}

func dereferenced(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func placeInTOML(text []byte, app int, key string) place {
	var p unstable.Parser
	p.Reset(text)
	var table []string // that the lines belong to
	// Without a table of apps the document is the only one.
	number, at, found, whole := 0, place{}, false, true
	for p.NextExpression() {
		e := p.Expression()
		path, where := keys(&p, e)
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = path
			switch {
			case len(path) != 1 || !isApps(path[0]):
			case whole:
				number, at, found, whole = 0, place{}, false, false
			default:
				number++
			}
		case unstable.KeyValue:
			path = slices.Concat(table, path)
		default:
			continue
		}
		if len(path) > 0 && isApps(path[0]) {
			path = path[1:]
		}
		hit := len(path) > 0 && path[0] == key
		if number == app && !found && (hit || at == place{}) {
			at, found = where, hit
		}
	}
	return at
}

func isApps(key string) bool { return key == "apps" || key == "pm2" }

// keys are the parts of the key of an expression, and where it stands.
func keys(p *unstable.Parser, e *unstable.Node) (path []string, at place) {
	for it := e.Key(); it.Next(); {
		n := it.Node()
		if len(path) == 0 {
			start := p.Shape(n.Raw).Start
			at = place{start.Line, start.Column}
		}
		path = append(path, string(n.Data))
	}
	return path, at
}
