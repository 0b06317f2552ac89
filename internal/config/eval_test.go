package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tend/internal/errs"
	"tend/internal/testkit"
)

// both runs test with the real node and with the embedded engine.
func both(t *testing.T, files map[string]string, test func(t *testing.T, c Context)) {
	t.Helper()
	t.Run("with node", func(t *testing.T) { test(t, withNode(t, world(t, files))) })
	t.Run("with the embedded engine", func(t *testing.T) {
		c := world(t, files)
		c.NoNode = true
		test(t, c)
	})
}

func TestScriptsThatFail(t *testing.T) {
	const child = "\nfunction f() { throw new TypeError('boom') }\nmodule.exports = f()\n"
	for name, tt := range map[string]struct {
		file, text string
		say        []string // %s stands for the directory
	}{
		"one that throws":                  {"a.config.js", child, []string{"read a.config.js: %s/a.config.js:2:", "TypeError: boom"}},
		"a file that it requires":          {"a.config.js", "require('./child')", []string{"%s/child.js:2:", "TypeError: boom"}},
		"TypeScript that throws":           {"a.config.ts", "interface X {}\n\nconst x: X = {}\nnosuch(x)", []string{"%s/a.config.ts:4:", "nosuch is not defined"}},
		"a function that throws":           {"a.config.js", "module.exports = () => {\n null.x }", []string{"%s/a.config.js:2:", "TypeError: "}},
		"a promise that is rejected":       {"a.config.mjs", "export default async () => {\n await null\n throw new Error('late')\n}", []string{"%s/a.config.mjs:3:", "Error: late"}},
		"one that throws a text":           {"a.config.js", "throw 'plain words'", []string{"plain words"}},
		"a fault in a module of CommonJS":  {"a.config.js", "module.exports = {\n apps: [\n {name: 'a'},,\n }", []string{"%s/a.config.js:4:2: Unexpected \"}\""}},
		"a fault in an ECMAScript module":  {"a.config.mjs", "export default {\n apps: [\n {name: 'a'},,\n }", []string{"%s/a.config.mjs:4:2: Unexpected \"}\""}},
		"a fault in TypeScript":            {"a.config.ts", "const x: = 5", []string{"%s/a.config.ts:1:"}},
		"a text that JSON.parse refuses":   {"a.config.js", "module.exports =\n  JSON.parse('{')", []string{"%s/a.config.js:2:", "SyntaxError: "}},
		"a file that is not there":         {"a.config.js", "\nrequire('./nosuch')", []string{"%s/a.config.js:2:", "./nosuch"}},
		"a number that JSON does not have": {"a.config.js", "module.exports = { apps: [{ script: 'app.js', max_restarts: [Infinity] }] }", []string{"max_restarts: want a number, got [null]"}},
		"nothing exported":                 {"a.config.js", "module.exports = undefined", []string{"exports nothing"}},
		"no app":                           {"a.config.js", "", []string{"describes no app"}},
		"one that ends the process":        {"a.config.js", "process.exit(3)", []string{"a.config.js", "exit"}},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, map[string]string{"child.js": child, "app.js": "", tt.file: tt.text}, func(t *testing.T, c Context) {
				_, err := Load(t.Context(), c, tt.file, Options{})
				for _, part := range tt.say {
					wantError(t, err, errs.Invalid, strings.ReplaceAll(part, "%s", c.Cwd))
				}
			})
		})
	}
}

func TestScriptsThatLoopAreEnded(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"a loop":                    {"a.config.js": "while (true) {}"},
		"a loop in TypeScript":      {"a.config.ts": "while (true) {}"},
		"a loop in a getter":        {"a.config.js": "module.exports = { get apps() { while (true) {} } }"},
		"a loop in what it exports": {"a.config.js": "module.exports = () => { while (true) {} }"},
		"a loop in JSON":            {"a.json": "{ get apps() { while (true) {} } }"},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, files, func(t *testing.T, c Context) {
				c.limit = 300 * time.Millisecond
				for file := range files {
					begin := time.Now()
					_, err := Load(t.Context(), c, file, Options{})
					wantError(t, err, errs.Timeout, "read "+file, "not evaluated within 300ms", "loop")
					if took := time.Since(begin); took > 5*time.Second {
						t.Errorf("it took %v to say so", took)
					}
				}
			})
		})
	}
}

func TestScriptsEndWithTheirContext(t *testing.T) {
	both(t, map[string]string{"a.config.js": "while (true) {}"}, func(t *testing.T, c Context) {
		because := errors.New("the user pressed Ctrl-C")
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := time.AfterFunc(100*time.Millisecond, func() { cancel(because) })
		defer stop.Stop()
		if _, err := Load(ctx, c, "a.config.js", Options{}); !errors.Is(err, because) {
			t.Errorf("got %v, want the cause of the end", err)
		}
	})
}

