package secret

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tend/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, dir, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func shell(text string) api.Secret { return api.Secret{Cmd: []string{"/bin/sh", "-c", text}} }

func world(t *testing.T) Reader {
	return Reader{
		Env: []string{"PATH=/bin:/usr/bin", "WHO=app"}, Dir: t.TempDir(),
		lookup: func(name string) (string, bool) {
			value, ok := map[string]string{"GIVEN": "of the daemon", "EMPTY": ""}[name]
			return value, ok
		},
	}
}

func TestValues(t *testing.T) {
	r := world(t)
	dir := t.TempDir()
	full := bytes.Repeat([]byte("x"), maxValue)
	for name, test := range map[string]struct {
		from api.Secret
		want string
	}{
		"a file":                             {api.Secret{File: write(t, dir, "plain", []byte("s3cret"))}, "s3cret"},
		"a file with a line break":           {api.Secret{File: write(t, dir, "line", []byte("s3cret\n"))}, "s3cret"},
		"a file with a line break of DOS":    {api.Secret{File: write(t, dir, "dos", []byte("s3cret\r\n"))}, "s3cret"},
		"only the last line break goes":      {api.Secret{File: write(t, dir, "key", []byte("-----BEGIN\nx\n\n"))}, "-----BEGIN\nx\n"},
		"a file with half of one":            {api.Secret{File: write(t, dir, "half", []byte("s3cret\r"))}, "s3cret\r"},
		"a file as long as may be":           {api.Secret{File: write(t, dir, "long", append(full, '\n'))}, string(full)},
		"a variable of ours":                 {api.Secret{Env: "GIVEN"}, "of the daemon"},
		"a command":                          {shell("echo out; echo err >&2"), "out"},
		"it has the environment of the app":  {shell("echo $WHO$GIVEN"), "app"},
		"it runs in the directory of an app": {shell("pwd"), r.Dir},
		"no shell sees its arguments":        {api.Secret{Cmd: []string{"/bin/echo", "$WHO", "a b", "*"}}, "$WHO a b *"},
		"as long as may be":                  {shell(fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x", maxValue)), string(full)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := r.Values(t.Context(), map[string]api.Secret{"S": test.from})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, map[string]string{"S": test.want}); diff != "" {
				t.Errorf("-got +want\n%s", diff)
			}
		})
	}
}

func TestManyAreFoundTogether(t *testing.T) {
	many, want := map[string]api.Secret{}, map[string]string{}
	for i := range 3 * atOnce {
		name := fmt.Sprint("S", i)
		many[name], want[name] = shell("echo value of "+name), "value of "+name
	}
	got, err := world(t).Values(t.Context(), many)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("-got +want\n%s", diff)
	}
}

func TestWhatIsNoSecret(t *testing.T) {
	r := world(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		from    api.Secret
		say     string
		passing bool
	}{
		"no file":                      {api.Secret{File: dir + "/none"}, "env S: file:" + dir + "/none: no such file or directory", false},
		"a directory":                  {api.Secret{File: dir}, "it is not a regular file", false},
		"a fifo that nobody writes":    {api.Secret{File: fifo}, "it is not a regular file", false},
		"an empty file":                {api.Secret{File: write(t, dir, "empty", []byte("\n"))}, "it is empty", false},
		"too long a file":              {api.Secret{File: write(t, dir, "long", make([]byte, maxValue+1))}, "longer than 64 KiB", false},
		"a zero byte":                  {api.Secret{File: write(t, dir, "zero", []byte("s3c\x00ret"))}, "zero byte", false},
		"no variable":                  {api.Secret{Env: "NONE"}, "the daemon was started without this variable", false},
		"an empty variable":            {api.Secret{Env: "EMPTY"}, "it is empty", false},
		"no program":                   {api.Secret{Cmd: []string{dir + "/none"}}, "no such file or directory", true},
		"a program that fails":         {shell("echo s3cret; echo not logged in >&2; exit 3"), "it ended with exit status 3: not logged in", true},
		"a program that dies":          {shell("echo s3cret; kill -9 $$"), "it ended with signal: killed", true},
		"a program that says none":     {shell("true"), "it is empty", true},
		"a program without an end":     {shell("while :; do echo s3cret; done"), "longer than 64 KiB", true},
		"complaints without an end":    {shell("head -c 100000 /dev/zero | tr '\\0' e >&2; exit 1"), "it ended with exit status 1: ", true},
		"complaints are made harmless": {shell(`printf '\033[31mno\nlogin' >&2; exit 1`), "exit status 1:  [31mno login", true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := r.Values(t.Context(), map[string]api.Secret{"S": test.from, "OTHER": {Env: "GIVEN"}})
			e, ok := errors.AsType[*Error](err)
			if !ok || got != nil {
				t.Fatalf("got %v, %v; want an Error", got, err)
			}
			if !strings.Contains(err.Error(), test.say) || e.Passing != test.passing {
				t.Errorf("got %q, passing %v; want %q, %v", err, e.Passing, test.say, test.passing)
			}
			if text := strings.ReplaceAll(err.Error(), e.From.String(), ""); strings.Contains(text, "s3c") || len(text) > 400 {
				t.Errorf("it says too much: %s", text)
			}
		})
	}
}

func TestPatience(t *testing.T) {
	r := world(t)
	r.limit = 100 * time.Millisecond
	_, err := r.Values(t.Context(), map[string]api.Secret{"S": shell("sleep 60")})
	if e, ok := errors.AsType[*Error](err); !ok || !e.Passing || !strings.Contains(err.Error(), "it took longer than 100ms") {
		t.Errorf("got %v", err)
	}
}
