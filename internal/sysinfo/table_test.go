package sysinfo

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// proc makes a process that leads nothing: its session and group are 1.
func proc(pid, ppid int) Proc {
	return Proc{PID: pid, PPID: ppid, PGID: 1, SID: 1, State: 'S', Threads: 1, Start: uint64(pid)}
}

func in(session, group int, p Proc) Proc {
	p.SID, p.PGID = session, group
	return p
}

func zombie(p Proc) Proc {
	p.State = 'Z'
	return p
}

// table makes a Table in which these pids have unique_id=u.
func table(procs []Proc, marked ...int) *Table {
	return newTable(time.Unix(1, 0), 100, procs, func(p Proc) string {
		if slices.Contains(marked, p.PID) {
			return "u"
		}
		return ""
	})
}

func pids(procs []Proc) []int {
	list := []int{}
	for _, p := range procs {
		list = append(list, p.PID)
	}
	return list
}

func TestTree(t *testing.T) {
	procs := []Proc{proc(60, 40), proc(1, 0), proc(10, 1), proc(40, 10), proc(20, 10), proc(30, 20), zombie(proc(50, 30)), proc(70, 1)}
	tests := map[string]struct {
		root int
		want []int
	}{
		"deepest first":                 {10, []int{50, 60, 30, 40, 20}},
		"a leaf has none":               {70, []int{}},
		"one who is not there has none": {99, []int{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(pids(table(procs).Tree(tt.root)), tt.want); diff != "" {
				t.Errorf("got (-), want (+):\n%s", diff)
			}
		})
	}
}

func TestMembers(t *testing.T) {
	const keeper, root = 5, 100
	base := []Proc{proc(1, 0), proc(keeper, 1)}
	leader := in(root, root, proc(root, keeper))
	tests := map[string]struct {
		procs  []Proc
		marked []int
		known  []int
		want   []int
	}{
		"descendants, deepest first":                       {procs: []Proc{leader, proc(101, root), proc(102, 101), proc(103, root)}, want: []int{102, 103, 101}},
		"the session, when root and parents are gone":      {procs: []Proc{in(root, 101, proc(101, keeper)), proc(102, 101)}, want: []int{102, 101}},
		"the process group":                                {procs: []Proc{leader, in(7, root, proc(101, 1))}, want: []int{101}},
		"a daemon of its own with what it started":         {procs: []Proc{leader, in(101, 101, proc(101, keeper)), in(101, 101, proc(102, 101))}, marked: []int{101}, want: []int{102, 101}},
		"a daemon that init adopted":                       {procs: []Proc{in(101, 101, proc(101, 1))}, marked: []int{101}, want: []int{101}},
		"no daemon of another instance":                    {procs: []Proc{leader, in(101, 101, proc(101, keeper))}, want: []int{}},
		"no known child of the keeper, whatever it claims": {procs: []Proc{leader, in(101, 101, proc(101, keeper))}, marked: []int{101}, known: []int{101}, want: []int{}},
		"nobody whom no adopter has":                       {procs: []Proc{leader, proc(50, 1), proc(101, 50)}, marked: []int{101}, want: []int{}},
		"not the root itself":                              {procs: []Proc{leader}, marked: []int{root}, want: []int{}},
		"no zombies, but what hangs below":                 {procs: []Proc{leader, zombie(proc(101, root)), proc(102, 101)}, want: []int{102}},
		"no zombie that an adopter has not reaped":         {procs: []Proc{leader, zombie(proc(101, keeper))}, marked: []int{101}, want: []int{}},
		"each once, though root's child leads its group":   {procs: []Proc{leader, in(root, 101, proc(101, root)), in(root, 101, proc(102, 101))}, marked: []int{101}, want: []int{102, 101}},
		"a parent with a higher pid still comes last":      {procs: []Proc{leader, proc(300, root), proc(200, 300)}, want: []int{200, 300}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tab := table(append(slices.Clone(base), tt.procs...), tt.marked...)
			got := tab.Members(root, "u", []int{keeper, 1}, func(pid int) bool { return slices.Contains(tt.known, pid) })
			if diff := cmp.Diff(pids(got), tt.want); diff != "" {
				t.Errorf("got (-), want (+):\n%s", diff)
			}
		})
	}
	t.Run("no root at all has only its daemons", func(t *testing.T) {
		tab := table([]Proc{in(0, 0, proc(1, 0)), in(0, 0, proc(2, 0)), in(9, 9, proc(9, 1))}, 9)
		for _, root := range []int{-1, 0, 1} {
			got := tab.Members(root, "u", []int{1}, func(int) bool { return false })
			if diff := cmp.Diff(pids(got), []int{9}); diff != "" {
				t.Errorf("root %d: got (-), want (+):\n%s", root, diff)
			}
		}
	})
	t.Run("an empty id finds no daemons", func(t *testing.T) {
		tab := newTable(time.Unix(1, 0), 1, []Proc{proc(1, 0), proc(9, 1)}, func(Proc) string { return "u" })
		if got := tab.Members(100, "", []int{1}, func(int) bool { return false }); len(got) != 0 {
			t.Errorf("members: %v, want none", got)
		}
		if got := tab.FindByUnique(""); len(got) != 0 {
			t.Errorf("found: %v, want none", got)
		}
	})
}

