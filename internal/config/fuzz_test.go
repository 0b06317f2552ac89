package config

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"tend/internal/app"
	"tend/internal/errs"
)

// fuzz parses text under name: whatever it holds, there is an *errs.Error, or
// there are valid apps.
func fuzz(f *testing.F, name string, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := Context{Cwd: "/", Home: "/", Env: map[string]string{"PATH": "/bin"}, Username: "ann", UID: 1000, CPUs: 2, limit: time.Second}
		r, err := Parse(t.Context(), c, name, text, Options{EnvName: "x"})
		if _, ok := errors.AsType[*errs.Error](err); err != nil && !ok {
			t.Fatalf("got error %v (%T), want an *errs.Error", err, err)
		}
		for _, s := range r.Apps {
			if err := app.Validate(&s); err != nil {
				t.Fatalf("got an app that is not valid: %v", err)
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	fuzz(f, "-", `{"apps": [{"script": "sh", "env": {"A": 1}}]}`, "{apps: [{script: 'sh', watch: /x/,},]} // c", `[{"script": "a b"}]`,
		"(() => ({script: 'sh'}))()", `{"deploy": {"x": {"env": 5}}, "apps": []}`, "({get a() { throw {toString: null} }})", "1e999", "`${1}`")
}

func FuzzYAML(f *testing.F) {
	fuzz(f, "a.yaml", "apps:\n- script: sh\n  env: {1: x, d: 2026-01-31, f: .inf}\n", "x: &a {script: sh}\napps: [*a, {<<: *a}]", "- - -", "? [a]\n: b", "!!binary aGk=", "a: 0o17\nb: 1_000\nc: ~")
}

func FuzzTOML(f *testing.F) {
	fuzz(f, "a.toml", "[[apps]]\nscript = 'sh'\n[apps.env]\nA = 1\nD = 2026-01-31\nT = 10:00:00\nF = inf\n", "a.b.c = [1, [2]]", "apps = {script = 'sh'}")
}

// A script is run by the embedded engine, which has to end whatever it says.
func FuzzScript(f *testing.F) {
	for _, s := range []string{
		"module.exports = { apps: [{ script: 'sh' }] }", "export default async () => [{ script: 'sh' }]", "const x: number = 1; export const apps = [{}]",
		"while (true) {}", "throw { toString: null }", "module.exports = new Proxy({}, { get() { throw 1 } })", "process.exit(1)",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := Context{Cwd: "/", Home: "/", Env: map[string]string{"PATH": "/bin"}, CPUs: 2, NoNode: true, limit: time.Second}
		doc, err := parse(t.Context(), c, "/nowhere/ecosystem.config.ts", scriptFormat, text)
		if _, ok := errors.AsType[*errs.Error](err); err != nil && !ok || err == nil && doc == nil {
			t.Fatalf("got error %v (%T), want an *errs.Error, or a document", err, err)
		}
	})
}

// What a person sees of a file is never a crash, and every place is in the text.
func fuzzPlaces(f *testing.F, in func(text []byte, app int, key string) place, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s), 1, "name")
	}
	f.Fuzz(func(t *testing.T, text []byte, app int, key string) {
		at := in(text, app, key)
		if at == (place{}) {
			return
		}
		lines := bytes.Split(text, []byte("\n"))
		if at.line < 1 || at.column < 1 || at.line > len(lines) || at.column > len(lines[at.line-1])+1 {
			t.Errorf("%d:%d is not in the text", at.line, at.column)
		}
	})
}

func FuzzPlaceInScript(f *testing.F) {
	fuzzPlaces(f, placeInScript, `{"apps": [{"a": 1}, {"name": "x"}]}`, "module.exports = [{}, { name, /* { */ }]", "apps: [}, {name: `", "export default {'name':1}")
}

func FuzzPlaceInTOML(f *testing.F) {
	fuzzPlaces(f, placeInTOML, "[[apps]]\na=1\n[[apps]]\nname='x'\n[apps.env]\nA=1", "name = 'x'", "[apps]\nname=1")
}
