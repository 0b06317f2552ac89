package wire

import "cmp"

// Hello opens a connection, both ways. From a daemon that starts a new keeper
// it carries the daemon's pidfd.
type Hello struct {
	PID    int    // of the sender
	Daemon string // the binary that the keeper starts as daemon
	Keeper string // the keeper's own binary
	Seq    uint64 // the last number given to an exit
	Level  Level  // what the sender understands
}

// Level is how much of a frame a keeper understands: what it does not know it
// skips, and where that would start a process other than the one asked for, the
// daemon has to know. Append only; each includes those before it.
type Level uint64

// The levels.
const (
	LevelFirst  Level = 0
	LevelLimits Level = 1 // Spawn: Umask and Limits
)

// Append appends the body of the message to b.
func (m Hello) Append(b []byte) []byte {
	b = appendInt(b, 1, m.PID)
	b = appendString(b, 2, m.Daemon)
	b = appendString(b, 3, m.Keeper)
	b = appendUint(b, 4, m.Seq)
	return appendUint(b, 5, uint64(m.Level))
}

// ParseHello reads the body of a Hello.
func ParseHello(b []byte) (m Hello, err error) {
	err = fields(b, func(field uint8, v value) {
		switch field {
		case 1:
			m.PID = v.int()
		case 2:
			m.Daemon = v.string()
		case 3:
			m.Keeper = v.string()
		case 4:
			m.Seq = v.uint()
		case 5:
			m.Level = Level(v.uint())
		}
	})
	return m, err
}

// Slot is what a descriptor of a new process is. Append only.
type Slot uint8

// The slots.
const (
	SlotNull Slot = 0 // /dev/null
	// SlotPipe is a pipe that the process writes. The frame carries both its
	// ends, that of the process first; the keeper puts the other one on the
	// shelf as PipeName(key, n). The same holds of those that follow.
	SlotPipe Slot = 1
	// SlotInput is a pipe that the process reads.
	SlotInput Slot = 2
	// SlotChannel is a stream socket, both ways.
	SlotChannel Slot = 3
)

// PipeName is the name on the shelf of our end of the pipe, or the socket, that
// process key has as descriptor n.
func PipeName(key string, n int) string { return key + "/" + string(rune('0'+n)) }

// Spawn asks for a process. A key that is known already is not started a
// second time: the answer tells of the process that has it.
type Spawn struct {
	Key    string // names this one launch, for ever
	Path   string // absolute
	Argv   []string
	Env    []string
	Dir    string
	Slots  []Slot // descriptors 0, 1, 2, ...
	AsUser bool   // run as UID, GID and Groups
	UID    uint32
	GID    uint32
	Groups []uint32
	Tag    []byte // kept with the process for the daemon, not understood
	// SetUmask gives the process Umask in place of the keeper's own, and Limits
	// are resource limits of its own; see Needs.
	SetUmask bool
	Umask    uint32
	Limits   []Limit
}

// Needs is what a keeper has to understand to start the process as it is meant.
func (m Spawn) Needs() Level {
	if m.SetUmask || len(m.Limits) > 0 {
		return LevelLimits
	}
	return LevelFirst
}

// Limit is a resource limit of a process (getrlimit(2)). Unlimited is no limit.
type Limit struct {
	Name       string // as ulimit calls the resource: "nofile"
	Soft, Hard uint64
}

// Unlimited is the value of a limit that is none (RLIM_INFINITY).
const Unlimited = 1<<64 - 1

func (l Limit) append(b []byte) []byte {
	return appendUint(appendUint(appendString(b, 1, l.Name), 2, l.Soft), 3, l.Hard)
}

func parseLimit(b []byte) (l Limit, err error) {
	err = fields(b, func(field uint8, v value) {
		switch field {
		case 1:
			l.Name = v.string()
		case 2:
			l.Soft = v.uint()
		case 3:
			l.Hard = v.uint()
		}
	})
	return l, err
}

