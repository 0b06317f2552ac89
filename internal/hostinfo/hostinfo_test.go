package hostinfo

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
)

const stat = `cpu  100 10 50 800 40 3 2 5 7 1
cpu0 50 5 25 400 20 1 1 2 3 0
intr 12345 0
`

const meminfo = `MemTotal:        2048000 kB
MemFree:          100000 kB
MemAvailable:    1024000 kB
Active:           512000 kB
Active(anon):     256000 kB
`

const netDev = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1000 10 0 0 0 0 0 0 1000 10 0 0 0 0 0 0
  eth0:5000 50 1 2 0 0 0 0 7000 60 3 4 0 0 0 0
 short: 1 2
  ifb0: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
`

const mounts = `overlay / overlay rw 0 0
/dev/sda1 /srv/with\040a\040blank/deep ext4 rw 0 0
/dev/sda1 /srv/with\040a\040blank ext4 rw 0 0
/dev/loop3 /snap/core squashfs ro 0 0
/dev/sdb1 /data ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
/dev/x
`

func TestParse(t *testing.T) {
	if got, ok := parseCPU(stat); !ok || got != (ticks{busy: 170, total: 1010}) {
		t.Errorf("got %+v, %v", got, ok)
	}
	if got, ok := parseMemory(meminfo); !ok || got != (api.HostMemory{Total: 2048000 << 10, Available: 1024000 << 10}) {
		t.Errorf("got %+v, %v", got, ok)
	}
	net := []traffic{{name: "lo", received: 1000, sent: 1000}, {name: "eth0", received: 5000, rxErrors: 1, rxDropped: 2, sent: 7000, txErrors: 3, txDropped: 4}}
	if diff := cmp.Diff(parseNets(netDev), net, cmp.AllowUnexported(traffic{})); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
	var disks sectors
	disks.add("  10 0 80 5 20 0 160 9 0 0 0\n")
	disks.add("  10 0 20 5 20 0 40 9 0 0 0\n")
	disks.add("gone")
	if disks != (sectors{100, 200}) {
		t.Errorf("got %+v", disks)
	}
	devices := []mounted{{"/dev/sda1", "/srv/with a blank"}, {"/dev/sdb1", "/data"}}
	if diff := cmp.Diff(parseMounts(mounts), devices, cmp.AllowUnexported(mounted{})); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
	for name, want := range map[string]bool{"sda": true, "nvme0n1": true, "vda": true, "loop0": false, "ram1": false, "dm-0": false, "fd0": false, "zram0": false} {
		if isDisk(name) != want {
			t.Errorf("%s is a disk: want %v", name, want)
		}
	}
}

func TestBetween(t *testing.T) {
	at := time.Unix(1000, 0)
	first := look{
		at: at, cpu: ticks{100, 1000}, memory: api.HostMemory{Total: 4, Available: 2}, disk: sectors{10, 1000},
		nets: []traffic{{name: "eth0", received: 1000, sent: 500, rxErrors: 1}},
	}
	if h := between(look{}, first); h.CPU != nil || h.Nets != nil || h.Disk != nil || h.Memory.Total != 4 || h.At != 1_000_000 {
		t.Errorf("a first look knows no rates, got %+v", h)
	}
	second := first
	second.at = at.Add(10 * time.Second)
	second.cpu = ticks{150, 1200}
	second.disk = sectors{30, 0} // a disk has left, with what it had counted
	second.nets = []traffic{{name: "eth0", received: 3000, sent: 500, rxErrors: 3}, {name: "eth1", received: 9}}
	h := between(first, second)
	want := api.Host{
		At: 1_010_000, CPU: h.CPU, Memory: first.memory, Disk: &api.HostDisk{Read: 1024},
		Nets: []api.HostNet{{Name: "eth0", Received: 200, RxErrors: 12}},
	}
	if diff := cmp.Diff(h, want); diff != "" || h.CPU == nil || *h.CPU != 25 {
		t.Errorf("cpu %v, (-got +want):\n%s", h.CPU, diff)
	}
	if h := between(second, first); h.CPU != nil {
		t.Errorf("a clock that was set back gives %+v", h)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{stat, meminfo, netDev, mounts, ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, _ := parseCPU(text); c.busy > c.total && c.total > 1<<40 {
			t.Skip() // no machine counts so far that it overflows
		}
		if m, ok := parseMemory(text); ok && (m.Total <= 0 || m.Available > m.Total || m.Available < 0) {
			t.Errorf("%q gives %+v", text, m)
		}
		if n := len(parseNets(text)); n > mostNets {
			t.Errorf("%d interfaces", n)
		}
		if n := len(parseMounts(text)); n > mostMounts {
			t.Errorf("%d mounts", n)
		}
		var s sectors
		s.add(text)
	})
}
