// Package hostinfo knows what this machine as a whole has and uses: processors,
// memory, network, disks. It reads when it is asked to, keeps the last look, for
// rates are differences, and decides nothing.
package hostinfo

import (
	"slices"
	"time"

	"tend/api"
)

// Sampler looks at the machine from time to time. It has one owner: it is not
// safe for concurrent use.
type Sampler struct{ last look }

// Sample is what the machine has and uses now, with rates since the last sample.
func (s *Sampler) Sample() (api.Host, error) {
	now, err := read()
	if err != nil {
		return api.Host{}, err
	}
	was := s.last
	s.last = now
	return between(was, now), nil
}

// look is what was there at one moment; what only counts up is since the boot.
type look struct {
	at     time.Time // zero: nobody looked
	cpu    ticks
	memory api.HostMemory
	nets   []traffic
	disk   sectors
	mounts []api.Mount
}

// ticks is the time of all processors.
type ticks struct{ busy, total uint64 }

// traffic is what went through an interface.
type traffic struct {
	name                                                     string
	received, rxErrors, rxDropped, sent, txErrors, txDropped uint64
}

// sectors are those that went to and from the disks, of sectorSize bytes.
type sectors struct{ read, written uint64 }

// between is what two looks say; nothing was seen at was's time when it is zero.
func between(was, now look) api.Host {
	h := api.Host{At: now.at.UnixMilli(), Memory: now.memory, Mounts: now.mounts}
	seconds := now.at.Sub(was.at).Seconds()
	if was.at.IsZero() || seconds <= 0 {
		return h
	}
	if total := grown(was.cpu.total, now.cpu.total); total > 0 {
		percent := min(100*float64(grown(was.cpu.busy, now.cpu.busy))/float64(total), 100)
		h.CPU = &percent
	}
	each := func(was, now uint64) float64 { return float64(grown(was, now)) / seconds }
	for _, n := range now.nets {
		at := slices.IndexFunc(was.nets, func(o traffic) bool { return o.name == n.name })
		if at < 0 {
			continue
		}
		o := was.nets[at]
		h.Nets = append(h.Nets, api.HostNet{
			Name: n.name, Received: each(o.received, n.received), Sent: each(o.sent, n.sent),
			RxErrors: 60 * each(o.rxErrors, n.rxErrors), TxErrors: 60 * each(o.txErrors, n.txErrors),
			RxDropped: 60 * each(o.rxDropped, n.rxDropped), TxDropped: 60 * each(o.txDropped, n.txDropped),
		})
	}
	h.Disk = &api.HostDisk{Read: sectorSize * each(was.disk.read, now.disk.read), Written: sectorSize * each(was.disk.written, now.disk.written)}
	return h
}

// grown is how much a counter grew: not at all where it began anew.
func grown(was, now uint64) uint64 { return now - min(was, now) }

// sectorSize is the unit of the counters of disks, whatever the disk's own is.
const sectorSize = 512
