package testkit

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// ScriptVar is the variable that makes a test binary act out its value:
	// steps separated by semicolons, each a verb, or verb:argument. $NAME in
	// an argument stands for a variable of the environment.
	//
	//	print:TEXT   write TEXT and a line feed to stdout
	//	eprint:TEXT  the same to stderr
	//	lines:N      write the lines "1" to "N"
	//	trap:SIGS    ignore the signals, and so will children: trap:INT,TERM
	//	spawn:N      start N children that act out ChildVar; print "child PID" of each
	//	daemon       start a grandchild that acts out ChildVar in a session of its
	//	             own, its parent gone, its output closed; print "daemon PID"
	//	listen:PORT  answer each connection to 127.0.0.1:PORT with the own pid;
	//	             print "listening ADDRESS"; goes on beside the next steps
	//	sleep        sleep for ever
	//	sleep:TIME   sleep that long: sleep:100ms
	//	kill:SIG     send SIG to itself, and wait for its effect
	//	exit:N       end with code N
	//
	// A script that ends, ends with code 0; one with a mistake, with code 97.
	ScriptVar = "TESTKIT_SCRIPT"

	// ChildVar is the script of what spawn and daemon start. Without it they
	// sleep.
	ChildVar = "TESTKIT_CHILD"

	badScript = 97

	// forkStep is how the middle process of daemon knows itself.
	forkStep = "fork"
)

// Command is a child that acts out script once it is started: this test
// binary. It is killed at the end of the test, which has to wait for it like
// for any command.
func Command(t testing.TB, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Self(t))
	cmd.Env = append(os.Environ(), ScriptVar+"="+script)
	return cmd
}

// Self is the path of this test binary, for tests in which tend starts the
// child: it is to set ScriptVar.
func Self(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

// act acts script out and tells the code to exit with.
func act(script string) int {
	for step := range strings.SplitSeq(script, ";") {
		verb, arg, _ := strings.Cut(strings.TrimSpace(step), ":")
		arg = os.ExpandEnv(arg)
		if verb == "exit" {
			code, err := strconv.Atoi(arg)
			if err != nil {
				return mistake(step, err)
			}
			return code
		}
		if err := do(verb, arg); err != nil {
			return mistake(step, err)
		}
	}
	return 0
}

func mistake(step string, err error) int {
	fmt.Fprintf(os.Stderr, "testkit: step %q: %v\n", step, err)
	return badScript
}

func do(verb, arg string) error {
	switch verb {
	case "":
		return nil
	case "print":
		_, err := fmt.Fprintln(os.Stdout, arg)
		return err
	case "eprint":
		_, err := fmt.Fprintln(os.Stderr, arg)
		return err
	case "lines":
		return writeLines(arg)
	case "trap":
		return trap(arg)
	case "spawn":
		return spawn(arg)
	case "daemon":
		return daemonise()
	case forkStep:
		return fork()
	case "listen":
		return listen(arg)
	case "sleep":
		return sleep(arg)
	case "kill":
		return killSelf(arg)
	}
	return errors.New("no such verb")
}

func writeLines(count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(os.Stdout)
	for i := 1; i <= n; i++ {
		fmt.Fprintln(w, i)
	}
	return w.Flush()
}

// signalOf knows the signals that tests send, by name.
func signalOf(name string) (syscall.Signal, error) {
	switch strings.TrimPrefix(name, "SIG") {
	case "HUP":
		return syscall.SIGHUP, nil
	case "INT":
		return syscall.SIGINT, nil
	case "QUIT":
		return syscall.SIGQUIT, nil
	case "TERM":
		return syscall.SIGTERM, nil
	case "KILL":
		return syscall.SIGKILL, nil
	case "USR1":
		return syscall.SIGUSR1, nil
	case "USR2":
		return syscall.SIGUSR2, nil
	}
	return 0, fmt.Errorf("unknown signal %q", name)
}

func trap(names string) error {
	for name := range strings.SplitSeq(names, ",") {
		sig, err := signalOf(name)
		if err != nil {
			return err
		}
		signal.Ignore(sig)
	}
	return nil
}

func spawn(count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	for range n {
		cmd, err := again(childScript())
		if err != nil {
			return err
		}
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		fmt.Println("child", cmd.Process.Pid)
		go cmd.Wait() //nolint:errcheck // it is reaped, whatever it ended with
	}
	return nil
}

// daemonise forks twice, as a daemon does that wants no parent: this process
// starts one with a session of its own, that starts the daemon and ends.
func daemonise() error {
	cmd, err := again(forkStep)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Run()
}

func fork() error {
	cmd, err := again(childScript())
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	fmt.Println("daemon", cmd.Process.Pid)
	return nil
}

func childScript() string {
	if script := os.Getenv(ChildVar); script != "" {
		return script
	}
	return "sleep"
}

func again(script string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), ScriptVar+"="+script)
	return cmd, nil
}

func listen(port string) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return err
	}
	fmt.Println("listening", l.Addr())
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, os.Getpid())
			c.Close() //nolint:errcheck // and so here
		}
	}()
	return nil
}

func sleep(arg string) error {
	// Not an empty select: with nothing else to run Go would call that a
	// deadlock.
	const forever = 1 << 62
	d := time.Duration(forever)
	if arg != "" {
		var err error
		if d, err = time.ParseDuration(arg); err != nil {
			return err
		}
	}
	<-time.After(d)
	return nil
}

func killSelf(name string) error {
	sig, err := signalOf(name)
	if err != nil {
		return err
	}
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		return err
	}
	return sleep("")
}
