package sysinfo

import (
	"bytes"
	"math"
)

// parseStat reads a line of /proc/PID/stat, whose fields are numbered as in
// proc_pid_stat(5). The name of the program, field 2, may hold anything, also
// spaces and parentheses, but nothing behind it does: the last ')' ends it.
func parseStat(line []byte, pageSize int64) (Proc, bool) {
	open, shut := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || shut < open {
		return Proc{}, false
	}
	head := fields{rest: line[:open]}
	p := Proc{PID: head.int()}

	f := fields{rest: line[shut+1:]}
	state := f.word() // 3
	p.PPID = f.int()
	p.PGID = f.int()
	p.SID = f.int() // 6
	f.skip(7)
	p.CPU = f.count() + f.count() // 14, 15
	f.skip(4)
	p.Threads = f.int() // 20
	f.skip(1)
	p.Start = f.count() // 22
	f.skip(1)
	pages := f.count() // 24

	if head.bad || f.bad || len(state) != 1 || p.PID <= 0 || pages > uint64(math.MaxInt64/pageSize) {
		return Proc{}, false
	}
	p.State = state[0]
	p.RSS = int64(pages) * pageSize
	return p, true
}

// fields cuts a line at its blanks. The first field that is missing or wrong
// makes it bad for good.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) word() []byte {
	i := 0
	for i < len(f.rest) && isBlank(f.rest[i]) {
		i++
	}
	j := i
	for j < len(f.rest) && !isBlank(f.rest[j]) {
		j++
	}
	w := f.rest[i:j]
	f.rest = f.rest[j:]
	f.bad = f.bad || len(w) == 0
	return w
}

func (f *fields) skip(n int) {
	for range n {
		f.word()
	}
}

func (f *fields) count() uint64 {
	n, ok := decimal(f.word())
	f.bad = f.bad || !ok
	return n
}

// int reads a number that may be -1, as the kernel writes for what a process
// that is just ending has no more.
func (f *fields) int() int {
	w := f.word()
	sign := 1
	if len(w) > 0 && w[0] == '-' {
		sign, w = -1, w[1:]
	}
	n, ok := decimal(w)
	if !ok || n > math.MaxInt32 {
		f.bad = true
		return 0
	}
	return sign * int(n)
}

func isBlank(c byte) bool { return c == ' ' || c == '\n' }

func decimal(digits []byte) (uint64, bool) {
	if len(digits) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		d := uint64(c - '0')
		if d > 9 || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
