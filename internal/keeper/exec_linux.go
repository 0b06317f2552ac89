package keeper

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"tend/internal/fdpass"
	"tend/internal/keeper/wire"
)

// Resource limits belong to a process, and the runtime has no way to set those
// of a child before its exec(2). Set around the fork they would be the keeper's:
// a hard limit that was lowered does not come back, and little memory ends the
// one process that must not end. Set on the running child they come too late
// for what it does first, and a child that is held by ptrace(2) loses set-user-ID
// and file capabilities. So a process with limits begins as this very program in
// the form "exec": it limits itself, and becomes what was asked for.
//
// A umask is inherited and does no harm to the keeper, which makes no file
// meanwhile: it is set around the fork.

// fork starts the process that m asks for, of which body is the frame's.
func fork(m wire.Spawn, body []byte, files []uintptr, pidfd *int) (pid int, err error) {
	attr := &syscall.ProcAttr{
		Dir: m.Dir, Env: m.Env, Files: files,
		// A session of its own: no terminal, and a group that signals reach
		// as a whole.
		Sys: &syscall.SysProcAttr{Setsid: true, PidFD: pidfd},
	}
	if m.SetUmask {
		defer unix.Umask(unix.Umask(int(m.Umask)))
	}
	if len(m.Limits) > 0 {
		return forkLimited(m, body, attr)
	}
	if m.AsUser {
		attr.Sys.Credential = &syscall.Credential{Uid: m.UID, Gid: m.GID, Groups: m.Groups}
	}
	return syscall.ForkExec(m.Path, m.Argv, attr)
}

// forkLimited starts a process that limits itself, and waits until it has become
// the program, or has failed.
func forkLimited(m wire.Spawn, body []byte, attr *syscall.ProcAttr) (pid int, err error) {
	for _, l := range m.Limits {
		if _, known := resources[l.Name]; !known {
			return 0, errors.New("limit " + l.Name + ": no such resource")
		}
	}
	spec, err := wire.MemFile(body)
	if err != nil {
		return 0, err
	}
	defer fdpass.CloseAll([]int{spec})
	var report [2]int
	if err := unix.Pipe2(report[:], unix.O_CLOEXEC); err != nil {
		return 0, os.NewSyscallError("pipe2", err)
	}
	defer fdpass.CloseAll(report[:1])
	fd := len(attr.Files)
	attr.Dir, attr.Env = "/", selfEnv(m)
	attr.Files = append(attr.Files, uintptr(spec), uintptr(report[1]))
	// Not by name: the file that has it may be of another version by now.
	pid, err = syscall.ForkExec("/proc/self/exe", []string{"tend-keeper", "exec", "--fd=" + strconv.Itoa(fd)}, attr)
	fdpass.CloseAll(report[1:])
	if err != nil {
		return 0, err
	}
	if err := failure(report[0]); err != nil {
		fdpass.CloseAll([]int{*attr.Sys.PidFD})
		_, _ = unix.Wait4(pid, nil, 0, nil) // it ends, and is nobody's news
		return 0, err
	}
	return pid, nil
}

// selfEnv is the environment of the keeper's program between fork and exec: what
// the app's says to the runtime of Go is not meant for it. By its key a launch is
// found whose keeper died.
func selfEnv(m wire.Spawn) []string {
	env := []string{"GOMAXPROCS=1", "GOGC=off"}
	for _, e := range m.Env {
		if strings.HasSuffix(e, "="+m.Key) {
			env = append(env, e)
		}
	}
	return env
}

// failure is what a process says that could not become the program, nil when
// it has: its end of the pipe is closed by exec(2).
func failure(report int) error {
	var text []byte
	for b := make([]byte, 256); ; {
		n, err := unix.Read(report, b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return os.NewSyscallError("read", err)
		case n > 0:
			text = append(text, b[:n]...)
			continue
		case len(text) < 4:
			return nil
		}
		errno := syscall.Errno(binary.LittleEndian.Uint32(text))
		if what := string(text[4:]); what != "" {
			return errors.New(what + ": " + errno.Error())
		}
		return errno
	}
}

// execute is the other side of forkLimited. It returns when it failed.
func execute(fd int) int {
	unix.CloseOnExec(fd)
	unix.CloseOnExec(fd + 1)
	what, err := become(fd)
	errno := unix.EIO
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		errno = e
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(errno)) //nolint:gosec // a small positive number
	_, _ = unix.Write(fd+1, append(b, what...))               // a keeper that died asks nobody
	return 1
}

// become limits this process as the Spawn in fd says, and becomes its program.
// It returns what could not be done, "" when that is the program's to tell.
func become(fd int) (what string, err error) {
	body, err := os.ReadFile("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return "read what to start", err
	}
	m, err := wire.ParseSpawn(body)
	if err != nil {
		return "read what to start", err
	}
	reserve(len(body))
	for _, l := range m.Limits {
		if err := syscall.Setrlimit(resources[l.Name], &syscall.Rlimit{Cur: l.Soft, Max: l.Hard}); err != nil {
			return "limit " + l.Name, err
		}
	}
	if m.AsUser {
		if err := becomeUser(m); err != nil {
			return "", err
		}
	}
	if err := unix.Chdir(m.Dir); err != nil {
		return "", err
	}
	return "", syscall.Exec(m.Path, m.Argv, m.Env)
}

func becomeUser(m wire.Spawn) error {
	groups := make([]int, len(m.Groups))
	for i, g := range m.Groups {
		groups[i] = int(g)
	}
	if err := syscall.Setgroups(groups); err != nil {
		return err
	}
	if err := syscall.Setgid(int(m.GID)); err != nil {
		return err
	}
	return syscall.Setuid(int(m.UID))
}

// reserve has the heap grow by what exec(2) still takes for a body of that size:
// under a limit of its memory a process gets none any more.
func reserve(size int) {
	const least = 4 << 20
	runtime.KeepAlive(make([]byte, least+4*size))
	runtime.GC()
}

// resources are the limits by the names that ulimit and limits.conf give them.
var resources = map[string]int{ //nolint:gochecknoglobals // a table, never written
	"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA,
	"fsize": unix.RLIMIT_FSIZE, "locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK,
	"msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE,
	"nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO, "rttime": unix.RLIMIT_RTTIME,
	"sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
}