// Append appends the body of the message to b.
func (m Spawn) Append(b []byte) []byte {
	b = appendString(b, 1, m.Key)
	b = appendString(b, 2, m.Path)
	for _, a := range m.Argv {
		b = appendString(b, 3, a)
	}
	for _, e := range m.Env {
		b = appendString(b, 4, e)
	}
	b = appendString(b, 5, m.Dir)
	for _, s := range m.Slots {
		b = appendUint(b, 6, uint64(s))
	}
	b = appendBool(b, 7, m.AsUser)
	b = appendUint(b, 8, uint64(m.UID))
	b = appendUint(b, 9, uint64(m.GID))
	for _, g := range m.Groups {
		b = appendUint(b, 10, uint64(g))
	}
	b = appendBytes(b, 11, m.Tag)
	if m.SetUmask {
		b = appendUint(b, 12, uint64(m.Umask))
	}
	for _, l := range m.Limits {
		b = appendBytes(b, 13, l.append(nil))
	}
	return b
}

// ParseSpawn reads the body of a Spawn.
func ParseSpawn(b []byte) (m Spawn, err error) {
	var inner error
	err = fields(b, func(field uint8, v value) {
		switch field {
		case 1:
			m.Key = v.string()
		case 2:
			m.Path = v.string()
		case 3:
			m.Argv = append(m.Argv, v.string())
		case 4:
			m.Env = append(m.Env, v.string())
		case 5:
			m.Dir = v.string()
		case 6:
			m.Slots = append(m.Slots, Slot(v.uint())) //nolint:gosec // an unknown slot is refused by the keeper
		case 7:
			m.AsUser = v.bool()
		case 8:
			m.UID = uint32(v.uint()) //nolint:gosec // sent as one
		case 9:
			m.GID = uint32(v.uint()) //nolint:gosec // sent as one
		case 10:
			m.Groups = append(m.Groups, uint32(v.uint())) //nolint:gosec // sent as one
		case 11:
			m.Tag = v.bytes()
		case 12:
			m.SetUmask, m.Umask = true, uint32(v.uint()) //nolint:gosec // sent as one
		case 13:
			l, err := parseLimit(v)
			inner = cmp.Or(inner, err)
			m.Limits = append(m.Limits, l)
		}
	})
	return m, cmp.Or(err, inner)
}

// Child is a process that the keeper holds. The frame carries its pidfd.
type Child struct {
	Key   string
	PID   int
	Start uint64 // start time in clock ticks since boot, field 22 of /proc/PID/stat
	Tag   []byte
	FD    int // of the pidfd, in what a keeper leaves its successor
}

// Append appends the body of the message to b.
func (m Child) Append(b []byte) []byte {
	b = appendString(b, 1, m.Key)
	b = appendInt(b, 2, m.PID)
	b = appendUint(b, 3, m.Start)
	b = appendBytes(b, 4, m.Tag)
	return appendInt(b, 5, m.FD)
}

// ParseChild reads the body of a Child.
func ParseChild(b []byte) (m Child, err error) {
	err = fields(b, func(field uint8, v value) {
		switch field {
		case 1:
			m.Key = v.string()
		case 2:
			m.PID = v.int()
		case 3:
			m.Start = v.uint()
		case 4:
			m.Tag = v.bytes()
		case 5:
			m.FD = v.int()
		}
	})
	return m, err
}

// Exit tells that a process ended. The keeper keeps it until its number was
// acknowledged, over any number of daemons.
type Exit struct {
	Seq    uint64
	Key    string
	PID    int
	Known  bool   // Status was learnt
	Status uint32 // as wait(2) gives it
	At     uint64 // when it was seen: nanoseconds since 1970
}

// Append appends the body of the message to b.
func (m Exit) Append(b []byte) []byte {
	b = appendUint(b, 1, m.Seq)
	b = appendString(b, 2, m.Key)
	b = appendInt(b, 3, m.PID)
	b = appendBool(b, 4, m.Known)
	b = appendUint(b, 5, uint64(m.Status))
	return appendUint(b, 6, m.At)
}