// What a file starts in the background does not keep the client waiting, and
// does not outlive a file that is ended.
func TestScriptLeavesProcessesBehind(t *testing.T) {
	const start = "const p = require('child_process').spawn('sleep', ['600'], { stdio: 'inherit' });" +
		"require('fs').writeFileSync(__dirname + '/pid', String(p.pid));"
	c := withNode(t, world(t, map[string]string{
		"ends.config.js": start + "module.exports = { script: 'app.js' }", "app.js": "",
		"hangs.config.js": start + "while (true) {}",
	}))
	c.Env["PATH"] += ":/usr/bin:/bin"
	pid := func() int {
		text, err := os.ReadFile(filepath.Join(c.Cwd, "pid"))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(string(text))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Kill(n, syscall.SIGKILL) })
		return n
	}
	if _, err := Load(t.Context(), c, "ends.config.js", Options{}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid(), 0); err != nil {
		t.Errorf("a process that the file started and left was ended: %v", err)
	}
	if err := os.Remove(filepath.Join(c.Cwd, "pid")); err != nil {
		t.Fatal(err)
	}
	because := errors.New("it has started its process")
	ctx, cancel := context.WithCancelCause(t.Context())
	hung := make(chan error, 1)
	go func() {
		_, err := Load(ctx, c, "hangs.config.js", Options{})
		hung <- err
	}()
	testkit.WaitFor(t, 20*time.Second, because.Error(), func() bool {
		text, err := os.ReadFile(filepath.Join(c.Cwd, "pid"))
		return err == nil && len(text) > 0
	})
	cancel(because)
	if err := <-hung; !errors.Is(err, because) {
		t.Errorf("got %v, want the cause of the end", err)
	}
	for deadline := time.Now().Add(10 * time.Second); alive(pid()); {
		if time.Now().After(deadline) {
			t.Fatal("the process that the file started is still there")
		}
	}
}

// alive tells whether a process runs; one that nobody reaped does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !errors.Is(err, os.ErrNotExist)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// In an app, the client has a channel to its parent in its environment, which
// is not for the node that it starts.
func TestScriptInsideOfAnApp(t *testing.T) {
	c := withNode(t, world(t, map[string]string{"a.config.js": "module.exports = { script: 'app.js', args: [String(process.send)] }", "app.js": ""}))
	c.Env["NODE_CHANNEL_FD"] = "3"
	c.Env["NODE_UNIQUE_ID"] = "1"
	got, err := Load(t.Context(), c, "a.config.js", Options{})
	if err != nil || got.Apps[0].Args[0] != "undefined" {
		t.Errorf("got %v, %v", got.Apps, err)
	}
}

func TestScriptExportsTooMuch(t *testing.T) {
	c := withNode(t, world(t, map[string]string{"a.config.js": "module.exports = { script: 'x'.repeat(70 << 20) }"}))
	_, err := Load(t.Context(), c, "a.config.js", Options{})
	wantError(t, err, errs.Invalid, "larger than 64 MiB")
}

func TestScriptsCanFailLater(t *testing.T) {
	c := withNode(t, world(t, map[string]string{
		"a.config.js": "setTimeout(() => { throw new Error('later') }); module.exports = new Promise(() => {})",
		"b.config.js": "module.exports = new Promise(() => {})",
	}))
	_, err := Load(t.Context(), c, "a.config.js", Options{})
	wantError(t, err, errs.Invalid, c.Cwd+"/a.config.js:1", "Error: later")
	_, err = Load(t.Context(), c, "b.config.js", Options{})
	wantError(t, err, errs.Invalid, "ended before it exported anything")
}

