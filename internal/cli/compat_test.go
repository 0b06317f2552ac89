package cli

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tend/internal/config"
)

// compatRow is a row of docs/PM2-COMPAT.md: what its first cell names in
// backticks, what becomes of it, and the tests in its last cell.
type compatRow struct {
	line  string
	names []string
	here  string
	tests []string
}

// compatSections are the sections whose rows are checked, and what kind of
// thing they are about (see testdata/pm2.txt).
var compatSections = map[string]string{
	"Commands": "command", "Options": "option", "Options of one command": "own",
	"Fields of an ecosystem file": "field", "Environment variables": "variable", "Oddities": "oddity",
}

// ticked is what stands in backticks; in a table a bar inside is escaped.
var ticked = regexp.MustCompile("`([^`]+)`")

func inTicks(cell string) []string {
	var out []string
	for _, m := range ticked.FindAllStringSubmatch(cell, -1) {
		out = append(out, strings.ReplaceAll(m[1], `\|`, "|"))
	}
	return out
}

// compatRows are the rows of the page by kind.
func compatRows(t *testing.T) map[string][]compatRow {
	t.Helper()
	text, err := os.ReadFile("../../docs/PM2-COMPAT.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]compatRow{}
	kind := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			kind = compatSections[title]
			continue
		}
		if kind == "" || !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| PM2 |") {
			continue
		}
		cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00"), "|")
		for i := range cells {
			cells[i] = strings.ReplaceAll(strings.TrimSpace(cells[i]), "\x00", `\|`)
		}
		if len(cells) != 4 {
			t.Errorf("want four cells: %s", line)
			continue
		}
		rows[kind] = append(rows[kind], compatRow{line, inTicks(cells[0]), cells[1], inTicks(cells[3])})
	}
	return rows
}

// pm2Knows are PM2's spellings by kind.
func pm2Knows(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open("testdata/pm2.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	known := map[string][]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || words[0] == "#" {
			continue
		}
		kind, names := words[0], words[1:]
		if kind == "own" {
			for i, option := range names[1:] {
				names[i+1] = names[0] + " " + option
			}
			names = names[1:]
		}
		known[kind] = append(known[kind], names...)
	}
	return known
}

// tendKnows are the spellings of tend's own tables by kind.
func tendKnows(t *testing.T, pm2 map[string][]string) map[string][]string {
	t.Helper()
	known := map[string][]string{}
	root := Grammar("tend")
	options := map[string]bool{}
	add := func(kind, prefix string, f *pflag.Flag) {
		known[kind] = append(known[kind], prefix+"--"+f.Name)
		if f.Shorthand != "" {
			known[kind] = append(known[kind], prefix+"-"+f.Shorthand)
		}
	}
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
		options[f.Name] = true
		if f.Name == "Version" { // the way to have -V
			known["option"] = append(known["option"], "-V")
			return
		}
		add("option", "", f)
	})
	known["option"] = append(known["option"], "--help", "-h")
	var visit func(prefix string, cmd *cobra.Command)
	visit = func(prefix string, cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			for _, name := range append([]string{c.Name()}, c.Aliases...) {
				known["command"] = append(known["command"], prefix+name)
			}
			c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
				path := prefix + c.Name() + " "
				switch {
				case f.Name == "help" || options[f.Name]:
				case slices.Contains(pm2["option"], "--"+f.Name), f.Name == "json" && !slices.Contains(pm2["own"], path+"--json"):
					add("option", "", f) // with any command, for PM2, or for all that report facts
				default:
					add("own", path, f)
				}
			})
			visit(prefix+c.Name()+" ", c)
		}
	}
	visit("", root)
	for _, name := range pm2["own"] {
		if _, option, _ := strings.Cut(name, " "); slices.Contains(known["option"], option) {
			known["own"] = append(known["own"], name)
		}
	}
	known["field"] = fieldsOfSchema(t)
	return known
}

