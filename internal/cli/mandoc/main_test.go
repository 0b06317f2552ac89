package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tend/internal/cli"
)

func TestEveryCommandHasAPage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	if err := run([]string{dir}); err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		pages[e.Name()] = string(text)
	}
	want := map[string][]string{"tend.1": {"TEND_HOME", `.TH "TEND" "1"`, "tend-start(1)"}}
	for _, cmd := range cli.Grammar("tend").Commands() {
		if cmd.IsAvailableCommand() {
			title := `.TH "` + strings.ToUpper("TEND-"+cmd.Name()) + `" "1"`
			want["tend-"+cmd.Name()+".1"] = append([]string{title, "tend " + cmd.Use, cmd.Short}, cmd.Aliases...)
		}
		for _, below := range cmd.Commands() {
			want["tend-"+cmd.Name()+"-"+below.Name()+".1"] = []string{below.Short}
		}
	}
	if len(want) < 30 {
		t.Errorf("there are %d commands only", len(want))
	}
	plain := strings.NewReplacer(`\-`, "-", `\[la]`, "<", `\[ra]`, ">", `\&`, "", `\(bu`, "*")
	for name, parts := range want {
		text, ok := pages[name]
		if !ok {
			t.Errorf("%s is missing", name)
		}
		for _, part := range parts {
			if !strings.Contains(plain.Replace(text), part) {
				t.Errorf("%s says nothing of %q:\n%s", name, part, text[:min(len(text), 600)])
			}
		}
		delete(pages, name)
	}
	for name := range pages {
		t.Errorf("%s is of no command that the help tells of", name)
	}
}
