package app

import (
	"slices"
	"strconv"
	"strings"
)

// The ports that node's inspector may have, and the one it takes where nobody
// says another.
const (
	inspectorPort = 9229
	leastPort     = 1024
	mostPort      = 65535
)

// inspectorArgs are args of node with an inspector port of its own for each
// process that may run at one time. A port that is taken does not end node: it
// says so on standard error and runs on, without an inspector, and with
// --inspect-brk and --inspect-wait without waiting for anybody. So whoever
// attached would meet the first instance only.
func inspectorArgs(args []string, l Launch) []string {
	shift := l.Index
	if l.Alt {
		shift += l.Instances
	}
	inspected, named := false, false
	out := slices.Clone(args)
	for i := range out {
		if i > 0 && isPortOption(out[i-1]) {
			continue // the value of the one before, which was dealt with there
		}
		name, value, hasValue := strings.Cut(out[i], "=")
		at, prefix := i, name+"="
		switch {
		case isPortOption(name) && !hasValue && i+1 < len(out):
			at, prefix, value = i+1, "", out[i+1]
		case !isInspect(name) && !isPortOption(name):
			continue
		}
		inspected = true
		if host, port, ok := splitPort(value); ok {
			out[at] = prefix + host + strconv.Itoa(shifted(port, shift))
			named = true
		}
	}
	if inspected && !named && shift > 0 {
		out = append(out, "--inspect-port="+strconv.Itoa(shifted(inspectorPort, shift)))
	}
	return out
}

// isInspect tells whether an option of node opens the inspector. Its value, a
// host, a port or both, is behind a "=" or not there.
func isInspect(name string) bool {
	return slices.Contains([]string{"--inspect", "--inspect-brk", "--inspect-wait"}, strings.ReplaceAll(name, "_", "-"))
}

// isPortOption tells whether an option of node says only where the inspector
// would be, for the day that it is opened. Its value may be the next argument.
func isPortOption(name string) bool {
	return slices.Contains([]string{"--inspect-port", "--debug-port"}, strings.ReplaceAll(name, "_", "-"))
}

// splitPort takes the port off the end of [host:]port; host keeps its colon.
// A host alone, like [::1], has none.
func splitPort(value string) (host string, port int, ok bool) {
	at := strings.LastIndexByte(value, ':') + 1
	port, err := strconv.Atoi(value[at:])
	return value[:at], port, err == nil
}

// shifted is a port that is higher by shift, as node's own cluster counts: from
// the lowest again above the highest. 0 has the kernel choose, and what node
// will not take is left for it to refuse.
func shifted(port, shift int) int {
	if port < leastPort || port > mostPort {
		return port
	}
	return leastPort + (port-leastPort+shift)%(mostPort-leastPort+1)
}
