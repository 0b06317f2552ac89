// Package internal holds no code. Its test keeps the shape of the whole tree:
// who may import whom, what the keeper may link, and a few rules of STYLE.md
// that a machine can check.
package internal

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/keeper-deps.txt")

const (
	module    = "tend/"
	maxLines  = 600
	keeperCmd = module + "cmd/tend-keeper"
	depsFile  = "testdata/keeper-deps.txt"
)

// layers are the packages of ours, each as its path in the module, from the
// bottom up: one may import what stands in a row before its own. A package
// with packages below it is one family, free among themselves.
var layers = [][]string{
	{"api"},
	{"client", "internal/errs"}, // public, and the words for failures
	{
		"internal/units", "internal/fdpass", "internal/durable", "internal/home", "internal/epoll",
		"internal/listen", "internal/fanout", "internal/axon", "internal/dayjs", "internal/cron",
		"internal/command", "internal/gitinfo", "internal/console", "internal/redact",
	},
	{"internal/rotation"}, // the rules of one thing, which those of an app need
	{"internal/app", "internal/lifecycle", "internal/plan", "internal/pm2env"},
	{
		"internal/keeper", "internal/nodeipc", "internal/logs", "internal/sysinfo",
		"internal/watch", "internal/probe", "internal/config", "internal/settings", "internal/secret",
		"internal/hostinfo",
	},
	{"internal/store"},
	{"internal/supervisor"},
	{
		"internal/httpapi", "internal/pm2api", "internal/web", "internal/prom", "internal/fleet",
		"internal/startup", "internal/deploy",
	},
	{"internal/daemon", "internal/tui", "internal/cli"},
	{"cmd", "bench", "tests", "examples"}, // programs
}

// onlyStd are packages that need nothing but the standard library and, where
// they are ours, what stands before them: other programs may use them.
var onlyStd = []string{"api", "client"}

// testkit is for tests alone and imports nothing of ours.
const testkit = "internal/testkit"

// oneImporter names the only packages that may import a heavy dependency.
var oneImporter = map[string][]string{
	"github.com/dop251/goja":              {"internal/config"},
	"github.com/evanw/esbuild":            {"internal/config"},
	"go.yaml.in/yaml":                     {"internal/config"},
	"github.com/pelletier/go-toml":        {"internal/config"},
	"github.com/mattn/go-shellwords":      {"internal/config", "internal/cli"},
	"github.com/joho/godotenv":            {"internal/config"},
	"github.com/spf13/cobra":              {"internal/cli"},
	"github.com/spf13/pflag":              {"internal/cli"},
	"charm.land/lipgloss":                 {"internal/cli", "internal/tui"},
	"charm.land/bubbletea":                {"internal/tui"},
	"charm.land/bubbles":                  {"internal/tui"},
	"github.com/prometheus/client_golang": {"internal/prom"},
	"github.com/google/renameio":          {"internal/durable"},
	"github.com/adhocore/gronx":           {"internal/cron"},
	"github.com/klauspost/compress":       {"internal/logs/tidy", "internal/logs/read", "internal/logs/logstest"},
	"github.com/fsnotify/fsnotify":        {"internal/watch"},
	"github.com/bmatcuk/doublestar":       {"internal/app"},
	"github.com/coreos/go-systemd":        {"internal/daemon"},
}

// bareGo are the files that may use the go statement: elsewhere a WaitGroup's
// or an errgroup's Go says who waits.
var bareGo = []string{
	// The keeper: these live as long as its process, or as one connection of
	// the daemon, whose end they tell.
	"internal/keeper/daemon_linux.go", "internal/keeper/main_linux.go",
	"internal/keeper/upgrade_linux.go", "internal/keeper/watch_linux.go",
	// A child that a signal ends: nobody could wait.
	"internal/testkit/script.go",
}

// keeperMayNot are packages that the keeper links in no case: each would pull
// in much memory or much to get wrong.
var keeperMayNot = []string{
	"crypto/tls", "encoding/gob", "encoding/json", "fmt", "log", "log/slog", "net", "net/http",
	"os/exec", "os/user", "regexp", "text/template",
}

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath   string
	Dir          string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// ours lists the packages of the module, as this system builds them.
