package config

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tend/internal/errs"
)

// Problem is one thing that is wrong with a configuration file, or, as a
// Warning, that its author should know.
type Problem struct {
	File    string `json:"file"`             // as it was named
	Line    int    `json:"line,omitempty"`   // from 1; 0: unknown, as of what a script computes
	Column  int    `json:"column,omitempty"` // from 1
	App     string `json:"app,omitempty"`    // its name
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Warning bool   `json:"warning,omitempty"`
}

// Check says all that is wrong with the configuration file at path. The error
// is for a file that cannot be read at all.
func Check(ctx context.Context, c Context, path string, o Options) ([]Problem, error) {
	doc, err := read(ctx, c, path)
	if err != nil {
		return unreadable(err)
	}
	return doc.check(c, o)
}

// CheckText is Check for text that was read already, as Parse has it.
func CheckText(ctx context.Context, c Context, name string, text []byte, o Options) ([]Problem, error) {
	doc, err := given(ctx, c, name, text)
	if err != nil {
		return unreadable(err)
	}
	return doc.check(c, o)
}

func (d *document) check(c Context, o Options) ([]Problem, error) {
	_, faults, notes, err := d.resolve(c, o)
	if err != nil {
		return unreadable(err)
	}
	var all []Problem
	for _, f := range faults {
		all = append(all, f.problem())
	}
	for _, n := range notes {
		p := n.problem()
		p.Warning, p.File = true, cmp.Or(p.File, d.where)
		// The same environment is missing in each app.
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all, nil
}

// unreadable is the one problem of a file whose text means nothing.
func unreadable(err error) ([]Problem, error) {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || e.Kind != errs.Invalid && e.Kind != errs.Timeout {
		return nil, err
	}
	p := Problem{File: e.On, Message: e.Err.Error(), Hint: e.Hint}
	if at, ok := errors.AsType[*syntaxError](err); ok {
		p.Line, p.Column, p.Message = at.place.line, at.place.column, at.text
	}
	if at, ok := errors.AsType[*scriptError](err); ok {
		if file, where, ok := splitPlace(at.place); ok {
			p.File, p.Line, p.Column, p.Message = file, where.line, where.column, at.message
		}
	}
	return []Problem{p}, nil
}

// written matches "file:3:7", and what has no column.
var written = regexp.MustCompile(`^(.+?):(\d+)(?::(\d+))?$`)

// splitPlace takes a place of a script apart.
func splitPlace(text string) (file string, at place, ok bool) {
	m := written.FindStringSubmatch(text)
	if m == nil {
		return "", place{}, false
	}
	at.line, _ = strconv.Atoi(m[2]) // digits, and 0 for too many of them
	at.column, _ = strconv.Atoi(m[3])
	return m[1], at, true
}

func (f fault) problem() Problem {
	p := Problem{File: f.where, App: strings.TrimPrefix(f.app, "app "), Message: f.err.Error(), Hint: f.hint, Field: f.field()}
	at := f.entry.place(p.Field)
	p.Line, p.Column = at.line, at.column
	return p
}

// leading matches the name that what is said of a field begins with, and of the
// field in it.
var leading = regexp.MustCompile(`^(?:unknown field )?"?([\w-]+)(?:: (\w+))?`)

// field is the field that a fault is about, as the app spells it; empty: none.
func (f fault) field() string {
	m := leading.FindStringSubmatch(f.err.Error())
	if m == nil || f.entry.doc == nil {
		return ""
	}
	if _, written := f.entry.fields[m[1]]; !written && spellings[m[1]] == nil {
		return ""
	}
	// What log_rotate holds may stand beside it, as log_max_size.
	for _, name := range []string{m[1], "log_" + m[2], m[1] + "_" + m[2]} {
		if key := f.entry.key(name); key != "" {
			return key
		}
	}
	return m[1]
}
