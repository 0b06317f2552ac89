package hostinfo

import (
	"slices"
	"strconv"
	"strings"

	"tend/api"
)

// parseCPU reads the first line of /proc/stat (proc_stat(5)). A processor that
// waits for a disk is idle, and the time of guests is in that of users.
func parseCPU(text string) (t ticks, ok bool) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 5 || fields[0] != "cpu" {
		return ticks{}, false
	}
	const idle, waiting, steal = 3, 4, 7
	for i, f := range fields[1:min(len(fields), steal+2)] {
		n := counter(f)
		t.total += n
		if i != idle && i != waiting {
			t.busy += n
		}
	}
	return t, true
}

// parseMemory reads /proc/meminfo (proc_meminfo(5)).
func parseMemory(text string) (m api.HostMemory, ok bool) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		number, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		kib, err := strconv.ParseInt(number, 10, 53) // so that bytes fit
		if err != nil || kib < 0 {
			continue
		}
		switch name {
		case "MemTotal":
			m.Total = kib << 10
		case "MemAvailable":
			m.Available = kib << 10
		}
	}
	return m, m.Total > 0 && m.Available <= m.Total
}

// mostNets and mostMounts bound what is told of a machine that has thousands.
const (
	mostNets   = 64
	mostMounts = 64
)

// parseNets reads /proc/net/dev (proc_net(5)). An interface that nothing ever went
// through is left out.
func parseNets(text string) []traffic {
	var out []traffic
	for line := range strings.Lines(text) {
		name, numbers, found := strings.Cut(line, ":")
		f := strings.Fields(numbers)
		name = strings.TrimSpace(name)
		if !found || len(f) < 16 || len(out) == mostNets {
			continue
		}
		t := traffic{
			name: name, received: counter(f[0]), rxErrors: counter(f[2]), rxDropped: counter(f[3]),
			sent: counter(f[8]), txErrors: counter(f[10]), txDropped: counter(f[11]),
		}
		if t != (traffic{name: name}) {
			out = append(out, t)
		}
	}
	return out
}

// isDisk tells a disk, by its name in /sys/block, from what is on another: there
// it would count twice.
func isDisk(name string) bool {
	return !slices.ContainsFunc([]string{"loop", "ram", "zram", "dm-", "md", "fd", "sr"}, func(other string) bool {
		return strings.HasPrefix(name, other)
	})
}

// add counts the stat file of one disk in (Documentation/block/stat.rst).
func (s *sectors) add(text string) {
	if f := strings.Fields(text); len(f) >= 7 {
		s.read += counter(f[2])
		s.written += counter(f[6])
	}
}

// mounted is a line of /proc/self/mounts.
type mounted struct{ device, path string }

// parseMounts reads /proc/self/mounts (proc_pid_mounts(5)): what is on a device,
// once, by its shortest path. Images of packages are full by nature and say
// nothing.
func parseMounts(text string) []mounted {
	var out []mounted
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 3 || !strings.HasPrefix(f[0], "/dev/") || strings.HasPrefix(f[0], "/dev/loop") {
			continue
		}
		m := mounted{f[0], unescaped(f[1])}
		at := slices.IndexFunc(out, func(o mounted) bool { return o.device == m.device })
		switch {
		case at < 0 && len(out) < mostMounts:
			out = append(out, m)
		case at >= 0 && len(m.path) < len(out[at].path):
			out[at] = m
		}
	}
	return out
}

// unescaped undoes what the kernel does to a path with blanks in it.
func unescaped(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}

// counter is a number of the kernel, 0 where it is none.
func counter(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
