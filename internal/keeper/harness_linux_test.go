package keeper

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tend/internal/fdpass"
	"tend/internal/keeper/wire"
	"tend/internal/testkit"
)

// program is a process that the test started and will have ended.
type program struct {
	pid  int
	done chan struct{} // closed when it has ended
	end  *os.ProcessState
}

// startProgram starts cmd; end is to be called when the test is over.
func startProgram(t *testing.T, cmd *exec.Cmd) (p *program, end func()) {
	t.Helper()
	log, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p = &program{pid: cmd.Process.Pid, done: make(chan struct{})}
	go func() {
		cmd.Wait()
		p.end = cmd.ProcessState
		close(p.done)
	}()
	return p, func() {
		cmd.Process.Kill()
		<-p.done
		if text, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("stderr of %s %v:\n%s", filepath.Base(cmd.Path), cmd.Args[1:], text)
		}
	}
}

// wait is the status with which it ended.
func (p *program) wait(t *testing.T) syscall.WaitStatus {
	t.Helper()
	select {
	case <-p.done:
		return p.end.Sys().(syscall.WaitStatus)
	case <-time.After(soon):
		t.Fatalf("process %d has not ended", p.pid)
		return 0
	}
}

// line is a connection to a keeper that the test speaks for itself.
type line struct {
	*wire.Conn
	*program

	t      *testing.T
	id     uint64
	frames chan wire.Frame // closed at the end of the connection
	kept   []wire.Frame
}

// adopted starts a keeper in the form of one that follows another. The test
// is no daemon to it: it says no Hello with a pidfd, for who does and closes
// the connection is killed.
func adopted(t *testing.T) *line {
	t.Helper()
	return dial(t, func(home string) *exec.Cmd {
		return exec.Command(testkit.Keeper(t), "adopt", "--home="+home, "--fd=3")
	})
}

func dial(t *testing.T, command func(home string) *exec.Cmd) *line {
	t.Helper()
	ours, theirs, err := fdpass.Pair()
	if err != nil {
		t.Fatal(err)
	}
	end := os.NewFile(uintptr(theirs), "keeper")
	defer end.Close()
	cmd := command(t.TempDir())
	cmd.ExtraFiles = []*os.File{end}
	p, endProgram := startProgram(t, cmd)
	t.Cleanup(endProgram)
	conn, err := wire.NewConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	// Room for all that a test does not read, so that the reader ends.
	l := &line{Conn: conn, program: p, t: t, frames: make(chan wire.Frame, 4096)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(l.frames)
		for {
			f, err := conn.Read()
			if err != nil {
				return
			}
			l.frames <- f
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
		for f := range l.frames {
			fdpass.CloseAll(f.FDs)
		}
	})
	return l
}

// next is the next frame that fits; what comes before it is kept.
func (l *line) next(what string, fits func(wire.Frame) bool) wire.Frame {
	l.t.Helper()
	for i, f := range l.kept {
		if fits(f) {
			l.kept = append(l.kept[:i], l.kept[i+1:]...)
			return f
		}
	}
	timeout := time.After(soon)
	for {
		select {
		case f, ok := <-l.frames:
			if !ok {
				l.t.Fatalf("the keeper is gone; waited for %s", what)
			}
			if fits(f) {
				return f
			}
			l.kept = append(l.kept, f)
		case <-timeout:
			l.t.Fatalf("no %s came, but %+v", what, l.kept)
		}
	}
}

// ask asks, and waits for the answer.
func (l *line) ask(kind wire.Kind, body []byte, fds ...int) wire.Frame {
	l.t.Helper()
	l.id++
	id := l.id
	if err := l.Write(wire.Frame{Kind: kind, ID: id, Body: body, FDs: fds}); err != nil {
		l.t.Fatal(err)
	}
	return l.next("answer", func(f wire.Frame) bool { return f.ID == id })
}

func (l *line) tell(kind wire.Kind, body []byte, fds ...int) {
	l.t.Helper()
	if err := l.Write(wire.Frame{Kind: kind, Body: body, FDs: fds}); err != nil {
		l.t.Fatal(err)
	}
}

// running is a process of the keeper.
type running struct {
	wire.Child

	pidfd int
	pipes []*os.File // the ends to read
}