// fieldsOfSchema are the spellings that the schema of ecosystem files has, but
// for those in camelCase, which every field has.
func fieldsOfSchema(t *testing.T) []string {
	t.Helper()
	var schema struct {
		Else struct {
			Then struct {
				Properties map[string]any
			}
		}
		Defs struct {
			App struct {
				Properties map[string]any
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(config.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	out := []string{"env_NAME"} // any, by a pattern
	for _, properties := range []map[string]any{schema.Else.Then.Properties, schema.Defs.App.Properties} {
		for name := range properties {
			if name != "$schema" && (name == strings.ToLower(name) || name == "windowsHide") {
				out = append(out, name)
			}
		}
	}
	if len(out) < 80 {
		t.Fatalf("the schema has only %d fields: its shape has changed", len(out))
	}
	return out
}

// TestCompatIsComplete: each command, option, field and variable of PM2 and of
// tend has one row, which says what is so.
func TestCompatIsComplete(t *testing.T) {
	rows, pm2 := compatRows(t), pm2Knows(t)
	tend := tendKnows(t, pm2)
	for _, kind := range []string{"command", "option", "own", "field", "variable"} {
		rowOf := map[string]compatRow{}
		for _, row := range rows[kind] {
			if len(row.names) == 0 {
				t.Errorf("%s: names nothing: %s", kind, row.line)
			}
			for _, name := range row.names {
				if _, twice := rowOf[name]; twice {
					t.Errorf("%s %s has two rows", kind, name)
				}
				rowOf[name] = row
			}
		}
		for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(pm2[kind], tend[kind])))) {
			row, ok := rowOf[name]
			if !ok {
				t.Errorf("%s %s has no row in docs/PM2-COMPAT.md", kind, name)
				continue
			}
			if fault := row.wrong(name, slices.Contains(pm2[kind], name), kind == "variable" || slices.Contains(tend[kind], name)); fault != "" {
				t.Errorf("%s %s: %s: %s", kind, name, fault, row.line)
			}
			delete(rowOf, name)
		}
		if kind == "variable" { // those of tend are in no table
			continue
		}
		for name, row := range rowOf {
			t.Errorf("%s %s is known to neither PM2 nor tend: %s", kind, name, row.line)
		}
	}
}

// wrong is what cannot be so of the row of a name that PM2 and tend know or not.
func (r compatRow) wrong(name string, pm2, tend bool) string {
	absent := "" // what its command says of itself
	for _, c := range later {
		if c.name == name {
			absent = "later"
		}
	}
	if slices.Contains(gone, name) {
		absent = "gone"
	}
	switch {
	case !slices.Contains([]string{"same", "better", "other", "later", "gone", "ours"}, r.here):
		return fmt.Sprintf("%q is no answer", r.here)
	case (r.here == "ours") == pm2:
		return "ours is what PM2 does not have"
	case (r.here == "same" || r.here == "better") && !tend:
		return "tend does not have it"
	case absent != "" && absent != r.here:
		return "the command says " + absent
	}
	return ""
}

// TestCompatRowsHaveTests: each row names a test or a story, and there is one.
func TestCompatRowsHaveTests(t *testing.T) {
	tests := allTests(t)
	oddities := 0
	for kind, rows := range compatRows(t) {
		for _, row := range rows {
			if len(row.tests) == 0 {
				t.Errorf("no test: %s", row.line)
			}
			for _, test := range row.tests {
				if !tests[test] {
					t.Errorf("there is no test or story %s: %s", test, row.line)
				}
			}
		}
		if kind == "oddity" {
			oddities = len(rows)
		}
	}
	if oddities < 53 {
		t.Errorf("got %d oddities, want all 53", oddities)
	}
}

// allTests are the functions and stories of the repository: TestX,
// script/x.txtar, sidebyside/x.txtar.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".txtar"):
			found[filepath.Base(filepath.Dir(path))+"/"+d.Name()] = true
		case strings.HasSuffix(path, "_test.go"):
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, decl := range file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && cmp.Or(strings.HasPrefix(f.Name.Name, "Test"), strings.HasPrefix(f.Name.Name, "Fuzz")) {
					found[f.Name.Name] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
