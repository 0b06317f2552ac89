package supervisor

import (
	"slices"
	"testing"

	"tend/api"
	"tend/internal/errs"
)

// The mark belongs to the place in the list: another process, also one that a
// reload brings, and another daemon have it too.
func TestMonitorMarks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a", cluster, instances(2)), spec("b"))
		marks := func() (out []int) {
			for _, row := range w.View().Rows {
				if row.Monitored {
					out = append(out, row.ID)
				}
			}
			return out
		}
		w.act(api.ActMonitor, "1", "b")
		w.act(api.ActMonitor, "b")
		for _, then := range []func(){
			func() {},
			func() { w.act(api.ActRestart, "all") },
			func() {
				if _, err := w.reload(nil, "a"); err != nil {
					t.Error(err)
				}
			},
			func() {
				w.close()
				w = openWorld(t, w.home, w.k, w.k.inventory())
			},
		} {
			then()
			if got := marks(); !slices.Equal(got, []int{1, 2}) {
				t.Errorf("marked are %v", got)
			}
		}
		w.act(api.ActUnmonitor, "all")
		if got := marks(); len(got) > 0 {
			t.Errorf("marked are %v", got)
		}
		var got told
		err := w.Act(t.Context(), api.ActRequest{Act: api.ActMonitor, Targets: []string{"nosuch"}}, got.tell)
		wantKind(t, err, errs.NotFound, "nosuch")
	})
}
