package config

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"tend/internal/errs"
)

// settleSource is what both engines do with what a file exports.
//
//go:embed settle.cjs
var settleSource string

// printer is how node comes to it.
//
//go:embed printer.cjs
var printer string

// errNoObject is what a file gives that exports nothing.
var errNoObject = errors.New("it exports nothing that a configuration could be")

// evalScript evaluates the JavaScript or TypeScript file at path, which holds
// text, and gives what it exports as JSON.
func evalScript(ctx context.Context, c Context, path string, text []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.evalLimit())
	defer cancel()
	node := ""
	if !c.NoNode {
		node, _ = lookPath(c, "node")
	}
	switch {
	case node == "":
		code, err := bundle(path, text, false)
		if err != nil {
			return nil, err
		}
		return evalBundle(ctx, c, path, code)
	case strings.HasSuffix(path, "ts"):
		code, err := bundle(path, text, true)
		if err != nil {
			return nil, err
		}
		return evalNode(ctx, c, node, path, code)
	}
	out, err := evalNode(ctx, c, node, path, nil)
	if e, ok := errors.AsType[*scriptError](err); !ok || e.ran || !strings.HasPrefix(e.message, "SyntaxError") {
		return out, err
	}
	// Two things look like this: a fault, of which the bundler knows the place
	// better than node, and "export" in a .js file, which older nodes refuse.
	code, err := bundle(path, text, true)
	if err != nil {
		return nil, err
	}
	return evalNode(ctx, c, node, path, code)
}

func (c Context) evalLimit() time.Duration {
	if c.limit > 0 {
		return c.limit
	}
	return evalLimit
}

// scriptError is an exception that a configuration file threw.
type scriptError struct {
	message string // "TypeError: x is not a function"
	place   string // "/srv/ecosystem.config.js:3:7", or empty
	ran     bool   // thrown by code, not by the parser
}

func (e *scriptError) Error() string {
	if e.place == "" {
		return e.message
	}
	return e.place + ": " + e.message
}

// late is the error for a file that ctx stopped.
func late(ctx context.Context, c Context) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	return &errs.Error{
		Kind: errs.Timeout, Err: fmt.Errorf("it was not evaluated within %v", c.evalLimit()),
		Hint: "look for a loop or a wait without end in the file",
	}
}

// evalNode has node import the file at path, or run code in its place.
func evalNode(ctx context.Context, c Context, node, path string, code []byte) ([]byte, error) {
	source := "file"
	var stdin io.Reader
	if code != nil {
		source, stdin = "bundled", bytes.NewReader(code)
	}
	cmd := exec.CommandContext(ctx, node, "--enable-source-maps", "-e", settleSource+printer, path, source)
	cmd.Stdin = stdin
	cmd.Dir = c.Cwd
	cmd.Env = c.environ()
	complaints := &head{left: 16 << 10}
	cmd.Stderr = complaints
	// Whatever the file started goes with it when the time is over.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second

	// The answer has a descriptor of its own, for the file may print.
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer r.Close()
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Start()
	_ = w.Close() // ours; node has its own
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", node, err)
	}
	var out []byte
	var reading sync.WaitGroup
	reading.Go(func() {
		out, _ = io.ReadAll(io.LimitReader(r, maxResult+1)) // cut short, it is no JSON
		if len(out) > maxResult {
			_ = r.Close() // node gets EPIPE and ends
		}
	})
	err = cmd.Wait()
	// All that node wrote is in the pipe. A process that it left behind may
	// hold the other end, though, and must not hold us.
	_ = r.SetReadDeadline(time.Now().Add(cmd.WaitDelay))
	reading.Wait()
	if ctx.Err() != nil {
		return nil, late(ctx, c)
	}
	return answer(out, complaints.String(), err)
}

// environ is the environment for a node that we start. Where the client runs
// inside an app, node would take our descriptor 3 for the channel to a parent.
func (c Context) environ() []string {
	env := make([]string, 0, len(c.Env)) // not nil, which would stand for ours
	for k, v := range c.Env {
		if !strings.HasPrefix(k, "NODE_CHANNEL_") && k != "NODE_UNIQUE_ID" {
			env = append(env, k+"="+v)
		}
	}
	return env
}

// answer reads what settle made of a file.
func answer(out []byte, complaints string, exit error) ([]byte, error) {
	if len(out) > maxResult {
		return nil, fmt.Errorf("what it exports is larger than %d MiB", maxResult>>20)
	}
	var message struct {
		Value json.RawMessage
		Error *struct{ Message, Stack string }
	}
	if json.Unmarshal(out, &message) != nil {
		// Thrown outside of what settle can catch, or process.exit.
		e := &scriptError{message: "it ended before it exported anything"}
		if exit != nil {
			e.message += ": " + exit.Error()
		}
		if m := thrown.FindString(complaints); m != "" {
			e.message = m
			e.place, e.ran = placeIn(complaints)
		}
		return nil, e
	}
	if e := message.Error; e != nil {
		place, ran := placeIn(e.Stack)
		return nil, &scriptError{message: e.Message, place: place, ran: ran}
	}
	if message.Value == nil {
		return nil, errNoObject
	}
	return message.Value, nil
}

// thrown matches the line of node's last words that names the error.
var thrown = regexp.MustCompile(`(?m)^(Uncaught )?\w*Error.*$`)

// frame matches a place in a file, alone on its line as node shows it for what
// it could not parse, or after "at". Node's own files have no absolute path.
var frame = regexp.MustCompile(`(?m)(^|\(|at (?:async )?)(?:file://)?(/[^()\n]+?:\d+(?::\d+)?)(?:\(\d+\))?\)?$`)

// placeIn is the innermost place in a stack, and whether it is where code ran
// rather than where parsing it ended.
func placeIn(stack string) (place string, ran bool) {
	m := frame.FindStringSubmatch(stack)
	if m == nil {
		return "", false
	}
	return m[2], m[1] != ""
}

// head keeps the beginning of what is written to it.
type head struct {
	strings.Builder

	left int
}

func (h *head) Write(p []byte) (int, error) {
	keep := p[:min(len(p), h.left)]
	h.left -= len(keep)
	h.Builder.Write(keep)
	return len(p), nil
}
