package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tend/internal/errs"
)

// faults are all the things wrong with a file or a command line, each one good
// enough to be shown alone.
type faults []*errs.Error

func (f *faults) add(where string, kind errs.Kind, hint string, err error) {
	*f = append(*f, &errs.Error{Op: "check", On: where, Kind: kind, Err: err, Hint: hint})
}

// err is all faults as one error, nil when there are none. Its kind is theirs
// where they agree.
func (f faults) err(where string) error {
	switch len(f) {
	case 0:
		return nil
	case 1:
		return f[0]
	}
	kind := f[0].Kind
	var lines []error
	for _, e := range f {
		if e.Kind != kind {
			kind = errs.Invalid
		}
		line := e.Err
		if e.Hint != "" {
			line = fmt.Errorf("%w (%s)", e.Err, e.Hint)
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