// askSpawn asks for a process, with pipes as its slots want them.
func (l *line) askSpawn(m wire.Spawn) (answer wire.Frame, pipes []*os.File) {
	l.t.Helper()
	var fds []int
	for _, s := range m.Slots {
		if s != wire.SlotPipe {
			continue
		}
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			l.t.Fatal(err)
		}
		if err := unix.SetNonblock(p[0], true); err != nil {
			l.t.Fatal(err)
		}
		defer unix.Close(p[1])
		fds = append(fds, p[1], p[0])
		pipes = append(pipes, os.NewFile(uintptr(p[0]), "pipe"))
	}
	return l.ask(wire.KindSpawn, m.Append(nil), fds...), pipes
}

// spawn starts a process and has it killed at the end of the test.
func (l *line) spawn(m wire.Spawn) running {
	l.t.Helper()
	f, pipes := l.askSpawn(m)
	for _, p := range pipes {
		l.t.Cleanup(func() { p.Close() })
	}
	if f.Kind != wire.KindSpawned {
		failed, _ := wire.ParseFailed(f.Body)
		l.t.Fatalf("spawn %s: frame of kind %d: %+v", m.Key, f.Kind, failed)
	}
	c, err := wire.ParseChild(f.Body)
	if err != nil || len(f.FDs) != 1 {
		l.t.Fatalf("spawn %s: %v, descriptors %v, want its pidfd", m.Key, err, f.FDs)
	}
	r := running{Child: c, pidfd: f.FDs[0], pipes: pipes}
	l.t.Cleanup(func() {
		unix.PidfdSendSignal(r.pidfd, unix.SIGKILL, nil, 0)
		unix.Close(r.pidfd)
	})
	return r
}

// shell is a spawn of a script of sh, with pipes for its output.
func shell(key, script string) wire.Spawn {
	return wire.Spawn{
		Key: key, Path: "/bin/sh", Argv: []string{"sh", "-c", script}, Dir: "/", Env: []string{"PATH=" + os.Getenv("PATH")},
		Slots: []wire.Slot{wire.SlotNull, wire.SlotPipe, wire.SlotPipe},
	}
}

// exit waits for the end of a process.
func (l *line) exit(key string) wire.Exit {
	l.t.Helper()
	var e wire.Exit
	l.next("exit of "+key, func(f wire.Frame) bool {
		m, err := wire.ParseExit(f.Body)
		if f.Kind != wire.KindExit || err != nil || m.Key != key {
			return false
		}
		e = m
		return true
	})
	return e
}

// output reads a pipe to its end.
func output(t *testing.T, f *os.File) string {
	t.Helper()
	if err := f.SetReadDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// firstLine reads the first line of a pipe.
func firstLine(t *testing.T, f *os.File) string {
	t.Helper()
	if err := f.SetReadDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := f.Read(b); err != nil {
			t.Fatalf("after %q: %v", line, err)
		}
		if b[0] == '\n' {
			return string(line)
		}
		line = append(line, b[0])
	}
}

// stage is where keepers in their usual form start puppets for daemons.
type stage struct {
	t     *testing.T
	home  string
	ctl   *net.UnixListener
	conns []net.Conn // to puppets
	pids  []int      // of puppets and their keepers
	ends  []func()   // of programs
}

func newStage(t *testing.T) *stage {
	t.Helper()
	home := testkit.Home(t)
	ctl, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(home, "ctl"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, home: home, ctl: ctl}
	t.Cleanup(s.clear)
	return s
}

// clear ends everybody: a puppet whose test has gone quits, and its keeper
// with it, whoever started that.
func (s *stage) clear() {
	s.ctl.Close()
	for _, conn := range s.conns {
		conn.Close()
	}
	for _, pid := range s.pids {
		testkit.WaitFor(s.t, soon, "process "+strconv.Itoa(pid)+" ended", func() bool { return reapOrphan(pid) })
	}
	for _, end := range s.ends {
		end()
	}
	if text, err := os.ReadFile(filepath.Join(s.home, "tend.log")); s.t.Failed() && err == nil {
		s.t.Logf("tend.log:\n%s", text)
	}
}

// reapOrphan tells whether a process is over, and reaps it where it has
// become our child.
func reapOrphan(pid int) bool {
	var ws unix.WaitStatus
	got, err := unix.Wait4(pid, &ws, unix.WNOHANG, nil)
	return got == pid || errors.Is(err, unix.ECHILD) && !there(pid)
}

// keep starts a keeper and tells what it says on its ready descriptor.
func (s *stage) keep(daemon, ctl string) (*program, *os.File) {
	s.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer w.Close()
	s.t.Cleanup(func() { r.Close() })
	cmd := exec.Command(testkit.Keeper(s.t), "run", "--home="+s.home, "--daemon="+daemon, "--ready-fd=3")
	cmd.Env = append(os.Environ(), ctlVar+"="+ctl, "HOME="+s.home)
	cmd.ExtraFiles = []*os.File{w}
	p, end := startProgram(s.t, cmd)
	s.ends = append(s.ends, end)
	return p, r
}

