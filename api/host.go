package api

// Host answers GET /v1/host: what the machine as a whole has and uses. Rates are
// over the time since the look before, of half a minute at most; where there was
// none yet, or the system does not say, they are nil.
type Host struct {
	// Off: the home is set not to look (pm2:sysmonit), and all else is empty.
	Off    bool       `json:"off,omitempty"`
	At     int64      `json:"at_ms"`
	CPU    *float64   `json:"cpu_percent,omitempty"` // of all processors together
	Memory HostMemory `json:"memory"`
	Nets   []HostNet  `json:"nets,omitempty"`
	Disk   *HostDisk  `json:"disk,omitempty"`
	Mounts []Mount    `json:"mounts,omitempty"`
}

// HostMemory is the memory of the machine.
type HostMemory struct {
	Total     int64 `json:"total_bytes"`
	Available int64 `json:"available_bytes"` // without swapping
}

// HostNet is what goes through an interface of the network: bytes a second, and
// errors and drops a minute.
type HostNet struct {
	Name      string  `json:"name"`
	Received  float64 `json:"received_bytes_per_second"`
	Sent      float64 `json:"sent_bytes_per_second"`
	RxErrors  float64 `json:"rx_errors_per_minute"`
	TxErrors  float64 `json:"tx_errors_per_minute"`
	RxDropped float64 `json:"rx_dropped_per_minute"`
	TxDropped float64 `json:"tx_dropped_per_minute"`
}

// HostDisk is what all disks together read and write.
type HostDisk struct {
	Read    float64 `json:"read_bytes_per_second"`
	Written float64 `json:"written_bytes_per_second"`
}

// Mount is a filesystem on a device.
type Mount struct {
	Path string  `json:"path"`
	Size int64   `json:"size_bytes"`
	Use  float64 `json:"use_percent"` // of what there is for others than root
}
