package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clipperhouse/displaywidth"
	"github.com/google/go-cmp/cmp"

	"tend/api"
)

func TestTable(t *testing.T) {
	now := moment(1_700_000_000_000)
	tests := map[string]struct {
		env  Env
		list []api.Instance
	}{
		"full.txt":      {Env{}, instances()},
		"condensed.txt": {Env{Width: 100}, instances()},
		"mini.txt":      {Env{Width: 60}, instances()},
		"empty.txt":     {Env{}, nil},
		"colour.txt":    {Env{Width: 200, Color: true}, instances()},
	}
	for file, tt := range tests {
		t.Run(file, func(t *testing.T) {
			text := string(tt.env.appendTable(nil, sorted(tt.list, ""), now))
			golden(t, "table-"+file, text)
			if tt.env.Color {
				return
			}
			lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
			for _, l := range lines {
				if w := displaywidth.String(l); w != displaywidth.String(lines[0]) {
					t.Errorf("a line is %d columns wide, the first is %d:\n%s", w, displaywidth.String(lines[0]), l)
				}
			}
		})
	}
}

func TestMiniList(t *testing.T) {
	golden(t, "mini-list.txt", string(appendMini(nil, instances()[:2], moment(1_700_000_000_000))))
}

func TestTableOfOneAppIsAsInPM2(t *testing.T) {
	now := moment(1_700_000_000_000)
	list := []api.Instance{{
		Name: "tick", Namespace: "default", Mode: api.Fork, PID: 7414, State: api.Online, StartedAt: now.UnixMilli(),
		Memory: 21_810_380, User: "root",
	}}
	want := `
┌────┬─────────┬─────────────┬─────────┬─────────┬──────────┬────────┬──────┬───────────┬──────────┬──────────┬──────────┬──────────┐
│ id │ name    │ namespace   │ version │ mode    │ pid      │ uptime │ ↺    │ status    │ cpu      │ mem      │ user     │ watching │
├────┼─────────┼─────────────┼─────────┼─────────┼──────────┼────────┼──────┼───────────┼──────────┼──────────┼──────────┼──────────┤
│ 0  │ tick    │ default     │ N/A     │ fork    │ 7414     │ 0s     │ 0    │ online    │ 0%       │ 20.8mb   │ root     │ disabled │
└────┴─────────┴─────────────┴─────────┴─────────┴──────────┴────────┴──────┴───────────┴──────────┴──────────┴──────────┴──────────┘
`
	if diff := cmp.Diff("\n"+string((&Env{}).appendTable(nil, list, now)), want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

func TestLayoutChoosesTheWidestThatFits(t *testing.T) {
	list := instances() // the longest name has 23 columns, so name is 28 wide
	tests := map[int]string{
		0:   "watching",
		152: "watching",
		151: "memory",
		79:  "memory",
		78:  "mem",
		20:  "mem",
	}
	for width, want := range tests {
		columns := layout(list, width)
		if got := columns[len(columns)-1].title; got != want {
			total := len(columns) + 1
			for _, c := range columns {
				total += c.width
			}
			t.Errorf("width %d: the last column is %q (table of %d), want %q", width, got, total, want)
		}
	}
}

func TestSorted(t *testing.T) {
	tests := map[string][]int{
		"":               {10, 1, 2, 11, 0, 3},
		"id:desc":        {11, 10, 3, 2, 1, 0},
		"name:asc":       {10, 1, 2, 11, 0, 3},
		"name:desc":      {3, 0, 11, 1, 2, 10},
		"memory:desc":    {1, 0, 2, 3, 10, 11},
		"cpu":            {0, 2, 3, 10, 11, 1},
		"pid":            {3, 10, 11, 0, 1, 2},
		"uptime":         {2, 3, 10, 11, 1, 0},
		"status":         {10, 2, 0, 1, 11, 3},
		"namespace:desc": {0, 1, 2, 3, 11, 10},
	}
	for by, want := range tests {
		t.Run("by "+by, func(t *testing.T) {
			list := instances()
			slices.Reverse(list)
			var got []int
			for _, in := range sorted(list, by) {
				got = append(got, in.ID)
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("ids (-got +want):\n%s", diff)
			}
		})
	}
}

func TestFitKeepsEscapesOut(t *testing.T) {
	tests := map[string]struct {
		text  string
		width int
		want  string
	}{
		"short text stays":             {"api", 5, "api"},
		"exact text stays":             {"tick5", 5, "tick5"},
		"long text is cut":             {"waiting restart", 9, "waiting …"},
		"wide runes take two":          {"数据库", 4, "数…"},
		"escapes lose their power":     {"\x1b[31mred\x1b[0m", 20, "[31mred[0m"},
		"line breaks are left out":     {"a\nb\tc", 20, "ab c"},
		"C1 controls are left out too": {"a\u009bb", 20, "ab"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, width := fit(tt.text, tt.width)
			if got != tt.want || width != displaywidth.String(got) || width > tt.width {
				t.Errorf("got %q of width %d, want %q", got, width, tt.want)
			}
		})
	}
}

// TestReasons: below the list stands why instances are as they are, whole and
// harmless.
func TestReasons(t *testing.T) {
	list := instances()
	list[1].Reason = "reload failed: it ended\nwith \x1b[31mcode 1 " + strings.Repeat("x", 60)
	for name, env := range map[string]*Env{"a pipe": {}, "a narrow terminal": {Width: 40}} {
		got := string(env.appendList(nil, list, listOptions{sort: "id"}, moment(1_700_000_000_000)))
		_, below, _ := strings.Cut(got, "┘\n")
		want := "[api](1) reload failed: it ended with [31mcode 1 " + strings.Repeat("x", 60) + "\n[Größe-数据](10) too many restarts\n"
		if below != want {
			t.Errorf("%s: got %q below the table, want %q", name, below, want)
		}
	}
}

func BenchmarkTable1000(b *testing.B) {
	var list []api.Instance
	for i := range 1000 {
		in := instances()[i%6]
		in.ID, in.Name = i, fmt.Sprintf("%s-%d", in.Name, i)
		list = append(list, in)
	}
	env := Env{Color: true, Width: 200}
	now := moment(1_700_000_000_000)
	var dst []byte
	for b.Loop() {
		dst = env.appendTable(dst[:0], sorted(list, "name"), now)
	}
	b.ReportMetric(float64(len(dst)), "bytes")
	b.ReportAllocs()
}
