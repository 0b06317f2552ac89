package supervisor

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/internal/keeper/wire"
	"tend/internal/nodeipc"
)

// What a process wrote last may be in its pipe for long after it was replaced,
// while a disk is full. The next daemon knows where it goes.
func TestOutputOfLaunchesThatAreOverGoesToItsFiles(t *testing.T) {
	for name, replace := range map[string]func(*world){
		"restarted": func(w *world) { w.act("restart", "a") },
		"reloaded": func(w *world) {
			if events, err := w.reload(nil, "a"); err != nil {
				w.t.Fatalf("%v, %v", events, err)
			}
			time.Sleep(time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.k.boots(talking(word{0, nodeipc.Listening}))
				w.start(spec("a", cluster))
				time.Sleep(time.Minute)
				full := w.row(0).Key
				replace(w)
				empty := w.row(0).Key
				w.k.Drop(wire.PipeName(empty, 1))
				w.k.Drop(wire.PipeName(empty, 2))
				replace(w)
				if slices.Contains([]string{full, empty}, w.row(0).Key) {
					t.Fatal("it was not replaced")
				}
				w.close()
				w = openWorld(t, w.home, w.k, w.k.inventory())
				synctest.Wait()
				streams := w.c.added()
				row := w.row(0)
				for n, want := range map[int]string{1: row.OutFile, 2: row.ErrFile} {
					if s := streams[wire.PipeName(full, n)]; !slices.Equal(s.Paths, []string{want}) {
						t.Errorf("its output %d goes to %v, want %s", n, s.Paths, want)
					}
				}
				if _, ok := streams[wire.PipeName(empty, 1)]; ok {
					t.Error("a pipe that nobody holds is collected")
				}
			})
		})
	}
}

// Launches that leave processes behind with their output are not remembered
// without end.
func TestLaunchesThatAreOverAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(spec("a"))
		var oldest []string // of their streams
		for n := range mostEarlier + 5 {
			if n < 5 {
				oldest = append(oldest, wire.PipeName(w.row(0).Key, 1), wire.PipeName(w.row(0).Key, 2))
			}
			w.act("restart", "a")
		}
		if diff := cmp.Diff(oldest, w.c.discarded()); diff != "" {
			t.Errorf("discarded (-want +got):\n%s", diff)
		}
		w.close()
		w = openWorld(t, w.home, w.k, w.k.inventory())
		synctest.Wait()
		collected := 0
		for _, s := range w.c.added() {
			if len(s.Paths) > 0 {
				collected++
			}
		}
		if want := 2 * (mostEarlier + 1); collected != want {
			t.Errorf("%d streams go to files, want %d", collected, want)
		}
	})
}
