package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func shell(text string) Command { return Command{Argv: []string{"/bin/sh", "-c", text}, Most: 100} }

func TestOutput(t *testing.T) {
	t.Setenv("OURS", "is not theirs")
	dir := t.TempDir()
	for name, test := range map[string]struct {
		text string
		want string
		say  string // "": it succeeds
	}{
		"what it writes":        {"echo out; echo err >&2", "out\n", ""},
		"where it runs":         {"pwd", dir + "\n", ""},
		"none of our variables": {"echo $OURS$WHO", "app\n", ""},
		"as much as it may":     {"printf %0100d 1", strings.Repeat("0", 99) + "1", ""},
		"too much":              {"printf %0101d 1", "", ErrTooLong.Error()},
		"without an end":        {"while :; do echo x; done", "", ErrTooLong.Error()},
		"a failure":             {"exit 3", "", "it ended with exit status 3"},
		"why it failed":         {"printf '\\033[31mno\nlogin' >&2; exit 1", "", "it ended with exit status 1:  [31mno login"},
		"a death":               {"kill -9 $$", "", "it ended with signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			c := shell(test.text)
			c.Dir, c.Env = dir, []string{"WHO=app", "PATH=/bin:/usr/bin"}
			got, err := c.Output(t.Context())
			said := ""
			if err != nil {
				said = err.Error()
			}
			if diff := cmp.Diff([]string{string(got), said}, []string{test.want, test.say}); diff != "" {
				t.Errorf("output, error (-got +want):\n%s", diff)
			}
		})
	}
	if _, err := (Command{Argv: []string{dir + "/none"}}).Output(t.Context()); !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), dir) {
		t.Errorf("got %v for a program that is not there", err)
	}
}

// TestPatience has a program, and a child of it that holds the pipe open, outlive
// the limit.
func TestPatience(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	ctx, cancel := context.WithCancelCause(t.Context())
	began := make(chan error, 1)
	go func() {
		defer cancel(errors.New("enough"))
		for { // until both are there
			text, err := os.ReadFile(pids)
			if len(strings.Fields(string(text))) == 2 || t.Context().Err() != nil {
				began <- err
				return
			}
		}
	}()
	_, err := shell("sleep 60 & echo $! $$ > " + pids + "; wait").Output(ctx)
	if err == nil || err.Error() != "enough" {
		t.Errorf("got %v, want the cause", err)
	}
	if err := <-began; err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for pid := range strings.FieldsSeq(string(text)) {
		for {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%s/stat", pid))
			if err != nil || strings.Contains(string(stat), ") Z ") {
				break // gone, or a zombie that its new parent has not waited for yet
			}
			if time.Now().After(deadline) {
				t.Fatalf("process %s still runs: %s", pid, stat)
			}
		}
	}
}