func TestMembersReadsOnlyTheEnvironmentOfStrangers(t *testing.T) {
	const keeper, root = 5, 100
	procs := []Proc{
		proc(1, 0), proc(keeper, 1), in(root, root, proc(root, keeper)), proc(101, root),
		in(root, 102, proc(102, keeper)), proc(103, keeper), proc(104, keeper),
	}
	var read []int
	tab := newTable(time.Unix(1, 0), 1, procs, func(p Proc) string {
		read = append(read, p.PID)
		return ""
	})
	for range 2 { // the second time it is known
		tab.Members(root, "u", []int{keeper}, func(pid int) bool { return pid == 103 })
	}
	if diff := cmp.Diff(read, []int{104}); diff != "" {
		t.Errorf("environments read: got (-), want (+):\n%s", diff)
	}
}

// Any table whatever, also one with rings of parents that a reused pid leaves.
func TestAnyTableIsWalkedToAnEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.IntRange(0, 12)
		byPID := map[int]Proc{}
		for range rapid.IntRange(0, 14).Draw(t, "processes") {
			p := Proc{PID: rapid.IntRange(1, 12).Draw(t, "pid"), PPID: id.Draw(t, "ppid"), PGID: id.Draw(t, "pgid"), SID: id.Draw(t, "sid"), State: 'S', Threads: 1}
			byPID[p.PID] = p
		}
		var procs []Proc
		for _, p := range byPID {
			procs = append(procs, p)
		}
		tab := table(procs, 3, 4)
		root := rapid.IntRange(1, 12).Draw(t, "root")
		tree := pids(tab.Tree(root))
		all := pids(tab.Members(root, "u", []int{1, 2}, func(int) bool { return false }))

		for name, list := range map[string][]int{"tree": tree, "members": all} {
			seen := map[int]bool{}
			for _, pid := range list {
				if pid == root || seen[pid] {
					t.Fatalf("%s %v: %d is root or there twice", name, list, pid)
				}
				seen[pid] = true
			}
			if ringed(byPID) {
				continue
			}
			for i, pid := range list {
				if parent := byPID[pid].PPID; slices.Contains(list[:i], parent) {
					t.Fatalf("%s %v: %d comes after its parent %d", name, list, pid, parent)
				}
			}
		}
		if root > 1 {
			for _, pid := range tree {
				if !slices.Contains(all, pid) {
					t.Fatalf("members %v lack %d of the tree", all, pid)
				}
			}
		}
	})
}

func ringed(procs map[int]Proc) bool {
	for pid := range procs {
		for at, steps := procs[pid].PPID, 0; at != 0; at, steps = procs[at].PPID, steps+1 {
			if at == pid || steps > len(procs) {
				return true
			}
		}
	}
	return false
}

func TestSample(t *testing.T) {
	using := func(p Proc, cpu uint64, rss int64) Proc {
		p.CPU, p.RSS = cpu, rss
		return p
	}
	at := func(second int, procs ...Proc) *Table {
		return newTable(time.Unix(int64(second), 0), uint64(second)*ticksPerSecond, procs, nil)
	}
	roots := []Root{{PID: 10, Start: 10}}
	tests := map[string]struct {
		looks []*Table
		want  map[int]Usage
	}{
		"the first sample tells memory alone": {
			[]*Table{at(10, using(proc(10, 1), 500, 7))}, map[int]Usage{10: {0, 7}},
		},
		"half of a core": {
			[]*Table{at(10, using(proc(10, 1), 500, 7)), at(12, using(proc(10, 1), 600, 9))}, map[int]Usage{10: {50, 9}},
		},
		"two busy children are two cores": {
			[]*Table{
				at(10, proc(10, 1), using(proc(11, 10), 50, 1), using(proc(12, 11), 60, 1)),
				at(11, proc(10, 1), using(proc(11, 10), 150, 2), using(proc(12, 11), 160, 3)),
			}, map[int]Usage{10: {200, 5}},
		},
		"a child that began after the last sample counts in full": {
			[]*Table{at(10, proc(10, 1)), at(11, proc(10, 1), using(proc(1050, 10), 30, 1))}, map[int]Usage{10: {30, 1}},
		},
		"an old process that comes into the tree counts as idle": {
			[]*Table{at(10, proc(10, 1)), at(11, proc(10, 1), using(proc(900, 10), 30, 1))}, map[int]Usage{10: {0, 1}},
		},
		"a reused pid does not inherit the time of the one before": {
			[]*Table{
				at(10, proc(10, 1), using(proc(11, 10), 9000, 1)),
				at(11, proc(10, 1), using(Proc{PID: 11, PPID: 10, Start: 1010, State: 'R', Threads: 1}, 40, 1)),
			}, map[int]Usage{10: {40, 1}},
		},
		"the same look twice is no time": {
			[]*Table{at(10, using(proc(10, 1), 500, 7)), at(10, using(proc(10, 1), 500, 7))}, map[int]Usage{10: {0, 7}},
		},
		"a root that is another process is left out": {
			[]*Table{at(10, Proc{PID: 10, PPID: 1, Start: 11, State: 'S'})}, map[int]Usage{},
		},
		"a root that is gone is left out": {
			[]*Table{at(10, proc(11, 10))}, map[int]Usage{},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := NewSampler()
			var got map[int]Usage
			for _, look := range tt.looks {
				got = s.Sample(look, roots)
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("got (-), want (+):\n%s", diff)
			}
		})
	}
}
