// Package logstest is for the tests of what writes, tidies and reads logs: it
// makes files, looks at what was put aside as no reader of ours would, and
// keeps what was logged.
package logstest

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"tend/internal/logs"
)

// Put makes a file.
func Put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Names are the names in a directory, sorted.
func Names(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Aside is the text of each file that was put aside of a log, the oldest first.
func Aside(t testing.TB, path string) []string {
	t.Helper()
	for {
		texts, err := aside(path)
		if err == nil {
			return texts
		}
		if !errors.Is(err, fs.ErrNotExist) { // it was just compressed: look again
			t.Fatal(err)
		}
	}
}

func aside(path string) (texts []string, err error) {
	parts, err := logs.Rotated(path)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		text, err := unpack(p.Path, p.Method)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Path, err)
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func unpack(path, method string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var r io.Reader = f
	switch method {
	case "gzip":
		r, err = gzip.NewReader(f)
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1)); err == nil {
			defer d.Close()
			r = d
		}
	}
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

// Log is a handler that keeps the messages of what is logged.
type Log struct {
	mu       sync.Mutex
	messages []string
}

// Messages are those that were logged until now.
func (l *Log) Messages() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.messages)
}

// Enabled tells that everything is kept.
func (l *Log) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs is the same handler: attributes are not kept.
func (l *Log) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup is the same handler.
func (l *Log) WithGroup(string) slog.Handler { return l }

// Handle keeps a message.
func (l *Log) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = append(l.messages, r.Message)
	return nil
}
