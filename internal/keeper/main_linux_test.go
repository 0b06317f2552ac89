package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tend/internal/keeper/remote"
	"tend/internal/keeper/wire"
	"tend/internal/testkit"
)

const (
	// ctlVar makes this test binary a puppet: the daemon of a keeper, that
	// does what the test at the socket of that path tells it. With the value
	// crash it ends at once, with code 1.
	ctlVar = "TEND_TEST_KEEPER_CTL"
	crash  = "crash"

	soon = 10 * time.Second
)

func TestMain(m *testing.M) {
	if ctl := os.Getenv(ctlVar); ctl != "" {
		os.Exit(puppet(ctl))
	}
	if err := testkit.TakeOrphans(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	testkit.Main(m, func() error { return goleak.Find() })
}

// note is what a test and its puppet say to each other, one JSON value each.
type note struct {
	Do string // what to do; "" in an answer, "exit" and "signal" in news

	Key, Path, Dir, Name, Text string
	Argv, Env                  []string
	Slots                      []wire.Slot
	Number                     int

	PID     int
	Errno   int
	Err     string
	Exit    wire.Exit
	Settled bool
	// Of a puppet that has just come up.
	Exe      string
	Children []wire.Child
	Exits    []wire.Exit
	Held     []string
}

// puppet is the life of the daemon that this binary then is.
func puppet(ctl string) int {
	if ctl == crash {
		fmt.Fprintln(os.Stderr, "puppet: it crashes as told")
		return 1
	}
	p := &daemonPuppet{}
	var err error
	p.keeper, p.inventory, err = remote.New(3, remote.Options{
		Home: os.Getenv("HOME"), Daemon: exe(), Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		OnExit: func(e wire.Exit) { p.say(note{Do: "exit", Exit: e}) },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "puppet:", err)
		return 1
	}
	go p.keeper.Run(context.Background())
	p.conn, err = net.Dial("unix", ctl)
	if err != nil { // the test is over
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		p.keeper.Quit(ctx)
		return 0
	}
	return p.live()
}

type daemonPuppet struct {
	keeper    *remote.Keeper
	inventory remote.Inventory

	mu   sync.Mutex
	conn net.Conn
}

func (p *daemonPuppet) say(n note) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		json.NewEncoder(p.conn).Encode(n)
	}
}

func exe() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	return path
}

// live does what the test says until that ends the connection.
func (p *daemonPuppet) live() int {
	sigs := make(chan os.Signal, 8)
	signal.Notify(sigs, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	go func() {
		for sig := range sigs {
			p.say(note{Do: "signal", Number: int(sig.(syscall.Signal))})
		}
	}()
	pid, _ := p.keeper.PID()
	p.say(note{
		PID: os.Getpid(), Number: pid, Exe: exe(), Text: fmt.Sprint(os.Args),
		Children: p.inventory.Children, Exits: p.inventory.Exits, Held: p.inventory.Held,
	})
	for d := json.NewDecoder(p.conn); ; {
		var n note
		if err := d.Decode(&n); err != nil {
			ctx, cancel := context.WithTimeout(context.Background(), soon)
			defer cancel()
			p.keeper.Quit(ctx)
			return 0
		}
		if n.Do == "end" {
			return n.Number
		}
		p.say(p.do(n))
	}
}

func (p *daemonPuppet) do(n note) note {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	var err error
	switch n.Do {
	case "spawn":
		answer := make(chan note, 1)
		m := wire.Spawn{Key: n.Key, Path: n.Path, Argv: n.Argv, Env: n.Env, Dir: n.Dir, Slots: n.Slots, Tag: []byte("tag of " + n.Key)}
		p.keeper.Spawn(m, func(c wire.Child, err error) { answer <- withError(note{PID: c.PID}, err) })
		return <-answer
	case "signal":
		err = p.keeper.Signal(n.Key, syscall.Signal(n.Number), n.Text == "group")
	case "ack":
		p.keeper.Ack(uint64(n.Number))
	case "ready":
		p.keeper.Ready()
	case "quit":
		err = p.keeper.Quit(ctx)
	case "upgrade":
		err = p.keeper.Upgrade(ctx, n.Path, n.Name)
	case "hold": // a file in memory that holds the text
		fd, memErr := unix.MemfdCreate("held", unix.MFD_CLOEXEC)
		if memErr == nil {
			_, memErr = unix.Write(fd, []byte(n.Text))
		}
		err = errors.Join(memErr, p.keeper.Hold(n.Name, fd), unix.Close(fd))
	case "drop":
		p.keeper.Drop(n.Name)
	case "read": // all that is there of what is held
		fd, ok := p.keeper.Held(n.Name)
		if !ok {
			return note{Err: "it is not held"}
		}
		buf := make([]byte, 64<<10)
		var got int
		if got, err = unix.Pread(fd, buf, 0); errors.Is(err, unix.ESPIPE) {
			got, err = unix.Read(fd, buf)
		}
		return withError(note{Text: string(buf[:max(got, 0)])}, err)
	case "write":
		fd, ok := p.keeper.Held(n.Name)
		if !ok {
			return note{Err: "it is not held"}
		}
		_, err = unix.Write(fd, []byte(n.Text))
	case "keeper":
		pid, exe := p.keeper.PID()
		return note{PID: pid, Exe: exe, Settled: p.keeper.Settled()}
	default:
		err = io.ErrUnexpectedEOF
	}
	return withError(note{}, err)
}

func withError(n note, err error) note {
	if err == nil {
		return n
	}
	n.Err = err.Error()
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		n.Errno = int(errno)
	}
	return n
}
