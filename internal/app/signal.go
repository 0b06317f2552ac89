package app

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// signals are the names that are the same number on Linux's amd64 and arm64
// and exist everywhere (signal(7)).
var signals = map[string]syscall.Signal{ //nolint:gochecknoglobals // a table, never written
	"SIGHUP": syscall.SIGHUP, "SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT,
	"SIGABRT": syscall.SIGABRT, "SIGKILL": syscall.SIGKILL, "SIGUSR1": syscall.SIGUSR1,
	"SIGUSR2": syscall.SIGUSR2, "SIGPIPE": syscall.SIGPIPE, "SIGALRM": syscall.SIGALRM,
	"SIGTERM": syscall.SIGTERM, "SIGCHLD": syscall.SIGCHLD, "SIGCONT": syscall.SIGCONT,
	"SIGSTOP": syscall.SIGSTOP, "SIGTSTP": syscall.SIGTSTP, "SIGTTIN": syscall.SIGTTIN,
	"SIGTTOU": syscall.SIGTTOU, "SIGURG": syscall.SIGURG, "SIGXCPU": syscall.SIGXCPU,
	"SIGXFSZ": syscall.SIGXFSZ, "SIGVTALRM": syscall.SIGVTALRM, "SIGPROF": syscall.SIGPROF,
	"SIGWINCH": syscall.SIGWINCH, "SIGIO": syscall.SIGIO, "SIGSYS": syscall.SIGSYS,
	"SIGTRAP": syscall.SIGTRAP, "SIGILL": syscall.SIGILL, "SIGBUS": syscall.SIGBUS,
	"SIGFPE": syscall.SIGFPE, "SIGSEGV": syscall.SIGSEGV,
}

// maxSignal is the highest signal number of Linux (SIGRTMAX, signal(7)).
const maxSignal = 64

// Signal is the signal that text names: "SIGUSR2", "usr2", "12" or "SIG34".
func Signal(text string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(strings.TrimPrefix(text, "SIG")); err == nil && n > 0 && n <= maxSignal {
		return syscall.Signal(n), nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if s, ok := signals[name]; ok {
		return s, nil
	}
	return 0, fmt.Errorf("%q is not the name or number of a signal", text)
}

// SignalName is the name of sig: "SIGKILL", or "SIG34" where there is none.
func SignalName(sig syscall.Signal) string {
	for name, s := range signals {
		if s == sig {
			return name
		}
	}
	return "SIG" + strconv.Itoa(int(sig))
}
