package config

import (
	"bytes"
	"encoding/json"
	"maps"

	"tend/internal/app"
	"tend/internal/rotation"
)

// shape is a JSON Schema of the values that a field takes. It refuses nothing
// that the field takes; what only a person can see, like a pattern of cron, it
// lets through.
type shape map[string]any

func either(shapes ...shape) shape {
	var all []shape
	for _, s := range shapes {
		if inner, ok := s["anyOf"].([]shape); ok {
			all = append(all, inner...)
		} else {
			all = append(all, s)
		}
	}
	return shape{"anyOf": all}
}

func oneOf(values ...any) shape { return shape{"enum": values} }

func ofType(types ...string) shape {
	if len(types) == 1 {
		return shape{"type": types[0]}
	}
	return shape{"type": types}
}

func matching(pattern string) shape { return shape{"type": "string", "pattern": pattern} }

func listOf(items shape) shape { return shape{"type": "array", "items": items} }

// numeric matches what may be read as a number, in the words that every engine
// of regular expressions knows.
const numeric = `^\s*[-+]?([0-9.][0-9.eExXpPa-fA-F_+-]*|[iI][nN][fF]([iI][nN][iI][tT][yY])?|[nN][aA][nN])\s*$`

// rotateShape is log_rotate, true, false or an object.
func rotateShape(flag, value shape) shape {
	properties := map[string]any{"rotateInterval": either(value, ofType("null"))}
	for _, field := range rotation.Fields() {
		properties[field] = either(value, ofType("null"))
		properties[camel(field)] = properties[field]
	}
	return either(flag, shape{"type": "object", "properties": properties, "additionalProperties": false})
}

// limitShape is a resource limit: one number for both, or the soft one and the
// hard one.
func limitShape() shape {
	amount := either(shape{"type": "integer", "minimum": -1}, ofType("string"))
	return either(amount, shape{
		"type": "object", "properties": map[string]any{"soft": amount, "hard": amount},
		"required": []string{"soft", "hard"}, "additionalProperties": false,
	})
}

// limitsShape is an object of limits.
func limitsShape(limit shape) shape {
	properties := map[string]any{}
	for _, name := range app.LimitNames() {
		properties[name] = either(limit, ofType("null"))
	}
	return shape{"type": "object", "properties": properties, "additionalProperties": false}
}

// Schema is the JSON Schema of configuration files.
func Schema() []byte {
	appRef := shape{"$ref": "#/$defs/app"}
	apps := either(listOf(appRef), appRef)
	file := shape{
		"type": "object",
		"properties": map[string]any{
			schemaKey: ofType("string"),
			"apps":    described(apps, "the apps"),
			"pm2":     described(apps, "the same as apps, for a package.json"),
			"include": described(either(ofType("string"), listOf(ofType("string"))), "files that hold more apps, as patterns like apps.d/*.json, seen from this file"),
			"deploy":  described(ofType("object"), "environments by name; their env lies below that of the apps with --env"),
			"static":  described(shape{}, "PM2's static servers, which are not started"),
		},
	}
	var several []shape
	for _, key := range topLevel {
		several = append(several, shape{"required": []string{key}})
	}
	schema := shape{
		schemaKey:     "https://json-schema.org/draft/2020-12/schema",
		"title":       "ecosystem file of tend and PM2",
		"description": "Apps to keep running. Each field may also be written in camelCase.",
		"if":          ofType("array"),
		"then":        listOf(appRef),
		"else": shape{
			"type": "object",
			"if":   shape{"anyOf": several},
			"then": file,
			"else": appRef,
		},
		"$defs": map[string]any{"app": appSchema()},
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(schema); err != nil {
		panic("config: the schema is made of what JSON holds: " + err.Error())
	}
	return out.Bytes()
}

func described(s shape, text string) shape {
	s = maps.Clone(s)
	s["description"] = text
	return s
}

// environments matches env_NAME, but env_file, which is a field of its own: in
// words that every engine of regular expressions knows.
const environments = `^env_([^f\s]\S*|f([^i\s]\S*)?|fi([^l\s]\S*)?|fil([^e\s]\S*)?|file\S+)$`

// appSchema is that of one app: every spelling of every field.
func appSchema() shape {
	properties, meanings := map[string]any{schemaKey: ofType("string")}, meanings()
	for spelling, f := range spellings {
		m := meanings[f.name]
		text := m.text
		if spelling != f.name {
			text += " (the same as " + f.name + ")"
		}
		properties[spelling] = described(either(m.shape, ofType("null")), text)
	}
	return shape{
		"type":       "object",
		"properties": properties,
		"patternProperties": map[string]any{
			environments: described(either(meanings["env"].shape, ofType("null")), "variables that --env NAME lays over env"),
		},
		"additionalProperties": false,
	}
}