// ParseExit reads the body of an Exit.
func ParseExit(b []byte) (m Exit, err error) {
	err = fields(b, func(field uint8, v value) {
		switch field {
		case 1:
			m.Seq = v.uint()
		case 2:
			m.Key = v.string()
		case 3:
			m.PID = v.int()
		case 4:
			m.Known = v.bool()
		case 5:
			m.Status = uint32(v.uint()) //nolint:gosec // sent as one
		case 6:
			m.At = v.uint()
		}
	})
	return m, err
}

// Failed says why a request was not carried out.
type Failed struct {
	Errno int // 0 when it was not the kernel that refused
	Text  string
}

// Append appends the body of the message to b.
func (m Failed) Append(b []byte) []byte {
	return appendString(appendInt(b, 1, m.Errno), 2, m.Text)
}

// ParseFailed reads the body of a Failed.
func ParseFailed(b []byte) (m Failed, err error) {
	err = fields(b, func(field uint8, v value) {
		switch field {
		case 1:
			m.Errno = v.int()
		case 2:
			m.Text = v.string()
		}
	})
	return m, err
}

// Held is a descriptor on the shelf. The frame carries it.
type Held struct {
	Name string
	FD   int // in what a keeper leaves its successor
}

// Append appends the body of the message to b.
func (m Held) Append(b []byte) []byte {
	return appendInt(appendString(b, 1, m.Name), 2, m.FD)
}

// ParseHeld reads the body of a Held.
func ParseHeld(b []byte) (m Held, err error) {
	err = fields(b, func(field uint8, v value) {
		switch field {
		case 1:
			m.Name = v.string()
		case 2:
			m.FD = v.int()
		}
	})
	return m, err
}

// Seq acknowledges the exit of that number.
type Seq struct{ Seq uint64 }

// Append appends the body of the message to b.
func (m Seq) Append(b []byte) []byte { return appendUint(b, 1, m.Seq) }

// ParseSeq reads the body of a Seq.
func ParseSeq(b []byte) (m Seq, err error) {
	err = fields(b, func(field uint8, v value) {
		if field == 1 {
			m.Seq = v.uint()
		}
	})
	return m, err
}

// Upgrade asks the keeper to become the binary Keeper, in place, and to start
// Daemon from now on.
type Upgrade struct {
	Keeper string
	Daemon string
}

// Append appends the body of the message to b.
func (m Upgrade) Append(b []byte) []byte {
	return appendString(appendString(b, 1, m.Keeper), 2, m.Daemon)
}

// ParseUpgrade reads the body of an Upgrade.
func ParseUpgrade(b []byte) (m Upgrade, err error) {
	err = fields(b, func(field uint8, v value) {
		switch field {
		case 1:
			m.Keeper = v.string()
		case 2:
			m.Daemon = v.string()
		}
	})
	return m, err
}

// Self is what a keeper that becomes another binary tells of itself.
type Self struct {
	Request uint64 // id of the Upgrade to be answered
	Seq     uint64 // the last number given to an exit
	Conn    int    // descriptor of the connection to the daemon
	Daemon  int    // pid of the daemon
	PidFD   int    // its pidfd
	Path    string // the daemon's binary
	Quit    bool   // the daemon said so
}

// Append appends the body of the message to b.
func (m Self) Append(b []byte) []byte {
	b = appendUint(b, 1, m.Request)
	b = appendUint(b, 2, m.Seq)
	b = appendInt(b, 3, m.Conn)
	b = appendInt(b, 4, m.Daemon)
	b = appendInt(b, 5, m.PidFD)
	b = appendString(b, 6, m.Path)
	return appendBool(b, 7, m.Quit)
}

// ParseSelf reads the body of a Self.
func ParseSelf(b []byte) (m Self, err error) {
	err = fields(b, func(field uint8, v value) {
		switch field {
		case 1:
			m.Request = v.uint()
		case 2:
			m.Seq = v.uint()
		case 3:
			m.Conn = v.int()
		case 4:
			m.Daemon = v.int()
		case 5:
			m.PidFD = v.int()
		case 6:
			m.Path = v.string()
		case 7:
			m.Quit = v.bool()
		}
	})
	return m, err
}
