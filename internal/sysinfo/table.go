package sysinfo

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Table is one look at all processes. Any number of readers may share it. The
// look takes a few milliseconds and processes come
// and go meanwhile: a Table is near the truth, not a snapshot of one instant.
type Table struct {
	At time.Time // when the look began

	ticks    uint64  // clock ticks after the boot when the look began
	procs    []Proc  // by pid
	byParent []int32 // indexes into procs, by parent and then by pid
	// readID reads the unique_id in the environment of that very process, ""
	// where there is none.
	readID func(p Proc) string

	mu  sync.Mutex
	ids map[int]string // what readID read, by pid: once for all readers
}

func newTable(at time.Time, ticks uint64, procs []Proc, readID func(Proc) string) *Table {
	byPID := func(a, b Proc) int { return cmp.Compare(a.PID, b.PID) }
	if !slices.IsSortedFunc(procs, byPID) {
		slices.SortFunc(procs, byPID)
	}
	t := &Table{At: at, ticks: ticks, procs: procs, byParent: make([]int32, len(procs)), readID: readID, ids: map[int]string{}}
	for i := range t.byParent {
		t.byParent[i] = int32(i)
	}
	slices.SortFunc(t.byParent, func(a, b int32) int {
		return cmp.Or(cmp.Compare(procs[a].PPID, procs[b].PPID), cmp.Compare(a, b))
	})
	return t
}

// Get is the process with this pid.
func (t *Table) Get(pid int) (Proc, bool) {
	i, ok := t.index(pid)
	if !ok {
		return Proc{}, false
	}
	return t.procs[i], true
}

// Tree is root's descendants by the chain of parents, deepest first, without
// root. Zombies are among them.
func (t *Table) Tree(root int) []Proc {
	var tree []Proc
	t.walk(root, func(p Proc) { tree = append(tree, p) })
	slices.Reverse(tree)
	return tree
}

// Members is every living process that belongs to the instance whose first
// process is, or was, root; without root, children before their parents:
//
//   - descendants of root,
//   - the processes of root's session or process group, also when root is gone,
//   - processes that made themselves daemons: children of an adopter whose
//     environment has uniqueID as unique_id,
//   - and the descendants of all those.
//
// Children of an adopter for which known is true are some other instance's,
// or the adopter's own; only the environment of the rest is read.
//
// The kernel gives the number of a session to no new process while the session
// has members, so a root that is gone is safe to ask for as long as its
// instance was not found empty once.
func (t *Table) Members(root int, uniqueID string, adopters []int, known func(pid int) bool) []Proc {
	m := members{t: t, root: root, in: make([]bool, len(t.procs))}
	// 0 is what the kernel writes for sessions outside this pid namespace and
	// 1 is init: neither is ever an instance.
	if root > 1 {
		m.addChildren(root)
		for i := range t.procs {
			if p := &t.procs[i]; p.SID == root || p.PGID == root {
				m.add(i)
			}
		}
	}
	m.grow()
	if uniqueID != "" {
		for _, adopter := range adopters {
			for _, i := range t.children(adopter) {
				if p := t.procs[i]; !m.in[i] && p.PID != root && !p.Ended() && !known(p.PID) && t.id(p) == uniqueID {
					m.add(int(i))
				}
			}
		}
		m.grow()
	}
	return m.deepestFirst()
}

// FindByUnique is every living process whose environment has id as unique_id.
// It reads the environment of all processes: a thing for the start of a
// daemon, not for every second.
func (t *Table) FindByUnique(id string) []Proc {
	if id == "" {
		return nil
	}
	var found []Proc
	for _, p := range t.procs {
		if !p.Ended() && t.id(p) == id {
			found = append(found, p)
		}
	}
	return found
}

// uniqueVariable is the variable by which a process tells its launch.
const uniqueVariable = "unique_id="

// id is the unique_id of a process, read once.
func (t *Table) id(p Proc) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	id, ok := t.ids[p.PID]
	if !ok {
		id = t.readID(p)
		t.ids[p.PID] = id
	}
	return id
}

// members is a growing set of processes.
type members struct {
	t    *Table
	root int
	in   []bool // by index into t.procs
	list []int  // indexes of the set
	done int    // how many of list had their children added
}

func (m *members) add(i int) {
	if !m.in[i] && m.t.procs[i].PID != m.root {
		m.in[i] = true
		m.list = append(m.list, i)
	}
}

func (m *members) addChildren(pid int) {
	for _, i := range m.t.children(pid) {
		m.add(int(i))
	}
}

// grow adds the descendants of all that are in.
func (m *members) grow() {
	for ; m.done < len(m.list); m.done++ {
		m.addChildren(m.t.procs[m.list[m.done]].PID)
	}
}

func (m *members) deepestFirst() []Proc {
	type member struct {
		Proc
		depth int
	}
	var living []member
	for _, i := range m.list {
		if p := m.t.procs[i]; !p.Ended() {
			living = append(living, member{p, m.depth(i)})
		}
	}
	slices.SortFunc(living, func(a, b member) int {
		return cmp.Or(cmp.Compare(b.depth, a.depth), cmp.Compare(b.PID, a.PID))
	})
	procs := make([]Proc, len(living))
	for i, p := range living {
		procs[i] = p.Proc
	}
	return procs
}

// depth counts the members above procs[i]. A pid reused within the look can
// close the chain of parents to a ring, so the count has an end.
func (m *members) depth(i int) int {
	for depth := range len(m.list) {
		parent, ok := m.t.index(m.t.procs[i].PPID)
		if !ok || !m.in[parent] {
			return depth
		}
		i = parent
	}
	return len(m.list)
}

// walk visits the descendants of root, parents before their children. Every
// process has one parent, so only a ring through root itself could make it
// endless.
func (t *Table) walk(root int, visit func(Proc)) {
	var queue []int32
	for next := t.children(root); ; {
		for _, i := range next {
			if t.procs[i].PID != root {
				queue = append(queue, i)
			}
		}
		if len(queue) == 0 {
			return
		}
		p := t.procs[queue[0]]
		queue = queue[1:]
		visit(p)
		next = t.children(p.PID)
	}
}

// index is where procs holds pid.
func (t *Table) index(pid int) (int, bool) {
	return slices.BinarySearchFunc(t.procs, pid, func(p Proc, pid int) int { return cmp.Compare(p.PID, pid) })
}

// children is the indexes of the processes whose parent is pid.
func (t *Table) children(pid int) []int32 {
	byParent := func(i int32, ppid int) int { return cmp.Compare(t.procs[i].PPID, ppid) }
	from, _ := slices.BinarySearchFunc(t.byParent, pid, byParent)
	to, _ := slices.BinarySearchFunc(t.byParent[from:], pid+1, byParent)
	return t.byParent[from : from+to]
}