// What configurations ask of node, node and the engine answer alike.
func TestScriptsSeeTheMachine(t *testing.T) {
	const text = `
const path = require('path'), os = require('node:os'), fs = require('fs')
console.log('noise'); console.error('noise')
const args = [
	__dirname, __filename, process.cwd(), process.env.COLOR, String(process.env.NOSUCH), process.platform, process.arch,
	path.join(__dirname, 'a', '..', 'b'), path.join('a', 'b/'), path.join(''), path.join(), path.resolve('x', '../y'), path.resolve('/x', 'y'),
	path.dirname('/a/b.c'), path.basename('/a/b.c.d'), path.basename('/a/b.c', '.c'), path.extname('b.c.d'), path.extname('.rc'), path.extname('b'),
	path.relative('/a/b', '/a/c/d'), path.relative('/a', '/a'), String(path.isAbsolute('a')), path.normalize('/a//b/../c'), path.sep, path.delimiter,
	os.EOL, os.platform(), os.arch(), os.tmpdir(), os.hostname(), typeof os.cpus().length, typeof os.userInfo().username,
	fs.readFileSync('note.txt', 'utf8'), String(fs.existsSync('note.txt')), String(fs.existsSync('nosuch')), fs.readdirSync('list').join(),
	JSON.stringify(require('./note.json')), require('process').platform,
]
try { fs.readFileSync('nosuch') } catch (e) { args.push('caught') }
module.exports = { script: 'app.js', args, ignore_watch: [/node_modules/i, /a\/b/, 'plain'], watch: true }`
	var seen [][]string
	both(t, map[string]string{
		"a.config.js": text, "app.js": "", "note.txt": "hello", "note.json": `{"a": [1]}`, "list/x": "", "list/y": "",
	}, func(t *testing.T, c Context) {
		c.Env["COLOR"] = "blue"
		c.Env["TMPDIR"] = "/some/where"
		got, err := Load(t.Context(), c, "a.config.js", Options{})
		if err != nil {
			t.Fatal(err)
		}
		a := got.Apps[0]
		for i, s := range a.Args {
			a.Args[i] = strings.ReplaceAll(s, c.Cwd, "HERE")
		}
		if want := "regexp:(?i)node_modules regexp:a\\/b plain"; strings.Join(a.Watch.Ignore, " ") != want {
			t.Errorf("ignore_watch: got %q, want %s", a.Watch.Ignore, want)
		}
		seen = append(seen, a.Args)
	})
	if len(seen) != 2 {
		t.Skip("there is nothing to compare with")
	}
	for i := range seen[0] {
		if seen[0][i] != seen[1][i] {
			t.Errorf("args[%d]: node has %q, the engine %q", i, seen[0][i], seen[1][i])
		}
	}
}

func TestEngineSaysWhatNeedsNode(t *testing.T) {
	for name, tt := range map[string]struct{ text, say string }{
		"a module that the engine lacks": {"require('crypto').createHash('md5')", "crypto.createHash"},
		"a wait for a timer":             {"module.exports = new Promise(() => {})", "waits for something"},
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t, map[string]string{"a.config.js": tt.text})
			c.NoNode = true
			_, err := Load(t.Context(), c, "a.config.js", Options{})
			wantError(t, err, errs.Invalid, tt.say, "with node in PATH")
		})
	}
}

func TestEngineBundlesPackages(t *testing.T) {
	files := map[string]string{
		"node_modules/lib/package.json": `{"name": "lib", "main": "m.js"}`,
		"node_modules/lib/m.js":         "const unused = require('crypto'); exports.script = 'app.js'",
		"a.config.mjs":                  "import { script } from 'lib'\nexport default { apps: [{ script }] }",
		"b.config.ts":                   "import { script } from 'lib'\nexport default { apps: [{ script, env: { U: import.meta.url, D: __dirname } }] }",
		"app.js":                        "",
	}
	both(t, files, func(t *testing.T, c Context) {
		for _, file := range []string{"a.config.mjs", "b.config.ts"} {
			got, err := Load(t.Context(), c, file, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Apps[0].Name != "app" {
				t.Errorf("%s: got %v", file, got.Apps)
			}
			if env := got.Apps[0].Env; file == "b.config.ts" && (env["U"] != "file://"+c.Cwd+"/b.config.ts" || env["D"] != c.Cwd) {
				t.Errorf("%s: got %v", file, env)
			}
		}
	})
}

func TestEngineBoundsRecursion(t *testing.T) {
	c := world(t, map[string]string{"a.json": "(function f() { return [f()] })()"})
	_, err := Load(t.Context(), c, "a.json", Options{})
	wantError(t, err, errs.Invalid)
}

// A file that throws a SyntaxError of its own is not taken for one that cannot
// be parsed, and run again.
func TestScriptRunsOnce(t *testing.T) {
	c := withNode(t, world(t, map[string]string{"a.config.js": "require('fs').appendFileSync('runs', 'x')\nJSON.parse('{')"}))
	_, err := Load(t.Context(), c, "a.config.js", Options{})
	wantError(t, err, errs.Invalid, "SyntaxError")
	if runs, err := os.ReadFile(filepath.Join(c.Cwd, "runs")); string(runs) != "x" {
		t.Errorf("it ran %d times (%v), want once", len(runs), err)
	}
}

func TestHeadKeepsTheBeginning(t *testing.T) {
	h := &head{left: 5}
	for _, s := range []string{"abc", "defg", "hij"} {
		if n, err := h.Write([]byte(s)); n != len(s) || err != nil {
			t.Errorf("write %q: got %d, %v; a writer must not be stopped", s, n, err)
		}
	}
	if h.String() != "abcde" {
		t.Errorf("got %q, want the first 5 bytes", h.String())
	}
}
