package hostinfo

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/errs"
)

func read() (look, error) {
	l := look{at: time.Now()}
	stat, err := os.ReadFile("/proc/stat")
	var memory []byte
	if err == nil {
		memory, err = os.ReadFile("/proc/meminfo")
	}
	if err != nil {
		return look{}, &errs.Error{Op: "read", On: "figures of the machine", Kind: errs.Unavailable, Err: err}
	}
	var knowsCPU, knowsMemory bool
	l.cpu, knowsCPU = parseCPU(string(stat))
	l.memory, knowsMemory = parseMemory(string(memory))
	if !knowsCPU || !knowsMemory {
		return look{}, &errs.Error{Op: "read", On: "figures of the machine", Kind: errs.Unavailable, Err: errors.New("/proc is not as expected")}
	}
	nets, _ := os.ReadFile("/proc/net/dev") // where there is none, nothing is told of it
	l.nets = parseNets(string(nets))
	l.disk = readDisks()
	l.mounts = readMounts()
	return l, nil
}

func readDisks() (all sectors) {
	const dir = "/sys/block"
	entries, _ := os.ReadDir(dir) // as above
	for _, e := range entries {
		if isDisk(e.Name()) {
			text, _ := os.ReadFile(filepath.Join(dir, e.Name(), "stat")) // it may be gone again
			all.add(string(text))
		}
	}
	return all
}

func readMounts() (out []api.Mount) {
	text, _ := os.ReadFile("/proc/self/mounts")
	for _, m := range parseMounts(string(text)) {
		var fs unix.Statfs_t
		// A file that a container has from a device of its host is no filesystem of it.
		if fi, err := os.Stat(m.path); err != nil || !fi.IsDir() || unix.Statfs(m.path, &fs) != nil {
			continue
		}
		used := fs.Blocks - min(fs.Bfree, fs.Blocks)
		if used+fs.Bavail == 0 {
			continue
		}
		out = append(out, api.Mount{
			Path: m.path, Size: int64(fs.Blocks) * fs.Frsize, //nolint:gosec // no disk is that large
			Use: 100 * float64(used) / float64(used+fs.Bavail),
		})
	}
	return out
}
