package pm2env

import (
	"math"

	"tend/api"
)

// Metrics are the figures of a machine under PM2's names and in its units. A
// rate that is not known yet is left out.
func Metrics(h api.Host) Object {
	var all Object
	put := func(name, unit string, value float64) {
		all = append(all, Member{name, Object{{"value", value}, {"type", "metric"}, {"unit", unit}, {"historic", true}}})
	}
	if h.CPU != nil {
		put("CPU Usage", "%", Rounded(*h.CPU, 1))
	}
	if m := h.Memory; m.Total > 0 {
		put("CPU Temperature", "°C", -1) // PM2 never knows it either
		put("RAM Usage", "%", Rounded(MemoryUse(m), 1))
		put("RAM Total", "b", float64(m.Total))
		put("RAM Available", "b", float64(m.Available))
		put("RAM Active", "b", float64(m.Total-m.Available))
	}
	for _, n := range h.Nets {
		put("net:rx_5:"+n.Name, "mb/s", Megabytes(n.Received))
		put("net:tx_5:"+n.Name, "mb/s", Megabytes(n.Sent))
		put("net:rx_errors_60:"+n.Name, "/min", Rounded(n.RxErrors, 1))
		put("net:tx_errors_60:"+n.Name, "/min", Rounded(n.TxErrors, 1))
		put("net:rx_dropped_60:"+n.Name, "/min", Rounded(n.RxDropped, 1))
		put("net:tx_dropped_60:"+n.Name, "/min", Rounded(n.TxDropped, 1))
	}
	if h.Disk != nil {
		put("Disk Reads", "mb/s", Megabytes(h.Disk.Read))
		put("Disk Writes", "mb/s", Megabytes(h.Disk.Written))
	}
	for _, m := range h.Mounts {
		const giga = 1 << 30
		put("fs:use:"+m.Path, "%", Rounded(m.Use, 2))
		put("fs:size:"+m.Path, "gb", Rounded(float64(m.Size)/giga, 2))
	}
	return all
}

// MemoryUse is how much of a machine's memory is in use, in percent.
func MemoryUse(m api.HostMemory) float64 {
	return 100 * float64(m.Total-m.Available) / float64(max(m.Total, 1))
}

// Megabytes are bytes as PM2 writes rates of them.
func Megabytes(bytes float64) float64 {
	const mega = 1 << 20
	return Rounded(bytes/mega, 3)
}

// Rounded is v with so many decimals at most.
func Rounded(v float64, decimals int) float64 {
	unit := math.Pow10(decimals)
	return math.Round(v*unit) / unit
}
