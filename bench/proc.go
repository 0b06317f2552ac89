package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is one of those that carry a mark.
type process struct {
	pid  int
	line string // argv, as the kernel shows it: proc_pid_cmdline(5)
}

// sleeps tells whether the process is one of the sleepers.
func (p process) sleeps() bool {
	a := sleepers(1)[0]
	return p.line == strings.Join(append([]string{a.script}, a.args...), "\x00")+"\x00"
}

// marked are the processes that were started with this assignment in their
// environment, and have not ended: a zombie has no environment any more.
func marked(mark string) []process {
	var all []process
	dirs, _ := filepath.Glob("/proc/[1-9]*") // fails for a wrong pattern only
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || !hasMark(pid, mark) {
			continue
		}
		if line, err := os.ReadFile(dir + "/cmdline"); err == nil {
			all = append(all, process{pid, string(line)})
		}
	}
	return all
}

func hasMark(pid int, mark string) bool {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+mark+"\x00"))
}

// endMarked kills the process that has this pid, if it carries the mark.
func endMarked(pid int, mark string) {
	// This holds a pidfd, so that what is looked at is what is killed.
	p, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	defer p.Release() //nolint:errcheck // nothing to lose
	if hasMark(pid, mark) {
		_ = p.Kill() // or it has ended by itself
	}
}

// resident is the memory of a process in bytes: with what it shares with others.
func resident(pid int) (float64, error) { return statusBytes(pid, "VmRSS") }

// residentPeak is the most that it ever had.
func residentPeak(pid int) (float64, error) { return statusBytes(pid, "VmHWM") }

// statusBytes reads a size from proc_pid_status(5).
func statusBytes(pid int, field string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, field+": %f kB", &kib); n == 1 {
			return kib * 1024, nil
		}
	}
	return 0, fmt.Errorf("read the memory of process %d: it has no %s", pid, field)
}

// childrenTime is what the children of a process have used that it has waited
// for, to a hundredth of a second: cutime + cstime of proc_pid_stat(5).
func childrenTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; the state is behind it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var sum int
	for _, at := range []int{13, 14} {
		ticks, err := strconv.Atoi(fields[at])
		if err != nil {
			return 0, fmt.Errorf("read the CPU time of the children of %d: %w", pid, err)
		}
		sum += ticks
	}
	return time.Duration(sum) * 10 * time.Millisecond, nil
}

// machineTime is what all processes of this machine have used together, to a
// hundredth of a second: the first line of proc_stat(5).
func machineTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	var user, nice, system, idle, iowait, irq, softirq int64
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq); err != nil {
		return 0, fmt.Errorf("read /proc/stat: %w", err)
	}
	return time.Duration(user+nice+system+irq+softirq) * 10 * time.Millisecond, nil
}
