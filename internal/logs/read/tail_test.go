package read

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"tend/internal/errs"
	"tend/internal/logs/logstest"
)

func TestTail(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	tests := map[string]struct {
		content string
		n       int
		want    []string
	}{
		"the last of many":                        {"a\nb\nc\n", 2, []string{"b", "c"}},
		"all, when there are fewer":               {"a\nb\n", 9, []string{"a", "b"}},
		"all, when there are just as many":        {"a\nb\n", 2, []string{"a", "b"}},
		"a last line without an end":              {"a\nb\nc", 2, []string{"b", "c"}},
		"empty lines count":                       {"a\n\n\n", 2, []string{"", ""}},
		"one empty line":                          {"\n", 5, []string{""}},
		"an empty file":                           {"", 5, nil},
		"none were asked for":                     {"a\n", 0, nil},
		"less than none were asked for":           {"a\n", -1, nil},
		"a line of exactly the most":              {"a\n" + long + "\n", 1, []string{long}},
		"a line over the most is cut":             {"a\n" + long + "y\nb\n", 2, []string{long, "b"}},
		"a line over the most without an end":     {"a\n" + long + "yz", 1, []string{long}},
		"a line end on the border of a block":     {"a\n" + strings.Repeat("b", blockSize-1) + "\nc\n", 3, []string{"a", strings.Repeat("b", blockSize-1), "c"}},
		"a file of just one block":                {strings.Repeat("b", blockSize-1) + "\n", 1, []string{strings.Repeat("b", blockSize-1)}},
		"a line end as the first byte of a block": {"a\n" + strings.Repeat("b", blockSize-1), 1, []string{strings.Repeat("b", blockSize-1)}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			logstest.Put(t, path, tt.content)
			got, err := Tail(path, tt.n)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("got (-), want (+):\n%.2000s", diff)
			}
		})
	}
}

func TestTailOfWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "missing"), os.DevNull, fifo, dir} {
		if got, err := Tail(path, 5); err != nil || len(got) != 0 {
			t.Errorf("%s: %q, %v, want nothing", path, got, err)
		}
	}
	if _, err := Tail(filepath.Join(fifo, "x"), 5); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), fifo) {
		t.Errorf("below a file: %v, want an invalid path that is named", err)
	}
}

// The last n lines are what splitting the whole file would give.
func TestTailIsWhatSplittingGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat("z", rapid.SampledFrom([]int{0, 1, 2, 100, blockSize - 1, blockSize, blockSize + 1}).Draw(t, "size"))
		}), 0, 12).Draw(t, "lines")
		content := strings.Join(lines, "\n")
		if rapid.Bool().Draw(t, "ended") {
			content += "\n"
		}
		n := rapid.IntRange(0, 14).Draw(t, "n")

		want := strings.Split(content, "\n")
		if want[len(want)-1] == "" {
			want = want[:len(want)-1]
		}
		want = want[max(0, len(want)-n):]
		got, err := tail(strings.NewReader(content), int64(len(content)), n)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Join(got, "\n"), strings.Join(want, "\n")); diff != "" || len(got) != len(want) {
			t.Errorf("%d lines, want %d", len(got), len(want))
		}
	})
}
