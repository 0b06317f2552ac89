package config

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"
	"github.com/evanw/esbuild/pkg/api"

	"tend/internal/errs"
)

const (
	// maxStack bounds recursion, which in the engine costs memory of ours.
	maxStack = 5000
	// maxNesting bounds brackets in brackets, and arrow functions: the engine's
	// parser recurses on the goroutine's stack, and the end of that stack is the end
	// of the program. Functions it parses again and again, for minutes if they are many.
	maxNesting = 500
	// maxExpression bounds the same for operators, which nest without brackets.
	maxExpression = 512 << 10
)

// bundle makes one script in the form of a CommonJS module of the file at
// path, which holds text, and the files that it imports. With external,
// packages stay for node to find.
func bundle(path string, text []byte, external bool) ([]byte, error) {
	here := quote((&url.URL{Scheme: "file", Path: path}).String())
	o := api.BuildOptions{
		Stdin: &api.StdinOptions{
			Contents:   string(text),
			ResolveDir: filepath.Dir(path),
			Sourcefile: path,
			Loader:     api.LoaderJS,
		},
		Bundle:         true,
		Platform:       api.PlatformNode,
		Format:         api.FormatCommonJS,
		Target:         api.ES2017, // what the engine knows for sure
		Sourcemap:      api.SourceMapInline,
		SourcesContent: api.SourcesContentExclude,
		AbsWorkingDir:  filepath.Dir(path),
		LogLevel:       api.LogLevelSilent,
		Define: map[string]string{
			"import.meta.url":      here,
			"import.meta.filename": quote(path),
			"import.meta.dirname":  quote(filepath.Dir(path)),
		},
	}
	if strings.HasSuffix(path, "ts") {
		o.Stdin.Loader = api.LoaderTS
	}
	if external {
		o.Packages, o.Target = api.PackagesExternal, api.ES2022
	}
	r := api.Build(o)
	if len(r.Errors) > 0 {
		m := r.Errors[0]
		e := &scriptError{message: m.Text}
		if l := m.Location; l != nil {
			e.place = fmt.Sprintf("%s:%d:%d", filepath.Join(o.AbsWorkingDir, relative(o.AbsWorkingDir, l.File)), l.Line, l.Column+1)
		}
		return nil, e
	}
	if len(r.OutputFiles) == 0 {
		return nil, errNoObject
	}
	return r.OutputFiles[0].Contents, nil
}

func quote(s string) string {
	text, _ := json.Marshal(s) // a string always marshals
	return string(text)
}

// evalBundle runs code, which bundle made of the file at path, in the
// embedded engine and gives what it exports as JSON.
func evalBundle(ctx context.Context, c Context, path string, code []byte) ([]byte, error) {
	program, err := compile(path, string(code))
	if err != nil {
		return nil, err
	}
	return evaluate(ctx, c, func(vm *goja.Runtime) (goja.Value, error) {
		// Globals in place of node's wrapper function, which would move the
		// places in the source map.
		module, exports := vm.NewObject(), vm.NewObject()
		err := errors.Join(
			module.Set("exports", exports), vm.Set("exports", exports), vm.Set("module", module),
			vm.Set("require", newShims(vm, c, path).require),
			vm.Set("__filename", path), vm.Set("__dirname", filepath.Dir(path)),
		)
		if err == nil {
			_, err = vm.RunProgram(program)
		}
		return module.Get("exports"), err
	})
}

func compile(name, text string, o ...parser.Option) (*goja.Program, error) {
	tree, err := parser.ParseFile(nil, name, text, 0, o...)
	if err != nil {
		return nil, err
	}
	return goja.CompileAST(tree, false)
}

// evalExpression gives the value of a JavaScript expression as JSON.
func evalExpression(ctx context.Context, c Context, text []byte) ([]byte, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("it is not strict JSON and larger than %d KiB", maxExpression>>10)
	}
	depth := 0
	for i, b := range text {
		switch b {
		case '>': // => nests without brackets, and each level is parsed once more
			if i > 0 && text[i-1] == '=' {
				depth++
			}
		case '(', '[', '{', '`':
			depth++
		case ')', ']', '}':
			depth--
		}
		if depth > maxNesting {
			return nil, fmt.Errorf("its brackets and functions are nested deeper than %d", maxNesting)
		}
	}
	// A map named in a comment would be read from disk. The line breaks keep the
	// columns right, and end a comment on the last line.
	program, err := compile("", "(\n"+string(text)+"\n)", parser.WithDisableSourceMaps)
	if list, ok := errors.AsType[parser.ErrorList](err); ok && len(list) > 0 {
		at := list[0].Position
		if at.Line > bytes.Count(text, []byte("\n"))+2 {
			return nil, errors.New("it ends too early")
		}
		return nil, placed(at.Line-1, at.Column, list[0].Message)
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.evalLimit())
	defer cancel()
	return evaluate(ctx, c, func(vm *goja.Runtime) (goja.Value, error) { return vm.RunProgram(program) })
}

// evaluate gives what load gives as JSON, and ends it when ctx does. Values
// of the script are touched inside the engine only: a getter may throw, and
// may loop.
func evaluate(ctx context.Context, c Context, load func(*goja.Runtime) (goja.Value, error)) ([]byte, error) {
	vm := goja.New()
	vm.SetMaxCallStackSize(maxStack)
	stop := context.AfterFunc(ctx, func() { vm.Interrupt(ctx.Err()) })
	defer stop()
	err := newShims(vm, c, "").globals()
	if err != nil {
		return nil, err
	}
	settle, err := vm.RunString("(() => {" + settleSource + "\nreturn settle})()")
	if err != nil {
		return nil, fmt.Errorf("prepare the engine: %w", err)
	}
	call, _ := goja.AssertFunction(settle)
	result, err := call(goja.Undefined(), vm.ToValue(func() (goja.Value, error) { return load(vm) }))
	if ctx.Err() != nil {
		return nil, late(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	promise, ok := result.Export().(*goja.Promise)
	if !ok || promise.State() != goja.PromiseStateFulfilled {
		return nil, &errs.Error{
			Kind: errs.Invalid, Err: errors.New("what it exports waits for something that the embedded engine does not have"),
			Hint: hintNode,
		}
	}
	return answer([]byte(promise.Result().String()), "", nil)
}

const hintNode = "with node in PATH the file is evaluated by node itself"
