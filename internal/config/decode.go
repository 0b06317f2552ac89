package config

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v4"

	"tend/internal/errs"
)

const (
	// maxText bounds a configuration file; a thousand apps need a tenth.
	maxText = 4 << 20
	// maxResult bounds the JSON that evaluating a file gives.
	maxResult = 64 << 20
)

type format int

const (
	unknownFormat format = iota
	jsonFormat
	yamlFormat
	tomlFormat
	scriptFormat
)

func formatOf(path string) format {
	base := strings.ToLower(filepath.Base(path))
	ext := filepath.Ext(base)
	switch ext {
	case ".json", ".json5":
		return jsonFormat
	case ".yaml", ".yml":
		return yamlFormat
	case ".toml":
		return tomlFormat
	}
	for _, e := range scriptSuffixes {
		if strings.HasSuffix(base, ".config"+e) || base == "ecosystem"+e {
			return scriptFormat
		}
	}
	return unknownFormat
}

// read reads the file at path, and those that it includes.
func read(ctx context.Context, c Context, path string) (*document, error) {
	doc, err := readOne(ctx, c, path)
	if err != nil {
		return nil, err
	}
	return doc, doc.open(ctx, c)
}

// readOne reads the file at path and takes it apart.
func readOne(ctx context.Context, c Context, path string) (*document, error) {
	format := formatOf(path)
	if format == unknownFormat {
		return nil, &errs.Error{
			Op: "read", On: path, Kind: errs.Invalid, Err: errors.New("it is no configuration file"),
			Hint: "the name of one ends in .json, .yaml, .yml, .toml, .config.js, .config.cjs, .config.mjs or .config.ts",
		}
	}
	text, err := readText(c.path(path, c.Cwd))
	if err != nil {
		return nil, &errs.Error{
			Op: "read", On: path, Kind: kindOfFile(err), Err: err, Hint: "name a file that is there, or a script to start",
		}
	}
	doc, err := parse(ctx, c, path, format, text)
	if doc != nil {
		doc.path = c.path(path, c.Cwd)
	}
	return doc, err
}

// readText is the content of the file at path, when it is one and not too
// large. A fifo would keep the client waiting for ever.
func readText(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, cause(err)
	case fi.IsDir():
		return nil, errors.New("it is a directory")
	case !fi.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return nil, cause(err)
	}
	return text, fits(text)
}

func fits(text []byte) error {
	if len(text) > maxText {
		return fmt.Errorf("it is larger than %d MiB", maxText>>20)
	}
	return nil
}

// cause is err without the path, which the error around it names.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

func kindOfFile(err error) errs.Kind {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errs.NotFound
	case errors.Is(err, fs.ErrPermission):
		return errs.Denied
	}
	return errs.Invalid
}

// parse takes text apart, which the file where holds when it is a script.
func parse(ctx context.Context, c Context, where string, format format, text []byte) (*document, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	err := fits(text)
	var v any
	if err == nil {
		v, err = decode(ctx, c, where, format, text)
	}
	if err != nil {
		if e, ok := errors.AsType[*errs.Error](err); ok {
			e.Op, e.On = "read", where
			return nil, e
		}
		return nil, &errs.Error{Op: "read", On: where, Kind: errs.Invalid, Err: err}
	}
	doc, err := newDocument(where, plain(v))
	if doc != nil {
		doc.format, doc.text = format, text
	}
	return doc, err
}

func decode(ctx context.Context, c Context, where string, format format, text []byte) (v any, err error) {
	switch format {
	case jsonFormat:
		// PM2 evaluates .json as a JavaScript expression: comments, bare keys
		// and trailing commas are everyday things. Most files are JSON, though.
		if json.Valid(text) {
			return decodeJSON(text)
		}
		if text, err = evalExpression(ctx, c, text); err == nil {
			return decodeJSON(text)
		}
		return nil, err
	case yamlFormat:
		return decodeYAML(text)
	case tomlFormat:
		err := toml.Unmarshal(text, &v)
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := e.Position()
			return nil, placed(line, column, strings.TrimPrefix(e.Error(), "toml: "))
		}
		return v, err
	case scriptFormat:
		if text, err = evalScript(ctx, c, c.path(where, c.Cwd), text); err == nil {
			return decodeJSON(text)
		}
		return nil, err
	case unknownFormat:
	}
	return nil, errors.New("it is neither JSON nor YAML nor TOML")
}

// decodeYAML reads YAML 1.2, as PM2 does: the parser knows numbers of 1.1 too, and
// 0755 would be 493.
func decodeYAML(text []byte) (v any, err error) {
	var all []yaml.Node
	err = yaml.Load(text, &all, yaml.WithAllDocuments())
	switch {
	case err == nil && len(all) > 1:
		return nil, placed(all[1].Line, all[1].Column, "a second document begins here, and one file holds one")
	case err == nil && len(all) == 1:
		asWritten(&all[0])
		err = all[0].Load(&v)
	}
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		return nil, placed(e.Mark.Line, e.Mark.Column, e.Message)
	}
	return v, err
}

// numberOf11 matches what is a number in YAML 1.1 and a text, or another number,
// in YAML 1.2.
var numberOf11 = regexp.MustCompile(`^[-+]?0[0-9_]|_`)

// asWritten makes texts of such numbers, so that they stay as they were written.
func asWritten(n *yaml.Node) {
	if tag := n.ShortTag(); n.Kind == yaml.ScalarNode && n.Style == 0 && (tag == "!!int" || tag == "!!float") && numberOf11.MatchString(n.Value) {
		n.Tag = "!!str"
	}
	for _, inner := range n.Content {
		asWritten(inner)
	}
}

// syntaxError is what a parser says, and where.
type syntaxError struct {
	place place
	text  string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.place.line, e.place.column, e.text)
}

func placed(line, column int, text string) error {
	if line < 1 {
		return errors.New(text)
	}
	return &syntaxError{place{line, column}, text}
}

func decodeJSON(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // a large whole number stays what it is
	err = d.Decode(&v)
	return v, err
}

// plain is v made of nil, bool, string, int64, float64, []any and
// map[string]any only, whatever decoder or caller it is from.
func plain(v any) any {
	switch v := v.(type) {
	case nil, bool, string, int64:
		return v
	case int:
		return int64(v)
	case float64:
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			return nil // as JSON.stringify
		case v == math.Trunc(v) && math.Abs(v) < 1<<53:
			return int64(v)
		}
		return v
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return plain(f)
	case time.Time: // from YAML, where 2026-01-31 means the text it shows
		if v.Equal(v.Truncate(24*time.Hour)) && v.Location() == time.UTC {
			return v.Format(time.DateOnly)
		}
		return v.Format(time.RFC3339Nano)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = plain(e)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for k, e := range v {
			object[k] = plain(e)
		}
		return object
	case map[any]any: // YAML, with keys like 1 and true
		object := make(map[string]any, len(v))
		for k, e := range v {
			object[fmt.Sprint(k)] = plain(e)
		}
		return object
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	var again any
	if again, err = decodeJSON(text); err != nil {
		return fmt.Sprint(v)
	}
	return plain(again)
}
