package sysinfo

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// BootID names the boot that lasts: a UUID that the kernel drew.
func BootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// RunTime is how long all threads of a process have been on a processor, and a
// state: 'R' or 'D' where one of them runs, wants to run or waits for a disk,
// else that of the process. Two looks that agree, neither of them R or D, mean
// that it waited for something all the time in between. Where there is no such
// process, the error is os.ErrProcessDone.
func RunTime(pid int) (ns uint64, state byte, err error) {
	p, err := readProc(pid)
	if err != nil {
		return 0, 0, err
	}
	tasks, err := os.ReadDir(procPath(pid, "task"))
	if err != nil {
		return 0, 0, procError(pid, err)
	}
	state = p.State
	for _, task := range tasks {
		dir := procPath(pid, "task/"+task.Name()+"/")
		stat, statErr := os.ReadFile(dir + "stat")
		times, timesErr := os.ReadFile(dir + "schedstat")
		if statErr != nil || timesErr != nil {
			continue // the thread has just ended
		}
		if t, ok := parseStat(stat, 1); ok && (t.State == 'R' || t.State == 'D') {
			state = t.State
		}
		f := fields{rest: times}
		ns += f.count()
		if f.bad {
			return 0, 0, procError(pid, fmt.Errorf("schedstat is %q", times))
		}
	}
	return ns, state, nil
}

// Resident is how many bytes of a process are in memory. It is cheap, and takes
// the word of the pid for who that is, unless it is more than above.
func Resident(p Root, above int64) (int64, error) {
	var line [128]byte // seven numbers
	fd, err := unix.Open(procPath(p.PID, "statm"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, procError(p.PID, err)
	}
	n, err := unix.Read(fd, line[:])
	_ = unix.Close(fd)
	if err != nil {
		return 0, procError(p.PID, err)
	}
	f := fields{rest: line[:n]}
	f.skip(1)
	pages := f.count()
	if f.bad || pages > uint64(math.MaxInt64/os.Getpagesize()) {
		return 0, procError(p.PID, fmt.Errorf("statm is %q", line[:n]))
	}
	rss := int64(pages) * int64(os.Getpagesize())
	if rss > above {
		if _, err := current(Identity{PID: p.PID, Start: p.Start}); err != nil {
			return 0, err
		}
	}
	return rss, nil
}

// readProc looks at one process.
func readProc(pid int) (Proc, error) {
	line, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return Proc{}, procError(pid, err)
	}
	p, ok := parseStat(line, int64(os.Getpagesize()))
	if !ok {
		return Proc{}, procError(pid, fmt.Errorf("stat is %q", line))
	}
	return p, nil
}

func procPath(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

func procError(pid int, err error) error {
	// A file of /proc cannot be opened once its process is gone, and one that
	// was open then reads as ESRCH.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		err = os.ErrProcessDone
	}
	return fmt.Errorf("read process %d: %w", pid, err)
}

// readID reads the unique_id in the environment that this very process was
// started with, "" where there is none or it may not be read.
func readID(p Proc) string {
	f, err := os.Open(procPath(p.PID, "environ"))
	if err != nil {
		return "" // gone, or of another user
	}
	defer f.Close()
	id := findID(f)
	if _, err := current(p); err != nil {
		return ""
	}
	return id
}

// findID finds the value of unique_id among entries that each end in a zero
// byte. They may be megabytes together, and one may be larger than the buffer:
// such a one is not it.
func findID(r io.Reader) string {
	in := bufio.NewReaderSize(r, 4<<10)
	within := false // an entry whose start was left behind
	for {
		entry, err := in.ReadSlice(0)
		if !within {
			if id, ok := bytes.CutPrefix(bytes.TrimSuffix(entry, []byte{0}), []byte(uniqueVariable)); ok && !errors.Is(err, bufio.ErrBufferFull) {
				return string(id)
			}
		}
		within = errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !within {
			return ""
		}
	}
}

// reader looks at all processes, over and over, with the same buffers. Asking
// the kernel through package os would allocate a dozen times a process.
type reader struct {
	proc     *os.File // the directory /proc, once opened
	pageSize int64
	count    int // of processes at the last look

	path    [32]byte
	entries [16 << 10]byte
	// A line has 52 numbers and a name of at most 64 bytes; only the first 24
	// fields matter.
	line [2 << 10]byte
}

func newReader() *reader { return &reader{pageSize: int64(os.Getpagesize())} }

// look reads the table. Processes that vanish meanwhile are not in it.
func (r *reader) look() (*Table, error) {
	if r.proc == nil {
		dir, err := os.Open("/proc")
		if err != nil {
			return nil, fmt.Errorf("read processes: %w", err)
		}
		r.proc = dir
	}
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return nil, fmt.Errorf("read processes: ask the clock: %w", err)
	}
	ticks := uint64(boot.Nano()) / (uint64(time.Second) / ticksPerSecond)
	at := time.Now()

	dir := int(r.proc.Fd())
	if _, err := unix.Seek(dir, 0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read processes: rewind: %w", err)
	}
	procs := make([]Proc, 0, r.count+r.count/16+16)
	for {
		n, err := unix.Getdents(dir, r.entries[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read processes: list: %w", err)
		}
		if n == 0 {
			break
		}
		for list := r.entries[:n]; len(list) > 0; {
			size := binary.NativeEndian.Uint16(list[unsafe.Offsetof(unix.Dirent{}.Reclen):])
			name := list[unsafe.Offsetof(unix.Dirent{}.Name):size]
			list = list[size:]
			if p, ok := r.read(dir, name[:bytes.IndexByte(name, 0)]); ok {
				procs = append(procs, p)
			}
		}
	}
	r.count = len(procs)
	return newTable(at, ticks, procs, readID), nil
}

// read looks at the process whose directory below /proc has this name.
func (r *reader) read(dir int, name []byte) (Proc, bool) {
	const file = "/stat\x00"
	if name[0] < '1' || name[0] > '9' || len(name)+len(file) > len(r.path) {
		return Proc{}, false
	}
	copy(r.path[copy(r.path[:], name):], file)

	// unix.Openat would allocate the path anew.
	fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&r.path[0])),
		unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return Proc{}, false
	}
	n, err := unix.Read(int(fd), r.line[:])
	_ = unix.Close(int(fd))
	if err != nil {
		return Proc{}, false
	}
	return parseStat(r.line[:n], r.pageSize)
}

func (r *reader) close() {
	if r.proc != nil {
		_ = r.proc.Close()
	}
}
