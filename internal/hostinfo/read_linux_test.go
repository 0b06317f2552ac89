package hostinfo

import (
	"runtime"
	"testing"

	"github.com/prometheus/procfs"
)

// What we read is what another reader of /proc reads.
func TestReadThisMachine(t *testing.T) {
	var s Sampler
	first, err := s.Sample()
	if err != nil {
		t.Fatal(err)
	}
	if first.CPU != nil || first.Disk != nil {
		t.Errorf("there are rates without a look before: %+v", first)
	}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		t.Fatal(err)
	}
	m, err := fs.Meminfo()
	if err != nil || m.MemTotalBytes == nil || int64(*m.MemTotalBytes) != first.Memory.Total {
		t.Errorf("got %+v, want %v bytes in all: %v", first.Memory, m.MemTotalBytes, err)
	}
	was, _ := fs.Stat()
	for x := 0; ; x++ { // until the kernel has counted something
		if now, _ := fs.Stat(); now.CPUTotal.User > was.CPUTotal.User+0.05 {
			break
		}
		runtime.KeepAlive(x)
	}
	second, err := s.Sample()
	if err != nil || second.CPU == nil || *second.CPU <= 0 || *second.CPU > 100 || second.Disk == nil {
		t.Errorf("got %+v, %v", second, err)
	}
}

func BenchmarkSample(b *testing.B) {
	var s Sampler
	for b.Loop() {
		if _, err := s.Sample(); err != nil {
			b.Fatal(err)
		}
	}
}