// begin starts a keeper with a puppet that serves.
func (s *stage) begin() (*program, *handle) {
	s.t.Helper()
	k, ready := s.keep(testkit.Self(s.t), s.ctl.Addr().String())
	p := s.puppet()
	p.ask(note{Do: "ready"})
	if got := output(s.t, ready); got != "ready\n" {
		s.t.Fatalf("the keeper said %q", got)
	}
	return k, p
}

// handle is what the test has of one puppet.
type handle struct {
	note // its first

	t    *testing.T
	conn net.Conn
	in   *json.Decoder
	news []note
}

// puppet waits for the next puppet to come up.
func (s *stage) puppet() *handle {
	s.t.Helper()
	if err := s.ctl.SetDeadline(time.Now().Add(soon)); err != nil {
		s.t.Fatal(err)
	}
	conn, err := s.ctl.Accept()
	if err != nil {
		s.t.Fatalf("no daemon came: %v", err)
	}
	p := &handle{t: s.t, conn: conn, in: json.NewDecoder(conn)}
	s.conns = append(s.conns, conn)
	p.note = p.hear()
	s.pids = append(s.pids, p.PID, p.Number)
	return p
}

func (p *handle) hear() note {
	p.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(soon)); err != nil {
		p.t.Fatal(err)
	}
	var n note
	if err := p.in.Decode(&n); err != nil {
		p.t.Fatalf("the daemon says nothing: %v", err)
	}
	return n
}

// tell gives an order that has no answer.
func (p *handle) tell(n note) {
	p.t.Helper()
	if err := json.NewEncoder(p.conn).Encode(n); err != nil {
		p.t.Fatal(err)
	}
}

// try gives an order and waits for the answer.
func (p *handle) try(n note) note {
	p.t.Helper()
	p.tell(n)
	for {
		answer := p.hear()
		if answer.Do == "" {
			return answer
		}
		p.news = append(p.news, answer)
	}
}

func (p *handle) ask(n note) note {
	p.t.Helper()
	answer := p.try(n)
	if answer.Err != "" {
		p.t.Fatalf("%s: %s", n.Do, answer.Err)
	}
	return answer
}

// spawn starts a script, and has it killed at the end.
func (p *handle) spawn(key, script string) (pid int) {
	p.t.Helper()
	m := shell(key, script)
	pid = p.ask(note{Do: "spawn", Key: key, Path: m.Path, Argv: m.Argv, Env: m.Env, Dir: m.Dir, Slots: m.Slots}).PID
	testkit.KillAtEnd(p.t, pid)
	return pid
}

// tells waits for news.
func (p *handle) tells(what string, fits func(note) bool) note {
	p.t.Helper()
	for i := 0; ; i++ {
		if i == len(p.news) {
			p.news = append(p.news, p.hear())
		}
		if fits(p.news[i]) {
			return p.news[i]
		}
	}
}

func (p *handle) exit(key string) wire.Exit {
	p.t.Helper()
	return p.tells("exit of "+key, func(n note) bool { return n.Do == "exit" && n.Exit.Key == key }).Exit
}

// What the kernel says of processes.

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// descriptors is how many the keeper has, once all that it was told is done.
func (l *line) descriptors() int {
	l.t.Helper()
	l.ask(wire.KindHello, wire.Hello{}.Append(nil))
	return descriptors(l.t, l.pid)
}

// field is field n of proc_pid_stat(5), "" when there is no such process.
func field(pid, n int) string {
	f, err := statFields(pid)
	if err != nil {
		return ""
	}
	return string(f[n-3])
}

func parent(pid int) int {
	n, _ := strconv.Atoi(field(pid, 4))
	return n
}

// there tells whether the process runs.
func there(pid int) bool {
	state := field(pid, 3)
	return state != "" && state != "Z" && state != "X"
}

func gone(pid int) func() bool {
	return func() bool { return field(pid, 3) == "" }
}

// zombies are the children of pid that nobody has reaped.
func zombies(t *testing.T, pid int) (found []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if parent(n) == pid && field(n, 3) == "Z" {
			found = append(found, n)
		}
	}
	return found
}

// proc reads a file of a process, whose parts end with zeros.
func proc(t *testing.T, pid int, name string) []string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(bytes.TrimSuffix(b, []byte{0})), "\x00")
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
}
