package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tend/internal/errs"
)

// A fault is one thing that is wrong with a file or a command line, good enough
// to be shown alone.
type fault struct {
	where string
	app   string // what it is about in messages: "app api"; empty: the whole
	entry entry  // the zero entry: no document
	kind  errs.Kind
	err   error
	hint  string
}

func (f fault) wrapped() *errs.Error {
	err := f.err
	if f.app != "" {
		err = fmt.Errorf("%s: %w", f.app, err)
	}
	return &errs.Error{Op: "check", On: f.where, Kind: f.kind, Err: err, Hint: f.hint}
}

// text is the fault as a warning, in one line.
func (f fault) text() string {
	switch {
	case f.app != "":
		return f.app + ": " + f.err.Error()
	case f.where != "":
		return f.where + ": " + f.err.Error()
	}
	return f.err.Error()
}

// faults are all of them.
type faults []fault

// texts are the faults as warnings, each once.
func (f faults) texts() []string {
	var all []string
	for _, one := range f {
		if text := one.text(); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

// err is all faults as one error, nil when there are none. Its kind is theirs
// where they agree.
func (f faults) err(where string) error {
	switch len(f) {
	case 0:
		return nil
	case 1:
		return f[0].wrapped()
	}
	kind := f[0].kind
	var lines []error
	for _, one := range f {
		if one.kind != kind {
			kind = errs.Invalid
		}
		line := one.wrapped().Err
		if one.where != where {
			line = fmt.Errorf("%s: %w", one.where, line)
		}
		if one.hint != "" {
			line = fmt.Errorf("%w (%s)", line, one.hint)
		}
		lines = append(lines, line)
	}
	return &errs.Error{Op: "check", On: where, Kind: kind, Err: fmt.Errorf("%d faults:\n%w", len(f), errors.Join(lines...))}
}

// show prints a value of a document for an error, cut where it is long.
func show(v any) string {
	const most = 60
	text, err := json.Marshal(v)
	if err != nil {
		text = fmt.Append(nil, v)
	}
	if len(text) > most {
		return strings.ToValidUTF8(string(text[:most]), "") + "…"
	}
	return string(text)
}

// similar is the word nearest to what was typed, empty when none is near.
func similar(typed string, words []string) string {
	best, found := max(len(typed)/3, min(2, len(typed)-2)), ""
	for _, w := range words {
		if d := distance(typed, w); d <= best && (found == "" || d < best) {
			best, found = d, w
		}
	}
	return found
}

// distance is Levenshtein's: how many letters must be changed, added or
// left out to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			swap := last[j]
			if a[i] != b[j] {
				swap++
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, swap)
		}
	}
	return row[len(b)]
}