func ours(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// below tells whether path is root or stands below it.
func below(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// layerOf is the row of a package and the family that it belongs to.
func layerOf(path string) (row int, family string, ok bool) {
	for row, families := range layers {
		for _, family := range families {
			if below(path, family) {
				return row, family, true
			}
		}
	}
	return 0, "", false
}

func TestLayers(t *testing.T) {
	for _, p := range ours(t) {
		path, _ := strings.CutPrefix(p.ImportPath, module)
		if path == "internal" { // this test
			continue
		}
		row, family, known := layerOf(path)
		if !known && path != testkit {
			t.Errorf("%s has no place in the layers of internal/arch_test.go", path)
			continue
		}
		for _, imported := range p.Imports {
			to, isOurs := strings.CutPrefix(imported, module)
			switch {
			case !isOurs:
				if slices.Contains(onlyStd, path) && strings.Contains(imported, ".") {
					t.Errorf("%s imports %s, but may import the standard library only", path, imported)
				}
			case path == testkit:
				t.Errorf("%s imports %s, but may import nothing of ours", path, to)
			case to == testkit, strings.HasSuffix(to, "test"):
				t.Errorf("%s imports %s, which is for tests", path, to)
			default:
				toRow, toFamily, _ := layerOf(to)
				if toRow > row || toRow == row && toFamily != family {
					t.Errorf("%s imports %s, which does not stand above it", path, to)
				}
			}
		}
	}
}

func TestHeavyDependenciesHaveOneImporter(t *testing.T) {
	for _, p := range ours(t) {
		path, _ := strings.CutPrefix(p.ImportPath, module)
		for _, imported := range p.Imports {
			for heavy, may := range oneImporter {
				if below(imported, heavy) && !slices.ContainsFunc(may, func(m string) bool { return below(path, m) }) {
					t.Errorf("%s imports %s, which only %v may", path, imported, may)
				}
			}
		}
	}
}

// TestKeeperImports is the fence around the keeper: what it links is a list
// that a person reads when it changes. Packages internal to the standard
// library are left out, for they change with Go.
func TestKeeperImports(t *testing.T) {
	if _, err := os.Stat("../cmd/tend-keeper"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no keeper yet")
	}
	cmd := exec.Command("go", "list", "-deps", keeperCmd)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.String())
	}
	got := slices.DeleteFunc(strings.Fields(string(out)), func(path string) bool {
		return !strings.HasPrefix(path, module) &&
			(strings.HasPrefix(path, "vendor/") || slices.Contains(strings.Split(path, "/"), "internal"))
	})
	slices.Sort(got)
	for _, path := range got {
		if slices.Contains(keeperMayNot, path) {
			t.Errorf("the keeper imports %s", path)
		}
	}
	if *update {
		if err := os.WriteFile(depsFile, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list, err := os.ReadFile(depsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Fields(string(list)), got); diff != "" {
		t.Errorf("what the keeper imports (-%s +now; if it is meant so: go test ./internal -update):\n%s", depsFile, diff)
	}
}

// sources calls visit with each Go file of the tree, by its path in the module.
func sources(t *testing.T, visit func(path string, text []byte)) {
	t.Helper()
	walk(t, func(path string, text []byte) {
		if filepath.Ext(path) == ".go" {
			visit(path, text)
		}
	})
}

// walk calls visit with each file of the tree that git would keep, but for
// large ones.
func walk(t *testing.T, visit func(path string, text []byte)) {
	t.Helper()
	const large = 1 << 20
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", "bin", ".demo", "node_modules"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if fi, err := d.Info(); err != nil || !d.Type().IsRegular() || fi.Size() > large {
			return err
		}
		text, err := fs.ReadFile(root, path)
		visit(path, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func isTest(path string) bool { return strings.HasSuffix(path, "_test.go") }

func TestFilesAreShort(t *testing.T) {
	sources(t, func(path string, text []byte) {
		if n := bytes.Count(text, []byte("\n")); n > maxLines && !isTest(path) {
			t.Errorf("%s has %d lines, more than %d: it holds two concepts", path, n, maxLines)
		}
	})
}

func TestStatements(t *testing.T) {
	files := token.NewFileSet()
	sources(t, func(path string, text []byte) {
		if isTest(path) {
			return
		}
		file, err := parser.ParseFile(files, path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				if !slices.Contains(bareGo, path) {
					t.Errorf("%v: a bare go statement: who waits for it?", files.Position(n.Pos()))
				}
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%v: an init function", files.Position(n.Pos()))
				}
			}
			return true
		})
	})
}

// TestNoPathsOfThisMachine looks for what slips in when output is pasted.
func TestNoPathsOfThisMachine(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	walk(t, func(path string, text []byte) {
		if bytes.Contains(text, []byte(root+"/")) {
			t.Errorf("%s names %s", path, root)
		}
	})
}
